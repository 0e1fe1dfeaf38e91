"""UNSURE: a verdict that would be another one with other frames, or that looks at what is no ground for one."""

import dataclasses
import re
import types

import numpy as np
import pytest
from support.verdicts import brightness_network, example, face, no_detector, pretend, recipe, scored
from test_report import write

from tfdeepfake.errors import InputError
from tfdeepfake.report import palette
from tfdeepfake.scoring import unsure
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.verdict import judging, quality, remarks
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


def test_a_network_of_drawn_faces_says_so_on_every_verdict(monkeypatch, tmp_path):
    drawn = dataclasses.replace(recipe(), data_version="synthetic_faces/clip:1.0.0")
    verdict = judged(monkeypatch, shaky(0.8, 0.05), drawn)
    assert line(verdict.to_dict(), 0.5).endswith(", trained on drawn faces only: it says nothing of people")
    assert judged(monkeypatch, shaky(0.8, 0.05)).caveat == ""
    assert remarks.caveat("synthetic_faces:1.0.0", "other sha256:0").startswith("last trained on drawn faces")
    assert remarks.caveat("synthetic_faces_of_mine/clip:1.0.0") == ""
    known = {"calibration": "on 9 fake and 9 real validation videos: temperature by log loss", "temperature": 2.0}
    for data_version, is_drawn in (("synthetic_faces/clip:1.0.0", True), ("face_forensics/clip:1.0.0", False)):
        page = write(tmp_path, [scored("a.mp4", [face(1, [0.9])])], data_version=data_version, **known)
        assert ("Drawn faces only." in page) == ("that says nothing" in page) == is_drawn
        assert "calibrated on 9 fake and 9 real validation videos: among" in page


def test_what_lies_beyond_a_limit_of_the_recipe_is_named(monkeypatch):
    limits = {"side_px": 48, "enlarged": 3.0, "samples": 20, "blocks": 1.5}
    limited = dataclasses.replace(recipe(height_px=8), limits=limits, limits_measured="here")
    made = [example(0.8, frame=k, box=(10, 20, 40, 50)) for k in range(16)]
    verdict = judged(monkeypatch, made, limited)
    assert verdict.label == verdict.faces[0]["label"] == "UNSURE"
    assert [(d["measure"], d["value"], d["limit"]) for d in verdict.doubts] == [
        ("side_px", 30, 48),
        ("samples", 16, 20),
    ]
    told = "the face is only 30 px large (limit 48); the face is shown by too few samples, 16 (limit 20); 1 face,"
    assert told in line(verdict.to_dict(), 0.5), "no landmarks, no blocks: what was not measured is no doubt"
    assert judged(monkeypatch, made, dataclasses.replace(limited, limits={"enlarged": 3.0})).label == "FAKE"
    assert ", its face is 30 px large" in line(judged(monkeypatch, made).to_dict(), 0.5), "a small face is always named"
    with pytest.raises(ValueError, match="limits needs numbers"):
        dataclasses.replace(limited, limits={"beauty": 1})


def test_a_real_rests_on_every_face_and_a_fake_on_one(monkeypatch):
    limited = dataclasses.replace(recipe(), limits={"side_px": 50})

    def faces_in(*faces):
        made = [
            example(b, face=number, frame=k, box=(0, 0, side, side), score=0.99)
            for number, (b, side) in enumerate(faces)
            for k in range(16)
        ]
        return judged(monkeypatch, made, limited)

    both = faces_in((0.3, 80), (0.2, 49), (0.1, 49))
    assert both.label == "UNSURE" and "face 2 is only 49 px large (limit 50), and so it is of 1 more" in line(
        both.to_dict(), 0.5
    )
    assert faces_in((0.3, 80), (0.2, 80)).label == "REAL"
    assert faces_in((0.9, 80), (0.2, 49)).label == "FAKE", "one faked face does"
    assert faces_in((0.9, 49), (0.8, 80)).label == "FAKE"
    assert faces_in((0.9, 49), (0.2, 80)).label == "UNSURE"


