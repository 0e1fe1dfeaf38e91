"""Images of an evaluation as PNG files."""

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from sklearn.metrics import precision_recall_curve, roc_curve

from tfdeepfake.evaluation import metrics
from tfdeepfake.evaluation.aggregation import source_groups, video_scores
from tfdeepfake.report.figure import (
    CURVE,
    FAKE,
    GREY,
    INK,
    PALE,
    REAL,
    STYLE,
    figure_with_title,
    save,
    unit_square,
    with_interval,
)
from tfdeepfake.scoring.table import Table


def _undefined(axes, reason):
    axes.text(0.5, 0.5, f"Not defined:\n{reason}", ha="center", va="center", color=GREY, transform=axes.transAxes)


def roc(
    path: str | Path,
    labels: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    level: dict,
    subtitle: str = "",
    resamples: int = metrics.RESAMPLES,
    seed: int = 0,
) -> Path:
    """ROC curve with its 95 % band (sources resampled), AUC with interval, and the chosen threshold's point.

    Args:
      path: PNG file.
      labels: int [N]; scores: float64 [N], higher is more likely FAKE; groups: int [N], see
        `metrics.intervals`.
      level: what `metrics.measure` returns for them, with `intervals`.
      subtitle: data set, split, level, number of videos, coverage.
    """
    with rc_context(STYLE):
        figure, axes = figure_with_title("ROC curve", subtitle)
        unit_square(axes, "fraction of reals called FAKE", "fraction of fakes called FAKE")
        if level["auc"] is None:
            _undefined(axes, level["undefined"]["auc"])
            return save(figure, path)
        grid = np.linspace(0, 1, 201)
        band = metrics.roc_band(labels, scores, groups, grid, resamples, seed) if resamples else None
        if band is not None:
            axes.fill_between(grid, *band, color=CURVE, alpha=0.16, linewidth=0, label="95 % band, by source")
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), label="chance")
        fpr, tpr, _ = roc_curve(labels, scores)
        auc = with_interval("AUC", level["auc"], level["intervals"].get("auc"))
        axes.plot(fpr, tpr, color=CURVE, label=auc, clip_on=False)
        cells = level["confusion"]
        axes.plot(
            cells["false_fake"] / level["n_real"],
            cells["true_fake"] / level["n_fake"],
            "o", color=INK, markersize=6, clip_on=False, zorder=5, label=f"threshold {level['threshold']:.3g}",
        )  # fmt: skip
        axes.legend(loc="lower right")
        return save(figure, path)


def precision_recall(path: str | Path, labels: np.ndarray, scores: np.ndarray, level: dict, subtitle: str = "") -> Path:
    """Precision-recall curve of FAKE as the step function whose area is the average precision."""
    with rc_context(STYLE):
        figure, axes = figure_with_title("Precision and recall of FAKE", subtitle)
        unit_square(axes, "recall: fraction of fakes called FAKE", "precision: fraction of FAKE calls that are right")
        if level["average_precision"] is None:
            _undefined(axes, level["undefined"]["average_precision"])
            return save(figure, path)
        precision, recall, _ = precision_recall_curve(labels, scores)
        chance = level["n_fake"] / level["n"]
        axes.axhline(
            chance, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), label=f"chance: {100 * chance:.0f} % are fake"
        )
        name = f"average precision {level['average_precision']:.3f}"
        axes.plot(recall, precision, color=CURVE, drawstyle="steps-post", label=name, clip_on=False)
        if level["precision"] is not None:
            axes.plot(
                level["recall"], level["precision"],
                "o", color=INK, markersize=6, clip_on=False, zorder=5, label=f"threshold {level['threshold']:.3g}",
            )  # fmt: skip
        axes.legend(loc="lower left")
        return save(figure, path)


def confusion(path: str | Path, level: dict, subtitle: str = "") -> Path:
    """Confusion matrix: counts, and fractions of each true class, by which the cells are shaded."""
    with rc_context(STYLE):
        figure, axes = figure_with_title("Confusion matrix", subtitle, size=(5.0, 4.6))
        cells = level["confusion"]
        counts = np.array([[cells["true_real"], cells["false_fake"]], [cells["false_real"], cells["true_fake"]]])
        totals = counts.sum(1, keepdims=True)
        fractions = counts / np.maximum(totals, 1)
        axes.imshow(fractions, cmap="Greys", vmin=0, vmax=1.25, aspect="equal")
        for (row, column), count in np.ndenumerate(counts):
            dark = fractions[row, column] > 0.6
            colour = "white" if dark else INK
            axes.text(column, row - 0.06, f"{count}", ha="center", va="center", fontsize=20, color=colour)
            percent = f"{100 * fractions[row, column]:.1f} % of {('REAL', 'FAKE')[row]}" if totals[row, 0] else "none"
            axes.text(column, row + 0.22, percent, ha="center", va="center", fontsize=9, color=colour)
        axes.set_xticks([0, 1], ["REAL", "FAKE"])
        axes.set_yticks([0, 1], ["REAL", "FAKE"])
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            labels[0].set_color(REAL)
            labels[1].set_color(FAKE)
        axes.set(xlabel=f"called (FAKE from {level['threshold']:.3g})", ylabel="true")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return save(figure, path)


