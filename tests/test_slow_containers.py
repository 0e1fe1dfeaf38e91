"""Containers without an index: their packets are read, and all frames are decoded only where packets tell nothing."""

import av
import numpy as np
import pytest
from support.media import frame_number, join, make_video, moving_frames, pack_b_frames
from support.paff import write_paff

from tfdeepfake.data import video
from tfdeepfake.data.video import packets, read, survey
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.verdict.clock import TimeUp
from tfdeepfake.verdict.looking import LookPlan, look

MPEG2 = {"codec": "mpeg2video", "b": "900k", "g": 10, "bf": 2}
HEVC = {"codec": "libx265", "x265_params": "log-level=none:keyint=10:min-keyint=10:bframes=3:open-gop=0"}
OPEN_HEVC = {"codec": "libx265", "x265_params": "log-level=none:keyint=10:min-keyint=10:bframes=3:open-gop=1"}
H264 = {"g": 10, "bf": 2, "sc_threshold": 0}
FILES = {
    "h264.ts": H264,
    "open.ts": H264 | {"x264_params": "open-gop=1"},
    "h264.m2ts": H264,
    "mpeg2.ts": MPEG2,
    "hevc.ts": HEVC,
    "open_hevc.ts": OPEN_HEVC,
    "mpeg2.mpg": MPEG2,
    "mpeg2.vob": MPEG2,
    "mpeg2.m2v": MPEG2,
    "mpeg2.mxf": MPEG2,
    "mpeg2.mkv": MPEG2,
    "h264.flv": H264,
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg4.avi": {"codec": "mpeg4", "bf": 0, "g": 10, "b": "900k"},
    "h264.nut": H264,
    "h264.avi": H264,
    "b_frames.avi": {"codec": "mpeg4", "bf": 2, "g": 10, "b": "900k"},
    "packed.avi": {"codec": "mpeg4", "bf": 1, "g": 12, "b": "900k"},
    "h263.avi": {"codec": "h263", "g": 10, "b": "900k"},
    "h263_plus.avi": {"codec": "h263p", "g": 10, "b": "900k"},
    "h264.asf": H264,
    "wmv2.wmv": {"codec": "wmv2", "g": 10, "b": "900k"},
    "msmpeg4.asf": {"codec": "msmpeg4", "g": 10, "b": "900k"},
    "msmpeg4.avi": {"codec": "msmpeg4", "g": 10, "b": "900k"},
    "cfhd.avi": {"codec": "cfhd", "pix_fmt": "yuv422p10le"},
    "flashsv.flv": {"codec": "flashsv", "g": 10, "pix_fmt": "bgr24"},
    "rv20.rm": {"codec": "rv20", "g": 10, "b": "900k"},
    "vp8.ogv": {"codec": "libvpx", "g": 10, "b": "400k"},
    "vp8.webm": {"codec": "libvpx", "g": 10, "lag_in_frames": 16, "auto_alt_ref": 1, "b": "400k"},
    "vp9.ivf": {"codec": "libvpx-vp9", "g": 10, "lag_in_frames": 16, "auto_alt_ref": 1},
    "no_cues.mkv": H264 | {"container_options": {"live": "1"}},
    "raw.h264": H264,
    "raw.hevc": HEVC,
    "open.hevc": OPEN_HEVC,
    "images.mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "plain.y4m": {"codec": "wrapped_avframe"},
}


def plainly(path, **size):
    """As FFmpeg decodes it; size: width and height, where its pixels are not square."""
    rgb = {"format": "rgb24", "interpolation": "BICUBIC"} | size
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(**rgb) for f in container.decode(video=0)])


@pytest.fixture
def fed(monkeypatch):
    """Packets that go into a decoder."""
    count = []

    def counted(decoder, packet):
        count.extend([packet] if packet is not None else [])
        return packets.decoded(decoder, packet)

    for module in (survey, video.decode):
        monkeypatch.setattr(module, "decoded", counted)
    original = packets.Sequence.__call__

    def sequence(self, packet):
        count.extend([packet] if packet is not None else [])
        yield from original(self, packet)

    monkeypatch.setattr(packets.Sequence, "__call__", sequence)
    return count


