"""Still images beyond the everyday: deep and float TIFF, BigTIFF, colour profiles, colours named by number."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from support.heif import box, coded_image, write_heif
from support.media import graded, moving_frames

from tfdeepfake.data import video

DRAWN = moving_frames(1)[0]
GREY = np.asarray(Image.fromarray(DRAWN).convert("L"))
# Linear Display P3 to XYZ of the profile's white (D50).
P3_XYZ = [(0.515102, 0.241182, -0.00105), (0.291965, 0.692236, 0.041882), (0.157153, 0.066582, 0.784378)]


def read(path):
    info, frame = video.probe(path), video.read_frames(path, [0]).frames[0]
    assert (info.width, info.height) == frame.shape[1::-1]
    return frame.astype(int)


@pytest.mark.parametrize(
    "stored",
    [GREY / np.float32(255), GREY / 255.0, GREY.astype("f4"), GREY * 257.0, np.int32(GREY) * 257,
     np.int32(GREY) << 23],
)  # fmt: skip
def test_grey_of_floats_and_of_32_bits(tmp_path, stored):
    import cv2

    cv2.imwrite(str(tmp_path / "a.tif"), stored)
    assert np.abs(read(tmp_path / "a.tif") - GREY[..., None]).max() <= 1


def add_entry(path, tag, kind, count, value):
    """Puts an entry into the first directory of a TIFF file of the first byte order; longer values go to its end."""
    data = bytearray(path.read_bytes())
    if len(value) > 4:
        data, value = data + value, struct.pack("<I", len(data))
    at = struct.unpack("<I", data[4:8])[0]
    number = struct.unpack("<H", data[at : at + 2])[0]
    entries = [bytes(data[at + 2 + 12 * n : at + 14 + 12 * n]) for n in range(number)]
    entries = [each for each in entries if each[:2] != struct.pack("<H", tag)]
    entries.append(struct.pack("<HHI", tag, kind, count) + value)
    data[4:8] = struct.pack("<I", len(data))
    entries.sort(key=lambda each: struct.unpack("<H", each[:2])[0])
    path.write_bytes(data + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", [np.uint16, np.float32])
def test_deep_colours_are_turned(tmp_path, orientation, form):
    import cv2

    turns = {2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1], 5: lambda p: p.swapaxes(0, 1)}
    turns |= {1: lambda p: p, 6: np.rot90, 7: lambda p: p[::-1, ::-1].swapaxes(0, 1), 8: lambda p: np.rot90(p, -1)}
    stored = turns[orientation](DRAWN)[..., ::-1]
    stored = stored.astype(np.uint16) * 257 if form is np.uint16 else stored / np.float32(255)
    cv2.imwrite(str(tmp_path / "a.tif"), np.ascontiguousarray(stored))
    add_entry(tmp_path / "a.tif", 274, 3, 1, struct.pack("<HH", orientation, 0))
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), DRAWN)


@pytest.mark.parametrize("name", ["big.tif", "big"])
def test_big_tiff(tmp_path, name):
    Image.fromarray(DRAWN).save(tmp_path / name, format="TIFF", big_tiff=True)
    np.testing.assert_array_equal(read(tmp_path / name), DRAWN)


def test_tiff_without_compression_in_ycbcr(tmp_path):
    Image.fromarray(DRAWN).convert("YCbCr").save(tmp_path / "a.tif")
    assert np.abs(read(tmp_path / "a.tif") - DRAWN).mean() < 2


@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_cut_deep_tiff(tmp_path, part):
    import cv2

    cv2.imwrite(str(tmp_path / "a.tif"), DRAWN / np.float32(255))
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "b.tif").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(video.VideoError, match="damaged"):
        video.read_frames(tmp_path / "b.tif", [0])


def profile():
    """ICC profile of P3's primaries with a gamma of 2.2."""

    def fixed(numbers):
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    white = (0.9642, 1, 0.8249)
    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, int(2.2 * 256), 0)
    tags = [(b"desc", b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + bytes(78 + 3))]
    tags += [
        (name, b"XYZ \0\0\0\0" + fixed(at))
        for name, at in zip((b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ"), [white, *P3_XYZ], strict=True)
    ]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, data, start = b"", b"", 132 + 12 * len(tags)
    for name, body in tags:
        body += bytes(-len(body) % 4)
        table, data = table + name + struct.pack(">II", start + len(data), len(body)), data + body
    head = struct.pack(">I", start + len(data)) + b"lcms\x02\x40\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    return (head + fixed(white)).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def in_p3():
    """What a phone stores for `DRAWN`."""
    value = DRAWN / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_srgb = [[1.22494, -0.22494, 0], [-0.042057, 1.042057, 0], [-0.019638, -0.078636, 1.098274]]
    return np.uint8(np.rint(255 * np.clip(light @ np.linalg.inv(to_srgb).T, 0, 1) ** (1 / 2.2)))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "heic"])
def test_colour_profiles(tmp_path, suffix):
    path, stored = tmp_path / f"a.{suffix}", in_p3()
    assert np.abs(stored.astype(int) - DRAWN).mean() > 6
    if suffix == "heic":
        coded = coded_image("heic", stored)
        write_heif(path, "heic", {1: (coded, (128, 96), [box(b"colr", b"prof" + profile())], False)})
    else:
        Image.fromarray(stored).save(
            path, icc_profile=profile(), **({"quality": 97} if suffix in ("jpg", "avif") else {})
        )
    assert np.abs(read(path) - DRAWN).mean() < 2.5


def test_colour_profile_of_deep_colours(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.tif"), in_p3()[..., ::-1].astype(np.uint16) * 257)
    add_entry(tmp_path / "a.tif", 34675, 7, len(profile()), profile())
    assert np.abs(read(tmp_path / "a.tif") - DRAWN).mean() < 2.5
    add_entry(tmp_path / "a.tif", 34675, 7, 2**31, profile()[:200])  # cut off
    assert np.abs(read(tmp_path / "a.tif") - in_p3()).mean() < 1


def test_colour_profile_of_a_palette(tmp_path):
    stored = Image.fromarray(in_p3()).quantize(256)
    stored.save(tmp_path / "a.png", icc_profile=profile())
    Image.fromarray(in_p3()).quantize(256).convert("RGB").save(tmp_path / "b.png", icc_profile=profile())
    np.testing.assert_array_equal(read(tmp_path / "a.png"), read(tmp_path / "b.png"))
    assert np.abs(read(tmp_path / "a.png") - np.asarray(stored.convert("RGB"))).mean() > 4


def test_profiles_that_say_nothing(tmp_path):
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for number, told in enumerate((srgb, profile()[:200], b"nothing", profile())):
        image = Image.fromarray(GREY if number == 3 else DRAWN)  # the last is one of other colours than its image
        image.save(tmp_path / "a.png", icc_profile=told)
        np.testing.assert_array_equal(read(tmp_path / "a.png"), np.asarray(image.convert("RGB")))


def test_colours_of_png_named_by_number(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), graded(DRAWN[None], 16)[0][..., ::-1])
    data, chunk = (tmp_path / "a.png").read_bytes(), b"cICP\x09\x10\0\x01"
    chunk = struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "b.png").write_bytes(data[:33] + chunk + data[33:])
    assert np.abs(read(tmp_path / "b.png") - DRAWN).mean() < 2
    assert np.abs(read(tmp_path / "a.png") - DRAWN).mean() > 20
