"""What a protocol gives to `protocol.run`: cells to score, and how their reports become tables and plots."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tfdeepfake.protocols.cells import Cell
from tfdeepfake.protocols.figures import Figure, Sheet
from tfdeepfake.vocabulary import DRAWN_DATA

Reports = Sequence[tuple[Cell, dict]]


@dataclass(frozen=True)
class Options:
    """What the command line asks for beside models and data; a protocol heeds those that `names.PROTOCOLS` names.

    Args:
      data_dir, split, allow: see `prepared.cells_of`.
      perturbations, severities, keep_copies: see `robustness.Copies`; all when not given.
      groups, votes: see `votes.votes`.
    """

    data_dir: str | None = None
    split: str = "test"
    allow: Sequence[str] = ()
    perturbations: Sequence[str] | None = None
    severities: Sequence[int] | None = None
    keep_copies: bool = False
    groups: Mapping[str, Sequence[str]] | None = None
    votes: Sequence[str] | None = None


class Series(NamedTuple):
    """A line of a plot.

    Args:
      name: of it, a model's.
      points: (x, y) from left to right.
      bars: (x, low, high) of 95 % intervals.
    """

    name: str
    points: list[tuple[float, float]]
    bars: list[tuple[float, float, float]] = []


class Plot(NamedTuple):
    """A panel of the page, y from 0 to 1.

    Args:
      title, x, y: words above it and of its axes.
      series: lines, the same names in the same order on all panels of a page.
      x_range: of the axis; diagonal: whether chance is the diagonal (of an ROC curve) or a half.
      is_scatter: points without lines between them.
      is_logarithmic: x is the logarithm to base 10 of what the axis shows.
    """

    title: str
    x: str
    y: str
    series: list[Series]
    x_range: tuple[float, float] = (0.0, 1.0)
    diagonal: bool = False
    is_scatter: bool = False
    is_logarithmic: bool = False


@dataclass
class Written:
    """A protocol's tables.

    Args:
      sheets: the first one is printed.
      figures: all of them, for protocol.json.
      plots: panels of the page.
    """

    sheets: list[Sheet]
    figures: list[Figure]
    plots: list[Plot] = field(default_factory=list)


class Work(NamedTuple):
    """A protocol that is planned.

    Args:
      cells: in the order in which they are scored.
      write: called with all reports; writes the tables.
    """

    cells: list[Cell]
    write: Callable[[Reports], Written]


def kind_of_data(reports: Reports) -> str:
    """ "this data" or "drawn faces", for titles."""
    versions = [report["version"] for _, report in reports if report.get("version")]
    drawn = [version.partition("/")[0].partition(":")[0] == DRAWN_DATA for version in versions]
    if not any(drawn):
        return "this data"
    return "drawn faces" if all(drawn) else "this data, some of it drawn"
