"""Error over coverage: the surest first, equals in no order, and what an order could be worth at most."""

import itertools
import json

import numpy as np
import pytest
from test_plots import rows_of

from tfdeepfake.evaluation import selective
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.text import format_metrics


def test_the_farthest_from_the_threshold_come_first():
    labels = np.array([1, 0, 1, 0, 1])
    scores = np.array([0.99, 0.6, 0.2, 0.05, 0.75])  # wrong: 0.6 and 0.2
    counts = selective.error_counts(labels, scores, 0.5)
    np.testing.assert_allclose(counts, [0, 0, 0, 1, 1, 2])  # 0.99, 0.05, 0.2, 0.75, 0.6
    report = selective.measure(labels, scores, 0.5)
    assert report["area"] == pytest.approx(np.mean([0, 0, 1 / 3, 1 / 4, 2 / 5]))
    assert report["least_area"] == pytest.approx(np.mean([0, 0, 0, 1 / 4, 2 / 5]))
    assert report["accuracy"] == {
        "1.00": 0.6, "0.95": 0.75, "0.90": 0.75, "0.80": 0.75, "0.70": pytest.approx(2 / 3), "0.50": 1.0
    }  # fmt: skip
    # Distances are those of logits: from a threshold of 0.9, 0.99 is farther away than 0.6.
    assert selective.error_counts(np.array([0, 1]), np.array([0.99, 0.6]), 0.9)[1] == 1


def test_equals_come_in_no_order():
    labels, scores = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.1, 0.1, 0.9, 0.6])
    every = [
        np.concatenate([[0], np.cumsum([[0, 0, 1, 1][k] for k in order])]) for order in itertools.permutations(range(4))
    ]
    np.testing.assert_allclose(selective.error_counts(labels, scores, 0.5)[:5], np.mean(every, axis=0))
    shuffled = np.random.default_rng(0).permutation(5)
    np.testing.assert_allclose(
        selective.error_counts(labels[shuffled], scores[shuffled], 0.5), selective.error_counts(labels, scores, 0.5)
    )


def test_scores_that_say_nothing_have_the_error_of_all_everywhere():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 20_000), rng.uniform(size=20_000)
    report = selective.measure(labels, scores, 0.5)
    assert report["area"] == pytest.approx(0.5, abs=0.02) and len(report["coverage"]) == 101
    assert report["coverage"][-1] == 1 and report["error"][-1] == pytest.approx(1 - report["accuracy"]["1.00"])


def test_the_ends_of_the_scale_and_nothing_at_all():
    ends = selective.measure(np.array([1, 0]), np.array([1.0, 0.0]), 0.5)
    assert ends["area"] == ends["least_area"] == 0
    none = selective.measure(np.zeros(0, int), np.zeros(0), 0.5)
    assert none["area"] is None and none["undefined"] == "no scored item" and none["accuracy"]["0.90"] is None
    json.dumps([ends, none], allow_nan=False)
    assert selective.selective_lines(none) == ["Selective accuracy: not defined, no scored item."]


def test_it_stands_in_report_and_text():
    report = evaluate(rows_of(), threshold=0.4, resamples=0)
    told = format_metrics(report)
    assert report["selective"]["n"] == 50
    assert report["selective"]["accuracy"]["1.00"] == pytest.approx(report["levels"]["video"]["accuracy"])
    assert f"100 % {report['selective']['accuracy']['1.00']:.3f}, 95 %" in told and "error over coverage" in told