def textured(seed, blur=0, noise=0.0, contrast=1.0, side=100.0, count=4, fps=25.0):
    """An Example of 64 px crops of a random texture."""
    import cv2

    rng = np.random.default_rng(seed)
    base = cv2.resize(rng.integers(0, 256, (16, 16, 3), np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
    base = cv2.GaussianBlur(base, (blur, blur), 0) if blur else base
    frames = 128 + contrast * (base.astype(np.float32) - 128) + noise * rng.standard_normal((count, 64, 64, 3))
    one = example(0.5, count=count, fps=fps, box=(7, 9, 7 + side, 9 + side))
    return dataclasses.replace(one, frames=np.clip(frames, 0, 255).astype(np.uint8))


def test_each_measure_sees_what_it_is_named_for():
    plain = quality.measures_of([textured(0)])
    assert quality.measures_of([textured(0, blur=9)])["sharpness"] < plain["sharpness"] / 5
    noisy = quality.measures_of([textured(0, blur=9, noise=10)])["noise"]
    assert noisy == pytest.approx(10 * np.linalg.norm(quality.GREY), rel=0.15), "of grey, of three channels"
    assert quality.measures_of([textured(0, noise=10)])["flicker"] > plain["flicker"] + 3
    assert quality.measures_of([textured(0, contrast=0.5)])["contrast"] == pytest.approx(
        plain["contrast"] / 2, rel=0.05
    )
    assert plain["enlarged"] == 0.64 and quality.measures_of([textured(0, side=16)])["enlarged"] == 4
    grey = textured(0)
    grey = dataclasses.replace(grey, frames=np.repeat(grey.frames[..., :1], 3, axis=-1))
    assert quality.measures_of([grey])["colour"] < 0.1 < plain["colour"]
    assert quality.measures_of([textured(0, fps=1)])["flicker"] is None and plain["turn"] is None


def test_blocks_are_seen_where_the_grid_of_the_frame_lies_in_the_crop():
    rng = np.random.default_rng(0)
    frame = np.kron(rng.integers(0, 256, (20, 20)), np.ones((8, 8))) // 2 + rng.integers(0, 3, (160, 160))
    frame = frame[..., None].repeat(3, axis=-1).astype(np.uint8)
    at = {"boxes_px": np.float32([[13, 21, 77, 85]]), "frames": frame[None, 21:85, 13:77]}
    blocky = dataclasses.replace(example(0.5), **at)
    assert quality.measures_of([blocky])["blocks"] > 20
    off = dataclasses.replace(blocky, boxes_px=np.float32([[17, 25, 81, 89]]))
    assert quality.measures_of([off])["blocks"] < 0.5, "the differences lie elsewhere"
    turned = dataclasses.replace(blocky, transforms=np.zeros((1, 2, 3)))
    assert quality.measures_of([turned])["blocks"] is None


def test_a_face_is_turned_as_far_as_its_nose_lies_beside_its_eyes():
    points = np.float32([[20, 20], [40, 20], [30, 32], [22, 44], [38, 44]])
    for roll in (0.0, 0.7):
        turn = np.float32([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        for beside in (0.0, 8.0):
            moved = points + np.float32([[0, 0], [0, 0], [beside, 0], [0, 0], [0, 0]])
            one = dataclasses.replace(example(0.5), landmarks_px=(moved @ turn)[None])
            assert quality.measures_of([one])["turn"] == pytest.approx(beside / 20, abs=1e-3)


def test_a_notebook_shows_the_doubt_in_its_own_colour(monkeypatch):
    shown = judged(monkeypatch, shaky(0.53, 0.15))._repr_html_()
    assert "the interval holds the threshold 0.50" in shown and "UNSURE 0.5" in shown
    assert f"border-left:4px solid {palette.LIGHT['unsure']}" in shown
    assert f'<b style="color:{palette.LIGHT["unsure"]}">UNSURE' in shown


def test_a_preset_hands_its_limits_to_the_recipe():
    limits = {"flicker": 9.0}
    config = TrainConfig(limits=limits, limits_measured="on drawn faces")
    assert TrainConfig.from_dict(config.to_dict()) == config
    with pytest.raises(InputError, match="^limits: needs numbers"):
        TrainConfig(limits={"beauty": 1})
    train = pytest.importorskip("tfdeepfake.training.train")
    prepared = types.SimpleNamespace(recipe=recipe().data, version="drawn/frame:1.0.0")
    run = types.SimpleNamespace(
        config=config, prepared=prepared, start=None, network_args={}, with_flow=False, input_type="frame",
        classes=None, model=NETWORK, saved=(prepared.recipe, {}),
    )  # fmt: skip
    made = train._recipe(run)
    assert (made.limits, made.limits_measured) == (limits, "on drawn faces")
