"""Metrics of scores, checked against facts and against brute force."""

import json

import numpy as np
import pytest
from support.score_rows import draw, make_rows, row

from tfdeepfake.evaluation import metrics
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.text import format_metrics
from tfdeepfake.scoring.table import select, table


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_the_fraction_of_pairs_in_order(ties):
    labels, scores = draw(ties=ties)
    fakes, reals = scores[labels == 1][:, None], scores[labels == 0][None]
    pairs = np.mean((fakes > reals) + 0.5 * (fakes == reals))
    assert metrics.measure(labels, scores, 0.5)["auc"] == pytest.approx(pairs, abs=1e-12)


def test_ranking_metrics_ignore_monotone_rescaling():
    labels, scores = draw()
    plain, bent = metrics.measure(labels, scores, 0.5), metrics.measure(labels, scores**7, 0.5**7)
    for name in ("auc", "average_precision", "eer", "accuracy", "f1", "confusion", "tpr_at_fpr"):
        assert plain[name] == pytest.approx(bent[name], abs=1e-12), name
    assert plain["log_loss"] != pytest.approx(bent["log_loss"])  # and this one must not


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_eer_against_a_sweep_of_all_thresholds(seed, ties):
    labels, scores = draw(n=60, seed=seed, ties=ties)
    eer = metrics.equal_error_rate(labels, scores)
    cuts = np.concatenate([[-1], np.unique(scores), [2]])
    alarm = np.array([np.mean(scores[labels == 0] >= cut) for cut in cuts])
    missed = np.array([np.mean(scores[labels == 1] < cut) for cut in cuts])
    # The rates cross between two neighbouring thresholds: the EER lies between their errors there.
    after = int(np.argmax(missed >= alarm))
    low = max(alarm[after], missed[after - 1])
    high = min(alarm[after - 1], missed[after])
    assert low - 1e-12 <= eer <= high + 1e-12
    # On the straight line between the two points both rates are the same number.
    part = (alarm[after - 1] - eer) / (alarm[after - 1] - alarm[after] or 1)
    if alarm[after - 1] != alarm[after]:
        assert missed[after - 1] + part * (missed[after] - missed[after - 1]) == pytest.approx(eer, abs=1e-12)


def test_metrics_against_their_formulas():
    labels, p = draw()
    measured = metrics.measure(labels, p, 0.4)
    called = p >= 0.4
    tp, fp = np.sum(called & (labels == 1)), np.sum(called & (labels == 0))
    assert measured["confusion"]["true_fake"] == tp and measured["confusion"]["false_fake"] == fp
    assert sum(measured["confusion"].values()) == measured["n"] == 200
    assert measured["precision"] == pytest.approx(tp / (tp + fp))
    assert measured["recall"] == pytest.approx(tp / labels.sum())
    assert measured["f1"] == pytest.approx(2 / (1 / measured["precision"] + 1 / measured["recall"]))
    assert measured["accuracy"] == pytest.approx(np.mean(called == labels))
    assert measured["log_loss"] == pytest.approx(-np.mean(np.log(np.where(labels == 1, p, 1 - p))))
    assert measured["brier"] == pytest.approx(np.mean((labels - p) ** 2))
    best = max(np.mean(p[labels == 1] >= cut) for cut in np.append(p, 2) if np.mean(p[labels == 0] >= cut) <= 0.1)
    assert measured["tpr_at_fpr"]["0.10"] == pytest.approx(best)


def test_calibration_error_of_honest_and_of_boasting_probabilities():
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    labels = (rng.random(len(p)) < p).astype(int)
    assert metrics.calibration_error(labels, p) < 0.01
    # Half of these "sure" calls are wrong: off by 0.5 everywhere.
    assert metrics.calibration_error(np.tile([0, 1], 50), np.ones(100)) == pytest.approx(0.5)


def test_perfect_reversed_and_constant_classifiers():
    labels = np.array([0] * 10 + [1] * 10)
    perfect = metrics.measure(labels, labels * 0.8 + 0.1, 0.5)
    assert (perfect["auc"], perfect["eer"], perfect["accuracy"], perfect["f1"]) == (1, 0, 1, 1)
    wrong = metrics.measure(labels, 0.9 - labels * 0.8, 0.5)
    assert (wrong["auc"], wrong["eer"], wrong["accuracy"], wrong["f1"]) == (0, 1, 0, 0)
    constant = metrics.measure(labels, np.full(20, 0.3), 0.5)
    assert (constant["auc"], constant["eer"]) == (0.5, 0.5)
    assert constant["precision"] is None and "nothing was called FAKE" in constant["undefined"]["precision"]


def test_sure_and_wrong_costs_a_finite_log_loss():
    measured = metrics.measure(np.array([0, 1]), np.array([1.0, 1.0]), 0.5)
    assert 17 < measured["log_loss"] < 19  # half of -log(2.2e-16)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc_and_says_why(label):
    rows = make_rows()
    report = evaluate(select(rows, rows["label"] == label), resamples=50)
    for name, level in report["levels"].items():
        # Precision of fakes alone would be 1 and of reals alone 0, whatever the network does.
        for metric in ("auc", "average_precision", "eer", "balanced_accuracy", "precision", "f1"):
            assert level[metric] is None, (name, metric)
            assert level["intervals"].get(metric) is None
            assert "needs both classes" in level["undefined"][metric]
        assert level["accuracy"] is not None and level["intervals"]["auc"] is None
    json.dumps(report, allow_nan=False)
    assert "needs both classes" in format_metrics(report)


def test_low_false_positive_rates_need_enough_reals():
    labels, scores = draw(n=150)
    measured = metrics.measure(labels, scores, 0.5)
    assert measured["tpr_at_fpr"]["0.01"] is None and measured["tpr_at_fpr"]["0.10"] is not None
    assert "needs 100 reals" in measured["undefined"]["tpr_at_fpr 0.01"]


def test_nothing_scored_is_a_result_not_a_crash():
    rows = table([row(str(i), status="no_face") for i in range(3)])
    report = evaluate(rows)
    json.dumps(report, allow_nan=False)
    video = report["levels"]["video"]
    assert video["accuracy"] is None and video["log_loss"] is None and video["undefined"]["auc"] == "no scored item"
    assert video["accuracy_counting_unscored_as_wrong"] == 0
    assert "Scored 0 of 3 videos" in format_metrics(report)


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([0, 1, 1], [[0.1], [0.9], [0.8]], r"need \[N\] both, got shapes \(3,\) and \(3, 1\)"),
        ([[0], [1]], [[0.1], [0.9]], r"got shapes \(2, 1\) and \(2, 1\)"),
        ([0, 1], [0.1], r"got shapes \(2,\) and \(1,\)"),
        ([0, 0.3], [0.1, 0.9], "labels need 0 or 1, got 0.3"),
        ([0, 2], [0.1, 0.9], "labels need 0 or 1, got 2"),
    ],
)
def test_labels_and_scores_of_other_shapes_or_values_are_refused(labels, scores, said):
    for measured in (metrics.measure, metrics.confusion):
        with pytest.raises(ValueError, match=said):
            measured(labels, scores, 0.5)
