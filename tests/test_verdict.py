"""A verdict's figures follow from known logits; many files end in one line each, whatever happens to one of them."""

import csv
import dataclasses
import json
import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.verdicts import brightness_network, example, no_detector, point, pretend, recipe

from tfdeepfake.data import examples, faces, video
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json, write_json
from tfdeepfake.model_folder import save_model
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.scoring import rules
from tfdeepfake.scoring.interval import interval
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.scoring.unsure import doubt
from tfdeepfake.verdict import images, inference, windows
from tfdeepfake.verdict import judging as judge
from tfdeepfake.verdict.batch import exit_code, judge_many, line, predict
from tfdeepfake.verdict.settings import JudgeSettings

NETWORK = brightness_network()


def sigmoid(logit):
    return 1 / (1 + np.exp(-logit))


def grey(brightness):
    """Probability that the network gives a grey crop: pixels are whole numbers."""
    return sigmoid(10 * (np.rint(255 * np.asarray(brightness)) / 255 - 0.5))


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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model folder and a tree of files whose name says what becomes of them."""
    monkeypatch.setattr("tfdeepfake.models.build", lambda network, **args: brightness_network())
    # The converter's process would not know this network.
    monkeypatch.setattr("tfdeepfake.compiled.choice.preferred", lambda recipe, num_files: "keras")
    save_model(
        tmp_path / "model", NETWORK, Recipe("brightness", data=recipe().data, data_version="nothing/frame:1.0.0")
    )
    monkeypatch.setattr(faces, "make_detector", lambda name, weights=None: no_detector)
    tree = tmp_path / "tree"
    for name in (
        "fake.mp4",
        "sub/real.mp4",
        "sub/noface.mp4",
        "sub/broken.mp4",
        "sub/odd.mp4",
        "sub/notes.txt",
        "list.csv",
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(name.encode())
    judged = []

    def made(path):
        judged.append(path.name)
        if path.stem == "noface":
            raise examples.NoFace(path, "no face.", "Choose another.")
        if path.stem == "broken":
            raise video.VideoError(path, "is damaged.", "Copy it again.")
        if path.stem == "odd":
            raise RuntimeError("odd")
        return [example(0.9 if "fake" in path.stem else 0.1, frame=k) for k in range(16)]

    pretend(monkeypatch, made)
    return tree, tmp_path / "model", tmp_path / "out", judged


def test_files_beyond_the_budget_are_named_and_judged_by_the_next_run(folder, monkeypatch):
    tree, model, out, judged = folder
    lines, ticks = [], iter([1.0, 4.0, 9.0, 9.0, 9.0])  # asked before each file; the slowest takes 5 s
    with monkeypatch.context() as patch:
        patch.setattr("tfdeepfake.verdict.budget.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
        stopped = judge_many([tree], model, out, budget_s=13.5, start=0.0, log=lines.append)
    assert judged == ["fake.mp4", "broken.mp4"] and stopped["counts"]["files"] == 2
    assert stopped["not_reached"] == ["sub/noface.mp4", "sub/odd.mp4", "sub/real.mp4"]
    note = "3 files were not reached within 13.5 s; the same command goes on there."
    assert note in lines and note in (out / "index.html").read_text() and exit_code(stopped) == 1
    assert len(read_json(out / "predictions.json")["verdicts"]) == 2
    whole = judge_many([tree], model, out)
    assert sorted(judged) == ["broken.mp4", "fake.mp4", "noface.mp4", "odd.mp4", "real.mp4"], "each once"
    assert whole["not_reached"] == [] and whole["counts"]["files"] == 5


def test_an_aligned_recipe_keeps_its_detector(folder):
    tree, model, out, judged = folder
    values = read_json(model / "recipe.json")
    values["data"] |= {"alignment": "gend"}
    write_json(model / "recipe.json", values)
    with pytest.raises(InputError, match="--detector: does not fit.*the mouth.*'mtcnn'.*Leave --detector out"):
        predict([tree], model, out, detector="blazeface")
    assert judged == [] and not out.exists()


def test_a_folder_ends_in_a_status_for_every_file(folder, capsys):
    tree, model, out, judged = folder
    assert predict([tree], model, out) == 1
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert re.match(
        r"FAKE 0\.98 \(0\.98-0\.98\) .*fake\.mp4: 1 face, most suspicious at 0\.0 s, its face is 40 px large$", lines[0]
    )
    for word, name in (("NO FACE", "noface"), ("UNREADABLE", "broken"), ("ERROR", "odd"), ("REAL 0.02", "real")):
        line = next(x for x in lines if f"{name}.mp4" in x)
        assert line.startswith(word)
        assert word.startswith("REAL") or not re.search(r"REAL|FAKE|0\.\d\d", line.replace(str(tree), ""))
    assert "2 of 5 scored (1 FAKE, 1 REAL, 0 UNSURE), 1 no face, 1 unreadable, 1 error." in text
    assert "2 are neither video nor image" in text and "notes.txt" in text
    result = json.loads((out / "predictions.json").read_text())
    assert result["counts"] == {
        "files": 5,
        "scored": 2,
        "no_face": 1,
        "unreadable": 1,
        "error": 1,
        "FAKE": 1,
        "REAL": 1,
        "UNSURE": 0,
        "right": 0,
        "wrong": 0,
    }
    assert [v["name"] for v in result["verdicts"]] == [
        "fake.mp4",
        "sub/broken.mp4",
        "sub/noface.mp4",
        "sub/odd.mp4",
        "sub/real.mp4",
    ]
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 5
    for image in (p for v in result["verdicts"] for p in v["images"]):
        assert (out / image["file"]).stat().st_size > 0
    assert [v["status"] for v in result["verdicts"] if v["images"]] == ["scored", "no_face", "scored"]
    assert "<svg" in (out / "index.html").read_text()


def test_scores_csv_is_what_evaluation_reads(folder):
    tree, model, out, _ = folder
    judge_many([tree], model, out)
    table = read_scores(out / "scores.csv")
    assert sorted(set(table["video"])) == [
        "fake.mp4",
        "sub/broken.mp4",
        "sub/noface.mp4",
        "sub/odd.mp4",
        "sub/real.mp4",
    ]
    assert (table["label"] == -1).all()
    bright = table["video"] == "fake.mp4"
    assert bright.sum() == 16
    np.testing.assert_allclose(sigmoid(table["logit"][bright]), grey(0.9), atol=1e-6)
    assert (table["video"] == "sub/odd.mp4").sum() == 1


def test_labels_reach_scores_csv_and_unmatched_ones_are_named(folder, capsys):
    tree, model, out, _ = folder
    (tree / "list.csv").write_text("file,label,method\nfake.mp4,FAKE,swap\nsub/real.mp4,0,\nother.mp4,real,\n")
    predict([tree], model, out, labels=tree / "list.csv")
    with open(out / "scores.csv", newline="") as stream:
        rows = {row["video"]: row for row in csv.DictReader(stream)}
    assert (rows["fake.mp4"]["label"], rows["fake.mp4"]["method"]) == ("1", "swap")
    assert rows["sub/real.mp4"]["label"] == "0" and rows["sub/odd.mp4"]["label"] == ""
    told = capsys.readouterr().out
    assert "1 of the labels are not among the files: other.mp4" in told
    assert "2 of 2 files that have a label and are judged FAKE or REAL are judged right." in told
    result = json.loads((out / "predictions.json").read_text())
    assert (result["counts"]["right"], result["counts"]["wrong"]) == (2, 0)
    assert [v.get("true_label") for v in result["verdicts"]] == ["FAKE", None, None, None, "REAL"]
    (tree / "list.csv").write_text("file,label\nfake.mp4,REAL\nsub/odd.mp4,FAKE\n")
    result = judge_many([tree], model, labels=tree / "list.csv")
    assert (result["counts"]["right"], result["counts"]["wrong"]) == (0, 1)
    for text, what in (
        ("file,label\nfake.mp4,maybe\n", "line 2: label 'maybe' is unknown"),
        ("name,y\n", "line 1"),
        ("file,label\nfake.mp4,1\nfake.mp4,1\n", "line 3.*twice"),
    ):
        (tree / "list.csv").write_text(text)
        with pytest.raises(InputError, match=what):
            judge_many([tree], model, labels=tree / "list.csv")


def test_a_stopped_run_goes_on_where_it_was(folder, monkeypatch):
    tree, model, out, judged = folder
    whole = judge_many([tree], model, out)["verdicts"]
    lines = (out / "predictions.jsonl").read_text().splitlines(keepends=True)
    # Killed in the middle of writing the third verdict.
    (out / "predictions.json").unlink()
    (out / "predictions.jsonl").write_text("".join(lines[:2]) + lines[2][:40])
    judged.clear()
    again = judge_many([tree], model, out)["verdicts"]
    assert judged == ["noface.mp4", "odd.mp4", "real.mp4"]

    def same(verdicts):
        return [{k: v for k, v in verdict.items() if k != "timings"} for verdict in verdicts]

    assert same(again) == same(whole)
    # A file that changed, other settings, or a finished run: judged anew.
    (out / "predictions.json").unlink()
    (tree / "fake.mp4").write_bytes(b"changed")
    judged.clear()
    judge_many([tree], model, out)
    assert judged == ["fake.mp4", "odd.mp4"]
    (out / "predictions.json").unlink()
    judged.clear()
    judge_many([tree], model, out, settings=JudgeSettings(max_faces=3))
    assert len(judged) == 5
    judged.clear()
    judge_many([tree], model, out, settings=JudgeSettings(max_faces=3))
    assert len(judged) == 5


def test_exit_codes(folder):
    tree, model, out, _ = folder
    assert predict([tree / "fake.mp4", tree / "sub/noface.mp4"], model) == 0
    assert predict([tree / "fake.mp4", tree / "sub/odd.mp4"], model) == 1
    assert predict([tree / "sub/broken.mp4", tree / "sub/odd.mp4"], model) == 2
    with pytest.raises(InputError, match="holds no video or image"):
        predict([model], model)


def test_results_inside_the_judged_folder_are_not_judged(folder):
    tree, model, _, judged = folder
    for _ in range(2):
        judged.clear()
        result = judge_many([tree], model, tree)
        assert len(judged) == 5 and len(result["other_files"]) == 2


def test_one_path_is_one_path(folder, capsys):
    tree, model, _, judged = folder
    for path in (tree / "fake.mp4", str(tree / "fake.mp4")):
        assert [v["file"] for v in judge_many(path, model)["verdicts"]] == [str(path)]
        assert predict(path, model) == 0
    assert judged == ["fake.mp4"] * 4


def test_settings_that_make_no_sense_are_refused_by_name():
    for name, value in (
        ("num_samples", 0),
        ("max_faces", 2.5),
        ("batch_size", -1),
        ("time_limit_s", 0),
        ("time_limit_s", float("nan")),
        ("tta", "rotate"),
    ):
        with pytest.raises(InputError, match=f"^{name}: needs"):
            JudgeSettings(**{name: value})


def test_files_given_twice_or_of_one_name_are_told_apart(folder, tmp_path):
    tree, model, out, judged = folder
    other = tmp_path / "other" / "fake.mp4"
    other.parent.mkdir()
    other.write_bytes(b"other")
    result = judge_many([tree / "fake.mp4", tree / "fake.mp4", other], model, out)
    assert len(judged) == 2
    assert len({v["name"] for v in result["verdicts"]}) == 2
    assert len({p["file"] for v in result["verdicts"] for p in v["images"]}) > 2


def test_every_key_of_predictions_json_is_documented(folder):
    tree, model, out, _ = folder
    (tree / "list.csv").write_text("file,label\nfake.mp4,FAKE\n")
    result = judge_many([tree], model, out, labels=tree / "list.csv")
    text = (Path(__file__).parents[1] / "docs" / "predictions.md").read_text()
    documented = set(re.findall(r"`(\w+)`", text))
    scored = next(v for v in result["verdicts"] if v["status"] == "scored")
    face = scored["faces"][0]
    keys = (
        set(result) | set(scored) | set(face) | set(face["timeline"][0]) | set(scored["video"]) | set(scored["timings"])
    )
    keys |= (
        set(doubt("", 0, 0, ""))
        | set(scored["peak"])
        | set(result["counts"])
        | {key for image in scored["images"] for key in image}
    )
    assert keys <= documented, keys - documented
    # ... and every key of the tables is there, but for those that only some verdicts have.
    told = set(re.findall(r"^\| `(\w+)`", text, re.M)) - {"images_problem", "traceback"}
    assert told <= keys | {"verdicts"}, told - keys


def test_images_that_cannot_be_drawn_cost_no_verdict(folder, monkeypatch):
    tree, model, out, _ = folder

    def fails(*args):
        raise ZeroDivisionError("odd box")

    monkeypatch.setattr(images, "annotate", fails)
    result = judge_many([tree / "fake.mp4"], model, out)
    assert result["counts"]["scored"] == 1 and "odd box" in result["verdicts"][0]["images_problem"]
    assert "<svg" in (out / "index.html").read_text()
