"""Figures of a protocol, each with interval, counts and coverage, and tables of them: Markdown, CSV, LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tfdeepfake.files import write_text
from tfdeepfake.report import tables

LONG = (
    "model", "on", "metric", "value", "low", "high", "fake", "real", "sources", "scored", "videos", "remark", "failed",
)  # fmt: skip
DIFFERENCE = "difference of "


@dataclass(frozen=True)
class Figure:
    """A metric at video level, or why there is none.

    Args:
      model, on: row and column of the table.
      value: of the metric, 0..1 (a difference -1..1), or None; interval: [low, high], 95 %, or None.
      fake, real, sources: numbers of scored videos, and of the sources they are of.
      scored, videos: coverage.
      remark: what differs from the other figures; failed: why there is no figure.
      metric: "auc", another of `evaluation.metrics.measure` that has an interval, or "difference of auc".
    """

    model: str
    on: str
    value: float | None = None
    interval: list[float] | None = None
    fake: int = 0
    real: int = 0
    sources: int = 0
    scored: int = 0
    videos: int = 0
    remark: str = ""
    failed: str = ""
    metric: str = "auc"

    def text(self) -> str:
        """ "0.912 [0.871, 0.944]; 40 fake + 38 real; 78 of 80 scored"."""
        if self.failed:
            return "failed"
        if self.value is None:
            value = "undefined"
        else:
            form = "{:+.3f}" if self.metric.startswith(DIFFERENCE) else "{:.3f}"
            bounds = f"[{form}, {form}]".format(*self.interval) if self.interval else "[no interval]"
            value = f"{form.format(self.value)} {bounds}"
        text = f"{value}; {self.fake} fake + {self.real} real; {self.scored} of {self.videos} scored"
        return f"{text}; {self.remark}" if self.remark else text


class Sheet(NamedTuple):
    """A table, written as NAME.md, NAME.csv and NAME.tex.

    Args:
      name: of the files; title, notes: above and below it.
      header, rows: text; the first column names the row.
      figures: those in its cells, where it has AUCs; [] where not.
    """

    name: str
    title: str
    notes: list[str]
    header: list[str]
    rows: list[list[str]]
    figures: Sequence[Figure] = ()

    def markdown(self) -> str:
        below = "\n".join(f"- {note}" for note in self.notes)
        return f"# {self.title}\n\n{tables.as_markdown(self.header, self.rows)}\n\n{below}\n"

    def write(self, folder: Path) -> None:
        """Writes the three files."""
        write_text(folder / f"{self.name}.md", self.markdown())
        write_text(folder / f"{self.name}.csv", tables.as_csv(self.header, self.rows))
        comment = "".join(f"% {' '.join(line.split())}\n" for line in (self.title, *self.notes))
        write_text(folder / f"{self.name}.tex", comment + tables.as_latex(self.header, self.rows) + "\n")


def of_level(model: str, on: str, level: dict, remark: str = "", metric: str = "auc") -> Figure:
    """The figure of a level of `evaluation.evaluate.evaluate`."""
    why = level["undefined"].get(metric) or level["undefined"].get(f"interval of {metric}") or ""
    return Figure(
        model,
        on,
        level[metric],
        level["intervals"].get(metric),
        level["n_fake"],
        level["n_real"],
        level["sources"],
        level["coverage"]["scored"],
        level["coverage"]["videos"],
        "; ".join(filter(None, (remark, why))),
        metric=metric,
    )


def write_tables(
    folder: Path, name: str, title: str, notes: Sequence[str], corner: str, figures: Sequence[Figure]
) -> Sheet:
    """Writes a table of AUCs, rows by model, and a long CSV file NAME_cells.csv with a line for each figure.

    Args:
      folder: to write to; name: of the files; title, notes: above and below the table.
      corner: the header of the first column.
      figures: in the order of rows and columns.
    """
    models, columns = (list(dict.fromkeys(names)) for names in zip(*((f.model, f.on) for f in figures), strict=True))
    at = {(figure.model, figure.on): figure.text() for figure in figures}
    rows = [[m, *(at.get((m, c), "") for c in columns)] for m in models]
    notes = [*notes, *(f"Failed: {f.model} on {f.on}: {f.failed}" for f in figures if f.failed)]
    sheet = Sheet(name, title, notes, [corner, *columns], rows, figures)
    sheet.write(folder)
    write_text(folder / f"{name}_cells.csv", tables.as_csv(LONG, [_long(figure) for figure in figures]))
    return sheet


def _long(figure):
    low, high = figure.interval or (None, None)
    numbers = ["" if value is None else f"{value:.6f}" for value in (figure.value, low, high)]
    counts = [str(getattr(figure, name)) for name in ("fake", "real", "sources", "scored", "videos")]
    return [figure.model, figure.on, figure.metric, *numbers, *counts, figure.remark, figure.failed]