@pytest.mark.parametrize("name", FILES)
def test_frames_are_counted_without_decoding_them(tmp_path, fed, name):
    path = make_video(tmp_path / name, moving_frames(150), **FILES[name])
    if name == "packed.avi":
        path = pack_b_frames(path, tmp_path / "again.avi")
    info = video.probe(path)
    assert info.frame_count == 150 and info.fps == pytest.approx(25, rel=1e-3)
    assert 0 < len(fed) <= survey.TRIED_PACKETS + 2
    fed.clear()
    got = video.read_frames(path, [137, 138, 4])
    assert len(fed) <= (70 if name == "raw.h264" else 60)
    every = plainly(path, width=info.width, height=info.height)
    np.testing.assert_array_equal(got.frames, every[[137, 138, 4]])
    np.testing.assert_allclose(got.timestamps_s, np.array([137, 138, 4]) / 25, atol=2e-3)
    assert [frame_number(frame) for frame in got.frames] == [137, 138, 4]
    wanted = np.arange(0, 150, 7)
    np.testing.assert_array_equal(video.read_frames(path, wanted).frames, every[wanted])
    np.testing.assert_array_equal(np.concatenate([chunk.frames for chunk in video.iter_chunks(path, 64)]), every)
    keys = video.read_frames(path, [3, 77], keyframes_only=True)
    np.testing.assert_array_equal(keys.frames, every[keys.indices])


@pytest.mark.parametrize("codec", [H264, H264 | {"x264_params": "open-gop=1"}, HEVC, OPEN_HEVC, MPEG2])
@pytest.mark.parametrize("lost", [3, 10, 17])
def test_a_recording_begins_in_the_middle_of_a_group(tmp_path, fed, codec, lost):
    whole = make_video(tmp_path / "a.ts", moving_frames(150), **codec)
    with av.open(str(whole)) as given, av.open(str(tmp_path / "b.ts"), "w") as container:
        out = container.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(video=0)):
            if packet.dts is not None and number >= lost:
                packet.stream = out
                container.mux(packet)
    every = plainly(tmp_path / "b.ts")
    info = video.probe(tmp_path / "b.ts")
    assert info.frame_count == len(every) < 150 and info.fps == pytest.approx(25, rel=1e-3)
    assert len(fed) <= survey.TRIED_PACKETS + 20
    wanted = np.array([0, 1, 2, 60, info.frame_count - 1])
    got = video.read_frames(tmp_path / "b.ts", wanted)
    assert got.missing == 0
    np.testing.assert_array_equal(got.frames, every[wanted])


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_the_clock_starts_again(tmp_path, fed, suffix):
    codec = H264 if suffix == "ts" else MPEG2
    part = make_video(tmp_path / f"a.{suffix}", moving_frames(60), **codec)
    path = tmp_path / f"b.{suffix}"
    path.write_bytes(part.read_bytes() * 3)
    info = video.probe(path)
    assert len(fed) <= survey.TRIED_PACKETS + 2
    # At each seam the demuxer may not be sure of one frame.
    assert 178 <= info.frame_count <= 180 and info.fps == pytest.approx(25, rel=0.02)
    got = video.read_frames(path, np.arange(info.frame_count))
    assert got.missing == 0 and (np.diff(got.timestamps_s) > 0).all() and (np.diff(got.timestamps_s) < 0.13).all()
    numbers = [frame_number(frame) for frame in got.frames]
    assert numbers[:59] == list(range(59)) and numbers[-59:] == list(range(1, 60)) and max(numbers) == 59
    alone = video.read_frames(path, [100, 170])
    np.testing.assert_array_equal(alone.frames, got.frames[[100, 170]])


