"""Frames as they are meant to be shown: shape of pixels, orientation, sizes, fields, colours, views."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from support.media import frame_number, graded, join, make_video, make_wide_video, moving_frames
from support.paff import write_paff

from tfdeepfake.data import video
from tfdeepfake.data.video.deinterlace import deinterlaced_alone

RATES = {"g": 10, "bf": 2, "crf": 12}


def difference(got, wanted):
    return np.abs(np.asarray(got).astype(int) - wanted).mean()


def resized(frame, width, height):
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.BICUBIC))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "flv", "h264"])
@pytest.mark.parametrize("aspect", [(2, 1), (64, 45), (8, 9)])
def test_pixels_that_are_not_square(tmp_path, suffix, aspect):
    drawn = moving_frames(12, 96, 320)
    width = round(320 * aspect[1] / aspect[0] / 2) * 2
    stored = [resized(frame, width, 96) for frame in drawn]
    path = make_video(tmp_path / f"a.{suffix}", stored, pixel_aspect=aspect, **RATES)
    info, got = video.probe(path), video.read_frames(path, [0, 11]).frames
    assert info.height == 96 and abs(info.width - 320) <= 2  # stored widths are even
    assert got.shape == (2, info.height, info.width, 3) == (2, *next(video.iter_chunks(path)).frames.shape[1:])
    wanted = np.stack([resized(frame, info.width, 96) for frame in drawn[[0, 11]]])
    assert difference(got[:, 30:], wanted[:, 30:]) < 6
    key = video.read_frames(path, [0], keyframes_only=True).frames
    np.testing.assert_array_equal(key[0], got[0])


@pytest.mark.parametrize("suffix", ["mpg", "ts", "m2v", "dv"])
def test_standard_definition(tmp_path, suffix):
    # MPEG-2 and DV name the shape of the image, 16:9, and not that of pixels.
    drawn = moving_frames(4, 576, 1024)
    stored = [resized(frame, 720, 576) for frame in drawn]
    codec = {"codec": "dvvideo"} if suffix == "dv" else {"codec": "mpeg2video", "b": "6M"}
    path = make_video(tmp_path / f"a.{suffix}", stored, pixel_aspect=(64, 45), **codec)
    info = video.probe(path)
    assert (info.width, info.height, info.frame_count) == (1024, 576, 4)
    assert difference(video.read_frames(path, [2]).frames[0, 90:], drawn[2, 90:]) < 5


def test_an_absurd_shape_of_pixels_is_ignored(tmp_path):
    path = make_video(tmp_path / "a.mkv", moving_frames(3), pixel_aspect=(255, 1))
    assert (video.probe(path).width, video.probe(path).height) == (128, 96)


@pytest.mark.parametrize("suffix", ["ts", "mkv", "h264"])
def test_the_shape_of_pixels_changes_inside_a_video(tmp_path, suffix):
    square = make_video(tmp_path / "a.ts", moving_frames(20, 96, 128), pixel_aspect=(1, 1), **RATES)
    wide = make_video(tmp_path / "b.ts", moving_frames(20, 96, 128, seed=1), pixel_aspect=(2, 1), **RATES)
    path = join([square, wide], tmp_path / f"both.{suffix}")
    info = video.probe(path)
    # A container that states one shape for all is believed.
    assert (info.width, info.height, info.frame_count) == ((128 if suffix == "mkv" else 256), 96, 40)
    if suffix == "mkv":
        return
    got = video.read_frames(path, np.arange(40)).frames
    assert (got[:20, :, :60] == 0).all() and (got[:20, :, 200:] == 0).all()  # on black, in the middle
    assert [frame_number(frame[:, 64:192]) for frame in got[:20]] == list(range(20))
    assert [frame_number(frame[:, ::2]) for frame in got[20:]] == list(range(20))
    for number in (3, 19, 20, 38):
        np.testing.assert_array_equal(video.read_frames(path, [number]).frames[0], got[number])
    np.testing.assert_array_equal(np.concatenate([t.frames for t in video.iter_chunks(path, 7)]), got)


@pytest.mark.parametrize("suffix", ["ts", "mkv", "h264"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_portrait_then_landscape(tmp_path, suffix, codec):
    options = RATES if codec == "libx264" else {"x265_params": "log-level=none:keyint=10", "crf": 12}
    tall, broad = moving_frames(12, 170, 96), moving_frames(20, 96, 128)
    parts = [make_video(tmp_path / f"{n}.ts", f, codec=codec, **options) for n, f in enumerate((tall, broad))]
    suffix = "hevc" if suffix == "h264" and codec == "libx265" else suffix
    path = join(parts, tmp_path / f"both.{suffix}")
    info = video.probe(path)
    assert (info.width, info.height, info.frame_count) == (128, 170, 32)
    got = video.read_frames(path, np.arange(32)).frames
    assert difference(got[:12, :, 16:112], tall) < 7 and difference(got[12:, 37:133], broad) < 7
    assert not got[:12, :, :16].any() and not got[12:, :37].any()
    np.testing.assert_array_equal(video.read_frames(path, [25, 3]).frames, got[[25, 3]])
    assert video.read_frames(path, [25], max_side_px=85).frames.shape == (1, 85, 64, 3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_rotation_in_every_container(tmp_path, suffix, degrees):
    drawn = moving_frames(3)
    path = make_video(tmp_path / f"a.{suffix}", drawn, rotation_deg=degrees, crf=5)
    got = video.read_frames(path, [0, 1, 2]).frames
    assert video.probe(path).rotation_deg == degrees
    assert difference(got, np.rot90(drawn, -degrees // 90, axes=(1, 2))) < 3


def stored_for(shown, orientation):
    """How a camera stores an image that has to be shown like this (EXIF 2.3, tag 274)."""
    return {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }[orientation](shown)


def jpeg(frame, orientation=None, **options):
    from io import BytesIO

    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
        exif[0x010F] = "camera"
    data = BytesIO()
    Image.fromarray(np.ascontiguousarray(frame)).save(data, "jpeg", quality=95, exif=exif, **options)
    return data.getvalue()


def motion_jpeg(path, images, width, height):
    """Writes JPEG files as the packets of a video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        for number, data in enumerate(images):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), True
            packet.pts = packet.dts = number
            container.mux(packet)
    return path


