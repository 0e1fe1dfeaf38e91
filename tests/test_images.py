"""Still images as videos of one frame."""

import struct
import subprocess
import sys

import av
import numpy as np
import pytest
from PIL import Image, features
from support.heif import box, coded_image, write_heif
from support.media import cut, frame_number, graded, moving_frames

from tfdeepfake.data import video
from tfdeepfake.data.video import check


def image(height=60, width=80):
    """A smooth uint8 RGB image [height, width, 3] without any symmetry."""
    return moving_frames(1, height, width, seed=3)[0]


@pytest.mark.parametrize(
    "name, most", [("a.png", 0), ("a.bmp", 0), ("a.webp", 6), ("a.jpg", 6), ("a b.JPEG", 6), ("a.tif", 0)]
)
def test_formats(tmp_path, name, most):
    drawn = image()
    path = tmp_path / name
    Image.fromarray(drawn).save(path, **({} if name.endswith(("png", "bmp", "tif")) else {"quality": 97}))
    info = video.probe(path)
    assert (info.width, info.height, info.frame_count, info.is_image, info.fps) == (80, 60, 1, True, 0)
    got = video.read_frames(path, [0])
    assert got.frames.dtype == np.uint8 and np.abs(got.frames[0].astype(int) - drawn).mean() <= most
    assert (got.indices.tolist(), got.timestamps_s.tolist(), got.missing) == ([0], [0], 0)
    np.testing.assert_array_equal(next(video.iter_chunks(path)).frames, got.frames)
    with pytest.raises(ValueError, match="indices needs 0..0"):
        video.read_frames(path, [1])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "avif", "jfif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, suffix, orientation):
    shown = image()
    # How a camera stores an image that has to be shown like this (EXIF 2.3, tag 274).
    stored = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }[orientation](shown)
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    quality = {} if suffix in ("png", "tiff") else {"quality": 97}
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **quality)
    info = video.probe(path)
    assert (info.width, info.height) == (80, 60)
    assert info.rotation_deg == {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}.get(orientation, 0)
    assert np.abs(video.read_frames(path, [0]).frames[0].astype(int) - shown).mean() < 6


def test_pixel_formats(tmp_path):
    drawn = image()
    grey = drawn[..., 0]
    alpha = np.random.default_rng(0).integers(0, 256, grey.shape, np.uint8)
    deep = grey.astype(np.uint16) * 257  # 16 bit
    grey_rgb = np.repeat(grey[..., None], 3, axis=2)
    cases = {
        "grey.png": (Image.fromarray(grey), grey_rgb, 0),
        "grey.jpg": (Image.fromarray(grey), grey_rgb, 3),
        "grey_16_bit.png": (Image.fromarray(deep), grey_rgb, 0),
        "alpha.png": (Image.fromarray(np.dstack([drawn, alpha])), drawn, 0),
        "grey_alpha.png": (Image.fromarray(np.dstack([grey, alpha])), grey_rgb, 0),
        "alpha.webp": (Image.fromarray(np.dstack([drawn, np.maximum(alpha, 1)])), drawn, 8),
        "palette.png": (Image.fromarray(drawn).quantize(256), drawn, 5),
        "bit.png": (Image.fromarray(grey > 127), np.where(grey_rgb > 127, 255, 0), 0),
        "grey_16_bit.tif": (Image.fromarray(deep), grey_rgb, 0),
        "alpha.tif": (Image.fromarray(np.dstack([drawn, alpha])), drawn, 0),
        "cmyk.jpg": (Image.fromarray(drawn).convert("CMYK"), drawn, 3),
    }
    for name, (stored, shown, most) in cases.items():
        stored.save(tmp_path / name, **({} if name.endswith(("png", "tif")) else {"quality": 97}))
        got = video.read_frames(tmp_path / name, [0]).frames[0].astype(int)
        assert np.abs(got - shown).mean() <= most, name


def test_colour_of_16_bits(tmp_path):
    import cv2

    deep = np.random.default_rng(0).integers(0, 2**16, (20, 30, 3), np.uint16)
    for name in ("a.png", "a.tiff"):
        cv2.imwrite(str(tmp_path / name), deep[..., ::-1])
        assert (video.probe(tmp_path / name).width, video.probe(tmp_path / name).height) == (30, 20)
        got = video.read_frames(tmp_path / name, [0]).frames[0]
        assert np.abs(got - deep / 257).max() <= 1.5


