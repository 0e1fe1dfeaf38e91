"""Figures with 95 % intervals, of items that come in groups: AUC (DeLong, clustered), ratios of counts, differences.

Videos of one source resemble each other, so whatever is estimated is seen as a sum over sources. Variances are those of
DeLong et al. (1988) and, for groups, of Obuchowski (1997, Biometrics 53, 567-578): with one item in each group the two
are the same. An interval is a score interval: it holds each value t whose own standard error would let the figure that
was seen happen, as Newcombe (2006, Statistics in Medicine 25, 559-573) has it for the AUC and Wilson (1927) for
proportions. Between 0 and 1 it never passes either end, and a figure of exactly 1 has an interval too. What was added,
chosen by simulation (benchmarks/intervals.py prints what it covers):

  design effect   the spread over t of independent items, one a group, is scaled to the variance that was found; that
                  ratio is drawn towards 1 with the weight of a quarter of a group, as it is unsure where few groups
                  contribute
  Student's t     its degrees of freedom follow from the kurtosis of the groups' contributions: of a good detector's
                  errors a few sources have most
  differences     from the two intervals and the correlation of the two figures (Zou and Donner 2008, Statistics in
                  Medicine 27, 1693-1702); with quantiles halfway between Student's and the normal one, as the errors of
                  two variances average out
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
PRIOR_GROUPS = 0.25
_STEPS = 60  # of bisection, down to rounding


@dataclass(frozen=True)
class Estimate:
    """A figure between 0 and 1, and what each group contributes to its error.

    Args:
      value: the figure.
      parts: float64 [P, G], the contributions of G groups, in P parts that are counted in themselves (of an AUC or a
        balanced accuracy those of the fakes and those of the reals; else P = 1); each row adds up to 0.
      counts: for each part, how many groups have items in it.
      spread: variance as a function of the true figure t, were the items independent and one a group.
    """

    value: float
    parts: np.ndarray
    counts: tuple[int, ...]
    spread: Callable[[float], float]

    @property
    def reason(self) -> str:
        """Why there is no interval; "" when there is one."""
        if len(self.counts) == 2 and min(self.counts) < 2:
            return f"needs 2 sources of fakes and 2 of reals, got {self.counts[0]} and {self.counts[1]}"
        return "" if min(self.counts) >= 2 else f"needs 2 sources, got {min(self.counts)}"


def covariance(a: Estimate, b: Estimate) -> float:
    """Covariance of two figures of the same items in the same groups (Obuchowski 1997, Eqs. 4 and 6)."""
    own = [p @ q for p, q in zip(a.parts, b.parts, strict=True)]
    groups = a.parts.shape[1]
    across = a.parts.sum(0) @ b.parts.sum(0) - sum(own)
    return float(sum(s * n / (n - 1) for s, n in zip(own, a.counts, strict=True)) + across * groups / (groups - 1))


def interval(estimate: Estimate, student: float = 1.0) -> list[float] | None:
    """95 % score interval [low, high]; None where `estimate.reason` says why.

    Args:
      estimate: the figure.
      student: weight 0..1 of Student's quantile, the rest is the normal one's.
    """
    if estimate.reason:
        return None
    variance, psi = max(covariance(estimate, estimate), 0.0), estimate.parts.sum(0)
    squares, groups = psi @ psi, len(psi)
    normal = stats.norm.ppf((1 + CONFIDENCE) / 2)
    value, quantile, design = estimate.value, normal, 1.0
    if min(variance, squares, estimate.spread(value)) > 0:  # else nothing is wrong, or all: the spread alone is left
        contributing = squares**2 / np.sum(psi**4)  # groups, as many as would give this kurtosis with equal squares
        freedom = 2 * groups / (groups / contributing - 1) if contributing < groups * (1 - 1e-9) else groups - 1
        freedom = np.clip(freedom + PRIOR_GROUPS, 1, max(groups - 1, 1))
        quantile = student * stats.t.ppf((1 + CONFIDENCE) / 2, freedom) + (1 - student) * normal
        ratio = variance / estimate.spread(value)
        design = (contributing * ratio + PRIOR_GROUPS) / (contributing + PRIOR_GROUPS)

    def bound(end):
        inside, outside = value, end
        for _ in range(_STEPS):
            middle = (inside + outside) / 2
            if abs(value - middle) <= quantile * np.sqrt(design * estimate.spread(middle)):
                inside = middle
            else:
                outside = middle
        return float(inside)

    return [bound(0.0), bound(1.0)]


def difference(a: Estimate, b: Estimate) -> dict:
    """a - b of two figures of the same items in the same groups.

    Returns:
      {"difference": float, "interval": [low, high] or None, "standard_error", "z", "p": of the test that both are
      equal, two-sided, by the normal distribution (DeLong's, clustered, for AUCs); None where the variance is 0 or
      unknown}.
    """
    gap = a.value - b.value
    out = {"difference": gap, "interval": None, "standard_error": None, "z": None, "p": None}
    if a.reason or b.reason:
        return out
    variances = covariance(a, a), covariance(b, b)
    shared = covariance(a, b)
    variance = variances[0] + variances[1] - 2 * shared
    r = float(np.clip(shared / np.sqrt(variances[0] * variances[1]), -1, 1)) if min(variances) > 0 else 0.0
    (low_a, high_a), (low_b, high_b) = interval(a, 0.5), interval(b, 0.5)

    def reach(x, y):
        return np.sqrt(max(x * x + y * y - 2 * r * x * y, 0.0))

    low = gap - reach(a.value - low_a, high_b - b.value)
    high = gap + reach(high_a - a.value, b.value - low_b)
    out["interval"] = [float(low), float(high)]
    if gap == 0 and a.parts.any() and np.array_equal(a.parts, b.parts):  # one detector twice: nothing differs
        return out | {"interval": [0.0, 0.0], "standard_error": 0.0, "p": 1.0}
    if variance > 1e-18:
        out["standard_error"] = float(np.sqrt(variance))
        out["z"] = float(gap / out["standard_error"])
        out["p"] = float(2 * stats.norm.sf(abs(out["z"])))
    return out


def mean(figures: Sequence[Estimate]) -> Estimate:
    """The mean of figures of the same items in the same groups, such as F1 of several classes.

    What a group contributes to the mean's error is the mean of what it contributes to each. Where a figure has no
    interval the mean has none: its `counts` are those of that figure.
    """
    lacking = [figure for figure in figures if figure.reason]
    parts = np.mean([figure.parts.sum(0) for figure in figures], axis=0)[None]
    counts = lacking[0].counts if lacking else (parts.shape[1],)

    def spread(t):
        return sum(figure.spread(t) for figure in figures) / len(figures) ** 2

    return Estimate(float(np.mean([figure.value for figure in figures])), parts, counts, spread)


# AUC ----------------------------------------------------------------------------------------------------------------


def placements(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each item, the fraction of the other class that lies on its right side; ties count half (DeLong 1988, Eq. 5).

    Args:
      labels: int [N], both classes present; scores: float64 [N].
    Returns:
      float64 [N]; the mean over the fakes, as over the reals, is the AUC.
    """
    fake = np.asarray(labels) == 1
    fakes, reals = np.sort(scores[fake]), np.sort(scores[~fake])
    out = np.empty(len(scores))
    out[fake] = sum(np.searchsorted(reals, scores[fake], side) for side in ("left", "right")) / (2 * len(reals))
    out[~fake] = 1 - sum(np.searchsorted(fakes, scores[~fake], side) for side in ("left", "right")) / (2 * len(fakes))
    return out


def auc(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> Estimate:
    """Area under the ROC curve.

    Args:
      labels: int [N], both classes present; scores: float64 [N], higher is more likely FAKE.
      groups: int [N], 0..G-1, each number there: the source of each item.
    """
    fake, placed = np.asarray(labels) == 1, placements(labels, scores)
    value = float(np.mean(placed[fake]))
    return Estimate(value, *_two_parts(fake, placed - value, groups), _auc_spread(fake, groups))


def _two_parts(fake, errors, groups):
    """(parts [2, G] of fakes and reals, number of groups with either) of the mean over a class."""
    num_groups = int(groups.max()) + 1
    parts, counts = [], []
    for chosen in (fake, ~fake):
        parts.append(np.bincount(groups[chosen], errors[chosen], num_groups) / max(chosen.sum(), 1))
        counts.append(len(np.unique(groups[chosen])))
    return np.stack(parts), tuple(counts)


def _auc_spread(fake, groups):
    fakes, reals = (len(np.unique(groups[chosen])) for chosen in (fake, ~fake))
    pairs, more = fakes * reals, (fakes + reals) / 2 - 1

    def spread(t):  # Newcombe 2006, method 5
        return t * (1 - t) / pairs * (1 + more * (1 - t) / (2 - t) + more * t / (1 + t))

    return spread


# Ratios of counts ---------------------------------------------------------------------------------------------------


def counted(labels: np.ndarray, called: np.ndarray, groups: np.ndarray) -> dict[str, Estimate]:
    """accuracy, balanced_accuracy, precision, recall and f1 of FAKE; without those that are not defined.

    Args:
      labels: int [N]; called: bool [N], whether an item is called FAKE; groups: int [N], 0..G-1, each number there.
    """
    fake, called = np.asarray(labels) == 1, np.asarray(called, bool)
    right = fake == called
    out = {
        "accuracy": _ratio(right, np.ones(len(fake)), groups),
        "precision": _ratio(right & called, called, groups),
        "recall": _ratio(right & fake, fake, groups),
        "f1": _ratio(2.0 * (right & called), 1.0 * fake + called, groups),
    }
    if fake.any() and not fake.all():
        rates = np.where(fake, np.mean(right[fake]), np.mean(right[~fake]))
        parts, counts = _two_parts(fake, (right - rates) / 2, groups)
        independent = 1 / (4 * counts[0]) + 1 / (4 * counts[1])
        value = (np.mean(right[fake]) + np.mean(right[~fake])) / 2
        out["balanced_accuracy"] = Estimate(float(value), parts, counts, lambda t: t * (1 - t) * independent)
    return {name: estimate for name, estimate in out.items() if estimate is not None}


def _ratio(above, below, groups):
    """Sum of `above` over the sum of `below`, both [N]."""
    total = float(np.sum(below))
    if not total:
        return None
    value = float(np.sum(above)) / total
    part = np.bincount(groups, above - value * below, int(groups.max()) + 1) / total
    count = len(np.unique(groups[np.asarray(below) > 0]))
    return Estimate(value, part[None], (count,), lambda t: t * (1 - t) / count)
