"""Intervals by source: variances against their definitions and a published implementation, and what they cover."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

from tfdeepfake.evaluation import estimates, metrics


def tied_draw(seed, n=90, sources=15):
    """Labels, scores with many ties, and sources of uneven size."""
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 2, n), np.unique(rng.integers(0, sources, n), return_inverse=True)[1]
    return labels, np.round(rng.normal(labels, 1.0 + labels), 1), groups


def patients():
    """Outcome and three markers of 113 patients (Turck et al. 2010), as the R package pROC 1.19 ships them (aSAH)."""
    columns = json.loads((Path(__file__).parent / "support" / "patients.json").read_text(encoding="utf-8"))
    return {name: np.array(values) for name, values in columns.items()}


def test_variances_and_test_are_those_of_a_published_implementation():
    """The figures are pROC's own expectations: tests/testthat/test-var.R, test-cov.R and test-roc.test.R, 2025."""
    data = patients()
    labels, alone = data["poor_outcome"], np.arange(113)
    wfns, s100b, ndka = (estimates.auc(labels, data[name], alone) for name in ("wfns", "s100b_1e2", "ndka_1e2"))
    assert estimates.covariance(wfns, wfns) == pytest.approx(0.00146991470882363, rel=1e-9)
    assert estimates.covariance(ndka, ndka) == pytest.approx(0.0031908105493913, rel=1e-9)
    assert estimates.covariance(s100b, s100b) == pytest.approx(0.00266868245717244, rel=1e-9)
    assert estimates.covariance(wfns, ndka) == pytest.approx(-0.000532967856762438, rel=1e-9)
    assert estimates.covariance(s100b, wfns) == pytest.approx(0.00119615567376754, rel=1e-9)
    compared = estimates.difference(wfns, s100b)
    assert compared["z"] == pytest.approx(2.20898359144091, rel=1e-9)
    assert compared["p"] == pytest.approx(0.0271757822291882, rel=1e-9)
    # pROC's interval is difference +- 1.96 standard errors; this one is another, and near it.
    assert compared["interval"] == pytest.approx([0.0104061769564846, 0.174214419249478], abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_covariance_of_sources_is_the_sum_over_all_pairs_that_share_one(seed):
    """Obuchowski's sums, written out over fakes i, j and reals k, l of the same source."""
    labels, scores, groups = tied_draw(seed)
    other = np.round(scores + np.random.default_rng(seed + 50).normal(size=len(scores)), 1)
    fakes, reals = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)

    def errors(s):
        wins = (s[fakes][:, None] > s[reals]) + 0.5 * (s[fakes][:, None] == s[reals])
        return wins.mean(1) - wins.mean(), wins.mean(0) - wins.mean()

    (a_fake, a_real), (b_fake, b_real) = errors(scores), errors(other)
    same = groups[:, None] == groups
    fake_groups, real_groups, total = (len(set(groups[i].tolist())) for i in (fakes, reals, slice(None)))
    m, n = len(fakes), len(reals)
    expected = (a_fake[:, None] * b_fake * same[np.ix_(fakes, fakes)]).sum() / m**2 * fake_groups / (fake_groups - 1)
    expected += (a_real[:, None] * b_real * same[np.ix_(reals, reals)]).sum() / n**2 * real_groups / (real_groups - 1)
    across = (a_fake[:, None] * b_real * same[np.ix_(fakes, reals)]).sum()
    across += (a_real[:, None] * b_fake * same[np.ix_(reals, fakes)]).sum()
    expected += across / (m * n) * total / (total - 1)
    a, b = (estimates.auc(labels, s, groups) for s in (scores, other))
    assert estimates.covariance(a, b) == pytest.approx(expected, rel=1e-9)
    assert a.value == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)


def test_variance_of_a_proportion_of_items_alone_is_the_textbooks():
    rng = np.random.default_rng(0)
    labels, called = rng.integers(0, 2, 50), rng.integers(0, 2, 50) == 1
    accuracy = estimates.counted(labels, called, np.arange(50))["accuracy"]
    p = accuracy.value
    assert estimates.covariance(accuracy, accuracy) == pytest.approx(p * (1 - p) / 49)


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_equals_scikit_learn_on_scores_with_ties(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 400)
    p = np.clip(np.round(rng.normal(0.4 + 0.2 * labels, 0.25), 1), 0, 1)
    measured = metrics.measure(labels, p, 0.5)
    called = p >= 0.5
    expected = {
        "auc": sk.roc_auc_score(labels, p),
        "average_precision": sk.average_precision_score(labels, p),
        "accuracy": sk.accuracy_score(labels, called),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, called),
        "precision": sk.precision_score(labels, called),
        "recall": sk.recall_score(labels, called),
        "f1": sk.f1_score(labels, called),
        "log_loss": sk.log_loss(labels, p),
        "brier": sk.brier_score_loss(labels, p),
    }
    for name, value in expected.items():
        assert measured[name] == pytest.approx(value, rel=1e-9), name
    known = estimates.counted(labels, called, np.arange(400))
    for name, estimate in known.items():
        assert estimate.value == pytest.approx(expected[name], rel=1e-12), name
    assert [*measured["confusion"].values()] == sk.confusion_matrix(labels, called).ravel().tolist()


