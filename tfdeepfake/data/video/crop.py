"""What part of a stored image is shown: the clean aperture of MP4, MOV and HEIC, and the PixelCrop of Matroska.

FFmpeg's libraries read both and leave the cutting to the player, as does PyAV, which does not tell of them.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from tfdeepfake.data.video.encrypted import top_boxes

WHOLE = (0, 0, 0, 0)
_INDEX_BYTES = 2**26  # of moov, of Tracks
_ENTRY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_ENTRY_BYTES = 78  # of a video's sample entry before its boxes (ISO 14496-12, 12.1.3); width and height stand at 24

# Elements of Matroska (RFC 9559, 5.1).
_SEGMENT, _TRACKS, _TRACK, _TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
_CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)  # left, top, right, bottom
_MAX_ELEMENTS = 10_000


def of_stream(path: str | Path, container: str, number: int, track: int) -> tuple[int, int, int, int]:
    """Px that a container has cut off a video's stored frames: (left, top, right, bottom).

    Args:
      path: an existing file.
      container: FFmpeg's name of its format, "mov" or "matroska"; others know no such thing.
      number: of the video among all videos of the file, from 0.
      track: id of the track, of an MP4 file.
    Returns:
      `WHOLE` where nothing is cut off, or the file makes no sense.
    """
    try:
        with open(path, "rb") as stream:
            if container == "mov":
                return _of_mp4(stream, track)
            return _of_matroska(stream, number) if container == "matroska" else WHOLE
    except (struct.error, IndexError, ValueError, ZeroDivisionError):
        return WHOLE


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (type, body) of the boxes that lie one after another in some bytes."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        size = size or len(data) - at
        if size < 8:
            return
        yield kind, data[at + 8 : at + size]
        at += size


def clean_aperture(body: bytes, width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), the corners of what a clap box leaves of an image (ISO 14496-12, 12.1.4)."""
    wide, wide_by, high, high_by, right, right_by, down, down_by = struct.unpack(">IIIIiIiI", body[:32])
    wide, high = wide / wide_by, high / high_by
    left = right / right_by + (width - 1) / 2 - (wide - 1) / 2
    top = down / down_by + (height - 1) / 2 - (high - 1) / 2
    left, top = min(max(0, round(left)), width - 1), min(max(0, round(top)), height - 1)
    return left, top, min(width, left + max(1, round(wide))), min(height, top + max(1, round(high)))


def _of_mp4(stream, track):
    for kind, start, size in top_boxes(stream):
        if kind == b"moov":
            stream.seek(start)
            moov = stream.read(min(size, _INDEX_BYTES))
            for trak in (body for kind, body in boxes(moov) if kind == b"trak" and b"clap" in body):
                header = next(body for kind, body in boxes(trak) if kind == b"tkhd")
                if int.from_bytes(header[20:24] if header[0] else header[12:16], "big") == track:
                    return _of_track(trak)
    return WHOLE


def _of_track(trak):
    body = trak
    for name in _ENTRY[2:]:
        body = next(inner for kind, inner in boxes(body) if kind == name)
    for _, entry in boxes(body[8:]):
        width, height = struct.unpack(">HH", entry[24:28])
        for kind, aperture in boxes(entry[_ENTRY_BYTES:]):
            if kind == b"clap":
                left, top, right, bottom = clean_aperture(aperture, width, height)
                return left, top, width - right, height - bottom
    return WHOLE


def _of_matroska(stream, number):
    segments = (part for kind, *part in _elements(stream, 0, stream.seek(0, 2)) if kind == _SEGMENT)
    tracks = (part for segment in segments for kind, *part in _elements(stream, *segment) if kind == _TRACKS)
    return next((_of_tracks(stream, *part, number) for part in tracks), WHOLE)


def _of_tracks(stream, start, stop, number):
    videos = -1
    for kind, *entry in _elements(stream, start, stop):
        if kind != _TRACK:
            continue
        parts = {kind: place for kind, *place in _elements(stream, *entry)}
        videos += _TYPE in parts and _number(stream, *parts[_TYPE]) == 1
        if videos == number and _VIDEO in parts:
            cut = {kind: place for kind, *place in _elements(stream, *parts[_VIDEO])}
            return tuple(_number(stream, *cut[crop]) if crop in cut else 0 for crop in _CROPS)
    return WHOLE


def _elements(stream, start, stop):
    """Yields (id, start, end of the body) of the elements of EBML that lie in a part of a file."""
    at = start
    for _ in range(_MAX_ELEMENTS):
        stream.seek(at)
        head = stream.read(12)
        if at >= stop or not head or not head[0]:
            return
        wide = 9 - head[0].bit_length()
        kind, rest = int.from_bytes(head[:wide], "big"), head[wide:]
        if wide > 4 or not rest or not rest[0]:
            return
        long = 9 - rest[0].bit_length()
        size = int.from_bytes(rest[:long], "big") & ((1 << 7 * long) - 1)
        body = at + wide + long
        # All bits set: until the end of what it lies in.
        at = stop if size == (1 << 7 * long) - 1 else body + size
        yield kind, body, min(at, stop)


def _number(stream, start, stop):
    stream.seek(start)
    return int.from_bytes(stream.read(min(8, stop - start)), "big")