def test_an_avi_whose_every_frame_is_called_a_keyframe(tmp_path):
    path = make_video(tmp_path / "a.avi", moving_frames(60), codec="h263p", g=10, b="900k")
    whole = make_video(tmp_path / "b.avi", moving_frames(60), codec="mpeg4", bf=0, g=10, b="900k")
    data = whole.read_bytes()
    at = data.index(b"idx1") + 8
    for entry in range(at, len(data) - 15, 16):  # its flags, AVIIF_KEYFRAME
        data = data[: entry + 4] + b"\x10" + data[entry + 5 :]
    (tmp_path / "c.avi").write_bytes(data)
    for name in ("a.avi", "c.avi"):
        path = tmp_path / name
        every = video.read_frames(path, np.arange(60)).frames
        np.testing.assert_array_equal(video.read_frames(path, [57, 4]).frames, every[[57, 4]])
    assert [frame_number(frame) for frame in every[[57, 4]]] == [57, 4]


def test_times_that_are_not_those_of_showing(tmp_path):
    # ASF gives H.264 packets with B-frames the times at which they are decoded.
    path = make_video(tmp_path / "a.asf", moving_frames(60), **H264)
    assert [frame_number(frame) for frame in video.read_frames(path, [4, 31, 58]).frames] == [4, 31, 58]


def test_frames_left_out_of_an_avi_leave_gaps(tmp_path):
    ticks = [n for n in range(60) if n % 3 or n < 9]
    frames = moving_frames(60)[ticks]
    path = make_video(tmp_path / "a.avi", frames, codec="mpeg4", bf=0, g=10, b="900k", ticks=ticks, time_base="1/25")
    times = video.frame_times(path)
    np.testing.assert_allclose(times, np.array(ticks) / 25, atol=1e-6)


def test_the_clock_leaps_where_frames_were_cut_away(tmp_path):
    # The end of the first part lacks frames that are shown before its last one.
    whole = make_video(tmp_path / "a.ts", moving_frames(40), **H264)
    parts = []
    for number, (ahead, count) in enumerate(((0, 22), (3600 * 90000, 40))):
        with av.open(str(whole)) as given, av.open(str(tmp_path / f"{number}.ts"), "w") as container:
            stream = given.streams.video[0]
            out = container.add_stream_from_template(stream)
            for packet in list(given.demux(stream))[:count]:
                if packet.dts is not None:
                    packet.stream, packet.pts, packet.dts = out, packet.pts + ahead, packet.dts + ahead
                    container.mux(packet)
        parts.append((tmp_path / f"{number}.ts").read_bytes())
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    times = video.frame_times(tmp_path / "both.ts")
    assert len(times) == 62 and np.diff(times).min() > 0.03 and np.diff(times).max() < 0.2


def test_the_clock_runs_over(tmp_path):
    # The clock of a transport stream has 33 bits: it begins again every 26.5 hours.
    ticks = np.arange(60) * 3600 + 2**33 - 100_000
    path = make_video(tmp_path / "a.ts", moving_frames(60), ticks=ticks, time_base="1/90000", **H264)
    assert video.probe(path).frame_count == 60 and video.probe(path).fps == pytest.approx(25, rel=1e-3)
    got = video.read_frames(path, [10, 50])
    assert [frame_number(frame) for frame in got.frames] == [10, 50]
    np.testing.assert_allclose(got.timestamps_s, [0.4, 2.0], atol=1e-3)


def test_variable_frame_rate_in_a_transport_stream(tmp_path):
    ticks = np.cumsum([3, 1, 1, 7, 2, 2, 30, 1, 1, 5] * 6)
    path = make_video(tmp_path / "a.ts", moving_frames(60), ticks=ticks, time_base="1/100", bf=2)
    np.testing.assert_allclose(video.read_frames(path, np.arange(60)).timestamps_s, (ticks - 3) / 100, atol=1e-3)


