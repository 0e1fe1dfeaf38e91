"""Puts what encoders here do not write into MP4 and Matroska files."""

import struct


def insert(path, target, *boxes):
    """Puts boxes into the sample entry of an .mp4 file whose index stands at its end."""
    data = bytearray(path.read_bytes())
    added = b"".join(struct.pack(">I4s", 8 + len(body), kind) + body for kind, body in boxes)
    at = data.index(b"avc1\0\0\0\0") - 4
    end = at + int.from_bytes(data[at : at + 4], "big")
    for kind in (b"avc1\0\0\0\0", b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        place = data.index(kind) - 4
        data[place : place + 4] = (int.from_bytes(data[place : place + 4], "big") + len(added)).to_bytes(4, "big")
    target.write_bytes(bytes(data[:end]) + added + bytes(data[end:]))
    return target


def insert_crop(path, target, cut):
    """Puts PixelCrop elements, (left, top, right, bottom) px below 256, into the first track of a .mkv file.

    The room comes from the Void that the muxer leaves for its list of places, so that all that follows keeps its own.
    """
    data = bytearray(path.read_bytes())
    kinds = 0x54CC, 0x54BB, 0x54DD, 0x54AA
    added = b"".join(struct.pack(">HBB", kind, 0x81, px) for kind, px in zip(kinds, cut, strict=True))
    void = data.index(b"\xec\x01" + bytes(5))
    room = int.from_bytes(data[void + 2 : void + 9], "big")
    data[void + 2 : void + 9] = (room - len(added)).to_bytes(7, "big")
    del data[void + 9 : void + 9 + len(added)]
    at = data.index(b"\x16\x54\xae\x6b", void)
    for kind in (b"\x16\x54\xae\x6b", b"\xae", b"\xe0"):
        while data[at : at + len(kind)] != kind:
            at = _behind(data, at)
        at = _grow(data, at + len(kind), len(added))
    data[at:at] = added
    target.write_bytes(bytes(data))
    return target


def _behind(data, at):
    """Where the element after one of EBML begins."""
    at += 9 - data[at].bit_length()
    wide = 9 - data[at].bit_length()
    return at + wide + (int.from_bytes(data[at : at + wide], "big") & ((1 << 7 * wide) - 1))


def _grow(data, at, count):
    """Adds to a length of EBML in place; where the body begins."""
    wide = 9 - data[at].bit_length()
    grown = int.from_bytes(data[at : at + wide], "big") + count
    assert grown >> 7 * wide == 1
    data[at : at + wide] = grown.to_bytes(wide, "big")
    return at + wide