def test_intervals_lie_between_0_and_1_and_hold_a_perfect_figure():
    labels = np.tile([0, 1], 15)
    perfect = estimates.interval(estimates.auc(labels, labels * 1.0, np.arange(30)))
    assert perfect[1] == 1 and 0.8 < perfect[0] < 0.95
    reversed_ = estimates.interval(estimates.auc(labels, -labels * 1.0, np.arange(30)))
    assert reversed_ == pytest.approx([1 - perfect[1], 1 - perfect[0]], abs=1e-9)
    right = estimates.counted(labels, labels == 1, np.arange(30))
    assert all(estimates.interval(e)[1] == 1 and 0.7 < estimates.interval(e)[0] < 1 for e in right.values())
    # Thirty frames of each video tell no more than the video.
    many = estimates.auc(np.repeat(labels, 30), np.repeat(labels, 30) * 1.0, np.repeat(np.arange(30), 30))
    assert estimates.interval(many) == pytest.approx(perfect, abs=1e-9)


def test_copies_of_every_item_change_nothing():
    labels, scores, groups = tied_draw(1)
    once = estimates.interval(estimates.auc(labels, scores, groups))
    tripled = estimates.auc(np.tile(labels, 3), np.tile(scores, 3), np.tile(groups, 3))
    assert estimates.interval(tripled) == pytest.approx(once, abs=1e-9)


def test_too_few_sources_say_so():
    labels = np.array([1, 1, 1, 0, 0])
    one = estimates.auc(labels, np.arange(5.0), np.array([0, 0, 0, 1, 2]))
    assert estimates.interval(one) is None and "needs 2 sources of fakes and 2 of reals, got 1 and 2" in one.reason
    assert estimates.difference(one, one)["interval"] is None


def test_a_difference_turns_round_with_its_sides_and_vanishes_for_twins():
    labels, scores, groups = tied_draw(2)
    a = estimates.auc(labels, scores, groups)
    b = estimates.auc(labels, scores + np.random.default_rng(9).normal(size=len(scores)), groups)
    one, other = estimates.difference(a, b), estimates.difference(b, a)
    assert one["difference"] == -other["difference"] and one["p"] == pytest.approx(other["p"])
    assert one["interval"] == pytest.approx([-v for v in other["interval"][::-1]])
    assert one["interval"][0] <= one["difference"] <= one["interval"][1]
    assert estimates.difference(a, a)["interval"] == [0, 0] and estimates.difference(a, a)["p"] == 1
    # Two that make no error on thirty videos may differ on others.
    perfect = estimates.auc(np.tile([0, 1], 15), np.tile([0.0, 1.0], 15), np.arange(30))
    low, high = estimates.difference(perfect, perfect)["interval"]
    assert low == -high and 0.05 < high < 0.2 and estimates.difference(perfect, perfect)["p"] is None


@pytest.mark.parametrize("area, sources, videos", [(0.8, 30, 5), (0.96, 100, 3)])
def test_intervals_of_auc_and_difference_cover_at_high_auc(area, sources, videos):
    """400 draws: 95 % would be 380 +- 9; a percentile bootstrap covers .929 at AUC .96 with 100 sources of 1 + 2."""
    from scipy.stats import norm

    rng, holds = np.random.default_rng(3), []
    labels, groups = np.tile([0] + [1] * (videos - 1), sources), np.repeat(np.arange(sources), videos)
    for _ in range(400):
        mood = rng.normal(size=sources)[groups]
        both = [
            estimates.auc(labels, mood + rng.normal(size=len(labels)) + 2 * norm.ppf(area) * labels, groups)
            for _ in range(2)
        ]
        low, high = estimates.interval(both[0])
        between = estimates.difference(*both)["interval"]
        holds.append((low <= area <= high, between[0] <= 0 <= between[1]))
    covered = np.sum(holds, axis=0)
    assert (covered >= 370).all() and (covered <= 397).all(), covered