def test_a_damaged_frame_of_a_raw_stream_keeps_the_numbers_of_others(tmp_path):
    path = make_video(tmp_path / "a.h264", moving_frames(120, 192, 256), g=10, bf=0, sc_threshold=0)
    every = plainly(path)
    data = bytearray(path.read_bytes())
    places = []
    with av.open(str(path)) as container:
        at = 0
        for packet in container.demux(video=0):
            places.append((at, packet.size))
            at += packet.size
    start, size = places[63]  # later than what is tried at first
    data[start + 6 : start + size] = b"\xff" * (size - 6)
    (tmp_path / "b.h264").write_bytes(data)
    got = video.read_frames(tmp_path / "b.h264", [5, 55, 71, 111])
    assert got.indices.tolist() == [5, 55, 71, 111]
    np.testing.assert_array_equal(got.frames, every[[5, 55, 71, 111]])


def test_the_time_limit_names_a_faster_container(tmp_path):
    path = make_video(tmp_path / "a.ts", moving_frames(5))
    with pytest.raises(video.VideoError, match=r"ffmpeg -i IN -c copy OUT\.mp4"):
        video.probe(path, time_limit_s=1e-9)


def test_size_changes_in_a_raw_stream_without_decoding_it(tmp_path, fed):
    parts = [
        make_video(tmp_path / f"{n}.ts", moving_frames(80, *size), **H264)
        for n, size in enumerate([(96, 128), (128, 96)])
    ]
    path = join(parts, tmp_path / "a.ts")
    info = video.probe(path)
    assert (info.width, info.height, info.frame_count) == (128, 128, 160) and len(fed) <= survey.TRIED_PACKETS + 3


def test_a_file_that_takes_too_long_to_read_may_be_put_into_another_container(tmp_path, monkeypatch):
    def probe(path, **_):
        raise TimeUp

    monkeypatch.setattr(video, "probe", probe)
    plan = LookPlan(DataRecipe(), "frame", "meso4", time_limit_s=60.0)
    failure = look(tmp_path / "a.wtv", plan, None).failure
    assert failure.status == "error" and "limit of 60 s" in failure.reason and "OUT.mp4" in failure.remedy


@pytest.mark.parametrize("whole", [(), (1, 7, 8), tuple(range(0, 80, 2))])
def test_raw_fields_are_counted_without_decoding_them(tmp_path, fed, monkeypatch, whole):
    path = write_paff(tmp_path / "a.h264", moving_frames(80), whole=whole)
    asked = ([57, 4], [79], [9, 10, 11], np.arange(80))

    def told():
        info = video.probe(path)
        assert info.frame_count == 80 and info.fps == pytest.approx(25)
        return [(got.frames, got.timestamps_s) for got in (video.read_frames(path, places) for places in asked)]

    video.probe(path)
    assert len(fed) <= survey.TRIED_PACKETS + 2
    counted = told()
    monkeypatch.setattr(survey.Survey, "starts", lambda self: None)
    read._INDICES.clear()
    fed.clear()
    for one, other in zip(counted, told(), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert len(fed) > 2 * survey.TRIED_PACKETS


@pytest.mark.parametrize("codec, suffix", [("mpeg4", "mp4"), ("h263", "mov"), ("rpza", "mov")])
def test_packets_that_are_all_called_keyframes_and_are_not(tmp_path, codec, suffix):
    # A track without a list of its keyframes has nothing but keyframes (ISO 14496-12, 8.6.2).
    drawn = moving_frames(30, 288, 352)
    pix_fmt = {"pix_fmt": "rgb555le"} if codec == "rpza" else {}
    path = make_video(tmp_path / f"a.{suffix}", drawn, codec=codec, g=12, **pix_fmt)
    path.write_bytes(path.read_bytes().replace(b"stss", b"free"))
    whole = np.concatenate([chunk.frames for chunk in video.iter_chunks(path)])
    assert [frame_number(frame) for frame in whole] == list(range(30))
    for position in (29, 1, 13):
        np.testing.assert_array_equal(video.read_frames(path, [position]).frames[0], whole[position])


def test_the_palette_that_only_the_first_packet_carries(tmp_path):
    path = make_video(tmp_path / "a.mov", moving_frames(30)[..., 1], codec="qtrle", pix_fmt="gray", g=12)
    whole = np.concatenate([chunk.frames for chunk in video.iter_chunks(path)])
    np.testing.assert_array_equal(video.read_frames(path, [29]).frames[0], whole[29])
