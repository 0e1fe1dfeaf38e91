"""The boxes of a HEIC or AVIF file: which images it holds, where their data lies, and how each is to be shown.

ISO 23008-12 (items of images and their properties) and 14496-12 (boxes).
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tfdeepfake.data.video.crop import boxes

STILL_BRANDS = (b"mif1", b"mif2", b"heic", b"heix", b"heim", b"heis", b"avif", b"miaf", b"MA1A", b"MA1B", b"1pic")
MOVING_BRANDS = (b"msf1", b"hevc", b"hevx", b"hevm", b"hevs", b"avis")
# Boxes that are read are small: the images themselves lie outside of them.
MAX_META_BYTES = 2**24


def is_heif(head: bytes) -> bool:
    """Whether a file that begins with these bytes (64 or more) holds still images of this kind."""
    return head[4:8] == b"ftyp" and any(brand in STILL_BRANDS for brand in _brands(head))


def is_moving(path: str | Path) -> bool:
    """Whether such a file also holds a sequence of images, an animation."""
    with open(path, "rb") as stream:
        head = stream.read(256)
        if not any(brand in MOVING_BRANDS for brand in _brands(head)):
            return False
        end, at = stream.seek(0, 2), 0
        for _ in range(1000):
            stream.seek(at)
            size, kind = struct.unpack(">I4s", stream.read(8).ljust(8, b"\0"))
            if kind == b"moov":
                return True
            if size < 8 or at + size >= end:
                return False
            at += size
    return False


def _brands(head):
    size = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]


@dataclass
class Items:
    """The meta box: images by number."""

    primary: int = 0
    kinds: dict = field(default_factory=dict)  # number -> type, e.g. b"grid"
    hidden: set = field(default_factory=set)
    places: dict = field(default_factory=dict)  # number -> (construction method, [(offset, length)])
    properties: dict = field(default_factory=dict)  # number -> [(type, body)]
    references: dict = field(default_factory=dict)  # (type, number) -> [number]
    data: bytes = b""  # of the idat box


def read_items(stream: BinaryIO) -> Items:
    """Items of an open file.

    Raises:
      ValueError, IndexError, struct.error: boxes that make no sense.
    """
    return _meta(_meta_box(stream))


def _meta_box(stream):
    end, at = stream.seek(0, 2), 0
    for _ in range(1000):
        stream.seek(at)
        head = stream.read(16)
        if len(head) < 8:
            break
        size, kind, skip = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, skip = int.from_bytes(head[8:16], "big"), 16
        size = size or end - at
        if size < skip:
            break
        if kind == b"meta":
            stream.seek(at + skip)
            return stream.read(min(size - skip, MAX_META_BYTES))
        at += size
        if at >= end:
            break
    raise ValueError("no meta box")


def _meta(body):
    """Items of a meta box."""
    items = Items()
    for kind, data in boxes(body[4:]):
        if kind == b"pitm":
            items.primary = int.from_bytes(data[4:8] if data[0] else data[4:6], "big")
        elif kind == b"iinf":
            for name, entry in boxes(data[8 if data[0] else 6 :]):
                if name == b"infe" and entry[0] >= 2:
                    number = int.from_bytes(entry[4:8] if entry[0] > 2 else entry[4:6], "big")
                    items.kinds[number] = entry[10:14] if entry[0] > 2 else entry[8:12]
                    if entry[3] & 1:
                        items.hidden.add(number)
        elif kind == b"iloc":
            items.places = _places(data)
        elif kind == b"iref":
            wide = 4 if data[0] else 2
            for name, entry in boxes(data[4:]):
                count = int.from_bytes(entry[wide : wide + 2], "big")
                ends = range(2 * wide + 2, min(len(entry), wide + 2 + count * wide) + 1, wide)
                numbers = [int.from_bytes(entry[end - wide : end], "big") for end in ends]
                items.references.setdefault((name, int.from_bytes(entry[:wide], "big")), []).extend(numbers)
        elif kind == b"iprp":
            items.properties = _properties(data)
        elif kind == b"idat":
            items.data = data
    return items


def _places(data):
    """iloc: number -> (construction method, [(offset, length)])."""
    version, sizes = data[0], (data[4] >> 4, data[4] & 15, data[5] >> 4, data[5] & 15)
    wide, at, places = 4 if version == 2 else 2, 6, {}

    def take(size):
        nonlocal at
        if at + size > len(data):
            raise IndexError("iloc ends early")
        at += size
        return int.from_bytes(data[at - size : at], "big")

    for _ in range(take(wide)):
        number = take(wide)
        method = take(2) & 15 if version else 0
        take(2)  # data reference
        base, extents, count = take(sizes[2]), [], take(2)
        if count > 1 and not (sizes[0] or sizes[1]):
            raise ValueError("iloc has places without a size")  # millions of them fit into a few bytes
        for _ in range(count):
            if version:
                take(sizes[3])
            start = base + take(sizes[0])
            extents.append((start, take(sizes[1])))
        places[number] = method, extents
    return places


def _properties(data):
    """iprp: number -> [(type, body)] in the order in which they are to be applied."""
    outer = list(boxes(data))
    known = [box for kind, body in outer if kind == b"ipco" for box in boxes(body)]
    properties = {}
    for kind, body in outer:
        if kind != b"ipma":
            continue
        wide, long, at = (4 if body[0] else 2), body[3] & 1, 8
        for _ in range(min(int.from_bytes(body[4:8], "big"), len(body))):
            number, count, at = int.from_bytes(body[at : at + wide], "big"), body[at + wide], at + wide + 1
            for _ in range(count):
                place = int.from_bytes(body[at : at + 1 + long], "big") & (0x7FFF if long else 0x7F)
                at += 1 + long
                if 0 < place <= len(known):
                    properties.setdefault(number, []).append(known[place - 1])
    return properties
