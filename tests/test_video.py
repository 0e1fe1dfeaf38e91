"""Videos to frames: which frame, when, which way up and in which colours, whatever the format."""

from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image
from support.media import frame_number, make_video, moving_frames, pack_b_frames

from tfdeepfake.data import video
from tfdeepfake.data.video import packets

X265 = "log-level=none:keyint=12:bframes=3:"
FORMATS = {
    "no_b_frames.mp4": {"bf": 0, "g": 12},
    "b_frames.mp4": {"bf": 3, "g": 12},
    "open_groups.mp4": {"bf": 3, "g": 12, "x264_params": "open-gop=1"},
    "rolling_refresh.mp4": {"bf": 0, "g": 12, "x264_params": "intra-refresh=1"},
    "interlaced.mp4": {"bf": 2, "g": 12, "x264_params": "interlaced=1:tff=1"},
    "fragments.mp4": {"g": 12, "container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "h264.avi": {"bf": 2, "g": 12},
    "h264.ts": {"bf": 2, "g": 12},
    "h264.mkv": {"bf": 2, "g": 12},
    "h264.flv": {"bf": 2, "g": 12},
    "no_times.h264": {"bf": 2, "g": 12},
    "hevc.mp4": {"codec": "libx265", "x265_params": X265 + "open-gop=0"},
    "hevc_open_groups.mp4": {"codec": "libx265", "x265_params": X265 + "open-gop=1"},
    "hevc_10_bit.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "x265_params": X265},
    "vp9.webm": {"codec": "libvpx-vp9", "g": 12, "lag_in_frames": 16, "auto_alt_ref": 1},
    "vp9_alpha.webm": {"codec": "libvpx-vp9", "g": 12, "pix_fmt": "yuva420p"},
    "vp8.webm": {"codec": "libvpx", "g": 12, "lag_in_frames": 16, "auto_alt_ref": 1, "b": "400k"},
    "mpeg4.mp4": {"codec": "mpeg4", "bf": 2, "g": 12, "b": "900k"},
    "mpeg4.avi": {"codec": "mpeg4", "bf": 2, "g": 12, "b": "900k"},
    "mpeg2.mpg": {"codec": "mpeg2video", "bf": 2, "g": 12, "b": "900k"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "qmin": 2, "qmax": 3},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "rgb.mp4": {"codec": "libx264rgb", "pix_fmt": "rgb24"},
    "yuv444_10_bit.mp4": {"pix_fmt": "yuv444p10le"},
    "palette.gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


def plainly(path):
    """All frames as a decoder gives them when nothing is left out and nothing is done in parallel; those marked as
    interlaced go through FFmpeg's filter in one run."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "SLICE"
        frames = list(container.decode(video=0))
    if frames[0].interlaced_frame:
        frames = filtered(frames, "bwdif", "mode=send_frame")
    return np.stack([frame.to_ndarray(format="rgb24", interpolation="BICUBIC") for frame in frames])


def filtered(frames, name, arguments):
    """Frames through one of FFmpeg's filters."""
    graph, first = av.filter.Graph(), frames[0]
    size = {"width": first.width, "height": first.height, "format": first.format, "time_base": first.time_base}
    graph.link_nodes(graph.add_buffer(**size), graph.add(name, arguments), graph.add("buffersink"))
    graph.configure()
    out = []
    for frame in [*frames, None]:
        graph.push(frame)
        while True:
            try:
                out.append(graph.pull())
            except (av.error.BlockingIOError, av.error.EOFError):
                break
    return out


@pytest.mark.parametrize("name", FORMATS)
def test_frames_equal_a_full_decode(tmp_path, name):
    drawn = moving_frames(40)
    path = make_video(tmp_path / name, drawn, **FORMATS[name])
    every = plainly(path)
    info = video.probe(path)
    assert (info.frame_count, info.width, info.height) == (40, 128, 96) == (len(every), *every.shape[2:0:-1])
    assert info.fps == pytest.approx(25, rel=1e-3) and info.duration_s == pytest.approx(1.6, rel=1e-3)

    wanted = np.array([3, 13, 14, 29, 39])
    got = video.read_frames(path, wanted)
    assert [frame_number(frame) for frame in got.frames] == wanted.tolist() == got.indices.tolist()
    np.testing.assert_array_equal(got.frames, every[wanted])
    np.testing.assert_allclose(got.timestamps_s, wanted / 25, atol=1e-3)
    # The lossiest of these encoders, by far the palette, stays within this of what was drawn.
    assert np.abs(got.frames.astype(int) - drawn[wanted])[:, 12:].mean() < (20 if name == "palette.gif" else 7)

    chunks = list(video.iter_chunks(path, 16))
    assert [len(chunk) for chunk in chunks] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate([chunk.frames for chunk in chunks]), every)
    np.testing.assert_array_equal(np.concatenate([chunk.indices for chunk in chunks]), np.arange(40))
    assert [got.missing, got.damaged] == [0, 0] == [sum(t.missing for t in chunks), sum(t.damaged for t in chunks)]


@pytest.mark.parametrize("name", ["b_frames.mp4", "open_groups.mp4", "hevc_open_groups.mp4"])
def test_every_single_frame_can_be_had_alone(tmp_path, name):
    path = make_video(tmp_path / name, moving_frames(30), **FORMATS[name])
    every = plainly(path)
    for number in range(30):
        np.testing.assert_array_equal(video.read_frames(path, [number]).frames[0], every[number])


@pytest.mark.parametrize("suffix", ["avi", "mp4"])
def test_packed_b_frames(tmp_path, suffix):
    plain = make_video(tmp_path / "a.avi", moving_frames(31), codec="mpeg4", bf=1, g=12, b="900k")
    path = pack_b_frames(plain, tmp_path / f"packed.{suffix}")
    assert video.probe(path).frame_count == 31
    got = video.read_frames(path, [3, 4, 30])
    assert [frame_number(frame) for frame in got.frames] == [3, 4, 30]
    np.testing.assert_array_equal(got.frames, plainly(path)[[3, 4, 30]])


def test_one_frame_from_the_end_decodes_one_group(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", moving_frames(60), g=10, bf=0, sc_threshold=0)
    fed = []
    monkeypatch.setattr(
        "tfdeepfake.data.video.decode.decoded",
        lambda decoder, packet: fed.append(packet) or packets.decoded(decoder, packet),
    )
    video.read_frames(path, [54])
    assert len([packet for packet in fed if packet is not None]) == 5  # 50 (a keyframe) to 54


def test_order_and_repeats_are_the_callers(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(30))
    got = video.read_frames(path, [20, 4, 20])
    assert [frame_number(frame) for frame in got.frames] == [20, 4, 20] == got.indices.tolist()
    none = video.read_frames(path, [])
    assert none.frames.shape == (0, 96, 128, 3) and len(none) == 0


@pytest.mark.parametrize("indices", [[30], [-1], [[1, 2]], [0.5]])
def test_indices_outside_the_video_are_refused(tmp_path, indices):
    path = make_video(tmp_path / "a.mp4", moving_frames(30))
    with pytest.raises(ValueError, match="indices needs"):
        video.read_frames(path, indices)


def test_keyframes_only_takes_the_nearest(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(40), g=10, sc_threshold=0)
    got = video.read_frames(path, [2, 11, 14, 38], keyframes_only=True)
    assert got.indices.tolist() == [0, 10, 30] == [frame_number(frame) for frame in got.frames]


def test_a_damaged_video_whose_only_key_frame_is_lost_is_read(tmp_path):
    path = make_video(tmp_path / "a.flv", moving_frames(40), codec="flv", g=100)
    content = bytearray(path.read_bytes())
    first = 13  # the tags of the header and of what the file says of itself come before the first of video
    while content[first] != 9:
        first += 15 + int.from_bytes(content[first + 1 : first + 4], "big")
    content[first + 12 : first + 20] = bytes(8)
    path.write_bytes(content)
    got = video.read_frames(path, [2, 11], keyframes_only=True)
    assert got.indices.tolist() == [2, 11]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_frame_rate(tmp_path, suffix):
    ticks = np.cumsum([0, 1, 1, 7, 2, 2, 30, 1, 1, 5])  # of 10 ms, as a phone slows down in the dark
    path = make_video(tmp_path / f"a.{suffix}", moving_frames(10), ticks=ticks, time_base="1/100", bf=2)
    got = video.read_frames(path, np.arange(10))
    np.testing.assert_allclose(got.timestamps_s, ticks / 100, atol=1e-3)
    assert [frame_number(frame) for frame in got.frames] == list(range(10))
    assert video.probe(path).fps == pytest.approx(9 / 0.5)


def test_times_start_at_the_first_frame(tmp_path):
    path = make_video(tmp_path / "a.mkv", moving_frames(10), ticks=np.arange(10) * 4 + 300, time_base="1/100")
    np.testing.assert_allclose(video.read_frames(path, [0, 5]).timestamps_s, [0, 0.2], atol=1e-3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation(tmp_path, degrees):
    drawn = moving_frames(3)
    path = make_video(tmp_path / "phone.mp4", drawn, rotation_deg=degrees, crf=5)
    info = video.probe(path)
    assert info.rotation_deg == degrees
    got = video.read_frames(path, [0, 1, 2]).frames
    assert got.shape[1:3] == (info.height, info.width) == ((128, 96) if degrees != 180 else (96, 128))
    shown = np.rot90(drawn, -degrees // 90, axes=(1, 2))  # clockwise
    assert np.abs(got.astype(int) - shown).mean() < 3
    assert next(video.iter_chunks(path)).frames.shape == got.shape


def test_mirrored_selfie(tmp_path):
    drawn = moving_frames(2)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.set_display_rotation(0, hflip=True)
        for frame in drawn:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    got = video.read_frames(tmp_path / "a.mp4", [0, 1]).frames
    assert np.abs(got.astype(int) - drawn[:, :, ::-1]).mean() < 3


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_the_first_packet_of_444_is_decoded_for_late_frames_too(tmp_path, monkeypatch, pix_fmt):
    """It alone tells the version of x264, and FFmpeg decodes 4:4:4 of versions before 151 in another way.

    Without it late frames of FaceForensics++'s 519_515 at c23 came out green.
    """
    from tfdeepfake.data.video import decode

    drawn = moving_frames(40)
    path = make_video(tmp_path / "a.mp4", drawn, pix_fmt=pix_fmt, g=12, crf=5)
    fed, decoded = [], decode.decoded

    def noted(decoder, packet):
        fed.append(None if packet is None else packet.pts)
        return decoded(decoder, packet)

    monkeypatch.setattr(decode, "decoded", noted)
    got = video.read_frames(path, [30, 31]).frames
    assert np.abs(got.astype(int) - drawn[30:32]).mean() < 3
    # What it gives is no frame of the group that is wanted: the decoder is emptied behind it.
    assert (fed[:2] == [0, None]) == (pix_fmt == "yuv444p") and fed.count(0) == (pix_fmt == "yuv444p")


@pytest.mark.parametrize("size", [(97, 131), (33, 16), (1, 1)])
def test_odd_sizes(tmp_path, size):
    drawn = np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)
    path = make_video(tmp_path / "a.mkv", drawn, codec="ffv1", pix_fmt="bgr0")
    np.testing.assert_array_equal(video.read_frames(path, [0, 1, 2]).frames, drawn)


@pytest.mark.parametrize("colorspace", [None, 1, 6])
@pytest.mark.parametrize("full_range", [None, False, True])
def test_colours_follow_matrix_and_range(tmp_path, colorspace, full_range):
    # Saturated colours are where BT.601 and BT.709 differ most: by up to 30 levels.
    colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [16, 16, 16], [235, 235, 235]], np.uint8)
    drawn = np.repeat(np.repeat(colours[None, None], 32, axis=1), 16, axis=2).reshape(1, 32, 80, 3)
    path = make_video(tmp_path / "a.mp4", drawn, colorspace=colorspace, full_range=full_range, crf=1)
    got = video.read_frames(path, [0]).frames[0, 16, 8::16].astype(int)
    assert np.abs(got - colours).max() <= 4  # 8-bit rounding there and back


@pytest.mark.parametrize("options", [{}, {"colorspace": 1, "full_range": False}, {"colorspace": 6, "full_range": True}])
def test_colours_equal_opencv(tmp_path, options):
    import cv2

    path = make_video(tmp_path / "a.mp4", moving_frames(4), **options)
    capture = cv2.VideoCapture(str(path))
    theirs = np.stack([capture.read()[1][..., ::-1] for _ in range(4)])
    # Another build of the same library may round differently.
    assert np.abs(video.read_frames(path, np.arange(4)).frames.astype(int) - theirs).mean() < 1


def test_grey_video(tmp_path):
    drawn = moving_frames(3)[..., 0]
    path = make_video(tmp_path / "a.mkv", drawn, codec="ffv1", pix_fmt="gray")
    got = video.read_frames(path, [0, 1, 2]).frames
    np.testing.assert_array_equal(got, np.repeat(drawn[..., None], 3, axis=3))


def test_size_changes_inside_a_video(tmp_path):
    small, large = (make_video(tmp_path / f"{side}.h264", moving_frames(6, side, side)) for side in (64, 128))
    path = tmp_path / "both.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    got = video.read_frames(path, np.arange(12))
    assert got.frames.shape == (12, 128, 128, 3)
    assert np.abs(got.frames[:6, 40::2, ::2].astype(int) - moving_frames(6, 64, 64)[:, 20:]).mean() < 12
    assert np.abs(got.frames[6:].astype(int) - moving_frames(6, 128, 128)).mean() < 7


def test_frames_are_shrunk_to_the_longer_side(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(3, 120, 200), rotation_deg=90)
    got = video.read_frames(path, [0, 2], max_side_px=100)
    assert got.frames.shape == (2, 100, 60, 3)
    full = video.read_frames(path, [0, 2]).frames.reshape(2, 100, 2, 60, 2, 3).mean(axis=(2, 4))
    assert np.abs(got.frames - full).mean() < 3
    with pytest.raises(ValueError, match="max_side_px needs a positive"):
        video.read_frames(path, [0], max_side_px=0)


def test_8k(tmp_path):
    frame = np.zeros((4320, 7680, 3), np.uint8)
    frame[:, 3840:] = 200
    path = make_video(tmp_path / "8k.mp4", [frame, frame], preset="ultrafast")
    info = video.probe(path)
    assert (info.width, info.height) == (7680, 4320)
    got = video.read_frames(path, [0, 1]).frames
    assert got.shape == (2, 2160, 3840, 3) and abs(int(got[1, 1000, 3000, 0]) - 200) < 3


def test_one_frame(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(1))
    info = video.probe(path)
    assert (info.frame_count, info.is_image) == (1, False) and info.fps == pytest.approx(25)
    assert video.spaced_indices(1, 16).tolist() == [0]
    assert len(video.read_frames(path, [0])) == 1


def test_a_name_with_spaces_and_letters_of_other_scripts(tmp_path):
    path = make_video(tmp_path / "원본 영상: http:é #1?.mp4", moving_frames(3))
    assert video.probe(path).frame_count == 3 == len(video.read_frames(str(path), [0, 1, 2]))


def test_a_file_that_was_replaced_is_read_anew(tmp_path):
    path = make_video(tmp_path / "a.mp4", moving_frames(5))
    assert video.probe(path).frame_count == 5
    make_video(path, moving_frames(8))
    assert video.probe(path).frame_count == 8


def test_spaced_indices_are_the_middles_of_equal_parts():
    assert video.spaced_indices(300, 3).tolist() == [50, 150, 250]
    assert video.spaced_indices(4, 10).tolist() == [0, 1, 2, 3]
    for count, n in np.random.default_rng(0).integers(1, 2000, (200, 2)).tolist():
        got = video.spaced_indices(count, n)
        assert len(got) == min(count, n) and got.dtype == np.int64
        assert (np.diff(got) > 0).all() and got[0] >= 0 and got[-1] < count
        assert abs(got[0] - (count - 1 - got[-1])) <= 1  # neither end is favoured
    with pytest.raises(ValueError, match="n needs a positive integer, got 0"):
        video.spaced_indices(10, 0)


def test_run_indices():
    assert video.run_indices(100, 8, 4).shape == (8, 4)
    assert video.run_indices(20, 3, 4, 2).tolist() == [[0, 2, 4, 6], [6, 8, 10, 12], [13, 15, 17, 19]]
    assert video.run_indices(100, 1, 16)[0, 0] == 42  # the middle
    assert video.run_indices(16, 8, 16).tolist() == [list(range(16))]
    assert video.run_indices(17, 8, 16)[:, 0].tolist() == [0, 1]
    assert video.run_indices(15, 8, 16).shape == (0, 16)


def test_is_media():
    assert all(
        map(video.is_media, ("a.mp4", "b/C.MOV", "d.webm", "e.JPG", "f.png", "g.heic", "h.avif", "i.h264", "j.dv"))
    )
    assert not any(map(video.is_media, ("a.txt", "mp4", "b.csv", "c.mp4.part")))


SNIFFED = {
    "mp4": {},
    "mov": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "mkv": {},
    "avi": {},
    "ts": {},
    "m2ts": {},
    "flv": {},
    "h264": {},
    "hevc": {"codec": "libx265", "x265_params": "log-level=none"},
    "mpg": {"codec": "mpeg2video"},
    "m2v": {"codec": "mpeg2video"},
    "mxf": {"codec": "mpeg2video"},
    "wmv": {"codec": "wmv2"},
    "y4m": {"codec": "wrapped_avframe"},
    "ivf": {"codec": "libvpx-vp9"},
    "obu": {"codec": "libsvtav1"},
    "nut": {},
    "gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


@pytest.mark.parametrize("suffix", SNIFFED)
def test_formats_are_known_by_their_content(tmp_path, suffix):
    path = make_video(tmp_path / f"a.{suffix}", moving_frames(8), **SNIFFED[suffix])
    assert video.is_media(path) and video.sniff(path) == "video"
    for name in ("no suffix", "b.part", "c.2024-11-25"):
        (tmp_path / name).write_bytes(path.read_bytes())
        assert video.sniff(tmp_path / name) == "video"
        assert video.probe(tmp_path / name).frame_count == 8
    assert frame_number(video.read_frames(path, [5]).frames[0]) == 5


def test_dv_is_known_by_its_content(tmp_path):
    path = make_video(tmp_path / "a.dv", moving_frames(4, 576, 720), codec="dvvideo")
    (tmp_path / "b").write_bytes(path.read_bytes())
    assert video.sniff(tmp_path / "b") == "video" and video.probe(tmp_path / "b").frame_count == 4
    assert video.probe(path).frame_count == 4


@pytest.mark.parametrize(
    "name, data",
    [
        ("notes", b"BMW is not a bitmap, and this is a text.\n" * 40),
        ("a.txt", b"\0\0\0\x20ftypmp42"),
        ("weights.bin", bytes(range(256)) * 8),
        ("zeros", bytes(5000)),
        ("empty", b""),
        ("song", b"\0\0\0\x20ftypM4A \0\0\0\0"),
    ],
)
def test_other_files_are_no_media(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert video.sniff(tmp_path / name) == ""
    assert video.sniff(tmp_path / "missing") == "" == video.sniff(tmp_path)


@pytest.mark.parametrize("name", ["series.mjpg", "series.mjpeg", "series", "series.bin"])
@pytest.mark.parametrize("thumbnail", [False, True])
def test_jpeg_files_one_after_another(tmp_path, name, thumbnail):
    drawn, data = moving_frames(20), b""
    for frame in drawn:
        file = BytesIO()
        extra = {}
        if thumbnail:  # an image within the image, as cameras put into EXIF
            small = BytesIO()
            Image.fromarray(frame[::4, ::4].copy()).save(small, "jpeg")
            extra["exif"] = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + small.getvalue()
        Image.fromarray(frame).save(file, "jpeg", quality=95, **extra)
        data += file.getvalue()
    (tmp_path / name).write_bytes(data)
    assert video.sniff(tmp_path / name) == "video"
    info = video.probe(tmp_path / name)
    assert (info.frame_count, info.codec, info.is_image) == (20, "mjpeg", False)
    got = video.read_frames(tmp_path / name, [0, 7, 19])
    assert np.abs(got.frames.astype(int) - drawn[[0, 7, 19]]).mean() < 4


def test_jpeg_files_as_a_camera_serves_them(tmp_path):
    data = b""
    for frame in moving_frames(6):
        file = BytesIO()
        Image.fromarray(frame).save(file, "jpeg", quality=95)
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(file.getvalue())}\r\n\r\n"
        data += head.encode() + file.getvalue() + b"\r\n"
    (tmp_path / "stream").write_bytes(data)
    assert video.sniff(tmp_path / "stream") == "video"
    assert [frame_number(f) for f in video.read_frames(tmp_path / "stream", np.arange(6)).frames] == list(range(6))


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.bin"])
def test_one_jpeg_file_is_an_image_whatever_follows(tmp_path, name):
    files = []
    for frame in moving_frames(2):
        file = BytesIO()
        Image.fromarray(frame).save(file, "jpeg")
        files.append(file.getvalue())
    for rest in (b"", bytes(1000), files[1]):
        (tmp_path / name).write_bytes(files[0] + rest)
        assert video.sniff(tmp_path / name) == "image" and video.probe(tmp_path / name).is_image
