"""UNSURE: a verdict that would be another one with other frames, or that looks at what is no ground for one."""

import dataclasses
import re

import numpy as np
import pytest
from support.verdicts import brightness_network, example, face, no_detector, pretend, recipe, scored
from test_report import write

from tfdeepfake.report import palette
from tfdeepfake.verdict import judging, unsure
from tfdeepfake.verdict.batch import counts
from tfdeepfake.verdict.lines import line, summary
from tfdeepfake.verdict.settings import JudgeSettings

NETWORK = brightness_network()


def judged(monkeypatch, made, used=None, frame_count=100, is_image=False, **settings):
    pretend(monkeypatch, made, frame_count, is_image)
    return judging.judge("clip.mp4", NETWORK, used or recipe(), no_detector, JudgeSettings(**settings))


def shaky(mean, spread, seed=0):
    noise = np.random.default_rng(seed).standard_normal(16)
    values = np.clip(mean + spread * (noise - noise.mean()), 0, 1)
    return [example(float(v), frame=k) for k, v in enumerate(values)]


def test_an_interval_that_holds_the_threshold_is_unsure(monkeypatch):
    verdict = judged(monkeypatch, shaky(0.53, 0.15))
    low, high = verdict.interval
    assert low < 0.5 <= high and verdict.label == "UNSURE" and verdict.faces[0]["label"] == "UNSURE"
    assert 0.5 < verdict.probability < 0.6, "the probability stands"
    (doubt,) = verdict.doubts
    assert (doubt["measure"], doubt["value"], doubt["limit"]) == ("interval", [low, high], 0.5)
    told = line(verdict.to_dict(), 0.5)
    assert re.match(
        r"UNSURE 0\.5\d \(0\.\d\d-0\.\d\d\) clip\.mp4: the interval holds the threshold 0\.50; 1 face,", told
    )
    for mean, label in ((0.2, "REAL"), (0.8, "FAKE")):
        clear = judged(monkeypatch, shaky(mean, 0.05))
        assert (clear.label, clear.doubts, clear.faces[0]["doubts"]) == (label, [], [])
    assert judged(monkeypatch, shaky(0.53, 0.15), recipe(threshold=0.05)).label == "FAKE"
    by_peak = judged(monkeypatch, shaky(0.53, 0.15), dataclasses.replace(recipe(), video_rule="peak"))
    assert by_peak.label == "FAKE" and by_peak.interval is None


@pytest.mark.parametrize(
    ("interval", "is_doubt"),
    [(None, False), ((0.2, 0.49), False), ((0.2, 0.5), True), ((0.5, 0.7), False), ((0.49, 0.7), True)],
)
def test_the_two_ends_of_the_interval_are_called_differently(interval, is_doubt):
    assert bool(unsure.interval_doubts(interval, 0.5)) == is_doubt


def test_unsure_is_neither_right_nor_wrong():
    unsure_one = scored("a.mp4", [face(1, [0.52, 0.5])]) | {"label": "UNSURE", "true_label": "REAL"}
    unsure_one["doubts"] = [unsure.doubt("interval", [0.33, 0.53], 0.5, "the interval holds the threshold 0.50")]
    sure = scored("b.mp4", [face(1, [0.9, 0.9])]) | {"true_label": "FAKE"}
    count = counts([unsure_one, sure])
    assert (count["UNSURE"], count["FAKE"], count["right"], count["wrong"]) == (1, 1, 1, 0)
    told = list(summary({"counts": count, "other_files": [], "unmatched_labels": []}))
    assert told[0] == "2 of 2 scored (1 FAKE, 0 REAL, 1 UNSURE)." and told[1].startswith("1 of 1 files")
    assert line(unsure_one, 0.5).endswith(", it is labelled REAL")


def test_the_page_says_what_it_cannot_tell_and_why(tmp_path):
    verdict = scored("a.mp4", [face(1, [0.52, 0.52]) | {"label": "UNSURE"}]) | {"label": "UNSURE"}
    verdict["doubts"] = [unsure.doubt("interval", [0.33, 0.53], 0.5, "the interval holds the <threshold> 0.50")]
    page = write(tmp_path, [verdict, scored("b.mp4", [face(1, [0.9])])])
    section = re.search(r'<article id="v0">.*?</article>', page, re.S).group()
    assert 'class="badge unsure">UNSURE<' in section and "Cannot tell:" in section
    assert "the interval holds the &lt;threshold&gt; 0.50." in section
    assert '<b class="unsure">0.52</b>' in section and 'class="fake"' not in section.split("<svg")[0]
    assert page.count("Cannot tell:") == 1 and '<div class="tile unsure"><b>1</b>' in page
    for colours in (palette.LIGHT, palette.DARK):
        assert len({colours[name] for name in ("fake", "real", "unsure", "grey", "warn")}) == 5
