"""Still images: one upright RGB frame from a JPEG, PNG, WebP or BMP file."""

import os

import numpy as np

from tfdeepfake.data.video.check import VideoError, check_pixels
from tfdeepfake.data.video.decode import shrunk
from tfdeepfake.data.video.packets import upright
from tfdeepfake.quiet import hide_warnings

FORMATS = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "WEBP": "webp", "BMP": "bmp"}
_DAMAGED = "Copy or download it again."


def is_still(path):
    """Whether the first bytes are those of a still image, whatever the file's name; False when it cannot be read."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(16)
    except OSError:
        return False
    if head.startswith(b"\xff\xd8\xff"):
        # A series of JPEG images in one file is a video.
        return not os.fspath(path).lower().endswith((".mjpg", ".mjpeg"))
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"BM")) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _open(path):
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
    if image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) > 1:
        raise VideoError(path, f"is an animation in an image format ({image.format}).", "Convert it to .mp4 or .gif.")
    return image


def _orientation(image):
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block does not spoil the image
        return 1


# EXIF orientation -> (transpose, flip rows, flip columns).
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def describe(path):
    """((width, height) upright, clockwise degrees it is turned, format) of a still image."""
    with _open(path) as image:
        orientation, (width, height) = _orientation(image), image.size
        turned = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}.get(orientation, 0)
        return ((height, width) if orientation in (5, 6, 7, 8) else (width, height)), turned, FORMATS[image.format]


def read(path, max_side_px):
    """Reads a still image: uint8 RGB [H, W, 3], upright, shrunk to max_side_px; transparency is left out.

    Raises:
      VideoError: damaged, cut off or too large.
    """
    with _open(path) as image:
        turn = _TURNS.get(_orientation(image), (False, False, False))
        try:
            image.load()
            if image.mode.startswith("I"):  # 16 bit grey, which Pillow would clip at 255
                deep = np.asarray(image).astype(np.uint32)
                rgb = np.repeat((deep // 257).astype(np.uint8)[..., None], 3, axis=2)
            else:
                rgb = np.asarray(image.convert("RGB"))
        except Exception as error:  # Pillow raises many kinds for damaged data
            raise VideoError(path, f"is a damaged or cut off image ({error}).", _DAMAGED) from None
    rgb = upright(rgb, turn)
    rgb = np.ascontiguousarray(rgb)
    if max(rgb.shape[:2]) > max_side_px:
        import cv2

        return cv2.resize(rgb, shrunk(rgb.shape[1], rgb.shape[0], max_side_px), interpolation=cv2.INTER_AREA)
    return rgb
