"""Writing videos."""

import numpy as np
import pytest
from support.media import frame_number, moving_frames

from tfdeepfake.data import video


def test_what_is_written_is_read_again(tmp_path):
    frames = moving_frames(20)
    assert video.write_video(tmp_path / "new folder" / "a.mp4", iter(frames), 29.97, crf=10) == 20
    info = video.probe(tmp_path / "new folder" / "a.mp4")
    assert (info.frame_count, info.width, info.height, info.codec) == (20, 128, 96, "h264")
    assert info.fps == pytest.approx(29.97)
    got = video.read_frames(tmp_path / "new folder" / "a.mp4", np.arange(20))
    assert [frame_number(frame) for frame in got.frames] == list(range(20))
    assert np.abs(got.frames.astype(int) - frames).mean() < 3


@pytest.mark.parametrize("options", [{}, {"codec": "libx265", "options": {"x265-params": "log-level=none"}}])
def test_same_frames_same_bytes(tmp_path, options):
    for name in ("a.mp4", "b.mp4"):
        video.write_video(tmp_path / name, moving_frames(12, 144, 256), 25, **options)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation(tmp_path, degrees):
    frames = moving_frames(2)
    video.write_video(tmp_path / "a.mp4", frames, 25, crf=5, rotation_deg=degrees)
    assert video.probe(tmp_path / "a.mp4").rotation_deg == degrees
    shown = np.rot90(frames, -degrees // 90, axes=(1, 2))
    assert np.abs(video.read_frames(tmp_path / "a.mp4", [0, 1]).frames.astype(int) - shown).mean() < 3


def test_odd_sizes_without_loss(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (3, 35, 51, 3), np.uint8)
    video.write_video(tmp_path / "a.mp4", frames, 10, codec="libx264rgb", crf=0, pix_fmt="rgb24")
    np.testing.assert_array_equal(video.read_frames(tmp_path / "a.mp4", [0, 1, 2]).frames, frames)


def test_a_failure_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "a.mp4"
    video.write_video(path, moving_frames(3), 25)
    before = path.read_bytes()

    def failing():
        yield from moving_frames(2)
        raise RuntimeError("drawing failed")

    with pytest.raises(RuntimeError, match="drawing failed"):
        video.write_video(path, failing(), 25)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "frames, options, message",
    [
        (np.zeros((2, 9, 8, 3), np.uint8), {}, "even height and width"),
        (np.zeros((2, 8, 8), np.uint8), {}, "need uint8 .H, W, 3."),
        (np.zeros((2, 8, 8, 3), np.float32), {}, "need uint8"),
        (
            [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 6, 3), np.uint8)],
            {},
            "the first, got uint8 .8, 6, 3. .frame 1.",
        ),
        ([], {}, "at least one frame"),
        (np.zeros((2, 8, 8, 3), np.uint8), {"rotation_deg": 45}, "rotation_deg needs"),
        (np.zeros((2, 8, 8, 3), np.uint8), {"fps": 0}, "fps needs"),
    ],
)
def test_wrong_frames(tmp_path, frames, options, message):
    with pytest.raises(ValueError, match=message):
        video.write_video(tmp_path / "a.mp4", frames, **{"fps": 25} | options)
    assert not list(tmp_path.iterdir())