def test_shrunk(tmp_path):
    Image.fromarray(image(120, 200)).save(tmp_path / "a.png")
    got = video.read_frames(tmp_path / "a.png", [0, 0], max_side_px=100).frames
    assert got.shape == (2, 60, 100, 3)
    halves = image(120, 200).reshape(60, 2, 100, 2, 3).mean(axis=(1, 3))
    assert np.abs(got[0] - halves).max() <= 1


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("part", [0.1, 0.6])
def test_cut_images(tmp_path, suffix, part):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / f"a.{suffix}")
    path = cut(tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}", part)
    with pytest.raises(video.VideoError, match="damaged"):
        video.read_frames(path, [0])


def test_a_png_whose_lines_make_no_sense(tmp_path):
    import struct
    import zlib

    lines = b"".join(bytes([0 if n < 30 else 9]) + bytes(range(64)) * 3 for n in range(64))  # 9: no filter of PNG
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(lines), b"IEND")
    data = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(video.VideoError, match="damaged"):
        video.read_frames(tmp_path / "a.png", [0])


def test_a_image_whatever_its_name(tmp_path):
    Image.fromarray(image()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    assert video.probe(tmp_path / "a.mp4").is_image


def test_pages_and_raw_data_in_tiff(tmp_path):
    first, second = (Image.fromarray(frame) for frame in moving_frames(2))
    first.save(tmp_path / "a.tiff", save_all=True, append_images=[second])
    assert video.probe(tmp_path / "a.tiff").notes == ("a file of 2 images: the first is read",)
    np.testing.assert_array_equal(video.read_frames(tmp_path / "a.tiff", [0]).frames[0], np.asarray(first))
    first.save(tmp_path / "b.tiff", tiffinfo={254: 1})  # a preview of reduced size, as in DNG, NEF and ARW
    with pytest.raises(video.VideoError, match="raw data of a camera"):
        video.read_frames(tmp_path / "b.tiff", [0])


TURNS = {
    "plain": ([], lambda image: image),
    "irot_90": ([box(b"irot", b"\1")], lambda image: np.rot90(image)),
    "irot_270": ([box(b"irot", b"\3")], lambda image: np.rot90(image, 3)),
    "imir_0": ([box(b"imir", b"\0")], lambda image: image[::-1]),
    "imir_1": ([box(b"imir", b"\1")], lambda image: image[:, ::-1]),
    "both": ([box(b"irot", b"\1"), box(b"imir", b"\0")], lambda image: np.rot90(image)[::-1]),
    "clap": (
        [box(b"clap", struct.pack(">IIIIiIiI", 100, 1, 60, 1, -2, 1, 4, 1))],
        lambda image: image[22:82, 12:112],
    ),
}


@pytest.mark.parametrize("kind", ["heic", "avif"])
@pytest.mark.parametrize("turn", TURNS)
def test_heif_properties(tmp_path, kind, turn):
    drawn = image(96, 128)
    boxes, turned = TURNS[turn]
    path = write_heif(tmp_path / f"a.{kind}", kind, {1: (coded_image(kind, drawn), (128, 96), boxes, False)})
    info, got = video.probe(path), video.read_frames(path, [0]).frames[0]
    assert (info.codec, info.is_image, info.frame_count) == (kind, True, 1)
    assert got.shape == (info.height, info.width, 3) == turned(drawn).shape
    assert np.abs(got.astype(int) - turned(drawn)).mean() < 4


@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_tiles_are_put_together(tmp_path, kind):
    drawn = image(150, 350)
    padded = np.pad(drawn, ((0, 42), (0, 34), (0, 0)), mode="edge")
    tiles = [padded[y : y + 96, x : x + 128] for y in (0, 96) for x in (0, 128, 256)]
    images = {n + 1: (coded_image(kind, tile), (128, 96), [], True) for n, tile in enumerate(tiles)}
    turned = [box(b"irot", b"\1")]
    for number, properties in ((20, []), (21, turned)):
        path = tmp_path / f"{number}.{kind}"
        write_heif(path, kind, images, primary=number, grid=(number, 2, 3, (350, 150), properties))
        shown = np.rot90(drawn) if properties else drawn
        info, got = video.probe(path), video.read_frames(path, [0]).frames[0]
        assert (info.height, info.width) == shown.shape[:2] and info.notes == ()
        assert np.abs(got.astype(int) - shown).mean() < 4
    assert video.read_frames(path, [0], max_side_px=175).frames.shape == (1, 175, 75, 3)
    data = path.read_bytes()
    for place in range(len(data) // 2, len(data), 997):
        (tmp_path / "cut").write_bytes(data[:place])
        with pytest.raises(video.VideoError, match="damaged"):
            video.read_frames(tmp_path / "cut", [0])


def test_several_images_in_one_file(tmp_path):
    first, second = image(96, 128), image(64, 80)
    images = {n: (coded_image("heic", shown), shown.shape[1::-1], [], False) for n, shown in ((3, first), (8, second))}
    path = write_heif(tmp_path / "a.heic", "heic", images, primary=8)
    info = video.probe(path)
    assert (info.width, info.height) == (80, 64) and info.notes[0].startswith("a file of 2 images")
    assert np.abs(video.read_frames(path, [0]).frames[0].astype(int) - second).mean() < 4
    path = write_heif(tmp_path / "b.heic", "heic", images, primary=9, overlay=(9, 3, [box(b"irot", b"\2")]))
    assert video.probe(path).rotation_deg == 180
    assert np.abs(video.read_frames(path, [0]).frames[0].astype(int) - np.rot90(first, 2)).mean() < 4


@pytest.mark.parametrize("kind, problem", [(b"iovl", "overlapping"), (b"unci", "not compressed"), (b"none", "damaged")])
def test_kinds_of_heic_that_are_not_read_are_named(tmp_path, kind, problem):
    path = tmp_path / "a.heic"
    write_heif(path, "heic", {1: (coded_image("heic", image()), (80, 60), [], True)}, primary=5, overlay=(5, 1, []))
    path.write_bytes(path.read_bytes().replace(b"iden", kind))
    with pytest.raises(video.VideoError, match=problem):
        video.probe(path)


def test_wide_colours_of_a_heic(tmp_path):
    drawn = image(96, 128)
    drawn[40:, :40] = (205, 150, 120)
    deep = graded(drawn, 16)
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none", "crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p10le"
        frame = av.VideoFrame.from_ndarray(deep, format="rgb48le")
        frame = frame.reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=1)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(tmp_path / "a.mov")) as container:
        stream = container.streams.video[0]
        stored = bytes(next(container.demux(stream))), stream.codec_context.extradata
    # The codec says nothing of colours, the file does: BT.2020, PQ, BT.2020's matrix, limited range.
    colours = box(b"colr", b"nclx", struct.pack(">HHHB", 9, 16, 9, 0))
    path = write_heif(tmp_path / "a.hif", "heic", {1: (stored, (128, 96), [colours], False)})
    assert np.abs(video.read_frames(path, [0]).frames[0].astype(int) - drawn).mean() < 3


