"""Protocols that train: their runs, then the scores of these on one prepared data set, then the tables."""

import dataclasses
import importlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfdeepfake.data.batches.prepared import open_data
from tfdeepfake.errors import InputError
from tfdeepfake.files import write_json
from tfdeepfake.protocols import prepared, runs
from tfdeepfake.protocols.cells import FAILED, PROTOCOL, Cell, members_of, open_run, run_cell
from tfdeepfake.protocols.exit_code import exit_code
from tfdeepfake.protocols.names import PROTOCOLS
from tfdeepfake.protocols.page import write_protocol_page
from tfdeepfake.protocols.rows import Override, check_data, check_used, row_of
from tfdeepfake.protocols.training_plan import Plan
from tfdeepfake.training.preset import Preset


def plan_of(
    name: str, presets: Mapping[str, Preset], chosen: Sequence[str], overrides: Sequence[Override], data: str,
    run_dir: str | Path, data_dir: str | None = None, split: str = "test", allow: Sequence[str] = (),
) -> Plan:  # fmt: skip
    """The plan of a protocol that trains.

    Args:
      name: of `names.PROTOCOLS`, one that trains.
      presets: {name: Preset} of the chosen ones and all their stages.
      chosen: names of presets, one for each row (of some protocols several rows).
      overrides: see `rows.overrides_of`.
      data, data_dir, split: the prepared data set and the split that is scored.
      run_dir: the protocol's folder.
      allow: fields in which the data may be otherwise than a preset says; "any" for all.
    Raises:
      InputError: the folder holds another protocol or other runs, the data have no such split, or data, presets and
        overrides do not fit.
    """
    if not chosen:
        raise InputError("--presets", f"{name} needs one or more.", "`tfdeepfake presets` lists them.")
    check_used(overrides, list(presets))
    run_dir = open_run(run_dir, name)
    opened = open_data(data, data_dir)
    opened.split(split)  # an error before hours of training
    where = str(run_dir / runs.RUNS)
    rows = [row_of(preset, presets, overrides, data, data_dir, where) for preset in chosen]
    runs.check_names(rows)
    differs = {row.preset: check_data(row, presets[row.preset], data, opened, allow) for row in rows}
    module, _, function = PROTOCOLS[name].function.partition(":")
    table = getattr(importlib.import_module(f"tfdeepfake.protocols.{module}"), function)(rows, opened)
    runs.check_begun(table.rows, run_dir)
    return Plan(name, run_dir, opened, split, table, differs, overrides)


def run(
    plan: Plan, jobs: int = 1, resamples: int = 1000, command: Sequence[str] | None = None,
    log: Callable[[str], None] = print, min_coverage: float | None = None,
) -> int:  # fmt: skip
    """Trains and scores what is not there yet, writes the tables and the page, and prints the first table.

    Args:
      plan: of `plan_of`.
      jobs: runs at once.
      resamples: of the bootstrap; 0 for no intervals.
      command: words of the command line, for the page.
      log: called with a line for each run and cell.
      min_coverage: least fraction of the videos of a row that have a score.
    Returns:
      0: every row has its scores; 1: some failed; 2: all failed; 3: see `exit_code`.
    """
    first = plan.rows[0].config
    begun = {"protocol": plan.name, "rows": [row.name for row in plan.rows], "data": [first.data]}
    write_json(plan.run_dir / PROTOCOL, begun)
    failed = runs.train_all(plan.rows, plan.run_dir, jobs, log)
    reports = []
    for row in plan.rows:
        if row.name in failed:
            reports.append(
                (Cell(row.name, first.data, {}, lambda: None, None), {FAILED: f"training: {failed[row.name]}"})
            )
            continue
        member = dataclasses.replace(members_of([runs.folder_of(plan.run_dir, row.name)])[0], name=row.name)
        (cell,) = prepared.cells_of([member], [first.data], first.data_dir, plan.split)
        cell.facts["resamples"] = resamples
        reports.append((cell, run_cell(cell, plan.run_dir, resamples, log)))
    written = plan.table.write(plan, reports)
    num_failed = sum(FAILED in report for _, report in reports)
    figures = [dataclasses.asdict(figure) for figure in written.figures]
    write_json(plan.run_dir / PROTOCOL, begun | {"failed": num_failed, "figures": figures})
    write_protocol_page(plan.run_dir / "index.html", written, reports, shlex.join(command or ()))
    print(written.sheets[0].markdown())
    print(f"Written to {plan.run_dir}/: " + ", ".join(sorted(path.name for path in plan.run_dir.iterdir())))
    return exit_code(reports, min_coverage, log)
