"""Figure of which manipulation was taken for which: confusion of K classes, and precision, recall and F1 of each."""

from pathlib import Path

import numpy as np
from matplotlib import rc_context

from tfdeepfake.evaluation.plots import CURVE, DPI, FAKE, GREY, INK, PALE, REAL, STYLE
from tfdeepfake.files import atomic_path

METRICS = (("precision", CURVE), ("recall", REAL), ("f1", FAKE))


def class_confusion(path: str | Path, section: dict, subtitle: str = "") -> Path:
    """Writes a PNG: at the left counts, shaded by the fraction of the true class; at the right bars of each class.

    Args:
      path: PNG file.
      section: what `multiclass.evaluate_classes` returns.
      subtitle: data set, split, coverage.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, counts = list(section["per_class"]), np.array(section["confusion"])
    side = 1.6 + 0.55 * len(names)
    size = (2 * side + 1.6, side + 1.5)
    with rc_context(STYLE):
        figure = Figure(figsize=size, dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        plain = {"va": "top", "parse_math": False}
        left = 1.4 / size[0]
        figure.text(left, 1 - 0.16 / size[1], "Classes of videos", fontsize=12, fontweight="bold", **plain)
        figure.text(left, 1 - 0.42 / size[1], subtitle, fontsize=8.5, color=GREY, linespacing=1.35, **plain)
        cells, bars = figure.subplots(1, 2)
        figure.subplots_adjust(left=left, right=0.97, top=1 - 1.05 / size[1], bottom=1.15 / size[1], wspace=0.45)
        _cells(cells, names, counts)
        _bars(bars, names, section)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=DPI, format="png")
    return Path(path)


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
    axes.set_xticklabels(names, color=INK, rotation=30, ha="right", parse_math=False)


def _bars(axes, names, section):
    """Precision, recall and F1 of each class; a dash where one is not defined."""
    for number, (metric, colour) in enumerate(METRICS):
        places = np.arange(len(names)) + 0.26 * (number - 1)
        values = [section["per_class"][name][metric] for name in names]
        title = "F1" if metric == "f1" else metric
        axes.bar(places, [value or 0 for value in values], 0.24, color=colour, label=title)
        for place, value in zip(places, values, strict=True):
            axes.text(
                place,
                (value or 0) + 0.02,
                "–" if value is None else f"{value:.2f}",
                ha="center",
                fontsize=7,
                color=GREY,
            )
    axes.set(ylim=(0, 1.12), yticks=np.linspace(0, 1, 6), xticks=range(len(names)))
    axes.set_xticklabels(names, color=INK, rotation=30, ha="right", parse_math=False)
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", ncols=3, bbox_to_anchor=(1, 1.0), borderaxespad=0.1)
