"""A protocol's folder: each cell is a model's scores on some videos, kept once it is whole.

RUN_DIR/protocol.json           the protocol, what failed and why, the tables as data
RUN_DIR/cells/CELL/scores.csv   of `tfdeepfake evaluate`'s form, for `compare` too
RUN_DIR/cells/CELL/metrics.json what `evaluation.evaluate.evaluate` returns; written last
RUN_DIR/NAME.md, .csv, .tex     the tables; NAME_cells.csv has a line for each figure
RUN_DIR/index.html              the page
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfdeepfake import __version__
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.files import check_output_folder, read_json, write_json
from tfdeepfake.model_folder import find_model_folder, load_recipe
from tfdeepfake.recipe import Recipe
from tfdeepfake.scoring.table import Table
from tfdeepfake.scoring.table_file import write_scores

PROTOCOL = "protocol.json"
FAILED = "failed"


@dataclass(frozen=True)
class Member:
    """A model of the tables: its name there, its saved model folder and that one's recipe."""

    name: str
    folder: Path
    recipe: Recipe

    @property
    def facts(self) -> dict:
        """What its scores depend on."""
        return {"recipe": self.recipe.to_dict()}


def members_of(models: Sequence[str | Path]) -> list[Member]:
    """Run folders or saved model folders, by NAME=FOLDER or named after the folder.

    Raises:
      InputError: there is no model, or two have one name.
    """
    members = []
    for given in map(str, models):
        name, equals, path = given.partition("=")
        folder = Path(path if equals and not Path(given).exists() else given)
        saved = find_model_folder(folder)
        name = name if folder != Path(given) else Path(given).resolve().name
        if name in [member.name for member in members]:
            raise InputError(given, f"is the second model that is named {name}.", "Name it: OTHER=FOLDER.")
        members.append(Member(name, saved, load_recipe(saved)))
    return members


@dataclass(frozen=True)
class Cell:
    """A model on some videos.

    Args:
      model, on: names of both.
      facts: what the scores depend on, as JSON holds it; a cell scored with others is scored anew.
      score: returns (scores table, facts for the report, such as the data's version).
      recipe: of the model.
      measure: returns about how many seconds `score` takes, from a first batch; None where that is not known.
    """

    model: str
    on: str
    facts: dict
    score: Callable[[], tuple[Table, dict]]
    recipe: Recipe
    measure: Callable[[], float] | None = None

    @property
    def folder(self) -> Path:
        """Below the protocol's folder; different names never share one."""
        name = f"{self.model}-{self.on}"
        number = hashlib.sha256(json.dumps([self.model, self.on]).encode()).hexdigest()[:6]
        return Path("cells", f"{re.sub('[^A-Za-z0-9._-]+', '-', name)[:80]}-{number}")


def stored(cell: Cell, run_dir: Path) -> dict | None:
    """The report of a cell that was scored with the same facts; None where there is none."""
    path = run_dir / cell.folder / "metrics.json"
    if not (path.is_file() and (path.parent / "scores.csv").is_file()):
        return None
    report = read_json(path, "Delete the cell's folder: it will be scored again.")
    return report if report.get("facts") == _facts(cell) else None


def _facts(cell):
    return json.loads(json.dumps({"tool": __version__, **cell.facts}))


def open_run(run_dir: str | Path, protocol: str) -> Path:
    """The folder of a protocol, new or begun.

    Raises:
      InputError: it holds another protocol or other files, or cannot be written to.
    """
    run_dir = Path(run_dir)
    check_output_folder(run_dir)
    begun = run_dir / PROTOCOL
    if begun.is_file():
        there = read_json(begun).get("protocol")
        if there != protocol:
            raise InputError(run_dir, f"holds the protocol {there}, not {protocol}.", "Give a folder of its own.")
    elif run_dir.is_dir() and any(run_dir.iterdir()):
        raise InputError(run_dir, "holds files already, and they are no protocol's.", "Give a new folder.")
    return run_dir


def run_cell(cell: Cell, run_dir: Path, resamples: int, log: Callable[[str], None]) -> dict:
    """The report of a cell, kept or new; {"failed": why} where it could not be scored, and the others go on."""
    report = stored(cell, run_dir)
    if report:
        log(f"kept    {cell.model} on {cell.on}")
        return report
    log(f"scoring {cell.model} on {cell.on}")
    start = time.perf_counter()
    try:
        rows, told = cell.score()
        recipe = cell.recipe
        report = {"run": cell.model, "network": recipe.network, "data": cell.on, "facts": _facts(cell), **told}
        report |= evaluate(
            rows,
            recipe.threshold,
            recipe.fraction_threshold,
            recipe.temperature,
            resamples,
            unit="clip" if recipe.data.input_type == "clip" else "frame",
            video_rule=recipe.video_rule,
            faces_rule=recipe.faces_rule,
        )
        report["seconds"] = round(time.perf_counter() - start, 2)
    except OSError:
        raise
    except InputError as error:
        log(f"FAILED  {cell.model} on {cell.on}: {error}")
        return {FAILED: str(error)}
    except Exception as error:  # one bad cell must not end hours of work; it is named in the tables
        log(f"FAILED  {cell.model} on {cell.on}: {type(error).__name__}: {error}")
        return {FAILED: f"{type(error).__name__}: {error}"}
    folder = run_dir / cell.folder
    (folder / "metrics.json").unlink(missing_ok=True)  # that of other scores must not stand beside the new ones
    write_scores(folder / "scores.csv", rows)
    write_json(folder / "metrics.json", report)
    return report
