"""Still images: one upright RGB frame from a JPEG, PNG, WebP, BMP, TIFF, HEIC or AVIF file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.data.video import colours, heif, profiles, tiff
from tfdeepfake.data.video.check import MAX_PIXELS, VideoError, check_pixels
from tfdeepfake.data.video.heif_boxes import is_heif, is_moving
from tfdeepfake.data.video.shown import NOT_TURNED, Shown, shrunk, turn_degrees, upright
from tfdeepfake.quiet import hide_warnings

if TYPE_CHECKING:
    from PIL import Image


FORMATS = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "WEBP": "webp", "BMP": "bmp", "TIFF": "tiff"}
_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
_DAMAGED = "Copy or download it again."


def is_still(path: str | Path) -> bool:
    """Whether the content is that of one still image, whatever the file's name; False when it cannot be read."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(256)
            if head.startswith(b"\xff\xd8\xff"):
                return not _is_series(os.fspath(path).lower(), stream)
            if head.startswith(b"\x89PNG\r\n\x1a\n"):
                return _moving_png(head) < 2
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return not is_moving_webp(head)
        if is_heif(head):
            return not is_moving(path)
    except OSError:
        return False
    return head.startswith((b"BM", *tiff.MARKS))


def is_moving_webp(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an animation (the container of WebP, "Extended File Format")."""
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)


def _moving_png(head):
    """Images of an animated PNG; 0 for one that is not animated: the chunk that says so stands before the image."""
    at = 8
    while at + 16 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind == b"acTL":
            return int.from_bytes(head[at + 8 : at + 12], "big")
        if kind == b"IDAT":
            return 0
        at += 12 + size
    return 0


def _is_series(name, stream):
    """Whether a file that begins as a JPEG image holds many, one after another, as IP cameras write them.

    Cameras also write JPEG files with a second image inside (of depth, of a preview): these are still images.
    """
    if name.endswith((".mjpg", ".mjpeg")):
        return True
    if name.endswith(_SUFFIXES):
        return False
    stream.seek(0)
    data = stream.read(2**24)
    end = _jpeg_end(data)
    second = data[end : end + 3] == b"\xff\xd8\xff" and b"MPF\0" not in data[:65536]
    return second and data[end:].count(b"\xff\xd8\xff") > 1


def _jpeg_end(data):
    """Where the first JPEG image of some bytes ends; their length when it does not."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        is_scan = data[at + 1] == 0xDA
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        while is_scan:
            at = data.find(b"\xff", at)
            if at < 0 or at + 1 >= len(data):
                return len(data)
            if data[at + 1] == 0xD9:
                return at + 2
            if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7 and data[at + 1] != 0xFF:
                break
            at += 1 if data[at + 1] == 0xFF else 2
    return len(data)


def opened_image(path: str | Path) -> "Image.Image":
    """A Pillow image, to be closed by `with`; its size is within the limit."""
    from PIL import Image

    try:
        # The size is checked below, by our own limit.
        with hide_warnings(Image.DecompressionBombWarning):
            # Pillow has no reader of the name MPO: that of JPEG finds such files.
            image = Image.open(path, formats=tuple(name for name in FORMATS if name != "MPO"))
    except Image.DecompressionBombError as error:
        raise VideoError(
            path, f"claims too many pixels ({error}).", "If this is its true size, shrink it first."
        ) from None
    except Exception:  # Pillow raises many kinds for a damaged header
        raise VideoError(
            path, "is no image that can be read: damaged, or not what its first bytes say.", _DAMAGED
        ) from None
    check_pixels(path, *image.size)
    return image


def _orientation(image):
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block does not spoil the image
        return 1


# EXIF orientation -> (transpose, flip rows, flip columns).
TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def turn_of(image: "Image.Image") -> tuple:
    """(transpose, flip rows, flip columns) that shows a Pillow image upright."""
    # Pillow turns TIFF images itself.
    return NOT_TURNED if image.format == "TIFF" else TURNS.get(_orientation(image), NOT_TURNED)


@hide_warnings()
def describe(path: str | Path) -> tuple:
    """((width, height) as shown, clockwise degrees it is turned, format, notes) of a still image."""
    if _is_heif(path):
        return heif.describe(path)
    if (directory := _deep_tiff(path)) is not None:
        check_pixels(path, *directory.size)
        look = Shown(directory.size, turn=TURNS.get(directory.orientation, NOT_TURNED))
        return look.px, turn_degrees(look.turn), "tiff", ()
    with opened_image(path) as image:
        orientation, (width, height) = _orientation(image), image.size
        pages = _pages(image)
        notes = (f"a file of {pages} images: the first is read",) if pages > 1 else ()
        # Pillow turns TIFF images itself and gives their size as shown.
        turned = orientation in (5, 6, 7, 8) and image.format != "TIFF"
        size = (height, width) if turned else (width, height)
        return size, turn_degrees(TURNS.get(orientation, NOT_TURNED)), FORMATS[image.format], notes


@hide_warnings()
def read(path: str | Path, max_side_px: int | None) -> np.ndarray:
    """Reads a still image: uint8 RGB [H, W, 3], upright, shrunk to max_side_px; transparency is left out.

    Raises:
      VideoError: damaged, cut off, too large, or a camera's raw data.
    """
    if _is_heif(path):
        rgb = heif.read(path)
    elif (directory := _deep_tiff(path)) is not None:
        rgb = upright(tiff.read(path), TURNS.get(directory.orientation, NOT_TURNED))
    else:
        rgb = _read_by_pillow(path)
    rgb = np.ascontiguousarray(rgb)
    if max(rgb.shape[:2]) > max_side_px:
        import cv2

        return cv2.resize(rgb, shrunk(rgb.shape[1], rgb.shape[0], max_side_px), interpolation=cv2.INTER_AREA)
    return rgb


def _read_by_pillow(path):
    with opened_image(path) as image:
        try:
            # Before its EXIF is asked for: that loads a PNG too, and what fails once passes the next time.
            image.load()
            turn = turn_of(image)
            if image.mode.startswith("I"):  # 16 bit grey, which Pillow would clip at 255
                deep = np.asarray(image).astype(np.int64).clip(0, 65535)
                rgb = np.repeat((deep // 257).astype(np.uint8)[..., None], 3, axis=2)
            elif image.format == "PNG" and (frame := _coded_colours(path)) is not None:
                rgb = frame
            else:
                rgb = np.asarray(profiles.to_srgb(image, image.info.get("icc_profile")))
        except Exception as error:  # Pillow raises many kinds for damaged data
            raise VideoError(path, f"is a damaged or cut off image ({error}).", _DAMAGED) from None
    return upright(rgb, turn)


def _coded_colours(path):
    """uint8 RGB [H, W, 3] of a PNG file that names its colours by number (cICP, PNG 11.3.2.6); None for others."""
    import av
    from av.video.reformatter import VideoReformatter

    with open(path, "rb") as stream:
        data = stream.read()
    if b"cICP" not in data[:4096].split(b"IDAT")[0]:
        return None
    decoder = av.CodecContext.create("png", "r")
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    frame = (decoder.decode(av.Packet(data)) + decoder.decode(None))[0]
    return colours.to_rgb(VideoReformatter(), frame, frame.width, frame.height, "BICUBIC")


def _pages(image):
    """Images in a TIFF file; 1 for other formats, and where they cannot be counted."""
    try:
        return image.n_frames if image.format == "TIFF" else 1
    except Exception:  # Pillow raises many kinds for damaged data
        return 1


def _is_heif(path):
    with open(path, "rb") as stream:
        return is_heif(stream.read(256))


def _deep_tiff(path):
    """`tiff.Directory` of a TIFF file that Pillow cannot read; None for others.

    Raises:
      VideoError: it is a camera's raw file.
    """
    with open(path, "rb") as stream:
        if not stream.read(4).startswith(tiff.MARKS):
            return None
    directory = tiff.read_directory(path)
    if directory.is_raw:
        raise VideoError(path, "holds the raw data of a camera.", "Develop it to a JPEG first.")
    return directory if directory.is_beyond_pillow else None
