"""Labels and scores of N items -> metrics, and their intervals by source.

Everything here takes plain arrays: labels int [N] (1 = FAKE, 0 = REAL), probabilities of FAKE float64 [N].
What cannot be computed is None with the reason beside it, never 0.5 and never an exception.
"""

from collections.abc import Callable, Iterator

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score, roc_curve

from tfdeepfake.evaluation import estimates
from tfdeepfake.evaluation.estimates import CONFIDENCE

RESAMPLES = 1000
BINS = 10
FPRS = (0.01, 0.10)
_BLOCK = 2_000_000  # numbers held at a time while resampling


def confusion(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict:
    """Counts of the four outcomes; score >= threshold is called FAKE.

    Args:
      labels: [N], 0 or 1.
      scores: [N].
      threshold: from which an item is called FAKE.
    Raises:
      ValueError: other shapes, such as [N, 1] of a network's outputs, or other labels.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    # [N] and [N, 1] would be compared each with each.
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"labels and scores need [N] both, got shapes {labels.shape} and {scores.shape}.")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels need 0 or 1, got {labels[~np.isin(labels, (0, 1))][0]}.")
    fake, called = labels == 1, scores >= threshold
    return {
        "true_real": int(np.sum(~fake & ~called)),
        "false_fake": int(np.sum(~fake & called)),
        "false_real": int(np.sum(fake & ~called)),
        "true_fake": int(np.sum(fake & called)),
    }


def equal_error_rate(labels: np.ndarray, scores: np.ndarray) -> float:
    """Error rate at which as many reals are called FAKE as fakes are called REAL.

    The ROC curve between two neighbouring thresholds is taken as a straight line, so the two rates can meet
    between them; needs both classes.
    """
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    gap = (1 - tpr) - fpr  # falls from 1 to -1 along the curve
    after = int(np.argmax(gap <= 0))
    before = after - 1
    part = gap[before] / (gap[before] - gap[after])
    return float(fpr[before] + part * (fpr[after] - fpr[before]))


def calibration_bins(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities in `bins` equally wide bins.

    Returns:
      (count [bins], mean probability [bins], fraction of fakes [bins]); NaN where a bin is empty.
    """
    place = np.minimum((np.asarray(probabilities) * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, weights=probabilities, minlength=bins) / count
        fraction = np.bincount(place, weights=labels, minlength=bins) / count
    return count, mean, fraction


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: mean |probability - fraction of fakes| over bins, weighted by their counts."""
    count, mean, fraction = calibration_bins(labels, probabilities, bins)
    filled = count > 0
    return float(np.sum(count[filled] * np.abs(mean - fraction)[filled]) / count.sum())


def measure(labels: np.ndarray, probabilities: np.ndarray, threshold: float, are_probabilities: bool = True) -> dict:
    """Metrics of one level.

    log_loss               mean of -log(probability of the true class), natural logarithm; probabilities are cut
                           2.2e-16 away from 0 and 1 (scikit-learn's default), so that one sure error costs 36
    auc                    area under the ROC curve: the fraction of (fake, real) pairs put in the right order, ties
                           counting half (P0 IV-D)
    average_precision      area under the precision-recall curve as a step function
    accuracy               fraction of right calls; P3's "true classification rate"
    accuracy_at_half       the same with every item called FAKE from 0.5, as the papers print it
    balanced_accuracy      mean over the classes of the fraction of right calls
    precision, recall, f1  of FAKE; precision and f1 need both classes
    eer                    see `equal_error_rate`
    tpr_at_fpr             fraction of fakes called FAKE at the lowest threshold that calls at most 1 % (10 %) of the
                           reals FAKE; None with fewer than 100 (10) reals, where that rate cannot be seen
    brier                  mean squared difference of probability and label
    calibration_error      see `calibration_error`, 10 bins

    Args:
      labels: int [N], 0 or 1.
      probabilities: float64 [N].
      threshold: from which an item is called FAKE.
      are_probabilities: False for scores that only rank and cut (the fraction of frames); leaves out
        accuracy_at_half, log_loss, brier and calibration_error.
    Returns:
      Dict of the above with counts n, n_fake, n_real and `undefined`: {metric: why it is None}.
    Raises:
      ValueError: see `confusion`.
    """
    y, p = np.asarray(labels, np.int64), np.asarray(probabilities, np.float64)
    n, n_fake = len(y), int(np.sum(y == 1))
    n_real = n - n_fake
    cells, undefined = confusion(labels, p, threshold), {}
    out = {"n": n, "n_fake": n_fake, "n_real": n_real, "threshold": float(threshold), "confusion": cells}

    def ratio(name, above, below, reason):
        out[name] = above / below if below else None
        if not below:
            undefined[name] = reason

    def ranking(name, function):
        if n_fake and n_real:
            out[name] = float(function(y, p))
        else:
            out[name] = None
            undefined[name] = _one_class(n_fake, n_real)

    tp, fp, fn, tn = (cells[k] for k in ("true_fake", "false_fake", "false_real", "true_real"))
    ranking("auc", roc_auc_score)
    ranking("average_precision", average_precision_score)
    ranking("eer", equal_error_rate)
    ratio("accuracy", tp + tn, n, "no scored item")
    ratio("precision", tp, tp + fp, "nothing was called FAKE")
    ratio("recall", tp, n_fake, "no fakes")
    ratio("f1", 2 * tp, 2 * tp + fp + fn, "no fakes, and nothing was called FAKE")
    if not n_fake or not n_real:  # precision would be 1 or 0 by that alone, whatever the network does
        out |= dict.fromkeys(("precision", "f1"))
        undefined |= dict.fromkeys(("precision", "f1"), _one_class(n_fake, n_real))
    out["balanced_accuracy"] = (tp / n_fake + tn / n_real) / 2 if n_fake and n_real else None
    if out["balanced_accuracy"] is None:
        undefined["balanced_accuracy"] = _one_class(n_fake, n_real)
    out["tpr_at_fpr"] = {}
    for limit in FPRS:
        key, least = f"{limit:.2f}", round(1 / limit)
        out["tpr_at_fpr"][key] = None
        if not n_fake:
            undefined[f"tpr_at_fpr {key}"] = "no fakes"
        elif n_real < least:
            undefined[f"tpr_at_fpr {key}"] = f"needs {least} reals to see an FPR of {limit:.0%}, got {n_real}"
        else:
            fpr, tpr, _ = roc_curve(y, p, drop_intermediate=False)
            out["tpr_at_fpr"][key] = float(tpr[fpr <= limit].max())
    if are_probabilities:
        out["accuracy_at_half"] = float(np.mean((p >= 0.5) == (y == 1))) if n else None
        out["log_loss"] = float(log_loss(y, p, labels=[0, 1])) if n else None
        out["brier"] = float(np.mean((p - y) ** 2)) if n else None
        out["calibration_error"] = calibration_error(y, p) if n else None
        if not n:
            undefined |= dict.fromkeys(("accuracy_at_half", "log_loss", "brier", "calibration_error"), "no scored item")
    out["undefined"] = undefined
    return out


def _one_class(n_fake, n_real):
    if n_fake or n_real:
        return "only fakes were scored: needs both classes" if n_fake else "only reals were scored: needs both classes"
    return "no scored item"


def resampled_groups(groups: int, resamples: int, seed: int, items: int) -> Iterator[np.ndarray]:
    """Draws G of G groups with replacement, `resamples` times.

    Args:
      groups: number of groups G.
      items: numbers the caller will hold per resample; sets how many are drawn at a time.
    Yields:
      float64 [b, G]: how often each group was drawn, in blocks whose sizes add up to `resamples`.
    """
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // max(groups, items, 1))
    for start in range(0, resamples, block):
        b = min(block, resamples - start)
        drawn = rng.integers(groups, size=(b, groups)) + groups * np.arange(b)[:, None]
        yield np.bincount(drawn.ravel(), minlength=b * groups).reshape(b, groups).astype(np.float64)


def intervals(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    threshold: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
    are_probabilities: bool = True,
) -> tuple[dict, dict]:
    """Intervals (95 %) that count sources, not items.

    Frames of a video, and the fakes made from one source video, resemble each other: taken one by one they would
    count as independent and the interval would come out too narrow. AUC and ratios of counts have score intervals
    with clustered variances (`estimates`); log loss and Brier score have percentiles of a bootstrap that draws whole
    groups with replacement.

    Args:
      labels, probabilities, threshold, are_probabilities: as in `measure`.
      groups: int [N], 0..G-1: the source each item belongs to.
      resamples: of the bootstrap; 0 for no intervals at all.
    Returns:
      ({metric: [low, high] or None}, {metric: why it is None}) for auc, accuracy, balanced_accuracy, precision,
      recall, f1 and, of probabilities, accuracy_at_half, log_loss and brier.
    """
    y, p = np.asarray(labels, np.int64), np.asarray(probabilities, np.float64)
    counted = ["auc", "accuracy", "balanced_accuracy", "precision", "recall", "f1"]
    counted += ["accuracy_at_half"] if are_probabilities else []
    names = counted + (["log_loss", "brier"] if are_probabilities else [])
    numbers, groups = np.unique(groups, return_inverse=True)
    if len(numbers) < 2 or resamples < 1:
        reason = f"needs 2 sources to resample, got {len(numbers)}" if resamples else "no resampling was asked for"
        return dict.fromkeys(names), dict.fromkeys(names, reason)
    known = estimates.counted(y, p >= threshold, groups)
    if len(np.unique(y)) == 2:
        known["auc"] = estimates.auc(y, p, groups)
    else:
        known = {name: figure for name, figure in known.items() if name not in ("precision", "f1")}
    if are_probabilities:
        known["accuracy_at_half"] = estimates.counted(y, p >= 0.5, groups)["accuracy"]
    bounds, undefined = dict.fromkeys(names), {}
    for name in counted:
        if name in known:
            bounds[name] = estimates.interval(known[name])
        if bounds[name] is None:
            undefined[name] = known[name].reason if name in known else "the figure itself is undefined"
    if are_probabilities:
        eps = np.finfo(np.float64).eps
        losses = {"log_loss": -np.log(np.clip(np.where(y == 1, p, 1 - p), eps, 1 - eps)), "brier": (p - y) ** 2}
        bounds |= mean_intervals(losses, groups, resamples, seed)
    return bounds, undefined


def mean_intervals(values: dict[str, np.ndarray], groups: np.ndarray, resamples: int, seed: int) -> dict:
    """Percentile bootstrap intervals (95 %) of means, whole groups drawn.

    Args:
      values: {name: float64 [N]}; groups: int [N], 0..G-1, each number there.
    Returns:
      {name: [low, high]}.
    """
    sizes = np.bincount(groups)
    sums = np.stack([sizes.astype(np.float64), *(np.bincount(groups, column) for column in values.values())], axis=1)
    totals = np.concatenate([counts @ sums for counts in resampled_groups(len(sizes), resamples, seed, 0)])
    tail = 50 * (1 - CONFIDENCE)
    bounds = np.percentile(totals[:, 1:] / totals[:, :1], [tail, 100 - tail], axis=0)
    return {name: [float(low), float(high)] for name, low, high in zip(values, *bounds, strict=True)}


def weighted_auc(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Prepares the AUC for many resamples.

    Args:
      labels, scores, groups: [N], as in `measure` and `intervals`.
    Returns:
      Function of counts [b, G], how often each group was drawn, that returns AUC [b]; NaN where a class has no weight.
    """
    fakes, reals = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    fakes, reals = fakes[np.argsort(scores[fakes])], reals[np.argsort(scores[reals])]
    below = np.searchsorted(scores[reals], scores[fakes], "left")
    up_to = np.searchsorted(scores[reals], scores[fakes], "right")

    def area(counts):
        w_fake, w_real = counts[:, groups[fakes]], counts[:, groups[reals]]
        cumulated = np.zeros((len(counts), len(reals) + 1))
        np.cumsum(w_real, axis=1, out=cumulated[:, 1:])
        # Each fake wins over the reals below it and half of those it ties with.
        won = (cumulated[:, below] + cumulated[:, up_to]) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.einsum("bn,bn->b", w_fake, won) / (w_fake.sum(1) * cumulated[:, -1])

    return area


def roc_band(
    labels: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    grid: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray | None:
    """Percentile band (95 %) of the ROC curve's height over a grid of false positive rates.

    Returns:
      float64 [2, len(grid)], low and high; None when there are fewer than 2 groups or only one class.
    """
    y, p = np.asarray(labels), np.asarray(scores, np.float64)
    numbers, groups = np.unique(groups, return_inverse=True)
    if len(numbers) < 2 or len(np.unique(y)) < 2:
        return None
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # last item of each run of equal scores
    heights = []
    for counts in resampled_groups(len(numbers), resamples, seed, len(p)):
        weights = counts[:, groups[order]]
        hit, alarm = (np.cumsum(weights * (y[order] == k), axis=1)[:, ends] for k in (1, 0))
        for tpr, fpr in zip(hit, alarm, strict=True):
            if tpr[-1] and fpr[-1]:
                curve = np.concatenate([[0.0], fpr / fpr[-1]]), np.concatenate([[0.0], tpr / tpr[-1]])
                heights.append(np.interp(grid, *curve))
    tail = 50 * (1 - CONFIDENCE)
    return np.percentile(heights, [tail, 100 - tail], axis=0) if heights else None
