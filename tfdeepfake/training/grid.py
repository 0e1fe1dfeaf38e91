"""Grid search over fields of a config: a run per cell, each in a process of its own, one table (P2 4.2.2).

    tfdeepfake grid p2_two_stream_video runs/grid --data-dir data

The paper's grid: batch sizes 4, 16, 32; learning rates "10e-3" and "10e-6". Started again, finished cells stay as
they are and an interrupted one is resumed. Hardware, time: those of one run, times the cells; not yet run at the
paper's size.
"""

import csv
import hashlib
import itertools
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.aggregation import source_groups, video_scores
from tfdeepfake.files import read_json, write_json, write_text
from tfdeepfake.machine import free_bytes, usable_cores
from tfdeepfake.model_folder import load_recipe
from tfdeepfake.report import tables
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.training.apart import begin_apart
from tfdeepfake.training.config import TrainConfig

FIGURES = (
    "status", "best_epoch", "val_auc", "val_loss", "val_accuracy", "videos", "sources", "video_auc", "low", "high",
    "run",
)  # fmt: skip
# Lines of its process, one an epoch, in the cell's folder.
LOG = "log.txt"
TABLE = "grid.csv"
# What one cell took at most, times this, has to be free before another runs beside it.
_ROOM = 1.2
_RESUME = "from tfdeepfake.training.train import resume; resume(sys.argv[1])"


def cells(config: TrainConfig, fields: dict[str, list]) -> list[tuple[str, dict, TrainConfig]]:
    """(name of its folder, {field: value}, TrainConfig) of every combination.

    Args:
      config: TrainConfig, of which `fields` are replaced.
      fields: {field of TrainConfig: values to try}.
    Raises:
      InputError: there is no such field, a value is not allowed, or two cells are the same; names the value.
    """
    if not fields or not all(fields.values()):
        raise InputError("grid", "needs fields and values to try.", "For example: --try learning_rate=1e-3,1e-4")
    every = []
    for values in itertools.product(*fields.values()):
        chosen = dict(zip(fields, values, strict=True))
        # As JSON has it, where a tuple is a list: so it is read again.
        cell = TrainConfig.from_dict(json.loads(json.dumps(config.to_dict() | chosen)), "grid")
        every.append((_name(chosen), chosen, cell))
    names = [name for name, _, _ in every]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError("grid", f"has the cell {twice[0]} twice.", "Give each value once.")
    return every


def _name(chosen):
    """The folder of a cell: its fields and values, or their beginning and a number that no other has."""
    text = "_".join(f"{field}-{_text(value)}" for field, value in chosen.items())
    name = re.sub(r"[^A-Za-z0-9.+-]+", "_", text).strip("_")
    if name == text and len(name) <= 100:
        return name
    return f"{name[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _shown(chosen):
    return ", ".join(f"{field} {_text(value)}" for field, value in chosen.items())


def _text(value):
    return f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def check_folder(run_dir: str | Path, every: list[tuple[str, dict, TrainConfig]]) -> None:
    """Refuses a folder in which `every`, of `cells`, cannot begin or go on, before anything is trained or written.

    Raises:
      InputError: it is the folder of one run, of a grid over other fields, or a cell's folder has a run of another
        config; says in which fields.
    """
    run_dir, fields = Path(run_dir), [*every[0][1]]
    if (run_dir / "config.json").exists():
        raise InputError(run_dir, "is the folder of one run, not of a grid.", "Choose another folder.")
    table = run_dir / TABLE
    if table.exists():
        header = next(csv.reader(table.read_text(encoding="utf-8").splitlines()), [])
        over = [name for name in header if name not in FIGURES]
        if set(over) != set(fields):
            problem = f"holds a grid over {', '.join(over) or 'nothing'}; this one is over {', '.join(fields)}."
            raise InputError(run_dir, problem, "Choose another folder.")
    for name, _, cell in every:
        path = run_dir / name / "config.json"
        if differ := cell.differing(read_json(path)) if path.exists() else []:
            raise InputError(
                path.parent,
                f"holds a run of another config: {', '.join(differ)}.",
                "Choose another folder for the grid.",
            )


def grid(
    config: TrainConfig,
    fields: dict[str, list],
    run_dir: str | Path,
    log: Callable[[str], None] = print,
    at_once: int | None = None,
) -> list[dict]:
    """Trains every combination and tabulates the best epoch of each.

    Args:
      config, fields: see `cells`.
      run_dir: folder; a run folder per cell, grid.csv and grid.md are written into it.
      log: function that gets a line when a cell begins and when it has ended.
      at_once: cells that train side by side; when not given one, and two where there is no GPU and twice what the first
        took is free.
    Returns:
      List of dicts {field: value} with `FIGURES`, in the order of the cells; status is "finished" or why the cell
      failed, which does not stop the others. video_auc, low, high: AUC of the validation videos and its 95 % interval
      by source, None where there is none.
    Raises:
      InputError: see `cells` and `check_folder`.
    """
    run_dir, rows = Path(run_dir), {}
    every = cells(config, fields)
    check_folder(run_dir, every)

    def tell(name, chosen, row):
        rows[name] = {**chosen, **dict.fromkeys(FIGURES), "run": name, **row}
        _write(run_dir, fields, [rows[name] for name, _, _ in every if name in rows], len(every))
        log(f"{_shown(chosen)}: {_outcome(rows[name])}")

    waiting, running = [], {}
    for name, chosen, cell in every:
        path = run_dir / name / "config.json"
        if not path.exists():
            write_json(path, cell.to_dict())
        if (path.parent / "result.json").exists():
            tell(name, chosen, finished(path.parent))
        else:
            waiting.append((name, chosen, cell))
    try:
        trained = 0
        while waiting or running:
            while waiting and len(running) < (at_once or _room(trained, len(running))):
                name, chosen, cell = waiting.pop(0)
                log(f"{_shown(chosen)}: trains, see {run_dir / name / LOG}")
                running[name] = chosen, _started(run_dir / name, cell)
            for name, (chosen, process) in list(running.items()):
                if process.poll() is not None:
                    del running[name]
                    trained += 1
                    tell(name, chosen, _ended(run_dir / name, process.returncode))
            time.sleep(0.2)
    finally:
        for _, process in running.values():
            process.kill()
            process.wait()
    return [rows[name] for name, _, _ in every]


