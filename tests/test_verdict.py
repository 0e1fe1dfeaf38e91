"""A verdict's figures follow from known logits, and what cannot be judged has none."""

import dataclasses
import json
import time

import numpy as np
import pytest
from support.verdicts import brightness_network, example, grey, no_detector, point, pretend, recipe, sigmoid

from tfdeepfake.data import examples, faces, video
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring import rules
from tfdeepfake.scoring.interval import interval
from tfdeepfake.verdict import inference, windows
from tfdeepfake.verdict import judging as judge
from tfdeepfake.verdict.batch import line
from tfdeepfake.verdict.settings import JudgeSettings

NETWORK = brightness_network()


def judged(monkeypatch, made, used=None, model=NETWORK, frame_count=100, is_image=False, **settings):
    pretend(monkeypatch, made, frame_count, is_image)
    return judge.judge("clip.mp4", model, used or recipe(), no_detector, JudgeSettings(**settings))


def test_only_a_scored_verdict_has_a_probability_and_a_label():
    for status in ("no_face", "unreadable", "error"):
        with pytest.raises(ValueError, match="only a scored"):
            judge.Verdict("a.mp4", status, probability=0.5)
        with pytest.raises(ValueError, match="only a scored"):
            judge.Verdict("a.mp4", status, label="REAL")
    with pytest.raises(ValueError, match="only a scored"):
        judge.Verdict("a.mp4", "scored")
    with pytest.raises(ValueError, match="status needs"):
        judge.Verdict("a.mp4", "maybe")


def test_the_most_suspicious_face_decides_by_its_mean(monkeypatch):
    bright, dark = [0.55, 0.9, 0.6, 0.7] * 4, [0.1, 0.6, 0.2, 0.3] * 4
    made = [example(b, face=7, frame=6 * k) for k, b in enumerate(bright)]
    made += [example(b, face=2, frame=6 * k) for k, b in enumerate(dark)]
    verdict = judged(monkeypatch, made)
    assert verdict.status == "scored" and verdict.label == "FAKE"
    assert verdict.probability == pytest.approx(grey(bright).mean(), abs=1e-6)
    assert [f["label"] for f in verdict.faces] == ["FAKE", "REAL"]
    assert verdict.faces[1]["probability"] == pytest.approx(grey(dark).mean(), abs=1e-6)
    assert [p["frame"] for p in verdict.faces[0]["timeline"]] == [6 * k for k in range(16)]
    assert verdict.faces[0]["timeline"][1]["probability"] == pytest.approx(grey(0.9), abs=1e-6)
    assert verdict.faces[0]["timeline"][1]["box"] == [10, 20, 50, 60]
    assert verdict.faces[0]["timeline"][2]["time_s"] == pytest.approx(1.2)
    json.dumps(verdict.to_dict(), allow_nan=False)


def test_threshold_and_temperature_are_the_recipes(monkeypatch):
    made = [example(0.6, frame=k) for k in range(16)]
    logit = 10 * (np.rint(255 * 0.6) / 255 - 0.5)
    plain = judged(monkeypatch, made)
    assert (plain.label, plain.probability) == ("FAKE", pytest.approx(sigmoid(logit), abs=1e-6))
    cooled = judged(monkeypatch, made, recipe(temperature=4.0))
    assert cooled.probability == pytest.approx(sigmoid(logit / 4), abs=1e-6)
    assert judged(monkeypatch, made, recipe(threshold=0.8)).label == "REAL"
    at = recipe(threshold=float(plain.probability))
    assert judged(monkeypatch, made, at).label == "FAKE", "the threshold itself is FAKE"


