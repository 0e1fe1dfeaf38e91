"""Folders of the frames of one video: which they are, in what order, and that they are read as the video is."""

import numpy as np
import pytest
from PIL import Image
from support.media import frame_number, make_video, moving_frames

from tfdeepfake.data import video
from tfdeepfake.data.video.frame_folder import frame_files, in_order
from tfdeepfake.data.video.write import write_image
from tfdeepfake.verdict.lines import line

FRAMES = moving_frames(12)


def folder_of(folder, names, frames=FRAMES):
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(names, frames, strict=False):
        write_image(folder / name, frame)
    return folder


def test_a_folder_of_frames_is_the_video(tmp_path):
    folder = folder_of(tmp_path / "clip", [f"frame{n}.png" for n in range(1, 13)])
    info = video.probe(folder)
    assert (info.width, info.height, info.frame_count, info.fps, info.codec) == (128, 96, 12, 25, "png")
    assert info.duration_s == 12 / 25 and not info.is_image and "12 images" in info.notes[0]
    read = video.read_frames(folder, [11, 0, 2, 2])
    np.testing.assert_array_equal(read.frames, FRAMES[[11, 0, 2, 2]])
    np.testing.assert_allclose(read.timestamps_s, np.array([11, 0, 2, 2]) / 25)
    chunks = list(video.iter_chunks(str(folder), 5))
    assert [len(chunk) for chunk in chunks] == [5, 5, 2]
    np.testing.assert_array_equal(np.concatenate([chunk.frames for chunk in chunks]), FRAMES)
    assert len(video.read_frames(folder, [3, 7], keyframes_only=True)) == 2


def test_the_frame_rate_is_an_argument(tmp_path):
    folder = folder_of(tmp_path, [f"{n:04d}.png" for n in range(12)])
    info = video.probe(folder, frame_rate=10)
    assert info.fps == pytest.approx(10) and info.duration_s == pytest.approx(1.2)
    assert video.read_frames(folder, [5], frame_rate=10).timestamps_s == pytest.approx([0.5])
    np.testing.assert_allclose(video.frame_times(folder, frame_rate=10), np.arange(12) / 10)
    assert video.probe(folder).fps == pytest.approx(25)
    for rate in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="frame_rate needs frames/s above 0"):
            video.probe(folder, frame_rate=rate)


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["frame10.png", "frame2.png", "frame1.png"], ["frame1.png", "frame2.png", "frame10.png"]),
        (["0010.JPG", "0002.jpg", "0001.jpg"], ["0001.jpg", "0002.jpg", "0010.JPG"]),
        (["v1_f10_x.png", "v1_f9_x.png", "v1_f11_x.png"], ["v1_f9_x.png", "v1_f10_x.png", "v1_f11_x.png"]),
        (["a1.png", "b2.png", "c3.png"], []),
        (["a1_1.png", "a1_2.png", "a2_1.png"], []),
        (["10.png", "2.png", "3.jpg"], ["2.png", "3.jpg", "10.png"]),
        (["1.png", "2.png", "1.jpg"], []),
        (
            ["0-00-59.960.png", "0-01-00.040.png", "0-01-00.000.png"],
            ["0-00-59.960.png", "0-01-00.000.png", "0-01-00.040.png"],
        ),
        (["t_9.96.png", "t_10.04.png", "t_10.00.png"], ["t_9.96.png", "t_10.00.png", "t_10.04.png"]),
        (["shot1.0001.png", "shot1.0002.png", "shot1.0003.png", "shot2.0001.png"], []),
        (["1_0.png", "2_0.png", "2_1.png"], []),
        (["anna.png", "bert.png", "carl.png"], []),
        (["1.png", "2.png", "cover.png"], []),
    ],
)
def test_names(names, ordered):
    assert in_order(names) == ordered


def test_the_order_is_that_of_the_numbers(tmp_path):
    folder = folder_of(tmp_path, [f"frame{n}.png" for n in range(12)])
    numbers = [frame_number(frame) for frame in video.read_frames(folder, np.arange(12)).frames]
    assert numbers == list(range(12))


def photo(path, frame, **exif):
    data = Image.Exif()
    for tag, value in ((0x010F, "A maker"), (0x0110, "A camera")):
        data[tag] = value
    Image.fromarray(frame).save(path, exif=data)


def test_what_is_no_folder_of_frames(tmp_path):
    two = folder_of(tmp_path / "two", ["1.png", "2.png"])
    unrelated = folder_of(tmp_path / "unrelated", ["anna.png", "bert.png", "carl.png", "dora7.png"])
    sizes = folder_of(tmp_path / "sizes", ["1.png", "2.png", "3.png"], [FRAMES[0], FRAMES[1], FRAMES[2][:50]])
    mixed = folder_of(tmp_path / "mixed", ["1.png", "2.png", "3.png"])
    make_video(mixed / "4.mp4", FRAMES)
    photos = tmp_path / "photos"
    photos.mkdir()
    for n, frame in enumerate(FRAMES[:4]):
        photo(photos / f"IMG_{n:04d}.JPG", frame)
    for folder in (two, unrelated, sizes, mixed, photos, tmp_path):
        assert frame_files(folder) == ()
        with pytest.raises(video.VideoError, match="is a folder: give one file. A folder is read as one video when"):
            video.probe(folder)
        with pytest.raises(video.VideoError, match="is a folder: give one file"):
            video.read_frames(folder, [0])


def test_other_files_beside_the_frames_change_nothing(tmp_path):
    folder = folder_of(tmp_path, ["1.png", "2.png", "3.png"])
    (folder / "notes.txt").write_text("x")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "masks").mkdir()
    assert [path.name for path in frame_files(folder)] == ["1.png", "2.png", "3.png"]


def test_a_damaged_frame_is_missing(tmp_path):
    folder = folder_of(tmp_path, [f"{n}.png" for n in range(6)])
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:200])
    (folder / "4.png").write_bytes(b"")
    assert video.probe(folder).frame_count == 6
    read = video.read_frames(folder, np.arange(6))
    assert read.indices.tolist() == [1, 2, 3, 5] and read.missing == 2
    np.testing.assert_array_equal(read.frames, FRAMES[[1, 2, 3, 5]])
    (chunk,) = video.iter_chunks(folder)
    assert chunk.indices.tolist() == [1, 2, 3, 5] and chunk.missing == 2


def test_a_folder_that_changed_is_read_anew(tmp_path):
    folder = folder_of(tmp_path, [f"{n}.png" for n in range(4)])
    assert video.probe(folder).frame_count == 4
    write_image(folder / "4.png", FRAMES[4])
    assert video.probe(folder).frame_count == 5


def test_an_address_is_to_be_downloaded_first():
    for path in ("https://example.com/v.mp4", "https:/example.com/v.mp4"):
        with pytest.raises(video.VideoError, match="does not exist. It is an address: download the file first"):
            video.probe(path)


def test_what_a_folder_is_stands_apart_from_what_is_wrong_with_it(tmp_path):
    folder = folder_of(tmp_path, [f"{n}.png" for n in range(3)])
    settings = {"status": "error", "label": None, "reason": "has 3.", "remedy": "Give more.", "other_streams": []}
    told = line({"file": str(folder), "video": {"notes": video.probe(folder).notes}, **settings})
    assert told.endswith("has 3. Give more. Note: a folder of 3 images, read as the frames of a video at 25 frames/s")
