"""Temperature and thresholds that the validation split chooses."""

import numpy as np
import pytest
from scipy.special import expit
from support.score_rows import draw, make_rows, row, table_of

from tfdeepfake.evaluation import calibration, metrics
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.evaluation.calibration import calibrate
from tfdeepfake.scoring.table import concatenate, select, table


@pytest.mark.parametrize("true", [0.5, 1.0, 4.0])
def test_temperature_is_found_again(true):
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, 4000)
    labels = rng.random(4000) < expit(honest)
    assert calibration.calibrate(table_of(labels, honest * true))["temperature"] == pytest.approx(true, rel=0.1)


def test_separable_validation_set_gives_no_absurd_figures():
    labels = np.tile([0, 1], 10)
    for size in (0.01, 1.0, 50.0):
        calibrated = calibrate(table_of(labels, size * (2 * labels - 1) + size * 0.01 * np.arange(20)))
        assert 0.2 <= calibrated["temperature"] <= 10
        assert 0 < calibrated["threshold"] < 1 and 0.3 <= calibrated["fraction_threshold"] <= 0.7
        confident = expit(size / calibrated["temperature"])
        assert confident < 1 - 1e-2 or calibrated["temperature"] == 10  # not surer than twenty videos allow


@pytest.mark.parametrize("n_fake, n_real", [(4, 50), (50, 4), (0, 20), (0, 0)])
def test_too_few_validation_videos_choose_nothing(n_fake, n_real):
    labels = np.array([1] * n_fake + [0] * n_real)
    rows = (
        table_of(labels, np.random.default_rng(0).normal(3, 1, len(labels)))
        if len(labels)
        else make_rows(0, unscored=2)
    )
    calibrated = calibrate(rows)
    assert (calibrated["threshold"], calibrated["fraction_threshold"], calibrated["temperature"]) == (0.5, 0.5, 1.0)
    assert (
        f"{n_fake} fake and {n_real} real" in calibrated["calibration"]
        and "not calibrated" in calibrated["calibration"]
    )


def test_threshold_is_the_best_of_all_cuts_and_halfway():
    labels, scores = draw(n=100, seed=4)
    cut = calibration.choose_threshold(labels, scores)
    quality = {c: metrics.measure(labels, scores, c)["balanced_accuracy"] for c in [*scores, cut]}
    assert quality[cut] == max(quality.values())
    ordered = np.sort(scores)
    at = np.searchsorted(ordered, cut)
    assert cut == pytest.approx((ordered[at - 1] + ordered[at]) / 2)
    # A wide empty gap is cut in its middle, however the classes are sized.
    assert calibration.choose_threshold(np.array([0, 0, 0, 1]), np.array([0.0, 0.1, 0.2, 0.9])) == pytest.approx(0.55)
    # Saturated probabilities must not give a threshold that a recipe refuses.
    assert 0 < calibration.choose_threshold(np.array([0, 1]), np.array([0.0, 1e-300])) < 1


def test_fraction_threshold_takes_the_best_of_the_grid_and_the_middle_of_ties():
    labels = np.array([0, 0, 1, 1])
    assert calibration.choose_fraction_threshold(labels, np.array([0.0, 0.1, 0.9, 1.0])) == 0.5
    assert calibration.choose_fraction_threshold(labels, np.array([0.35, 0.55, 0.45, 0.9])) == 0.4  # as good: 0.6, 0.7
    assert calibration.choose_fraction_threshold(labels, np.array([0.55, 0.65, 0.8, 0.9])) == 0.7
    assert calibration.choose_fraction_threshold(labels, np.array([0.0, 0.2, 0.3, 0.35])) == 0.3
    # 3 of 10 frames meet a threshold of 0.3, whatever 0.1 + 0.2 is in floating point.
    rows = table([row(frame=i, probability=0.9 if i < 3 else 0.1) for i in range(10)])
    assert video_scores(rows, "fraction")["score"][0] >= calibration.FRACTION_GRID[0]


def test_calibration_ignores_unscored_and_unlabelled_rows():
    rows = make_rows(videos=60)
    unlabelled = select(rows, slice(0, 6)) | {
        "label": np.full(6, -1, np.int8), "video": np.full(6, "stranger", object),
    }  # fmt: skip
    more = concatenate([rows, unlabelled, table([row("none", status="no_face")])])
    assert calibrate(more) == calibrate(rows)
