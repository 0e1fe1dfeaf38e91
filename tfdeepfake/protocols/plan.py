"""What a protocol has still to do, and about how long that takes on this machine."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.protocols.cells import Cell, stored


def plan_lines(cells: Sequence[Cell], run_dir: Path, log: Callable[[str], None] = lambda line: None) -> list[str]:
    """A line for each cell; nothing is written.

    A cell of a model takes about as long, for each video, as the cells of that model that are there; where none is, a
    first batch is measured. Cells whose data cannot be opened say so.

    Args:
      cells: of the protocol; run_dir: its folder.
      log: called before a first batch is measured, which builds the network.
    """
    reports = [stored(cell, run_dir) for cell in cells]
    seconds = {}  # of a cell of each model, where one was scored
    for cell, report in zip(cells, reports, strict=True):
        if report and report.get("seconds") is not None:
            seconds.setdefault(cell.model, []).append(report["seconds"])
    lines, total, unknown = [], 0.0, 0
    for cell, report in zip(cells, reports, strict=True):
        if report:
            lines.append(f"done   {cell.model} on {cell.on}")
            continue
        estimate, problem = _estimate(cell, seconds, log)
        if estimate is None:
            unknown += 1
            lines.append(f"score  {cell.model} on {cell.on}: {problem}")
        else:
            total += estimate
            lines.append(f"score  {cell.model} on {cell.on}: about {duration(estimate)}")
    count = sum(report is None for report in reports)
    summary = f"{count} of {len(cells)} cells are to be scored"
    if count > unknown:
        summary += f", in about {duration(total)}"
    if unknown:
        summary += f"; of {unknown} it is not known how long" if count > unknown else ""
    return [*lines, f"{summary}."]


def _estimate(cell, seconds, log):
    """(seconds or None, why there are none)."""
    if cell.model in seconds:
        return sum(seconds[cell.model]) / len(seconds[cell.model]), ""
    if cell.measure is None:
        return None, "time not known"
    log(f"measuring {cell.model} on {cell.on}")
    try:
        return cell.measure(), ""
    except InputError as error:
        return None, f"cannot be scored: {error}"


def duration(seconds: float) -> str:
    """ "40 s", "12 min" or "3 h 20 min"."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
