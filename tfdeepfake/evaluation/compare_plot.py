"""ROC curves of several detectors on one axis."""

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from sklearn.metrics import roc_curve

from tfdeepfake.report.figure import (
    CURVE,
    FAKE,
    GREY,
    INK,
    REAL,
    STYLE,
    figure_with_title,
    save,
    unit_square,
    with_interval,
)

# Colours and dashes both tell curves apart: in grey print, and for whoever does not see the colours.
COLOURS = (CURVE, FAKE, REAL, "#94690a", INK, "#6a9a2d", "#b0528f", GREY)
DASHES = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 1.5, 2)))
GRID = np.linspace(0, 1, 1001)


def roc_curves(path: str | Path, labels: np.ndarray, scores: list[np.ndarray], report: dict) -> Path:
    """Writes a PNG; of several seeds the mean height of their curves, and the curves themselves thin.

    Args:
      path: PNG file.
      labels: int [V]; scores: for each detector float64 [S, V].
      report: what `compare.compare_members` returns.
    """
    videos = report["videos"]
    text = f"video level: {videos['fake']} fake, {videos['real']} real, of {videos['sources']} sources"
    with rc_context(STYLE):
        figure, axes = figure_with_title("ROC curves", text, size=(5.6, 5.9))
        unit_square(axes, "fraction of reals called FAKE", "fraction of fakes called FAKE")
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        for number, (rows, entry) in enumerate(zip(scores, report["detectors"], strict=True)):
            look = {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}
            curves = [roc_curve(labels, row)[:2] for row in rows]
            name = entry["name"] if len(entry["name"]) <= 34 else entry["name"][:33] + "…"
            label = f"{name}\n{with_interval('AUC', entry['auc'], entry['auc_interval'])}".replace("$", r"\$")
            if len(curves) == 1:
                axes.plot(*curves[0], **look, label=label, clip_on=False)
                continue
            for curve in curves:
                axes.plot(*curve, **look, linewidth=0.7, alpha=0.45)
            heights = np.mean([np.interp(GRID, *curve) for curve in curves], axis=0)
            label = label.replace("\nAUC", f"\nmean of {len(curves)} seeds: AUC")
            axes.plot(np.append(0, GRID), np.append(0, heights), **look, label=label, clip_on=False)
        axes.legend(loc="lower right", fontsize=8, labelspacing=0.6, handlelength=2.6)
        return save(figure, path)
