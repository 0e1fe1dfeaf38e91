"""What the beginning of a packet tells without decoding it: parameter sets, and which kind of frame it holds.

A size, shape of pixels or orientation can change inside a file only with these headers. They are compared as bytes, not
understood: a packet with new ones is decoded to see what they mean.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av


HEADER_BYTES = 4096  # parameter sets stand before the first slice of a frame

_SPS = {"h264": 7, "hevc": 33}
_SLICES = {"h264": range(1, 6), "hevc": range(0, 32)}


def signature(codec: str, packet: "av.Packet", lengths: int) -> bytes | None:
    """Bytes that change when a keyframe of other size, shape or orientation begins; None when it holds no header.

    Args:
      codec: name of the codec.
      packet: av.Packet of a keyframe.
      lengths: as `nal_lengths` gives it.
    """
    if packet.has_sidedata("new_extradata"):
        return b"new" + bytes(packet.get_sidedata("new_extradata"))
    data = bytes(memoryview(packet)[:HEADER_BYTES])
    if codec in _SPS:
        sets = [nal for kind, nal in nal_units(codec, data, lengths) if kind == _SPS[codec]]
        return b"".join(sets) or None
    if codec == "mjpeg":
        return _jpeg_header(data)
    if codec in ("mpeg2video", "mpeg1video"):
        return _after(data, b"\0\0\1\xb3", 4)  # size and shape of pixels
    if codec == "mpeg4":
        return next((nal for kind in range(0x20, 0x30) if (nal := _after(data, bytes((0, 0, 1, kind)), 16))), None)
    if codec == "vp8":
        return data[3:10]
    if codec == "vp9":
        return data[1:9]
    if codec == "av1":
        return _sequence_header(data)
    if codec in ("png", "apng"):
        return data[16:24]
    if codec == "prores":
        return data[16:20]
    return None


def nal_lengths(codec: str, extradata: bytes | None) -> int:
    """Bytes of the length before each unit of an H.264 or HEVC packet; 0 where start codes are between them."""
    if not extradata or extradata[0] != 1:
        return 0
    at = {"h264": 4, "hevc": 21}.get(codec)
    return (extradata[at] & 3) + 1 if at is not None and len(extradata) > at else 0


def nal_units(codec: str, data: bytes, lengths: int) -> Iterator[tuple]:
    """Yields (type, bytes) of the units up to and with the first slice."""
    for nal in _by_length(data, lengths) if lengths else _by_start_code(data):
        if not nal:
            continue
        kind = nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63
        yield kind, nal
        if kind in _SLICES[codec]:
            return


def _by_length(data, lengths):
    at = 0
    while at + lengths < len(data):
        size = int.from_bytes(data[at : at + lengths], "big")
        yield data[at + lengths : at + lengths + size]
        at += lengths + size


def _by_start_code(data):
    start = data.find(b"\0\0\1")
    while start >= 0:
        after = data.find(b"\0\0\1", start + 3)
        yield data[start + 3 : after if after >= 0 else len(data)].rstrip(b"\0")
        start = after


def first_slice(codec: str, packet: "av.Packet", lengths: int) -> int | None:
    """Type of the first slice's unit; None when there is none."""
    data = bytes(memoryview(packet)[:HEADER_BYTES])
    kinds = [kind for kind, _ in nal_units(codec, data, lengths)]
    return kinds[-1] if kinds and kinds[-1] in _SLICES[codec] else None


I_IMAGE, B_IMAGE = 0, 2


def image_mpeg4(packet: "av.Packet") -> int | None:
    """Type of the image in a packet of MPEG-4 part 2; None where it holds two, or only says "repeat the last"."""
    data = bytes(packet)
    if len(data) < 8 or data.count(b"\0\0\1\xb6") != 1:
        return None
    return data[min(data.index(b"\0\0\1\xb6") + 4, len(data) - 1)] >> 6


def image_h263(packet: "av.Packet") -> int | None:
    """Type of the image in a packet of H.263 (ITU-T H.263, 5.1): `I_IMAGE` or 1; None of one that has a B-frame."""
    bits = int.from_bytes(bytes(memoryview(packet)[:10]).ljust(10, b"\0"), "big")

    def field(at, width):
        return bits >> (80 - at - width) & ((1 << width) - 1)

    if field(0, 22) != 0x20:
        return None
    if field(35, 3) != 7:
        return None if field(42, 1) else field(38, 1)
    kind = field(59, 3) if field(38, 3) == 1 else field(41, 3)
    return kind if kind < B_IMAGE else None


def is_shown(codec: str, packet: "av.Packet") -> bool:
    """Whether a packet gives a frame; VP8 has packets that only later frames refer to (RFC 6386, 9.1)."""
    return codec != "vp8" or packet.size < 1 or bool(memoryview(packet)[0] & 0x10)


def _after(data, mark, length):
    at = data.find(mark)
    return data[at + 4 : at + 4 + length] if at >= 0 else None


def _jpeg_header(data):
    """Size and components of a JPEG image, and its EXIF orientation."""
    at, parts = 2, b""
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at + 4 : at + 2 + size]
        if kind == 0xE1 and segment.startswith(b"Exif\0\0"):
            parts += bytes([exif_orientation(segment[6:])])
        if kind == 0xE0:
            parts += segment[7:12]  # shape of pixels
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return parts + segment
        at += 2 + size
    return None


def exif_orientation(tiff: bytes) -> int:
    """EXIF orientation 1..8 of a TIFF header with its first directory; 1 when it has none or is damaged."""
    order = {b"II": "little", b"MM": "big"}.get(tiff[:2])
    if order is None:
        return 1
    at = int.from_bytes(tiff[4:8], order)
    for entry in range(int.from_bytes(tiff[at : at + 2], order)):
        tag = tiff[at + 2 + 12 * entry : at + 14 + 12 * entry]
        if len(tag) < 12:
            return 1
        if int.from_bytes(tag[:2], order) == 0x0112:
            orientation = int.from_bytes(tag[8:10], order)
            return orientation if 1 <= orientation <= 8 else 1
    return 1


def _sequence_header(data):
    """The sequence header of AV1 (AV1 specification, 5.3 and 5.5)."""
    at = 0
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        size, shift = 0, 0
        while sized and at < len(data) and shift < 35:
            size |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                break
        if kind == 1:
            return data[at : at + size]
        if not sized:
            return None
        at += size
    return None
