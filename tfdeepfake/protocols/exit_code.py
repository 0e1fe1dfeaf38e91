"""What a protocol ends with: which cells failed, and whether enough of the videos of the others have a score."""

from collections.abc import Callable

from tfdeepfake.evaluation.text import coverage_lines
from tfdeepfake.protocols.cells import FAILED
from tfdeepfake.protocols.work import Reports


def exit_code(reports: Reports, min_coverage: float | None, log: Callable[[str], None]) -> int:
    """The code of `tfdeepfake protocol`.

    Args:
      reports: of all cells.
      min_coverage: least fraction of the videos of a cell that have a score; None for any.
      log: called with a line for each cell that has fewer, and for each of its videos without one.
    Returns:
      0: all are scored; 1: some cells failed; 2: all did; 3: none did, and one has too few videos with a score.
    """
    num_failed = sum(FAILED in report for _, report in reports)
    scored = [(cell, report) for cell, report in reports if FAILED not in report]
    lines = [
        line
        for cell, report in scored
        for line in coverage_lines(report, min_coverage, f" ({cell.model} on {cell.on})")
    ]
    for line in lines:
        log(line)
    if num_failed:
        return 1 if num_failed < len(reports) else 2
    return 3 if lines else 0