@pytest.mark.parametrize("suffix", ["avi", "mov", "mkv", "mjpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_video_frames_with_exif(tmp_path, suffix, orientation):
    shown = moving_frames(5)
    images = [jpeg(stored_for(frame, orientation), orientation) for frame in shown]
    height, width = stored_for(shown[0], orientation).shape[:2]
    if suffix == "mjpg":
        path = tmp_path / "a.mjpg"
        path.write_bytes(b"".join(images))
    else:
        path = motion_jpeg(tmp_path / f"a.{suffix}", images, width, height)
    info = video.probe(path)
    assert (info.width, info.height, info.frame_count) == (128, 96, 5)
    assert info.rotation_deg == {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}.get(orientation, 0)
    assert difference(video.read_frames(path, np.arange(5)).frames, shown) < 4


def test_only_some_frames_carry_an_orientation(tmp_path):
    shown = moving_frames(6)
    images = [
        jpeg(stored_for(frame, kind), kind or None) for frame, kind in zip(shown, (1, 6, 6, 1, 4, 1), strict=True)
    ]
    path = motion_jpeg(tmp_path / "a.avi", images, 128, 96)
    got = video.read_frames(path, np.arange(6)).frames
    assert got.shape[1:3] == (96, 128) and difference(got, shown) < 4


def test_pixel_format_and_colour_space_change_inside_a_video(tmp_path):
    drawn = moving_frames(12)
    grey = [jpeg(frame[..., 0]) for frame in drawn[:4]]
    fine = [jpeg(frame, subsampling=0) for frame in drawn[4:8]]
    coarse = [jpeg(frame, subsampling=2) for frame in drawn[8:]]
    path = motion_jpeg(tmp_path / "a.avi", grey + fine + coarse, 128, 96)
    got = video.read_frames(path, np.arange(12)).frames
    assert difference(got[:4], np.repeat(drawn[:4, ..., :1], 3, axis=3)) < 4
    assert difference(got[4:], drawn[4:]) < 4

    parts = []
    for number, (matrix, full) in enumerate(((1, False), (6, False), (1, True), (9, False))):
        options = {"colorspace": matrix, "full_range": full}
        parts.append(make_video(tmp_path / f"{number}.ts", drawn[:6], **options, **RATES))
    path = join(parts, tmp_path / "colours.ts")
    got = video.read_frames(path, np.arange(24)).frames
    for part in range(4):
        assert difference(got[6 * part : 6 * part + 6], drawn[:6]) < 4, part
    np.testing.assert_array_equal(video.read_frames(path, [20, 2]).frames, got[[20, 2]])


MPEG2 = {"codec": "mpeg2video", "flags": "+ildct+ilme", "b": "4M", "g": 10}
INTERLACED = {
    "tff.mp4": {"flags": "+ildct+ilme", **RATES},
    "bff.mkv": {"flags": "+ildct+ilme", **RATES},
    "tff.ts": {"flags": "+ildct+ilme", **RATES},
    "tff.h264": {"flags": "+ildct+ilme", **RATES},
    "tff.mpg": MPEG2,
    "bff.ts": MPEG2,
    "tff.mxf": MPEG2,
}


@pytest.mark.parametrize("name", INTERLACED)
def test_interlaced_material(tmp_path, name):
    # Moving smooth bars: in a combed frame odd and even lines differ much more than the image's own lines do.
    y, x = np.mgrid[:96, :128]
    fields = [np.repeat(np.uint8(128 + 100 * np.sin((x + 4 * t) / 6))[..., None], 3, axis=2) for t in range(40)]
    first, second = (1, 0) if name.startswith("bff") else (0, 1)
    woven = []
    for t in range(20):
        frame = np.empty_like(fields[0])
        frame[first::2], frame[second::2] = fields[2 * t][first::2], fields[2 * t + 1][second::2]
        woven.append(frame)
    path = make_video(tmp_path / name, woven, fields=name[:3], **INTERLACED[name])
    info = video.probe(path)
    assert info.frame_count == 20 and info.fps == pytest.approx(25, rel=1e-3)
    got = video.read_frames(path, np.arange(20)).frames
    combed, mended = difference(woven, np.stack(fields[::2])), difference(got, np.stack(fields[::2]))
    assert combed > 15 and mended < 4
    # What comes out does not depend on what else is read.
    np.testing.assert_array_equal(video.read_frames(path, [7, 15]).frames, got[[7, 15]])
    np.testing.assert_array_equal(np.concatenate([t.frames for t in video.iter_chunks(path, 6)]), got)
    key = video.read_frames(path, [0], keyframes_only=True).frames[0]
    assert difference(key, fields[0]) < 6


def sine_fields(count):
    """Moving smooth bars: in a combed frame odd and even lines differ much more than the image's own lines do."""
    y, x = np.mgrid[:96, :128]
    return [np.repeat(np.uint8(128 + 100 * np.sin((x + 4 * t) / 6))[..., None], 3, axis=2) for t in range(count)]


def woven(fields):
    """Frames of two fields each, the top one first."""
    frames = []
    for top, bottom in zip(fields[::2], fields[1::2], strict=True):
        frames.append(top.copy())
        frames[-1][1::2] = bottom[1::2]
    return frames


@pytest.mark.parametrize("name", ["a.h264", "a.mp4", "a.mkv", "a.ts", "a.m2ts", "a.flv"])
@pytest.mark.parametrize("whole", [(), (5, 6, 7, 8, 9, 10, 11)])
def test_fields_that_are_pictures_of_their_own(tmp_path, name, whole):
    fields = sine_fields(48)
    frames = woven(fields)
    for number in whole:  # what an encoder takes whole does not move
        frames[number] = fields[2 * number]
    path = write_paff(tmp_path / name, frames, whole=whole)
    info = video.probe(path)
    assert (info.frame_count, info.missing) == (24, 0) and info.fps == pytest.approx(25, rel=1e-3)
    got = video.read_frames(path, np.arange(24))
    # Beside a frame that stood still, the filter weaves some lines.
    assert got.missing == 0 and max(difference(a, b) for a, b in zip(got.frames, fields[::2], strict=True)) < 8
    assert difference(got.frames, fields[::2]) < 3 and difference(frames, fields[::2]) > 10
    np.testing.assert_array_equal(video.read_frames(path, [7, 15, 21]).frames, got.frames[[7, 15, 21]])
    np.testing.assert_array_equal(np.concatenate([t.frames for t in video.iter_chunks(path, 6)]), got.frames)


def test_the_container_alone_says_that_frames_are_interlaced(tmp_path):
    fields = sine_fields(24)
    path = make_video(tmp_path / "a.mov", woven(fields), codec="mjpeg", pix_fmt="yuvj420p")
    data = path.read_bytes()
    at = data.index(b"stsd") - 4  # the index stands at the end: nothing that it tells of moves
    entry = at + 16
    inserted = b"\0\0\0\x0afiel\x02\x01"  # two fields, the top one first (QuickTime File Format)
    end = entry + int.from_bytes(data[entry : entry + 4], "big")
    data = bytearray(data[:end] + inserted + data[end:])
    boxes, start = [entry], 0
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        start = data.index(kind, start)
        boxes.append(start - 4)
    for place in boxes:
        size = int.from_bytes(data[place : place + 4], "big") + len(inserted)
        data[place : place + 4] = size.to_bytes(4, "big")
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert int(container.streams.video[0].codec_context.field_order) == 2
    got = video.read_frames(path, np.arange(12)).frames
    assert difference(got, fields[::2]) < 6 < difference(woven(fields), fields[::2])
    np.testing.assert_array_equal(video.read_frames(path, [4, 9]).frames, got[[4, 9]])
    assert difference(video.read_frames(path, [0], keyframes_only=True).frames[0], fields[0]) < 7


def test_all_frames_of_an_animation_are_turned(tmp_path):
    shown, exif = moving_frames(5), Image.Exif()
    exif[0x0112] = 6
    stored = [Image.fromarray(np.ascontiguousarray(np.rot90(frame))) for frame in shown]
    stored[0].save(tmp_path / "a.png", save_all=True, append_images=stored[1:], exif=exif, duration=40)
    np.testing.assert_array_equal(video.read_frames(tmp_path / "a.png", np.arange(5)).frames, shown)


def test_a_video_becomes_interlaced(tmp_path):
    drawn = moving_frames(20)
    plain = make_video(tmp_path / "a.ts", drawn[:10], **RATES)
    combed = make_video(tmp_path / "b.ts", drawn[10:], fields="tff", flags="+ildct+ilme", **RATES)
    path = join([plain, combed], tmp_path / "c.ts")
    every = np.concatenate([t.frames for t in video.iter_chunks(path, 8)])
    assert len(every) == 20
    np.testing.assert_array_equal(video.read_frames(path, np.arange(20)).frames, every)
    np.testing.assert_array_equal(video.read_frames(path, [3, 9, 14]).frames, every[[3, 9, 14]])
    np.testing.assert_array_equal(every[:9], video.read_frames(plain, np.arange(9)).frames)


@pytest.mark.parametrize(
    "suffix, codec", [("mov", "libx265"), ("mkv", "libx265"), ("ts", "libx265"), ("mp4", "libx264")]
)
@pytest.mark.parametrize("transfer", [16, 18, 14])
def test_wide_colours_come_out_as_the_ordinary_original(tmp_path, suffix, codec, transfer):
    drawn = moving_frames(4)
    drawn[:, 60:, :40] = (205, 150, 120)  # skin
    drawn[:, 60:, 90:] = (255, 255, 255)
    path = make_wide_video(tmp_path / f"a.{suffix}", graded(drawn, transfer), transfer, 9, codec)
    got = video.read_frames(path, np.arange(4)).frames
    assert difference(got, drawn) < 3
    assert np.abs(got[:, 70:90, 5:35].mean(axis=(0, 1, 2)) - (205, 150, 120)).max() < 3
    assert got[:, 70:90, 95:].mean() > 250
    # The same values read as an ordinary video are far off.
    plain = make_wide_video(tmp_path / f"b.{suffix}", graded(drawn, transfer), 1, 1, codec)
    assert difference(video.read_frames(plain, np.arange(4)).frames, drawn) > (12 if transfer != 14 else 2)


def test_brighter_than_white_is_white(tmp_path):
    light = np.full((64, 64, 3), 50000, np.uint16)  # some 2,000 cd/m2 in PQ
    path = make_wide_video(tmp_path / "a.mov", [light] * 3, 16, 9)
    assert video.read_frames(path, [1]).frames.min() == 255


def test_side_data_that_is_not_known_is_skipped(tmp_path):
    # FFmpeg names EXIF as side data, PyAV 18 does not know the name.
    shown = moving_frames(3)
    path = motion_jpeg(tmp_path / "a.avi", [jpeg(frame, 1) for frame in shown], 128, 96)
    with av.open(str(path)) as container, pytest.raises(ValueError, match="not a valid Type"):
        list(next(container.decode(video=0)).side_data)
    assert difference(video.read_frames(path, [0, 1, 2]).frames, shown) < 4


@pytest.mark.parametrize("mode, view", [("left_right", "left"), ("top_bottom", "top")])
@pytest.mark.parametrize("squeezed", [True, False])
def test_two_views_in_one_frame(tmp_path, mode, view, squeezed):
    drawn = moving_frames(4, 96, 160)
    other = drawn[:, :, ::-1]
    both = np.concatenate([drawn, other], axis=2 if view == "left" else 1)
    if squeezed:
        both = np.stack([resized(frame, 160, 96) for frame in both])
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.height, stream.width = both.shape[1:3]
        stream.pix_fmt, stream.metadata["stereo_mode"] = "yuv420p", mode
        for frame in both:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))
    info = video.probe(tmp_path / "a.mkv")
    assert (info.width, info.height) == (160, 96) and any("3D video" in note and view in note for note in info.notes)
    got = video.read_frames(tmp_path / "a.mkv", np.arange(4)).frames
    assert difference(got[:, 20:], drawn[:, 20:]) < 4