def _room(trained, running):
    """Cells that may run at once, by what is free: one until the first has shown what a cell takes."""
    import resource

    if not trained or shutil.which("nvidia-smi"):
        return 1
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return 2 if (2 - running) * used * _ROOM < (free_bytes() or 0) and usable_cores() > 1 else 1


def _started(folder, config):
    """A process that trains a cell; what one run leaves behind in TensorFlow cannot reach the next."""
    with open(folder / LOG, "wb") as output:
        return begin_apart(_RESUME, [str(folder)], config.backend, output, subprocess.STDOUT)


def _ended(folder, code):
    """The row of a cell whose process has ended."""
    if code == 0:
        return finished(folder)
    if code < 0:
        return {"status": f"its process died (signal {-code}), see {folder / LOG}"}
    lines = (folder / LOG).read_text(errors="replace").strip().splitlines()
    return {"status": lines[-1] if lines else f"ended with code {code}"}


def finished(folder: Path) -> dict:
    """Figures of a finished run: those of its best epoch, and the AUC of its validation videos with its interval."""
    summary = read_json(folder / "result.json")
    best = {name: summary["best"].get(name) for name in ("val_auc", "val_loss", "val_accuracy")}
    return {"status": "finished", "best_epoch": summary["best_epoch"]} | best | _by_video(folder)


def _by_video(folder):
    if not (folder / "scores_validation.csv").exists():
        return {}
    recipe = load_recipe(folder)
    scores = read_scores(folder / "scores_validation.csv")
    videos = video_scores(scores, recipe.video_rule, recipe.temperature, faces_rule=recipe.faces_rule)
    usable = (videos["label"] >= 0) & np.isfinite(videos["score"])
    from tfdeepfake.evaluation import estimates  # SciPy, which an error of a flag needs not wait for

    labels, groups = videos["label"][usable], np.unique(source_groups(videos)[0][usable], return_inverse=True)[1]
    out = {"videos": len(labels), "sources": int(groups.max()) + 1 if len(groups) else 0}
    if len(set(labels.tolist())) < 2:
        return out
    auc = estimates.auc(labels, videos["score"][usable], groups)
    low, high = estimates.interval(auc) or (None, None)
    return out | {"video_auc": auc.value, "low": low, "high": high}


def _outcome(row):
    if row["status"] != "finished":
        return row["status"]
    if row["video_auc"] is None:
        return f"validation loss {row['val_loss']:.4f}" if row["val_loss"] is not None else "no validation"
    return f"AUC {_with_interval(row)} of {row['videos']} validation videos"


def _with_interval(row):
    if row["video_auc"] is None:
        return "-"
    bounds = "[no interval]" if row["low"] is None else f"[{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['video_auc']:.3f} {bounds}"


def _write(run_dir, fields, rows, count):
    """grid.csv has every figure as it is; grid.md is to be read."""
    header = [*fields, *FIGURES]
    plain = [["" if row[name] is None else _text_csv(row[name]) for name in header] for row in rows]
    write_text(run_dir / TABLE, tables.as_csv(header, plain))
    best, body = best_cell(rows), []
    for row in rows:
        loss = "-" if row["val_loss"] is None else f"{row['val_loss']:.4f}"
        marked = _with_interval(row) + (" (best)" if row is best else "")
        epoch = "-" if row["best_epoch"] is None else str(row["best_epoch"])
        body.append([*(_text(row[field]) for field in fields), marked, loss, epoch, row["status"]])
    shown = [*fields, "AUC of validation videos [95 % by source]", "loss", "best epoch", "status"]
    failed = sum(row["status"] != "finished" for row in rows)
    about = f"{len(rows) - failed} of {count} cells finished" + (f", {failed} failed" if failed else "") + "."
    numbers = next((row for row in rows if row["videos"]), None)
    if numbers:
        about += f" {numbers['videos']} validation videos of {numbers['sources']} sources; the best was chosen on them."
    write_text(run_dir / "grid.md", f"{tables.as_markdown(shown, body)}\n\n{about}\n")


def _text_csv(value):
    return repr(value) if isinstance(value, float) else _text(value)


def best_cell(rows: list[dict]) -> dict | None:
    """The row of `grid` with the best AUC of validation videos, of equals the lowest loss; None when none has one."""
    scored = [row for row in rows if row.get("video_auc") is not None]
    return max(scored, key=lambda row: (row["video_auc"], -(row["val_loss"] or 0.0))) if scored else None