def test_a_fake_inside_a_genuine_video_is_named_by_either_rule(monkeypatch):
    values = np.full(32, 0.2)
    values[[3, 12, 13, 14]] = 0.95, 0.9, 0.9, 0.9  # one sample alone is no window
    made = [example(b, frame=6 * k) for k, b in enumerate(values)]
    values = grey(values)
    by_mean = judged(monkeypatch, made, recipe(num_frames=32), frame_count=200)
    assert (by_mean.label, by_mean.video_rule) == ("REAL", "mean")
    assert by_mean.probability == by_mean.mean == pytest.approx(values.mean(), abs=1e-6)
    peak = {"from_s": 7.2, "to_s": 8.4, "num_samples": 3, "face": 1}
    assert by_mean.peak == {"probability": pytest.approx(grey(0.9), abs=1e-6), **peak}
    assert line(by_mean.to_dict(), 0.5).endswith(", but peak 0.98 at 7.2-8.4 s")
    rule = dataclasses.replace(recipe(num_frames=32), video_rule="peak")
    for by_peak in (
        judged(monkeypatch, made, rule, frame_count=200),
        judged(monkeypatch, made, recipe(num_frames=32), frame_count=200, video_rule="peak"),
    ):
        assert (by_peak.label, by_peak.video_rule) == ("FAKE", "peak")
        assert by_peak.probability == by_peak.peak["probability"] == by_mean.peak["probability"]
        assert by_peak.mean == by_mean.mean and by_peak.interval is None and "window" in by_peak.interval_reason
        assert line(by_peak.to_dict(), 0.5).endswith(", peak 0.98 at 7.2-8.4 s, but mean 0.16")
    again = judged(monkeypatch, made, rule, frame_count=200, video_rule="mean")
    assert again.probability == by_mean.mean, "the user's rule goes before the recipe's"
    steady = judged(monkeypatch, [example(0.2, frame=k) for k in range(16)])
    assert "peak" not in line(steady.to_dict(), 0.5)
    still = judged(monkeypatch, made[:1], rule, frame_count=1, is_image=True)
    assert still.peak is None and still.probability == still.mean


@pytest.mark.parametrize("seed", range(3))
def test_the_peak_is_the_highest_of_all_windows(seed):
    rng = np.random.default_rng(seed)
    times, values = np.sort(rng.uniform(0, 12, 30)).round(4), rng.uniform(size=30)
    points = [point(float(t), float(v)) for t, v in zip(times, values, strict=True)]
    means = []
    for first in range(28):
        last = max(first + 3, int((times <= times[first] + 1.5).sum()))
        means.append(values[first:last].mean())
        if last == 30:
            break
    assert windows.peak(points)["probability"] == pytest.approx(max(means))
    clips = [point(2.0 * k, float(v), boxes=[]) for k, v in enumerate(values)]
    assert windows.peak(clips)["probability"] == pytest.approx(values.max()), "a clip is a window by itself"


def test_a_brief_face_is_listed_and_does_not_decide(monkeypatch):
    made = [example(0.2, face=0, frame=k) for k in range(16)] + [example(0.99, face=1, frame=3)]
    verdict = judged(monkeypatch, made)
    assert verdict.label == "REAL"
    assert [(f["brief"], f["fraction"]) for f in verdict.faces] == [(False, 1.0), (True, 0.0625)]
    only = judged(monkeypatch, [example(0.99, face=1, frame=3)])
    assert only.label == "FAKE" and not only.faces[0]["brief"], "a face that is all there is decides"


def test_small_and_doubtful_faces_do_not_decide_beside_others(monkeypatch):
    def faces_in(*faces):
        sides = {"small": 41, "doubtful": 80, "clear": 80}
        return [
            example(
                b, face=number, frame=k, box=(0, 0, sides[kind], sides[kind]), score=0.99 - 0.1 * (kind == "doubtful")
            )
            for number, (kind, b) in enumerate(faces)
            for k in range(16)
        ]

    for kind in ("small", "doubtful"):
        verdict = judged(monkeypatch, faces_in(("clear", 0.2), (kind, 0.99)))
        assert verdict.label == "REAL" and verdict.deciding_face == 1
        assert [f["weak"] for f in verdict.faces] == [False, True]
        told = line(verdict.to_dict(), 0.5)
        assert (
            "decided by face 1 (80 px)" in told and "but face 2 at 0.99 is too small or too unclear to decide" in told
        )
        assert judged(monkeypatch, faces_in((kind, 0.99))).label == "FAKE", "a face that is all there is decides"
    assert judged(monkeypatch, faces_in(("clear", 0.2), ("clear", 0.99))).deciding_face == 2
    crowd = judged(monkeypatch, faces_in(("doubtful", 0.2), ("small", 0.99)))
    assert crowd.label == "REAL", "of weak faces the larger decide"