def histogram(
    path: str | Path, labels: np.ndarray, scores: np.ndarray, threshold: float, subtitle: str = "", bins: int = 20
) -> Path:
    """Scores of each class in 20 bins, as fractions of their class: FAKE above the axis, REAL below."""
    with rc_context(STYLE):
        figure, axes = figure_with_title("Scores of each class", subtitle, size=(6.4, 4.4))
        edges = np.linspace(0, 1, bins + 1)
        for value, name, colour, sign in ((1, "FAKE", FAKE, 1), (0, "REAL", REAL, -1)):
            mine = scores[labels == value]
            heights = np.histogram(mine, edges)[0] / max(len(mine), 1)
            axes.bar(
                edges[:-1], sign * heights, np.diff(edges) * 0.92,
                align="edge", color=colour, label=f"true {name} ({len(mine)})",
            )  # fmt: skip
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.axvline(
            threshold, 0, 0.86, color=INK, linewidth=1, linestyle=(0, (4, 3)), label=f"threshold {threshold:.3g}"
        )
        top = max(abs(limit) for limit in axes.get_ylim())
        axes.set(
            xlim=(0, 1), ylim=(-1.25 * top, 1.25 * top), xlabel="probability of FAKE", ylabel="fraction of the class"
        )
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * abs(value):.0f} %")
        axes.legend(loc="upper center", ncols=3, columnspacing=1.4, handlelength=1.4)
        return save(figure, path)


def reliability(
    path: str | Path, labels: np.ndarray, probabilities: np.ndarray, level: dict, subtitle: str = ""
) -> Path:
    """Fraction of fakes against predicted probability in 10 bins, and how many items each bin holds."""
    with rc_context(STYLE):
        figure, (axes, below) = figure_with_title("Reliability", subtitle, size=(5.6, 5.6), rows=[4, 1])
        count, mean, fraction = metrics.calibration_bins(labels, probabilities)
        filled = count > 0
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), label="calibrated")
        if filled.any():
            n, k = count[filled], np.round(fraction[filled] * count[filled])
            low, high = _wilson(k, n)
            axes.vlines(mean[filled], low, high, color=CURVE, alpha=0.35, linewidth=2.5, label="95 % (Wilson)")
            name = f"calibration error {level['calibration_error']:.3f}"
            axes.plot(mean[filled], fraction[filled], "o-", color=CURVE, markersize=5, label=name, clip_on=False)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02), ylabel="fraction that is fake")
        axes.grid(color=PALE, linewidth=0.6)
        axes.legend(loc="best")
        width = 1 / len(count)
        below.bar(np.arange(len(count)) * width, count, width * 0.92, align="edge", color=GREY)
        below.set(xlim=(0, 1), xlabel="probability of FAKE", ylabel="count")
        below.locator_params(axis="y", integer=True, nbins=3)
        return save(figure, path)


def error_over_coverage(path: str | Path, selective: dict, subtitle: str = "") -> Path:
    """Fraction of videos called wrongly when only the surest are called, see `selective.measure`, which it gets."""
    with rc_context(STYLE):
        figure, axes = figure_with_title("Error over coverage", subtitle, size=(5.6, 4.4))
        if selective["area"] is None:
            _undefined(axes, selective["undefined"])
            return save(figure, path)
        error, whole = selective["error"], selective["error"][-1]
        axes.axhline(whole, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), label=f"of all: {whole:.3f}")
        name = f"area {selective['area']:.3f} (least possible {selective['least_area']:.3f})"
        axes.plot(selective["coverage"], error, color=CURVE, label=name, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, max(0.02, 1.3 * max(error))), ylabel="fraction of those that are called wrongly")
        axes.set_xlabel("coverage: fraction of videos that are called, the surest first")
        axes.grid(color=PALE, linewidth=0.6)
        axes.legend(loc="upper left", ncols=2)
        return save(figure, path)


def _wilson(k, n, z=1.96):
    """Wilson's interval of k of n."""
    p = k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)


def describe(report: dict, level: str = "video") -> str:
    """Two lines under a title: data set and split; level, number of items and coverage."""
    counted = report["levels"][level]
    where = ", ".join(str(report[name]) for name in ("network", "data", "split") if name in report)
    coverage = counted["coverage"]
    what = f"{level} level: {counted['n_fake']} fake, {counted['n_real']} real; "
    what += f"{coverage['scored']} of {coverage['videos']} videos scored"
    return f"{where}\n{what}" if where else what


def write_plots(folder: str | Path, rows: Table, report: dict) -> None:
    """Writes roc, pr, confusion, histogram, reliability and selective.png of the video level into `folder`.

    Args:
      rows: the scores table that was evaluated.
      report: what `evaluate.evaluate` returned for it.
    """
    folder, level, boot = Path(folder), report["levels"]["video"], report["bootstrap"]
    cuts = report["thresholds"]
    videos = video_scores(rows, cuts["video_rule"], cuts["temperature"], report["unit"], cuts["faces_rule"])
    usable = (videos["label"] >= 0) & np.isfinite(videos["score"])
    labels, scores = videos["label"][usable].astype(int), videos["score"][usable]
    groups, text = source_groups(videos)[0][usable], describe(report)
    roc(folder / "roc.png", labels, scores, groups, level, text, boot["resamples"], boot["seed"])
    precision_recall(folder / "pr.png", labels, scores, level, text)
    confusion(folder / "confusion.png", level, text)
    histogram(folder / "histogram.png", labels, scores, level["threshold"], text)
    reliability(folder / "reliability.png", labels, scores, level, text)
    error_over_coverage(folder / "selective.png", report["selective"], text)
