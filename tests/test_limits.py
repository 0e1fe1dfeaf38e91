"""Limits of UNSURE, chosen on labelled videos: they are found where there are some, and chance gives none."""

import numpy as np
import pytest

from tfdeepfake.cli.main import parser
from tfdeepfake.evaluation import limits
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.scoring.table import table
from tfdeepfake.verdict.calibrate import chosen


def drawn(count, wrong_of, seed=0):
    """Verdicts with measures that say nothing, and errors as a function of (side in px, numbers drawn from 0..1)."""
    rng = np.random.default_rng(seed)
    rows = {name: rng.normal(100, 20, count) for name in limits.MEASURES}
    rows["side_px"] = rng.uniform(16, 200, count)
    rows |= {"video": np.arange(count), "severity": np.zeros(count, int), "interval": rng.random(count) < 0.1}
    return rows | {"true": np.arange(count) % 2, "wrong": wrong_of(rows["side_px"], rng.random(count))}


def test_a_limit_is_found_where_small_faces_are_judged_wrongly():
    rows = drawn(600, lambda side, u: u < np.where(side < 60, 0.45, 0.02))
    told = limits.confirmed(rows, np.arange(600))
    assert 45 < told["limits"]["side_px"] < 75 and len(told["limits"]) <= 2
    seen = told["held_out"]
    assert seen["withheld_wrong"] > 0.3 and seen["error_with"] < seen["error_without"] / 2
    kept = limits.left_over(rows, told["limits"])
    assert rows["wrong"][kept].mean() < rows["wrong"].mean() / 2 and "instead of" in told["text"]


@pytest.mark.parametrize(("seed", "error"), [(0, 0.07), (1, 0.07), (2, 0.3), (3, 0.3)])
def test_errors_that_no_measure_tells_of_give_no_limits(seed, error):
    rows = drawn(300, lambda side, u: u < error, seed)
    told = limits.confirmed(rows, np.arange(300) // 2)
    assert told["limits"] == {} and told["text"].startswith("no limits: chosen on some")
    assert limits.choose_limits(rows), "the rule alone would take some: it has a dozen measures to choose from"


def test_a_source_is_on_one_side_alone():
    """Copies of one video would confirm each other: 600 verdicts of 20 sources, of which one errs."""
    rows = drawn(600, lambda side, u: u < 0.0)
    groups = np.arange(600) % 20
    rows["sharpness"] = np.random.default_rng(1).permutation(20)[groups] + 0.0
    rows["wrong"] = rows["sharpness"] == 0
    assert limits.confirmed(rows, np.arange(600))["limits"] == {"sharpness": 0.5}
    assert limits.confirmed(rows, groups)["limits"] == {}, "the source that errs was never among those chosen on"


def test_too_few_videos_are_not_searched():
    told = limits.confirmed(drawn(198, lambda side, u: side < 60), np.arange(198))
    assert told == {
        "limits": {},
        "text": "no limits were looked for: 100 scored videos of each class are needed",
        "held_out": None,
    }


def test_calibrate_chooses_limits_by_the_verdicts_it_would_give():
    """Blurred faces have logits without meaning; of each video a second face, less suspicious, is sharp."""
    rng = np.random.default_rng(2)
    rows, measures = [], {}
    for number in range(240):
        label, name = number % 2, f"{number}.mp4"
        is_blurred = rng.random() < 0.25
        middle = rng.choice([-3.0, 3.0]) if is_blurred else 3.0 * (2 * label - 1)
        measures[name, 1] = {"sharpness": rng.uniform(5, 20) if is_blurred else rng.uniform(30, 200), "turn": None}
        measures[name, 2] = {"sharpness": 300.0, "turn": 0.1}
        for face, less in ((1, 0.0), (2, 6.0)):
            for frame in range(4):
                row = {"data_set": "predict", "method": "", "video": name, "source": name, "face": face, "frame": frame}
                row |= {"timestamp_s": frame / 10, "label": label, "status": "scored"}
                rows.append(row | {"logit": middle - less + rng.normal(0, 0.1)})
    recipe = Recipe("meso4", data=DataRecipe(), limits={"samples": 2}, limits_measured="on drawn faces")
    values = chosen(table(rows), recipe, "mine", {"scored": 240}, measures)
    assert set(values["limits"]) == {"samples", "sharpness"} and 15 < values["limits"]["sharpness"] < 40
    assert values["limits_measured"].startswith("on drawn faces; measured on 240 videos of mine, ")
    assert "withheld" in values["limits_text"] and values["limits_held_out"]["error_with"] == 0
    without = chosen(table(rows), recipe, "mine", {"scored": 240})
    assert without["limits"] == {"samples": 2} and without["limits_measured"] == "on drawn faces"


@pytest.mark.parametrize("verb", [["predict", "a.mp4"], ["explain", "a.mp4", "--out", "o"], ["serve", "m"]])
def test_samples_is_num_samples(verb):
    assert parser().parse_args([*verb, "--samples", "4"]).num_samples == 4