def test_faces_beyond_the_limit_are_counted(monkeypatch):
    made = [example(0.2, face=f, frame=k) for f in range(30) for k in range(2 + (f == 29))]
    verdict = judged(monkeypatch, made, max_faces=5)
    assert len(verdict.faces) == 5 and verdict.faces_not_judged == 25
    assert max(len(f["timeline"]) for f in verdict.faces) == 3, "those seen longest are judged"
    assert (verdict.label, verdict.faces[0]["label"]) == ("UNSURE", "REAL"), "no REAL over faces not looked at"
    assert "clip.mp4: only 5 of 30 faces were judged; 30 faces" in line(verdict.to_dict(), 0.5)
    few = [example(0.9, face=f, frame=k) for f in range(30) for k in range(2)]
    fake = judged(monkeypatch, few, max_faces=5)
    assert fake.label == "FAKE" and "5 of 30 faces judged" in line(fake.to_dict(), 0.5)
    assert len(judged(monkeypatch, made).faces) == 30, "without a limit all are"


def test_of_a_still_image_every_face_is_judged_the_largest_first(monkeypatch):
    sides = np.random.default_rng(0).permutation(np.arange(20, 60))
    made = [example(0.5, face=k, box=(0, 0, side, side), score=1 / side) for k, side in enumerate(sides)]
    verdict = judged(monkeypatch, made, frame_count=1, is_image=True)
    assert len(verdict.faces) == 40 and verdict.faces_not_judged == 0
    widths = {face["face"]: face["timeline"][0]["box"][2] for face in verdict.faces}
    assert [widths[number] for number in range(1, 41)] == sorted(sides, reverse=True)
    few = judged(monkeypatch, made, frame_count=1, is_image=True, max_faces=3)
    assert sorted(f["timeline"][0]["box"][2] for f in few.faces) == [57, 58, 59] and few.faces_not_judged == 37


def test_no_face_unreadable_and_error_have_no_probability(monkeypatch):
    def fails(error):
        def made(path):
            raise error

        return judged(monkeypatch, made)

    for error, status in [
        (video.VideoError("clip.mp4", "is damaged.", "Copy it again."), "unreadable"),
        (examples.TooShort("clip.mp4", "has 3 frames.", "Choose a longer one."), "error"),
    ]:
        verdict = fails(error)
        assert (verdict.status, verdict.reason, verdict.remedy) == (status, error.problem, error.remedy)
        assert verdict.probability is None and verdict.label is None and verdict.interval is None and not verdict.faces
    verdict = fails(examples.NoFace("clip.mp4", "no face.", "Choose another."))
    assert verdict.status == "no_face" and verdict.reason == "no face was found (searched 10 s every 0.5 s)."
    assert verdict.probability is None and verdict.label is None and verdict.searched["num_frames"] == 20
    odd = fails(RuntimeError("odd"))
    assert odd.status == "error" and "RuntimeError: odd" in odd.reason and not odd.traceback

    def raises(path):
        raise RuntimeError("odd")

    assert "raise RuntimeError" in judged(monkeypatch, raises, debug=True).traceback


