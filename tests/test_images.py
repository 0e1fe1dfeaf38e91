"""Still images as videos of one frame."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from support.media import cut, moving_frames

from tfdeepfake.data import video
from tfdeepfake.data.video import check


def image(height=60, width=80):
    """A smooth uint8 RGB image [height, width, 3] without any symmetry."""
    return moving_frames(1, height, width, seed=3)[0]


@pytest.mark.parametrize("name, most", [("a.png", 0), ("a.bmp", 0), ("a.webp", 6), ("a.jpg", 6), ("a b.JPEG", 6)])
def test_formats(tmp_path, name, most):
    drawn = image()
    path = tmp_path / name
    Image.fromarray(drawn).save(path, **({} if name.endswith(("png", "bmp")) else {"quality": 97}))
    info = video.probe(path)
    assert (info.width, info.height, info.frame_count, info.is_image, info.fps) == (80, 60, 1, True, 0)
    got = video.read_frames(path, [0])
    assert got.frames.dtype == np.uint8 and np.abs(got.frames[0].astype(int) - drawn).mean() <= most
    assert (got.indices.tolist(), got.timestamps_s.tolist(), got.missing) == ([0], [0], 0)
    np.testing.assert_array_equal(next(video.iter_chunks(path)).frames, got.frames)
    with pytest.raises(ValueError, match="indices needs 0..0"):
        video.read_frames(path, [1])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
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
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **({"quality": 97} if suffix != "png" else {}))
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
        "cmyk.jpg": (Image.fromarray(drawn).convert("CMYK"), drawn, 3),
    }
    for name, (stored, shown, most) in cases.items():
        stored.save(tmp_path / name, **({} if name.endswith("png") else {"quality": 97}))
        got = video.read_frames(tmp_path / name, [0]).frames[0].astype(int)
        assert np.abs(got - shown).mean() <= most, name


def test_colour_of_16_bits(tmp_path):
    import cv2

    deep = np.random.default_rng(0).integers(0, 2**16, (20, 30, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., ::-1])
    got = video.read_frames(tmp_path / "a.png", [0]).frames[0]
    assert np.abs(got - deep / 257).max() <= 1


def test_shrunk(tmp_path):
    Image.fromarray(image(120, 200)).save(tmp_path / "a.png")
    got = video.read_frames(tmp_path / "a.png", [0, 0], max_side_px=100).frames
    assert got.shape == (2, 60, 100, 3)
    halves = image(120, 200).reshape(60, 2, 100, 2, 3).mean(axis=(1, 3))
    assert np.abs(got[0] - halves).max() <= 1


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
@pytest.mark.parametrize("part", [0.1, 0.6])
def test_cut_images(tmp_path, suffix, part):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / f"a.{suffix}")
    path = cut(tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}", part)
    with pytest.raises(video.VideoError, match="damaged"):
        video.read_frames(path, [0])


def test_a_image_whatever_its_name(tmp_path):
    Image.fromarray(image()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    assert video.probe(tmp_path / "a.mp4").is_image


def test_animations_are_refused(tmp_path):
    first, second = (Image.fromarray(frame) for frame in moving_frames(2))
    for suffix in ("webp", "png"):
        first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second])
        with pytest.raises(video.VideoError, match="is an animation"):
            video.probe(tmp_path / f"a.{suffix}")


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
