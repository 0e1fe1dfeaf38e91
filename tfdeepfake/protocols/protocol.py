"""A protocol from its plan to its tables."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from tfdeepfake.files import write_json
from tfdeepfake.protocols import prepared, robustness
from tfdeepfake.protocols.cells import PROTOCOL, members_of, open_run, plan_lines, run_cell


def run(
    name: str,
    models: Sequence[str | Path],
    data: Sequence[str | Path],
    run_dir: str | Path,
    *,
    plan: bool = False,
    data_dir: str | None = None,
    split: str = "test",
    allow: Sequence[str] = (),
    perturbations: Sequence[str] | None = None,
    severities: Sequence[int] | None = None,
    keep_copies: bool = False,
    resamples: int = 1000,
    log: Callable[[str], None] = print,
) -> int:
    """Scores what is not scored yet, writes the tables and prints them.

    Args:
      name: "cross_data", "manipulations" or "robustness".
      models: run folders or saved model folders, NAME=FOLDER for a name.
      data: prepared data sets; of robustness a folder with real/ and fake/ or a CSV file `file,label`.
      run_dir: the protocol's folder, see `protocols.cells`.
      plan: only print what would be scored.
      data_dir, split, allow: see `prepared.cells_of`.
      perturbations, severities, keep_copies: see `robustness.Copies`; all when not given.
      resamples: of the bootstrap; 0 for no intervals.
      log: called with a line for each cell.
    Returns:
      0: every cell was scored; 1: some failed; 2: all failed.
    Raises:
      InputError: models, data or folder cannot be used.
    """
    members, run_dir = members_of(models), open_run(run_dir, name)
    copies = None
    if name == "robustness":
        copies = robustness.Copies(data[0], run_dir, perturbations, severities, keep_copies)
        cells = robustness.cells_of(members, copies)
    else:
        cells = prepared.cells_of(members, list(map(str, data)), data_dir, split, allow)
    for cell in cells:  # they stand in the facts, so that intervals are those that were asked for
        cell.facts["resamples"] = resamples
    if plan:
        print("\n".join(plan_lines(cells, run_dir)))
        return 0
    begun = {"protocol": name, "models": [member.name for member in members], "data": list(map(str, data))}
    write_json(run_dir / PROTOCOL, begun)
    reports = [(cell, run_cell(cell, run_dir, resamples, log)) for cell in cells]
    if copies:
        copies.done()
        text, figures = robustness.write(run_dir, reports, copies)
    elif name == "cross_data":
        text, figures = prepared.write_cross_data(run_dir, reports, split)
    else:
        text, figures = prepared.write_manipulations(run_dir, reports, split)
    num_failed = sum("failed" in report for _, report in reports)
    write_json(run_dir / PROTOCOL, begun | {"failed": num_failed, "figures": list(map(dataclasses.asdict, figures))})
    print(text)
    print(f"Written to {run_dir}/: " + ", ".join(sorted(path.name for path in run_dir.iterdir())))
    return 0 if not num_failed else 1 if num_failed < len(reports) else 2
