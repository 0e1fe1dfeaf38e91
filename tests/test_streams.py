"""Which of a file's streams is read, and what is said of special ones."""

import struct

import av
import numpy as np
import pytest
from support.boxes import insert
from support.media import frame_number, make_sound, make_video, moving_frames

from tfdeepfake.data import video


def both(path, parts, titles=("", ""), default=0):
    """Writes the videos of several files into one."""
    with av.open(str(path), "w") as container:
        givens = [av.open(str(part)) for part in parts]
        outs = [container.add_stream_from_template(given.streams.video[0]) for given in givens]
        for number, (out, title) in enumerate(zip(outs, titles, strict=True)):
            out.disposition = av.stream.Disposition.default if number == default else 0
            if title:
                out.metadata["title"] = title
        packets = [
            (packet.dts * packet.time_base, number, packet)
            for number, given in enumerate(givens)
            for packet in given.demux(video=0)
            if packet.dts is not None
        ]
        for _, number, packet in sorted(packets, key=lambda each: each[:2]):
            packet.stream = outs[number]
            container.mux(packet)
        for given in givens:
            given.close()
    return path


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "mov"])
@pytest.mark.parametrize("default", [0, 1])
def test_several_videos_in_one_file(tmp_path, suffix, default):
    first, second = moving_frames(20), moving_frames(30, 64, 96, seed=5)
    parts = [make_video(tmp_path / f"{n}.mp4", drawn, bf=0, crf=10) for n, drawn in enumerate((first, second))]
    path = both(tmp_path / f"both.{suffix}", parts, default=default)
    info = video.probe(path)
    assert [(s.number, s.codec, s.width, s.height) for s in info.streams] == [(0, "h264", 128, 96), (1, "h264", 96, 64)]
    if suffix == "mkv":
        assert info.stream == default
    for number, drawn in enumerate((first, second)):
        one = video.probe(path, stream=number)
        assert (one.stream, one.frame_count, one.streams) == (number, len(drawn), info.streams)
        assert (one.height, one.width) == drawn.shape[1:3]
        got = video.read_frames(path, [3, 15], stream=number)
        assert np.abs(got.frames.astype(int) - drawn[[3, 15]]).mean() < 4
        assert sum(len(chunk) for chunk in video.iter_chunks(path, 8, stream=number)) == len(drawn)
        assert len(video.frame_times(path, stream=number)) == len(drawn)
    chosen = video.read_frames(path, [3]).frames
    np.testing.assert_array_equal(chosen, video.read_frames(path, [3], stream=info.stream).frames)
    with pytest.raises(video.VideoError, match=r"has no video stream 2.*from 0 to 1"):
        video.probe(path, stream=2)
    with pytest.raises(video.VideoError, match="has no video stream -1"):
        video.read_frames(path, [0], stream=-1)


def test_titles_are_told(tmp_path):
    parts = [make_video(tmp_path / f"{n}.mp4", moving_frames(5)) for n in range(2)]
    info = video.probe(both(tmp_path / "a.mkv", parts, titles=("camera", "screen")))
    assert [stream.title for stream in info.streams] == ["camera", "screen"]


def test_covers_stay_out(tmp_path):
    with av.open(str(make_video(tmp_path / "a.mp4", moving_frames(12)))) as given:
        with av.open(str(tmp_path / "b.mp4"), "w") as container:
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 128, 96, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
            out = container.add_stream_from_template(given.streams.video[0])
            container.mux(cover.encode(av.VideoFrame.from_ndarray(moving_frames(1, seed=9)[0], format="rgb24")))
            container.mux(cover.encode(None))
            for packet in given.demux(video=0):
                if packet.dts is not None:
                    packet.stream = out
                    container.mux(packet)
    info = video.probe(tmp_path / "b.mp4")
    assert (len(info.streams), info.stream, info.codec, info.frame_count) == (1, 0, "h264", 12)
    assert frame_number(video.read_frames(tmp_path / "b.mp4", [7], stream=0).frames[0]) == 7


def test_a_stream_of_an_image_or_of_sound(tmp_path):
    from PIL import Image

    Image.fromarray(moving_frames(1)[0]).save(tmp_path / "a.png")
    assert video.probe(tmp_path / "a.png").streams == ()
    with pytest.raises(video.VideoError, match="only sound"):
        video.probe(make_sound(tmp_path / "a.m4a"), stream=0)


EQUI = struct.pack(">I4sIIIII", 28, b"equi", 0, 0, 0, 0, 0)
PRHD = struct.pack(">I4sIiii", 24, b"prhd", 0, 0, 0, 0)
PROJ = struct.pack(">I4s", 8 + len(PRHD) + len(EQUI), b"proj") + PRHD + EQUI
SVHD = struct.pack(">I4sI", 13, b"svhd", 0) + b"\0"


def test_a_spherical_video_is_said_to_be_one(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(5))
    assert video.probe(path).notes == ()
    info = video.probe(insert(path, tmp_path / "b.mp4", (b"sv3d", SVHD + PROJ)))
    assert info.notes == ("a 360-degree video (equirectangular projection): faces in it are distorted",)


@pytest.mark.parametrize("mode, view", [(1, "top"), (2, "left")])
def test_the_views_of_an_mp4(tmp_path, mode, view):
    drawn = moving_frames(5, 96, 160)
    packed = np.concatenate([drawn, drawn[:, ::-1, ::-1]], axis=2 if view == "left" else 1)
    path = make_video(tmp_path / "a.mp4", packed, crf=5, x264_params=f"frame-packing={5 - mode}")
    info = video.probe(insert(path, tmp_path / "b.mp4", (b"st3d", bytes([0, 0, 0, 0, mode]))))
    assert (
        (info.width, info.height) == (160, 96) and len(info.notes) == 1 and f"the {view} one is read" in info.notes[0]
    )
    got = video.read_frames(tmp_path / "b.mp4", [2]).frames[0]
    assert np.abs(got.astype(int) - drawn[2]).mean() < 4


def test_a_spatial_video_is_said_to_be_one(tmp_path):
    # What phones and headsets write beside MV-HEVC, whose first view every decoder reads: both eyes are there.
    stri = struct.pack(">I4sI", 13, b"stri", 0) + b"\3"
    eyes = struct.pack(">I4s", 8 + len(stri), b"eyes") + stri
    path = make_video(tmp_path / "a.mp4", moving_frames(5))
    info = video.probe(insert(path, tmp_path / "b.mp4", (b"vexu", eyes)))
    assert info.notes == ("a 3D video: one of its two views is read",)
    assert (info.width, info.height, info.frame_count) == (128, 96, 5)