def test_damaged_boxes_of_a_heic(tmp_path):
    drawn = image(96, 128)
    whole = write_heif(
        *(tmp_path / "a.heic", "heic", {1: (coded_image("heic", drawn), (128, 96), [box(b"irot", b"\1")], False)}, 5),
        grid=(5, 1, 1, (128, 96), [box(b"clap", bytes(range(32)))]),
    ).read_bytes()
    meta, rng, read = whole.index(b"meta"), np.random.default_rng(0), 0
    end = whole.index(b"mdat")
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(meta + 4, end)] = rng.choice([0, 1, 255, rng.integers(256)])
        (tmp_path / "b.heic").write_bytes(data)
        try:
            video.probe(tmp_path / "b.heic")
            assert video.read_frames(tmp_path / "b.heic", [0]).frames.ndim == 4
            read += 1
        except video.VideoError as error:
            assert error.problem
    assert read > 20


@pytest.mark.parametrize("suffix", ["webp", "png", "avif", "gif", "apng"])
def test_animations_are_videos(tmp_path, suffix):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    drawn = moving_frames(9)
    first, *others = (Image.fromarray(frame) for frame in drawn)
    quality = {"quality": 90} if suffix in ("webp", "avif") else {}
    lengths = [40, 40, 120, 40, 40, 40, 40, 40, 40]
    written = {"save_all": True, "append_images": others, "duration": lengths, **quality}
    first.save(tmp_path / f"a.{suffix}", format="png" if suffix == "apng" else None, **written)
    path = tmp_path / f"a.{suffix}"
    info = video.probe(path)
    assert (info.frame_count, info.is_image, info.width, info.height) == (9, False, 128, 96)
    assert len(info.streams) == 1 and info.fps == pytest.approx(8 / 0.4, rel=0.02)
    got = video.read_frames(path, [7, 2, 2])
    assert [frame_number(frame) for frame in got.frames] == [7, 2, 2]
    np.testing.assert_allclose(got.timestamps_s, [0.36, 0.08, 0.08], atol=1e-6)
    assert np.abs(got.frames[0].astype(int) - drawn[7]).mean() < (20 if suffix == "gif" else 6)
    assert [len(chunk) for chunk in video.iter_chunks(path, 5)] == [5, 4]
    if suffix in ("webp", "png"):
        still = tmp_path / f"still.{suffix}"
        first.save(still)
        assert video.probe(still).is_image


