"""Faces that are there for a moment: a search over the whole video, samples where they are, and what is said of it."""

import dataclasses

import numpy as np
import pytest
from support.media import make_video, moving_frames
from support.verdicts import SIZE, brightness_network, recipe

from tfdeepfake.data import examples, faces, search, video
from tfdeepfake.data.runs import runs
from tfdeepfake.data.video.combing import LEAST_STRIPED, striped
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.verdict import judging
from tfdeepfake.verdict.batch import line
from tfdeepfake.verdict.remarks import between_samples
from tfdeepfake.verdict.settings import JudgeSettings


def bright_detector(frames):
    """Sees a face in the middle of every frame that is bright there."""
    detections = []
    for frame in frames:
        height, width = frame.shape[:2]
        box = np.float32([0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height])
        middle = frame[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
        there = int(middle.mean() > 100)
        landmarks = np.tile(box.reshape(2, 2).mean(0), (5, 1))
        detections.append(
            faces.make_detections(
                np.float32([box] * there).reshape(-1, 4),
                [0.99] * there,
                np.float32([landmarks] * there).reshape(-1, 5, 2),
            )
        )
    return detections


def a_moment(path, bright, count=300, fps=10, **options):
    """A dark video that is bright in the frames `bright`."""
    frames = np.full((count, 64, 96, 3), 20, np.uint8)
    frames[bright] = 220
    return make_video(path, frames, fps=fps, **options)


def judged(path, used, network=None, **settings):
    network = network or brightness_network()
    return judging.judge(path, network, used, bright_detector, JudgeSettings(**settings))


def test_a_face_that_is_there_for_a_moment_is_judged(tmp_path):
    path = a_moment(tmp_path / "moment.mp4", slice(123, 137))
    with pytest.raises(examples.NoFace):
        examples.extract(path, recipe(num_frames=4).data, bright_detector)
    spaced = judged(path, recipe(num_frames=4))
    clips = recipe(input_type="clip", sampling="consecutive", num_frames=4, num_clips=2)
    # Three runs over the video do not meet it, and neither does a run between.
    runs_of_frames = judged(path, clips, brightness_network(num_frames=4), num_samples=3)
    for verdict in (spaced, runs_of_frames):
        assert verdict.status == "scored" and verdict.label == "FAKE", verdict.reason
        assert verdict.searched["num_frames"] == 60 and verdict.searched["num_with_face"] in (2, 3)
        assert ", searched 30 s every 0.5 s, judged from 12." in line(verdict.to_dict(), 0.5)
        seen = [p["frame"] for p in verdict.faces[0]["timeline"]]
        assert min(seen) >= 118 and max(seen) < 142


def test_no_face_says_what_was_searched(tmp_path):
    verdict = judged(a_moment(tmp_path / "dark.mp4", []), recipe(num_frames=4))
    assert verdict.status == "no_face" and verdict.reason == "no face was found (searched 30 s every 0.5 s)."
    assert verdict.searched == {
        "length_s": pytest.approx(30), "every_s": pytest.approx(0.5, abs=0.11), "num_frames": 60, "num_with_face": 0
    }  # fmt: skip


def test_a_video_whose_first_samples_show_a_face_is_not_searched(tmp_path, monkeypatch):
    path = a_moment(tmp_path / "half.mp4", slice(150, 300))
    monkeypatch.setattr(search, "find_faces", None)
    verdict = judged(path, recipe(num_frames=4))
    assert verdict.status == "scored" and verdict.searched is None and "searched" not in line(verdict.to_dict(), 0.5)
    assert [p["frame"] for p in verdict.faces[0]["timeline"]] == [187, 262]


def test_whole_frames_are_taken_where_a_face_is(tmp_path):
    path = a_moment(tmp_path / "moment.mp4", slice(123, 137))
    verdict = judged(path, recipe(num_frames=4, detector="none"))
    assert verdict.status == "scored" and verdict.whole_frame and verdict.label == "FAKE"
    assert verdict.searched["num_frames"] == 60


@pytest.mark.parametrize("keyframes", [50, 10_000])
def test_a_long_video_is_looked_at_more_seldom_and_the_search_says_so(tmp_path, monkeypatch, keyframes):
    # An hour's proportions, made small: 30 looks at most.
    monkeypatch.setattr(search, "MOST_FRAMES", 30)
    path = a_moment(tmp_path / "long.mp4", slice(300, 420), count=900, fps=10, g=keyframes, keyint_min=1, bf=0)
    looks = search.find_faces(path, bright_detector)
    assert looks.length_s == pytest.approx(90) and looks.num_frames <= 33
    assert looks.text in ("searched 90 s every 3.0 s", "searched 90 s every 3.1 s", "searched 90 s every 5.0 s")
    ((first, end),) = looks.places[[0]].tolist()
    assert 285 <= first <= 320 and looks.places[-1, 1] <= 435
    assert (looks.places[:, 1] > looks.places[:, 0]).all() and end <= 900


def test_runs_stay_in_their_places():
    data = DataRecipe(sampling="consecutive", num_frames=4, num_clips=6, stride_frames=2)
    places = [[10, 12], [40, 80], [98, 100]]
    for run in runs("a.mp4", 100, data, places):
        assert (np.diff(run) == 2).all() and 0 <= run[0] and run[-1] < 100
        assert any(first - 4 <= run[0] and run[-1] < end + 4 for first, end in places)
    (spaced,) = runs("a.mp4", 100, DataRecipe(num_frames=8), places)
    assert len(spaced) == 8 and (np.diff(spaced) > 0).all()
    whole = runs("a.mp4", 100, data)
    np.testing.assert_array_equal(whole, video.run_indices(100, 6, 4, 2))


def test_one_of_several_videos_is_chosen_and_the_others_are_named(tmp_path):
    from test_streams import both

    parts = [a_moment(tmp_path / "a.mp4", slice(0, 0), 30), a_moment(tmp_path / "b.mp4", slice(0, 30), 30)]
    path = both(tmp_path / "both.mkv", parts, titles=("", "second camera"))
    first = judged(path, recipe(num_frames=4))
    assert first.status == "no_face" and first.video["stream"] == 0
    named = {**first.to_dict(), "name": path.name}
    assert line(named).endswith("another video is in the file: --stream 1 (h264, 96 x 64 px, second camera)")
    second = judged(path, recipe(num_frames=4), stream=1)
    assert (second.status, second.label, second.video["stream"]) == ("scored", "FAKE", 1)
    assert [s["number"] for s in second.video["other_streams"]] == [0]
    assert "--stream 0 (h264" in line(second.to_dict(), 0.5)
    absent = judged(path, recipe(num_frames=4), stream=2)
    assert absent.status == "unreadable" and "from 0 to 1" in absent.remedy
    alone = judged(parts[1], recipe(num_frames=4))
    assert alone.video["other_streams"] == [] and "another video" not in line(alone.to_dict(), 0.5)


def motion_network(num_frames):
    """keras.Model: the logit grows with the difference between neighbouring frames of a clip."""
    import keras

    frames = keras.Input((num_frames, SIZE, SIZE, 3), name="frames")
    motion = keras.ops.mean(keras.ops.abs(frames[:, 1:] / 255.0 - frames[:, :-1] / 255.0), (1, 2, 3, 4))
    return keras.Model({"frames": frames}, motion[:, None] * 60 - 2)


def test_a_clip_scores_the_same_at_other_frame_rates(tmp_path):
    drawn = moving_frames(400)
    versions = {25: drawn[::4], 50: drawn[::2], 60: drawn[::4][np.arange(240) * 25 // 60], 12.5: drawn[::8]}
    used = recipe(input_type="clip", sampling="consecutive", num_frames=8, num_clips=8)
    at_25 = dataclasses.replace(used, data=dataclasses.replace(used.data, runs_fps=25.0))
    network, by_time, as_they_lie, doubts = motion_network(8), {}, {}, {}
    for fps, frames in versions.items():
        path = make_video(tmp_path / f"{fps}.mp4", frames, fps=fps, crf=12)
        timed, plain = (judging.judge(path, network, chosen, middle_detector) for chosen in (at_25, used))
        by_time[fps], as_they_lie[fps] = timed.probability, plain.probability
        doubts[fps] = [doubt for doubt in timed.doubts if doubt["measure"] == "frame_rate"]
        assert not any(doubt["measure"] == "frame_rate" for doubt in plain.doubts)
    assert as_they_lie[25] == by_time[25]
    for fps in (50, 60):
        assert abs(by_time[fps] - by_time[25]) < 0.05 < abs(as_they_lie[fps] - as_they_lie[25]) - 0.05
    # Frames that a slower video does not have are not made up: it is taken one frame after another.
    assert by_time[12.5] == as_they_lie[12.5]
    # But it is said, and nothing is claimed.
    assert not doubts[25] and not doubts[50] and not doubts[60] and timed.label == "UNSURE"
    text = "shows 12.5 new frames/s, the network knows motion at 25"
    assert doubts[12.5] == [{"measure": "frame_rate", "value": 12.5, "limit": 18.657, "face": None, "text": text}]
    assert f": {text}; " in line(timed.to_dict() | {"name": "a.mp4"}, 0.5)


def test_stripes_of_two_moments_are_said_where_the_file_does_not_say_interlaced(tmp_path):
    drawn = moving_frames(48)
    drawn[:, 12:] = np.roll(drawn, 9, axis=2)[:, 12:] // 2 + (np.arange(128) % 32 < 16)[None, None, :, None] * 100
    moved = np.stack([np.roll(frame, 3 * number, axis=1) for number, frame in enumerate(drawn)]).astype(np.uint8)
    woven = moved[::2].copy()
    woven[:, 1::2] = moved[1::2, 1::2]
    used = recipe(input_type="frame", num_frames=8)
    for name, frames, is_said in (("a.mp4", moved, False), ("b.mp4", woven, True)):
        path = make_video(tmp_path / name, frames, crf=16)
        notes = judging.judge(path, brightness_network(), used, middle_detector).video["notes"]
        assert any("looks interlaced" in note for note in notes) == is_said


def test_one_place_of_a_small_frame_is_no_stripes():
    frame = np.full((1, 96, 128, 3), 100, np.uint8)
    four_lines = [40, 42, *range(44, 96)]
    frame[:, four_lines, 8] = 160
    assert striped(frame).max() == 0
    frame[:, four_lines, 8:20] = 160
    assert striped(frame).max() > LEAST_STRIPED


def middle_detector(frames):
    """A face in the middle of every frame."""
    return bright_detector([np.full_like(frame, 255) for frame in frames])


@pytest.mark.parametrize(
    "label, searched, told",
    [
        ("REAL", None, "up to 2.5 s between samples were not looked at"),
        ("REAL", {"length_s": 6.0}, ""),
        ("FAKE", None, ""),
    ],
)
def test_what_lies_between_the_samples_of_a_real_is_said(label, searched, told):
    points = [{"time_s": time_s, "end_s": time_s + 0.5} for time_s in (0.0, 4.0, 1.0)]
    verdict = {"label": label, "searched": searched, "video": {"is_image": False, "duration_s": 6.0}}
    verdict["faces"] = [{"timeline": points[:2]}, {"timeline": points[2:]}]
    assert between_samples(verdict) == told
    assert between_samples(verdict | {"video": {"is_image": True}}) == ""
    verdict["faces"][1]["timeline"] = [{"time_s": 0.6 * n, "end_s": 0.6 * n + 0.5} for n in range(10)]
    assert between_samples(verdict) == ""
