"""Runs of frames by time, and frames that only repeat the one before."""

import numpy as np
import pytest
from PIL import Image
from support.media import frame_number, make_video, moving_frames

from tfdeepfake.data import search, synthetic, video


def doubled(path, drawn, fps, shown_fps, **options):
    """Writes frames drawn at `shown_fps` as a video of `fps`: frames are repeated, or left out."""
    count = int(len(drawn) * fps / shown_fps)
    places = np.minimum((np.arange(count) * shown_fps / fps + 1e-6).astype(int), len(drawn) - 1)
    return make_video(path, drawn[places], fps=fps, **options)


# No number is written into these frames: it would jump where they glide.
def gliding(count, step=1.0):
    y, x = np.mgrid[:96, :128]
    waves = [128 + 90 * np.sin((x + 2 * step * t) / 9) * np.cos((y - step * t) / 11) for t in range(count)]
    return np.repeat(np.uint8(np.stack(waves))[..., None], 3, axis=3)


@pytest.mark.parametrize("fps, shown", [(60, 25), (50, 25), (60, 30), (25, 12.5), (30, 24), (120, 24), (60, 24)])
@pytest.mark.parametrize("options", [{}, {"crf": 32, "bf": 3}, {"codec": "mjpeg", "pix_fmt": "yuvj420p"}])
def test_doubled_frames_are_seen(tmp_path, fps, shown, options):
    path = doubled(tmp_path / ("a.avi" if "codec" in options else "a.mp4"), gliding(90), fps, shown, **options)
    beat = video.cadence(path)
    if fps / shown < 1.3:  # too few of them to be told from motion that is not steady
        assert beat.shown_fps == pytest.approx(fps, rel=1e-3) or beat.shown_fps == pytest.approx(shown, rel=0.04)
    else:
        assert beat.is_doubled and beat.shown_fps == pytest.approx(shown, rel=0.04)


def test_doubled_frames_of_a_face_that_hardly_moves_are_seen(tmp_path):
    (spec,) = (spec for spec in synthetic.make_set() if spec.video == "052_053_face_swap")
    drawn = np.stack([frame for frame, _ in synthetic.frames_of(spec)])
    for fps in (50, 60):
        path = doubled(tmp_path / f"{fps}.mp4", drawn, fps, 25, crf=18)
        assert video.cadence(path).shown_fps == pytest.approx(25, rel=0.01)
        shown = np.floor(video.runs_at_rate(path, 8, 16, 25) * 25 / fps + 1e-6)
        assert (np.diff(shown) == 1).all()


@pytest.mark.parametrize("frames", ["gliding", "still", "stop and go", "noise"])
def test_other_motion_is_not_taken_for_doubled_frames(tmp_path, frames):
    if frames == "gliding":
        drawn = gliding(90)
    elif frames == "still":
        drawn = np.repeat(gliding(1), 90, axis=0)
    elif frames == "stop and go":
        drawn = np.concatenate([gliding(20), np.repeat(gliding(20)[-1:], 30, axis=0), gliding(40)[20:]])
    else:
        drawn = np.random.default_rng(0).integers(0, 256, (90, 48, 64, 3), np.uint8)
    path = make_video(tmp_path / "a.mp4", drawn, fps=50)
    assert not video.cadence(path).is_doubled


def test_runs_of_an_ordinary_video_are_those_of_always(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(90))
    for rate in (24, 25, 30):
        for clips, frames, stride in ((8, 4, 1), (3, 16, 2), (1, 64, 1)):
            runs = video.runs_at_rate(path, clips, frames, rate, stride)
            np.testing.assert_array_equal(runs, video.run_indices(90, clips, frames, stride))
    assert video.runs_at_rate(path, 2, 91, 25).shape == (0, 91)
    with pytest.raises(ValueError, match="runs_fps needs"):
        video.runs_at_rate(path, 2, 4, 0)


@pytest.mark.parametrize("fps, shown, count", [(25, 18.75, 11), (30, 24, 14), (50, 25, 14)])
def test_no_run_of_a_short_video_is_taken_twice(tmp_path, fps, shown, count):
    path = doubled(tmp_path / "a.mp4", gliding(count), fps, shown)
    starts = video.runs_at_rate(path, 8, 8, 25)[:, 0]
    assert video.cadence(path).is_doubled and len(starts) > 1 and (np.diff(starts) > 0).all()