def test_fields_coded_as_frames(tmp_path):
    drawn = moving_frames(12, 96, 256)
    halves = [resized(frame, 256, 48) for frame in drawn]
    path = make_video(tmp_path / "a.mp4", halves, codec="libx265", x265_params="log-level=none:interlace=tff", crf=8)
    info = video.probe(path)
    assert (info.width, info.height, info.frame_count) == (256, 96, 12) and "coded in fields" in info.notes[0]
    got = video.read_frames(path, [4, 9]).frames
    assert difference(got[:, 30:], drawn[[4, 9]][:, 30:]) < 5


def test_a_colour_matrix_that_does_not_exist(tmp_path):
    drawn = moving_frames(4)
    plain = make_video(tmp_path / "a.mp4", drawn, crf=5)
    with av.open(str(plain)) as given, av.open(str(tmp_path / "b.mp4"), "w") as container:
        stream = given.streams.video[0]
        out = container.add_stream_from_template(stream)
        rename = av.bitstream.BitStreamFilterContext("h264_metadata=matrix_coefficients=3", stream, out)
        for packet in [*(packet for packet in given.demux(stream) if packet.dts is not None), None]:
            for renamed in rename.filter(packet):
                renamed.stream = out
                container.mux(renamed)
    np.testing.assert_array_equal(
        video.read_frames(tmp_path / "b.mp4", np.arange(4)).frames, video.read_frames(plain, np.arange(4)).frames
    )