def test_scores_that_are_no_number_are_an_error(monkeypatch):
    made = [example(0.5, frame=0, flow=np.nan), example(0.5, frame=1, flow=0)]
    verdict = judged(monkeypatch, made, recipe(input_type="flow", flow="dis"), brightness_network(flow=True))
    assert verdict.status == "error" and "1 of 2 scores" in verdict.reason


def test_the_time_limit_ends_a_decoder_that_hangs(monkeypatch):
    def hangs(path):
        while True:
            try:
                time.sleep(0.01)
            except Exception:  # a decoder that swallows what it does not know
                continue

    start = time.monotonic()
    verdict = judged(monkeypatch, hangs, time_limit_s=0.2)
    assert verdict.status == "error" and "0.2 s" in verdict.reason
    assert time.monotonic() - start < 5


def test_the_time_limit_works_in_a_thread_between_steps(monkeypatch):
    import threading

    def slow(path):
        time.sleep(0.3)
        return [example(0.5)]

    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(judged(monkeypatch, slow, time_limit_s=0.1)))
    thread.start()
    thread.join()
    assert verdicts[0].status == "error" and "0.1 s" in verdicts[0].reason


def test_the_interval_covers_the_figure_and_is_left_out_for_one_frame(monkeypatch):
    rng = np.random.default_rng(0)
    calm = [example(0.6 + 0.01 * x, frame=k) for k, x in enumerate(rng.normal(size=16))]
    shaky = [example(np.clip(0.6 + 0.2 * x, 0, 1), frame=k) for k, x in enumerate(rng.normal(size=16))]
    widths = []
    for made in (calm, shaky):
        verdict = judged(monkeypatch, made)
        low, high = verdict.interval
        assert 0 <= low < verdict.probability < high <= 1
        widths.append(high - low)
    assert widths[0] < widths[1] / 5
    assert judged(monkeypatch, shaky).interval == verdict.interval, "the same file gets the same figures"
    single = judged(monkeypatch, calm[:1])
    assert single.interval is None and single.interval_reason == "only one frame was scored"


def test_the_interval_draws_samples_with_all_their_faces():
    # Two faces that mirror each other: their mean over the same samples is never both low.
    values = np.random.default_rng(0).uniform(size=40)
    table = dict(enumerate(np.log(values / (1 - values))))
    mirror = {m: -v for m, v in table.items()}
    low, high = interval([table, mirror])
    assert low >= 0.5 - 1e-9
    one = interval([table])
    assert one[0] < values.mean() < one[1]
    # The normal approximation of a mean's interval, within a quarter.
    assert one[1] - one[0] == pytest.approx(2 * 1.96 * values.std() / np.sqrt(40), rel=0.25)
    assert interval([{3: 0.5}]) is None
    # Taken together the two say the same in every draw, and under each rule the interval holds the figure.
    assert interval([table, mirror], faces_rule="all") == pytest.approx((0.5, 0.5))
    for rule in ("mean", "mean_logit", "confident"):
        low, high = interval([table, {3: 4.0}], rule, "all", 2.0)
        assert low < rules.sum_up([*table.values(), 4.0], None, rule, 2.0)[0] < high
        several = [{k: [v, v] for k, v in table.items()}]
        assert interval(several, rule) == interval([table], rule)


def test_a_frame_network_on_a_clip_recipe_sees_every_frame_once(monkeypatch):
    values = np.linspace(0.2, 0.8, 6)
    made = [example(values[:4], frame=0, count=4), example(values[2:], frame=2, count=4)]  # overlapping clips
    used = recipe(input_type="clip", sampling="consecutive", num_frames=4)
    verdict = judged(monkeypatch, made, used, frame_count=6)
    assert [p["frame"] for p in verdict.faces[0]["timeline"]] == list(range(6))
    assert verdict.probability == pytest.approx(grey(values).mean(), abs=1e-6)
    assert verdict.faces[0]["fraction"] == 1.0