@pytest.mark.parametrize("fps, shown", [(60, 25), (50, 25), (50, 50), (60, 60), (100, 25)])
def test_runs_are_taken_by_time(tmp_path, fps, shown):
    # Frames drawn at the rate that they are shown at; each run has to move as one of 25 frames/s.
    drawn = gliding(int(2.4 * shown), step=25 / shown)
    path = doubled(tmp_path / "a.mp4", drawn, fps, shown, crf=10)
    times = video.frame_times(path)
    assert times[-1] == pytest.approx(2.4, abs=0.05)
    for clips, length, stride in ((3, 16, 1), (2, 8, 2), (1, 40, 1), (6, 4, 1)):
        runs = video.runs_at_rate(path, clips, length, 25, stride)
        assert runs.shape == (clips, length) and runs.max() < len(times)
        for run in runs:
            # What is drawn in each: no step is left out and none is repeated.
            moments = np.floor(run * shown / fps + 1e-6) / shown
            # 60 frames/s have none at every 1/25 s: the nearest is taken.
            np.testing.assert_allclose(np.diff(moments), stride / 25, atol=1 / 59 if shown == 60 else 1e-6)
            assert (np.diff(moments) > 0).all()
    assert runs[0].tolist() == sorted(set(runs[0].tolist()))


def test_a_slow_video_gives_its_frames_one_after_another(tmp_path):
    path = make_video(tmp_path / "a.mp4", gliding(40, step=2), fps=12.5)
    np.testing.assert_array_equal(video.runs_at_rate(path, 2, 16, 25), video.run_indices(40, 2, 16))
    path = doubled(tmp_path / "b.mp4", gliding(40, step=2), 25, 12.5)
    runs = video.runs_at_rate(path, 2, 16, 25)
    assert (np.diff(runs) == 2).all() and runs.shape == (2, 16)


def test_times_of_frames(tmp_path):
    ticks = np.cumsum([0, 1, 1, 7, 2, 2, 30, 1, 1, 5])
    path = make_video(tmp_path / "a.mkv", moving_frames(10), ticks=ticks, time_base="1/100", bf=2)
    np.testing.assert_allclose(video.frame_times(path), ticks / 100, atol=1e-3)
    runs = video.runs_at_rate(path, 1, 4, 25)
    assert [frame_number(frame) for frame in video.read_frames(path, runs[0]).frames] == runs[0].tolist()


@pytest.mark.parametrize("fps", [50, 60, 100])
@pytest.mark.parametrize("shown", [25, None])
def test_copies_at_other_rates_give_the_same_runs(tmp_path, fps, shown):
    # What a network sees of a video must not hang on a converter: None is a copy with new frames at the higher rate.
    drawn, rate = gliding(int(3.2 * (shown or fps)), step=25 / (shown or fps)), shown or fps
    path = doubled(tmp_path / "a.mp4", drawn, fps, rate, crf=10)
    for clips, length in ((8, 16), (4, 8)):
        own = video.run_indices(80, clips, length)
        moments = np.floor(video.runs_at_rate(path, clips, length, 25) * rate / fps + 1e-6) / rate
        # Of two equal frames either may be nearest to a moment between them; 60 frames/s have none at every 1/25 s.
        assert np.abs(moments - own / 25).max() <= (1 / 25 if shown else 0 if fps != 60 else 0.5 / 60) + 1e-6


def test_a_folder_of_frames_has_the_rate_that_is_given(tmp_path):
    for number, frame in enumerate(gliding(60, step=0.5)):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    assert video.cadence(tmp_path, frame_rate=50.0).fps == pytest.approx(50)
    runs = video.runs_at_rate(tmp_path, 2, 8, 25, frame_rate=50.0)
    assert (np.diff(runs) == 2).all() and runs.shape == (2, 8)
    assert (np.diff(video.runs_at_rate(tmp_path, 2, 8, 25)) == 1).all()
    places = search.find_faces(tmp_path, lambda frames: [[1]] * len(frames), frame_rate=50.0)
    assert places.length_s == pytest.approx(1.2)
