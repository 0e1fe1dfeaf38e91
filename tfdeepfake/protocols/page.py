"""The page of a protocol: one file with tables, curves, coverage, what failed and the command that made it."""

from collections.abc import Sequence
from pathlib import Path

from tfdeepfake import __version__
from tfdeepfake.protocols.cells import FAILED
from tfdeepfake.protocols.figures import DIFFERENCE, Figure, Sheet
from tfdeepfake.protocols.training_plan import NOT_THEIRS
from tfdeepfake.protocols.work import Plot, Reports, Written
from tfdeepfake.report.html import write_page

UNSCORED_SHOWN = 20
UNBOUNDED = ("log_loss",)  # has no bar from 0 to 1
# Of a panel, in units of its picture: its sides, and what is left for the axes.
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 320, 258, 40, 20, 10, 38


def write_protocol_page(path: Path, written: Written, reports: Reports, command: str) -> None:
    """Writes the page.

    Args:
      path: HTML file.
      written: the protocol's tables and plots.
      reports: of all cells.
      command: that made it.
    """
    title, differs, of_first = _parts(written.sheets[0].title)
    write_page(
        path,
        "protocol.html",
        title=title,
        differs=differs,
        sheets=_sheets(written.sheets, of_first),
        panels=[_panel(plot) for plot in written.plots],
        names=list(dict.fromkeys(series.name for plot in written.plots for series in plot.series)),
        coverage=_coverage(reports),
        whole=_whole(reports),
        failed=[(cell.model, cell.on, report[FAILED]) for cell, report in reports if FAILED in report],
        command=command,
        version=__version__,
        files=sorted(one.name for one in path.parent.iterdir() if one.is_file() and one != path),
        sides=(WIDTH, HEIGHT),
    )


def _parts(title: str) -> tuple[str, str, str]:
    """Of the title of the first table: what it is of, which settings are not the presets', and its metric."""
    stem, _, differs = title.partition(f"; {NOT_THEIRS}: ")
    if not differs:
        return stem, "", "Table"
    differs, _, metric = differs.partition(": ")
    return stem, differs, metric or "Table"


def _sheets(sheets: Sequence[Sheet], of_first: str) -> list[dict]:
    """Tables for the template; a note that stands above already is not said again."""
    said, shown = set(), []
    for sheet in sheets:
        one = _sheet(sheet)
        one["notes"] = [note for note in one["notes"] if note not in said]
        said.update(one["notes"])
        one["title"] = _heading(sheet.title, sheets[0].title) if shown else of_first
        shown.append(one)
    return shown


def _heading(title: str, first: str) -> str:
    """What the title of a later table has beside the page's: "Accuracy" of "On X: accuracy" below "On X: AUC"."""
    stem = first.rpartition(": ")[0]
    for common in (f"{stem}: " if stem else "", first):
        if common and title != common and title.startswith(common):
            rest = title[len(common) :].lstrip(" ,:")
            return rest[:1].upper() + rest[1:]
        if common and title.endswith(f": {common}"):
            return title.removesuffix(f": {common}")
    return title


def _sheet(sheet: Sheet) -> dict:
    """A table for the template: rows of (text of the first column, cells)."""
    figures = {(figure.model, figure.on): figure for figure in sheet.figures}

    def cell(row, column, text):
        figure = figures.get((row, column))
        return {"column": column, "text": text, "figure": figure and _figure(figure)}

    columns = sheet.header[1:]
    rows = [(row[0], [cell(row[0], *pair) for pair in zip(columns, row[1:], strict=True)]) for row in sheet.rows]
    # What failed stands in a section of its own.
    notes = [note for note in sheet.notes if not note.startswith("Failed: ")]
    return {"title": sheet.title, "notes": notes, "header": sheet.header, "rows": rows}


def _figure(figure: Figure) -> dict:
    low, high = figure.interval or (None, None)
    signed = figure.metric.startswith(DIFFERENCE)
    form = "{:+.3f}" if signed else "{:.3f}"
    return {
        "value": None if figure.value is None else form.format(figure.value),
        "interval": None if low is None else f"[{form}, {form}]".format(low, high),
        "bar": None
        if figure.value is None or signed or figure.metric in UNBOUNDED
        else [100 * figure.value, *(100 * x for x in figure.interval or ())],
        "counts": f"{figure.fake} fake + {figure.real} real, {figure.scored} of {figure.videos} scored",
        "remark": figure.remark,
        "failed": bool(figure.failed),
    }


def _coverage(reports: Reports) -> list[dict]:
    """Of each cell how many videos were scored, and the first of those that were not."""
    rows = []
    for cell, report in reports:
        if FAILED in report:
            continue
        missing = [f"{v['data_set']}/{v['method']}/{v['video']} ({v['status']})" for v in report["unscored"]]
        rows.append(
            {
                "model": cell.model,
                "on": cell.on,
                "scored": report["coverage"]["scored"],
                "videos": report["coverage"]["videos"],
                "missing": missing[:UNSCORED_SHOWN],
                "more": max(0, len(missing) - UNSCORED_SHOWN),
            }
        )
    return rows


def _whole(reports: Reports) -> list[tuple[int, list[str]]]:
    """(number of videos, cells that scored all of them)."""
    cells: dict[int, list[str]] = {}
    for cell, report in reports:
        if FAILED not in report and not report["unscored"]:
            cells.setdefault(report["coverage"]["videos"], []).append(f"{cell.model} on {cell.on}")
    return list(cells.items())


def _panel(plot: Plot) -> dict:
    """Places of a panel's lines in its picture."""
    low, high = plot.x_range

    def x(value):
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / ((high - low) or 1), 1)

    def y(value):
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - value), 1)

    def line(points: Sequence) -> str:
        return " ".join(f"{x(a)},{y(b)}" for a, b in points)

    def number(value):
        if not plot.is_logarithmic:
            return f"{value:g}"
        return f"{10**value:g}" if -4 < value < 5 else f"1e{value:g}"

    chance = [(low, 0 if plot.diagonal else 0.5), (high, 1 if plot.diagonal else 0.5)]
    step = 1.0 if plot.is_logarithmic else (high - low) / (5 if high - low == 5 else 4)
    return {
        "title": plot.title,
        "x": plot.x,
        "y": plot.y,
        "chance": line(chance),
        "frame": (x(low), y(1), x(high), y(0)),
        "x_ticks": [(x(low + k * step), number(low + k * step)) for k in range(round((high - low) / step) + 1)],
        "y_ticks": [(y(value), f"{value:g}") for value in (0, 0.25, 0.5, 0.75, 1)],
        "lines": [
            {
                "name": series.name,
                "line": "" if plot.is_scatter else line(series.points),
                "dots": [] if plot.diagonal else [(x(a), y(b)) for a, b in series.points],
                "bars": [(x(a), y(b), y(c)) for a, b, c in series.bars],
            }
            for series in plot.series
        ],
    }