def test_a_clip_network_gives_one_point_a_clip(monkeypatch):
    made = [example(b, frame=f, count=4) for f, b in ((0, 0.3), (40, 0.7), (80, 0.9))]
    used = recipe(input_type="clip", sampling="consecutive", num_frames=4)
    verdict = judged(monkeypatch, made, used, brightness_network(num_frames=4), num_samples=3)
    first = verdict.faces[0]["timeline"][0]
    assert (first["time_s"], first["end_s"], first["frame"]) == (0, pytest.approx(0.3), 0)
    assert [row[0] for row in first["boxes"]] == [0, 1, 2, 3]
    assert verdict.probability == pytest.approx(grey([0.3, 0.7, 0.9]).mean(), abs=1e-6)
    assert verdict.num_samples == 3
    single = judged(monkeypatch, made[:1], recipe(input_type="clip", num_frames=4), brightness_network(num_frames=4))
    assert single.interval is None and single.interval_reason == "only one clip was scored"


def test_flow_reaches_the_network(monkeypatch):
    made = [example(0.5, frame=k, flow=2.0) for k in range(4)]
    verdict = judged(monkeypatch, made, recipe(input_type="flow", flow="dis"), brightness_network(flow=True))
    assert verdict.probability == pytest.approx(sigmoid(10 * (128 / 255 - 0.5) + 2), abs=1e-6)


def test_padding_the_last_batch_changes_nothing():
    values = np.random.default_rng(0).uniform(size=11)
    inputs = [(example(v).frames[0], None) for v in values]
    expected = 10 * (np.rint(255 * values) / 255 - 0.5)
    for batch_size in (1, 3, 4, 32):
        np.testing.assert_allclose(inference.score(NETWORK, inputs, batch_size), expected, atol=1e-5)


def test_model_and_recipe_that_do_not_belong_together_are_refused():
    clip = recipe(input_type="clip", num_frames=4)
    for model, used, what in [
        (NETWORK, recipe(height_px=16), "8 x 8 px"),
        (brightness_network(num_frames=4), recipe(input_type="clip", num_frames=16), "clips of 4 frames"),
        (brightness_network(num_frames=4), recipe(), "single examples"),
        (brightness_network(num_frames=4, flow=True), clip, "optical flow"),
        (brightness_network(classes=3), recipe(), "3 classes"),
    ]:
        with pytest.raises(InputError, match=what):
            judge.judge("clip.mp4", model, used, no_detector)
    assert inference.check_model(brightness_network(num_frames=4), clip) == "clip"


def test_sampling_keeps_what_the_network_was_trained_on():
    runs = DataRecipe(sampling="consecutive", num_frames=8, num_clips=2, stride_frames=3)
    more = inference.sampling(runs, "clip")
    assert (more.num_clips, more.select, more.num_frames, more.stride_frames) == (8, "all", 8, 3)
    assert inference.sampling(runs, "clip", num_samples=3).num_clips == 3
    assert inference.sampling(DataRecipe(input_type="frame"), "frame", num_samples=40).num_frames == 40
    assert inference.sampling(DataRecipe(), "clip").num_frames == 16
    with pytest.raises(InputError, match="spaced over the whole video"):
        inference.sampling(DataRecipe(), "clip", num_samples=4)


def test_a_whole_frame_network_still_needs_a_face(monkeypatch):
    made = [example(0.9, frame=k) for k in range(4)]
    pretend(monkeypatch, made)
    used = recipe(detector="none")
    empty = faces.make_detections([], [], [])
    one = faces.make_detections([[1, 2, 30, 40]], [0.99], np.zeros((1, 5, 2)))
    verdict = judge.judge("clip.mp4", NETWORK, used, lambda frames: [empty] * len(frames))
    assert verdict.status == "no_face" and verdict.probability is None
    verdict = judge.judge("clip.mp4", NETWORK, used, lambda frames: [empty] * (len(frames) - 1) + [one])
    assert verdict.status == "scored"


# --- many files -------------------------------------------------------------------------------------------------
