"""Figure of which manipulation was taken for which: confusion of K classes, and precision, recall and F1 of each."""

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfdeepfake.report.figure import CURVE, DPI, FAKE, GREY, INK, PALE, REAL, STYLE, save

METRICS = (("precision", CURVE), ("recall", REAL), ("f1", FAKE))
TITLES = {"precision": "precision", "recall": "recall", "f1": "F1"}


def class_confusion(path: str | Path, section: dict, subtitle: str = "") -> Path:
    """Writes a PNG: counts, shaded by the fraction of the true class, and beside each row the bars of its class.

    Args:
      path: PNG file.
      section: what `multiclass.evaluate_classes` returns.
      subtitle: data set, split, coverage.
    """
    names, counts = list(section["per_class"]), np.array(section["confusion"])
    # Inches: names stand beside rows and, turned, below columns.
    name, side = 0.085 * max(map(len, names)), 0.55 * len(names) + 0.2
    left, below, above, gap = 0.6 + name, 0.55 + 0.6 * name, 1.15, 0.3
    size = (left + side + gap + 3.4 + 0.4, above + side + below)
    with rc_context(STYLE):
        figure = Figure(figsize=size, dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        plain = {"va": "top", "parse_math": False}
        figure.text(0.2 / size[0], 1 - 0.16 / size[1], "Classes of videos", fontsize=12, fontweight="bold", **plain)
        figure.text(
            0.2 / size[0], 1 - 0.42 / size[1], subtitle, fontsize=8.5, color=GREY, linespacing=1.35, wrap=True, **plain
        )
        cells, bars = figure.subplots(1, 2, width_ratios=[side, 3.4], sharey=True)
        figure.subplots_adjust(
            left=left / size[0], right=1 - 0.4 / size[0], top=1 - above / size[1], bottom=below / size[1],
            wspace=gap / ((side + 3.4) / 2),
        )  # fmt: skip
        _cells(cells, names, counts)
        _bars(bars, names, section)
        return save(figure, path)


def _cells(axes, names, counts):
    """Counts, a row for each true class."""
    total = counts.sum(axis=1, keepdims=True)
    fractions = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if fractions[row, column] > 0.6 else INK
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    axes.set(xlabel="called", ylabel="true class", yticks=range(len(names)), xticks=range(len(names)))
    axes.set_yticklabels(names, color=INK, parse_math=False)
    axes.set_xticklabels(names, color=INK, rotation=35, ha="right", rotation_mode="anchor", parse_math=False)


def _bars(axes, names, section):
    """Precision, recall and F1 of each class with 95 % intervals, in its row; a dash where one is not defined."""
    for number, (metric, colour) in enumerate(METRICS):
        places = np.arange(len(names)) + 0.27 * (number - 1)
        values = [section["per_class"][name][metric] for name in names]
        axes.barh(places, [value or 0 for value in values], 0.24, color=colour, label=TITLES[metric])
        for name, place, value in zip(names, places, values, strict=True):
            text = "–" if value is None else f"{value:.2f}"
            bounds = section["per_class"][name].get("intervals", {}).get(metric)
            if bounds:
                axes.plot(bounds, [place, place], color=INK, linewidth=0.9, solid_capstyle="butt")
            end = bounds[1] if bounds else value or 0
            axes.text(end + 0.015, place, text, va="center", fontsize=7, color=GREY)
    axes.set(xlim=(0, 1.12), xticks=np.linspace(0, 1, 6))
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.grid(axis="x", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", ncols=3, bbox_to_anchor=(1, 1.0), borderaxespad=0.1)