def test_an_animation_with_transparency_has_one_stream(tmp_path):
    if not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    drawn = moving_frames(4)
    alpha = np.random.default_rng(0).integers(1, 256, (96, 128, 1), np.uint8)
    first, *others = (Image.fromarray(np.dstack([frame, alpha])) for frame in drawn)
    first.save(tmp_path / "a.avif", save_all=True, append_images=others, duration=40, quality=90)
    assert video.probe(tmp_path / "a.avif").frame_count == 4
    assert [frame_number(f) for f in video.read_frames(tmp_path / "a.avif", np.arange(4)).frames] == [0, 1, 2, 3]


@pytest.mark.parametrize("part", [0.1, 0.7])
def test_cut_animations(tmp_path, part):
    first, *others = (Image.fromarray(frame) for frame in moving_frames(10))
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, duration=40)
    path = cut(tmp_path / "a.webp", tmp_path / "b.webp", part)
    try:
        info = video.probe(path)
        assert 5 <= info.frame_count + info.missing <= 10
        got = video.read_frames(path, np.arange(info.frame_count))
        assert len(got) + got.missing == info.frame_count and part > 0.5
    except video.VideoError as error:
        assert "damaged" in error.problem or "cut off" in error.problem


def test_too_many_pixels(tmp_path, monkeypatch):
    Image.fromarray(image()).save(tmp_path / "a.png")
    monkeypatch.setattr(check, "MAX_PIXELS", 60 * 80 - 1)
    with pytest.raises(video.VideoError, match="claims frames of 80 x 60 px"):
        video.probe(tmp_path / "a.png")


def test_a_header_that_claims_a_huge_image(tmp_path):
    Image.fromarray(image()).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(video.VideoError, match="damaged|too many pixels|claims frames"):
        video.read_frames(tmp_path / "a.png", [0])


def test_png_is_read_in_a_fresh_process(tmp_path):
    # Pillow knows only the commonest formats until it is told to look for more.
    for suffix in ("png", "webp", "bmp"):
        Image.fromarray(image()).save(tmp_path / f"a.{suffix}")
        code = f"from tfdeepfake.data import video; print(video.probe({str(tmp_path / f'a.{suffix}')!r}).codec)"
        assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == suffix


def test_places_without_a_size_in_a_heic_file_are_no_work_for_ever():
    from tfdeepfake.data.video.heif_boxes import _places

    item = struct.pack(">HHH", 1, 0, 0xFFFF)
    with pytest.raises(ValueError, match="places without a size"):
        _places(bytes(4) + b"\0\0" + struct.pack(">H", 0xFFFF) + item * 0xFFFF)
    whole = bytes(4) + b"\x44\0" + struct.pack(">H", 1) + struct.pack(">HHHIIII", 1, 0, 2, 10, 5, 20, 6)
    assert _places(whole) == {1: (0, [(10, 5), (20, 6)])}
