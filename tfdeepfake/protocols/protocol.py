"""A protocol from its plan to its tables and its page."""

import dataclasses
import importlib
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfdeepfake.files import write_json
from tfdeepfake.protocols.cells import FAILED, PROTOCOL, open_run, run_cell
from tfdeepfake.protocols.exit_code import exit_code
from tfdeepfake.protocols.names import PROTOCOLS
from tfdeepfake.protocols.page import write_protocol_page
from tfdeepfake.protocols.plan import plan_lines
from tfdeepfake.protocols.work import Options, Work


def run(
    name: str,
    models: Sequence[str | Path],
    data: Sequence[str | Path],
    run_dir: str | Path,
    *,
    plan: bool = False,
    resamples: int = 1000,
    min_coverage: float | None = None,
    command: Sequence[str] | None = None,
    log: Callable[[str], None] = print,
    **options: Any,
) -> int:
    """Scores what is not scored yet, writes the tables and the page, and prints the first table.

    Args:
      name: of `names.PROTOCOLS`.
      models: run folders or saved model folders, NAME=FOLDER for a name.
      data: prepared data sets; of robustness a folder with real/ and fake/ or a CSV file `file,label`.
      run_dir: the protocol's folder, see `protocols.cells`.
      plan: only print what would be scored, and about how long that takes.
      resamples: of the bootstrap; 0 for no intervals.
      min_coverage: least fraction of the videos of a cell that have a score.
      command: words of the command line, for the page.
      log: called with a line for each cell.
      **options: see `work.Options`.
    Returns:
      0: every cell was scored; 1: some failed; 2: all failed; 3: see `exit_code`.
    Raises:
      InputError: models, data or folder cannot be used.
    """
    run_dir = open_run(run_dir, name)
    models, data = list(map(str, models)), list(map(str, data))
    work = planned(name, models, data, run_dir, Options(**options))
    for cell in work.cells:  # they stand in the facts, so that intervals are those that were asked for
        cell.facts["resamples"] = resamples
    if plan:
        print("\n".join(plan_lines(work.cells, run_dir, log)))
        return 0
    begun = {"protocol": name, "models": list(dict.fromkeys(cell.model for cell in work.cells)), "data": data}
    write_json(run_dir / PROTOCOL, begun)
    reports = [(cell, run_cell(cell, run_dir, resamples, log)) for cell in work.cells]
    written = work.write(reports)
    num_failed = sum(FAILED in report for _, report in reports)
    figures = [dataclasses.asdict(figure) for figure in written.figures]
    write_json(run_dir / PROTOCOL, begun | {"failed": num_failed, "figures": figures})
    write_protocol_page(run_dir / "index.html", written, reports, shlex.join(command or ()))
    print(written.sheets[0].markdown())
    print(f"Written to {run_dir}/: " + ", ".join(sorted(path.name for path in run_dir.iterdir())))
    return exit_code(reports, min_coverage, log)


def planned(name: str, models: Sequence[str], data: Sequence[str], run_dir: Path, options: Options) -> Work:
    """The cells of a protocol and how their tables are written; nothing is scored or written yet."""
    module, _, function = PROTOCOLS[name].function.partition(":")
    return getattr(importlib.import_module(f"tfdeepfake.protocols.{module}"), function)(models, data, run_dir, options)
