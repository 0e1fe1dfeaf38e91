"""TIFF files: what their first directory says, and the kinds that Pillow does not read: deep colours, floats, BigTIFF.

TIFF 6.0 and Adobe's supplements; BigTIFF as libtiff describes it.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfdeepfake.data.video import profiles
from tfdeepfake.data.video.check import VideoError, check_pixels

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # types of entries that are whole numbers
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS = 254, 256, 257, 258, 259, 262
_ORIENTATION, _SAMPLES, _SAMPLE_FORMAT, _DNG = 274, 277, 339, 50706
_YCBCR, _FLOAT = 6, 3
_PROFILE, _BYTES = 34675, (1, 7)
MAX_ENTRIES = 4096


@dataclass(frozen=True)
class Directory:
    """The first image of a file.

    Args:
      tags: {tag: its first number}.
      turned: (where, what) bytes of the file say the same image without an orientation; None where it has none.
      profile: (where, length) of its colour profile in the file; None where it has none.
    """

    tags: dict
    turned: tuple | None = None
    profile: tuple | None = None

    @property
    def is_raw(self) -> bool:
        """Cameras' raw files are TIFF files whose first image is a small preview."""
        return bool(self.tags.get(_SUBFILE, 0) & 1) or _DNG in self.tags

    @property
    def is_beyond_pillow(self) -> bool:
        """Whether OpenCV has to read it: Pillow reads neither deep colours nor 64 bits, and takes floats as 0..255."""
        bits, samples = self.tags.get(_BITS, 1), self.tags.get(_SAMPLES, 1)
        plain_ycbcr = self.tags.get(_COLOURS) == _YCBCR and self.tags.get(_COMPRESSION, 1) == 1
        return (bits > 8 and samples > 2) or bits > 16 or self.tags.get(_SAMPLE_FORMAT) == _FLOAT or plain_ycbcr

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as stored."""
        return self.tags.get(_WIDTH, 0), self.tags.get(_HEIGHT, 0)

    @property
    def orientation(self) -> int:
        """As EXIF counts it, 1..8."""
        return self.tags.get(_ORIENTATION, 1)


def read_directory(path: Path | str) -> Directory:
    """The first directory of a file that begins with one of `MARKS`; what is damaged in it is left out."""
    with open(path, "rb") as stream:
        head = stream.read(16)
        order, is_big = ("<" if head[:2] == b"II" else ">"), head[2:4] in (b"+\0", b"\0+")
        wide, entry_bytes, count_form = ("Q", 20, "Q") if is_big else ("I", 12, "H")
        at = struct.unpack(order + wide, head[8:16] if is_big else head[4:8])[0] if len(head) == 16 else 0
        stream.seek(min(at, 2**62))
        counted = stream.read(struct.calcsize(count_form))
        count = struct.unpack(order + count_form, counted)[0] if len(counted) == struct.calcsize(count_form) else 0
        start, turned, profile, tags = stream.tell(), None, None, {}
        entries = stream.read(min(count, MAX_ENTRIES) * entry_bytes)
        for place in range(0, len(entries) - entry_bytes + 1, entry_bytes):
            tag, kind, length = struct.unpack(order + "HH" + wide, entries[place : place + entry_bytes // 2 + 2])
            value = entries[place + entry_bytes // 2 + 2 : place + entry_bytes]
            if tag == _ORIENTATION and kind == 3:
                turned = start + place + entry_bytes // 2 + 2, struct.pack(order + "H", 1)
            if tag == _PROFILE and kind in _BYTES:
                profile = struct.unpack(order + wide, value)[0], length
            if kind not in _NUMBERS:
                tags.setdefault(tag, 0)
                continue
            size = struct.calcsize(_NUMBERS[kind])
            if length * size > len(value):  # it stands elsewhere
                stream.seek(min(struct.unpack(order + wide, value)[0], 2**62))
                value = stream.read(size)
            if len(value) >= size:
                tags.setdefault(tag, struct.unpack(order + _NUMBERS[kind], value[:size])[0])
    return Directory(tags, turned, profile)


def read(path: Path | str) -> np.ndarray:
    """uint8 RGB [H, W, 3] of a file that is beyond Pillow, as stored, in sRGB's colours.

    Raises:
      VideoError: damaged, too large, or of a kind that OpenCV does not read either.
    """
    import cv2
    from PIL import Image

    from tfdeepfake.quiet import hide_stderr

    directory = read_directory(path)
    check_pixels(path, *directory.size)
    with open(path, "rb") as stream:
        data = bytearray(stream.read())
    if directory.turned:  # OpenCV turns some of them itself and fails over others
        at, upright = directory.turned
        data[at : at + len(upright)] = upright
    try:
        with hide_stderr():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        image = None
    if image is None:
        raise VideoError(
            path,
            "is an image that cannot be read: damaged, or a rare kind of TIFF.",
            "Save it as PNG, or copy it again.",
        )
    image = _to_8_bits(image)
    image = image if image.ndim == 2 else np.ascontiguousarray(image[..., 2::-1])
    at, length = directory.profile or (0, 0)
    return np.asarray(profiles.to_srgb(Image.fromarray(image), bytes(data[at : at + length])))


def _to_8_bits(image):
    """Floats are 0..1, or 0..255 where they exceed 1; whole numbers fill their type, or 16 bits of its 32."""
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return (image.astype(np.uint32) // 257).astype(np.uint8)
    whites = (1.0, 255.0, 65535.0) if np.issubdtype(image.dtype, np.floating) else (65535.0, 2.0**31)
    image = np.nan_to_num(image.astype(np.float64), posinf=0, neginf=0).clip(0)
    most = image.max()
    return np.rint(image * (255 / next((white for white in whites if most <= white), most))).astype(np.uint8)