@pytest.mark.parametrize("suffix", ["ts", "h264"])
def test_an_orientation_that_only_the_first_frame_carries(tmp_path, suffix):
    # A message in an H.264 stream holds for what follows it, and need not be repeated (display orientation).
    shown = moving_frames(20)
    stored = np.ascontiguousarray(np.rot90(shown, axes=(1, 2)))
    plain = make_video(tmp_path / "a.ts", stored, g=5, bf=0, crf=5)
    with av.open(str(plain)) as given, av.open(str(tmp_path / f"b.{suffix}"), "w") as container:
        stream = given.streams.video[0]
        out = container.add_stream_from_template(stream)
        turn = av.bitstream.BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=-90", stream, out)
        for number, packet in enumerate(packet for packet in given.demux(stream) if packet.dts is not None):
            for turned in turn.filter(packet) if number == 0 else [packet]:
                turned.stream = out
                container.mux(turned)
    info = video.probe(tmp_path / f"b.{suffix}")
    assert (info.width, info.height, info.frame_count, info.rotation_deg) == (128, 96, 20, 90)
    got = video.read_frames(tmp_path / f"b.{suffix}", np.arange(20)).frames
    assert difference(got, shown) < 4
    np.testing.assert_array_equal(video.read_frames(tmp_path / f"b.{suffix}", [14, 2]).frames, got[[14, 2]])


def test_frames_of_a_few_px_stay_as_they_are():
    frame = av.VideoFrame(1, 1, "yuv420p")
    assert deinterlaced_alone(frame) is frame


@pytest.mark.parametrize("profile, full_range, is_5", [(0, 1, True), (0, 0, False), (1, 0, False), (1, 1, False)])
def test_dolby_vision_of_profile_5_is_told_by_its_metadata(profile, full_range, is_5):
    from tfdeepfake.data.video.notes import is_dolby_vision_5

    header = bytes([2, 0, 18, 0, profile, 6, 0, 0, 23, 1, full_range, 8])
    assert is_dolby_vision_5((24).to_bytes(8, "little") + bytes(16) + header) is is_5
    assert not is_dolby_vision_5(b"") and not is_dolby_vision_5((1 << 40).to_bytes(8, "little"))
