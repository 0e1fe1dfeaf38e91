"""What all plots share: one quiet style in the colours of the pages, a title in the head, axes of fractions.

Figures are made without pyplot: no window, no state, safe in a server.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfdeepfake.files import atomic_path
from tfdeepfake.report.palette import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REAL, FAKE, CURVE, INK, GREY, PALE = (LIGHT[name] for name in ("real", "fake", "curve", "ink", "soft", "line"))
DPI = 150
STYLE = {
    "font.size": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def figure_with_title(
    title: str, subtitle: str, size: tuple = (4.8, 5.1), rows: Sequence[float] | None = None, left: float = 0.13
) -> tuple:
    """A figure with a left-aligned title in its head and axes below; `rows` are heights of stacked axes."""
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    width, height = size[0] * (0.96 - left), size[1]
    most = int(9.5 * width)  # characters of the title that fit
    title = title if len(title) <= most else title[: most - 1] + "…"
    subtitle = "\n".join(textwrap.fill(line, int(13.5 * width)) for line in subtitle.split("\n"))
    # A file name may hold dollar signs: it is no formula.
    plain = {"va": "top", "parse_math": False}
    figure.text(left, 1 - 0.16 / height, title, fontsize=12, fontweight="bold", **plain)
    figure.text(left, 1 - 0.42 / height, subtitle, fontsize=8.5, color=GREY, linespacing=1.35, **plain)
    top = 1 - (0.42 + 0.19 * (1 + subtitle.count("\n")) + 0.12) / height
    axes = figure.subplots(len(rows) if rows else 1, 1, height_ratios=rows, sharex=bool(rows))
    figure.subplots_adjust(left=left, right=0.96, top=top, bottom=0.56 / height, hspace=0.12)
    return figure, axes


def save(figure: Figure, path: str | Path) -> Path:
    """Writes a figure as PNG."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png")
    return Path(path)


def unit_square(axes: "Axes", x: str, y: str) -> None:
    """Both axes from 0 to 1, equally long, with a grid."""
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), xlabel=x, ylabel=y)
    axes.set_aspect("equal", adjustable="box", anchor="W")
    axes.grid(color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)


def with_interval(name: str, value: float, interval: list[float] | None) -> str:
    """ "AUC 0.873  [0.812, 0.921]"."""
    text = f"{name} {value:.3f}"
    return text + (f"  [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
