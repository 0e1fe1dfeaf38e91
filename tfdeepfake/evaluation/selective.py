"""What a network gets right when it may leave out what it is least sure of: error over coverage.

Items are taken in the order of |logit of the score - logit of the threshold|, the surest first (El-Yaniv and Wiener
2010, "On the Foundations of Noise-free Selective Classification"). Items of one distance come in no order: between the
two ends of such a group the error changes as it does on average over all orders.
"""

import numpy as np
from scipy.special import logit

from tfdeepfake.evaluation.unsure import unsure_lines

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
# Points of the curve that a report holds, at most.
CURVE_POINTS = 101
_NEAREST = 1e-12  # scores of 0 and 1 are as far from the threshold as this and 1 minus this


def error_counts(labels: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """How many of the surest 0, 1 .. N items are called wrongly, on average over the orders of equals.

    Args:
      labels: int [N], 1 = FAKE; scores: float64 [N], 0..1, FAKE from `threshold` on.
    Returns:
      float64 [N + 1].
    """
    ends = _NEAREST, 1 - _NEAREST
    distance = np.abs(logit(np.clip(scores, *ends)) - logit(np.clip(threshold, *ends)))
    order = np.argsort(-distance, kind="stable")
    wrong = ((np.asarray(scores) >= threshold) != (np.asarray(labels) == 1))[order]
    total = np.concatenate([[0.0], np.cumsum(wrong)])
    last = np.flatnonzero(np.concatenate([[True], np.diff(distance[order]) != 0, [True]])) if len(order) else [0]
    return np.interp(np.arange(len(total)), last, total[last])


def measure(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict:
    """The curve of error over coverage, the area under it, and the accuracy at some coverages.

    Args:
      labels, scores, threshold: as in `error_counts`.
    Returns:
      Dict that JSON can hold: `n`; `accuracy`, {coverage as text: fraction right of the surest, None where that is
      less than one item}; `area`, mean error over the coverages 1/N, 2/N .. 1; `least_area`, that of an order which
      leaves out the wrong ones first; `coverage` and `error`, the points of the curve. All None or empty, with
      `undefined`, when there is no item.
    """
    n = len(labels)
    if not n:
        accuracy = dict.fromkeys(f"{part:.2f}" for part in COVERAGES)
        empty = {"n": 0, "accuracy": accuracy, "area": None, "least_area": None, "coverage": [], "error": []}
        return empty | {"undefined": "no scored item"}
    counts, kept = error_counts(labels, scores, threshold), np.arange(1, n + 1)
    error = counts[1:] / kept
    wrong = round(float(counts[-1]))
    best = np.maximum(kept - (n - wrong), 0) / kept
    chosen = np.unique(np.linspace(0, n - 1, min(n, CURVE_POINTS)).round().astype(int))
    sizes = {f"{part:.2f}": int(np.floor(part * n + 1e-9)) for part in COVERAGES}
    return {
        "n": n,
        "accuracy": {part: float(1 - error[size - 1]) if size else None for part, size in sizes.items()},
        "area": float(error.mean()),
        "least_area": float(best.mean()),
        "coverage": (kept[chosen] / n).tolist(),
        "error": error[chosen].tolist(),
    }


def selective_lines(report: dict) -> list[str]:
    """What `measure` returned, as text."""
    if report["area"] is None:
        return [f"Selective accuracy: not defined, {report['undefined']}."]
    parts = [
        f"{100 * float(part):.0f} % {value:.3f}" for part, value in report["accuracy"].items() if value is not None
    ]
    return [
        f"Selective accuracy, of the videos whose score is farthest from the threshold: {', '.join(parts)}.",
        f"Area under error over coverage {report['area']:.4f}, least possible {report['least_area']:.4f}.",
        *unsure_lines(report.get("unsure")),
    ]
