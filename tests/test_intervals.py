"""Intervals by resampled sources: what they hold, and what they need."""

import numpy as np
import pytest
from scipy.special import expit
from support.score_rows import draw, make_rows

from tfdeepfake.evaluation import metrics
from tfdeepfake.evaluation.evaluate import evaluate


def test_bootstrap_auc_equals_scikit_learn_with_the_same_weights():
    from sklearn.metrics import roc_auc_score

    labels, scores = draw(n=80, ties=True)
    groups = np.random.default_rng(1).integers(0, 12, 80)
    counts = np.concatenate(list(metrics.resampled_groups(12, 5, seed=3, items=80)))
    assert counts.sum(1).tolist() == [12] * 5
    expected = [roc_auc_score(labels, scores, sample_weight=c[groups]) for c in counts]
    assert metrics.weighted_auc(labels, scores, groups)(counts) == pytest.approx(expected, abs=1e-12)


def test_interval_is_seeded_and_holds_the_figure():
    labels, scores = draw()
    groups = np.arange(200)
    first, _ = metrics.intervals(labels, scores, groups, 0.5, seed=1)
    again, _ = metrics.intervals(labels, scores, groups, 0.5, seed=1)
    other, _ = metrics.intervals(labels, scores, groups, 0.5, seed=2)
    assert first == again != other
    measured = metrics.measure(labels, scores, 0.5)
    for name, (low, high) in first.items():
        assert low < measured[name] < high, name


def test_blocks_do_not_change_the_draw(monkeypatch):
    labels, scores = draw()
    groups = np.arange(200) // 4
    whole, _ = metrics.intervals(labels, scores, groups, 0.5, resamples=100)
    monkeypatch.setattr(metrics, "_BLOCK", 1000)
    pieces, _ = metrics.intervals(labels, scores, groups, 0.5, resamples=100)
    assert whole == pieces


def test_resampling_by_source_widens_the_interval():
    rows = make_rows(videos=120, frames=10, sources=12)
    labels, scores = rows["label"].astype(int), expit(rows["logit"].astype(float))
    _, source = np.unique(rows["source"], return_inverse=True)
    by_source, _ = metrics.intervals(labels, scores, source, 0.5)
    by_frame, _ = metrics.intervals(labels, scores, np.arange(len(labels)), 0.5)
    for name in ("auc", "accuracy"):
        assert np.ptp(by_source[name]) > 2 * np.ptp(by_frame[name]), name
    frame = evaluate(rows, resamples=200)["levels"]["frame"]
    assert np.ptp(frame["intervals"]["auc"]) > 2 * np.ptp(by_frame["auc"])  # `evaluate` takes the wide one


def test_interval_covers_the_truth_by_source_and_not_by_frame():
    """300 data sets of 60 videos with 8 frames each, frames sharing their video's mood.

    Scores are mood N(0, 1) + noise N(0, 1), fakes one higher: the AUC over all such videos is Phi(1/2) = 0.6915.
    A 95 % interval covers it in 285 +- 4 of 300; the percentile bootstrap is known to be a little short, so 270
    (90 %) is asked for. Frames drawn one by one give an interval that cannot be right.
    """
    truth, by_source, by_frame = 0.6915, 0, 0
    source = np.repeat(np.arange(60), 8)
    labels = source % 2
    for seed in range(300):
        rng = np.random.default_rng(seed)
        scores = expit(rng.normal(size=60)[source] + rng.normal(labels, 1))
        low, high = metrics.intervals(labels, scores, source, 0.5, 300, seed)[0]["auc"]
        by_source += low <= truth <= high
        low, high = metrics.intervals(labels, scores, np.arange(480), 0.5, 300, seed)[0]["auc"]
        by_frame += low <= truth <= high
    assert 270 <= by_source <= 297 and by_frame < 240, (by_source, by_frame)


def test_one_source_has_no_interval_and_says_why():
    rows = make_rows(sources=1)
    level = evaluate(rows)["levels"]["video"]
    assert level["intervals"]["auc"] is None
    assert "needs 2 sources to resample, got 1" in level["undefined"]["interval of auc"]


def test_videos_without_source_stand_for_themselves():
    rows = make_rows(videos=30)
    rows["source"] = np.full(len(rows["video"]), "", object)
    report = evaluate(rows, resamples=20)
    assert report["levels"]["video"]["sources"] == 30 == report["levels"]["frame"]["sources"]
    assert "30 of 30 videos name no source" in report["notes"][0]
