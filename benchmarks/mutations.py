"""Rules that damage a file: flipped bits, cut ends, holes, shuffled and resized boxes of the container, JSON that stays
JSON and says something else.
"""

import json
import struct

import numpy as np

# Boxes of MP4 and MOV that hold boxes.
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta"}


def boxes(data, start=0, end=None):
    """[(offset, size, kind)] of the boxes of an MP4 file, or of a part of one; stops where it makes no sense."""
    end, listed = len(data) if end is None else end, []
    while start + 8 <= end:
        size, kind = struct.unpack(">I4s", data[start : start + 8])
        if size < 8 or start + size > end:
            break
        listed.append((start, size, kind))
        start += size
    return listed


def all_boxes(data, start=0, end=None):
    """Those inside of boxes too."""
    listed = []
    for at, size, kind in boxes(data, start, end):
        listed.append((at, size, kind))
        if kind in CONTAINERS:
            listed += all_boxes(data, at + 8, at + size)
    return listed


def flip(count):
    def flip_bits(data, rng):
        data = np.frombuffer(data, np.uint8).copy()
        np.bitwise_xor.at(data, rng.integers(0, len(data), count), 1 << rng.integers(0, 8, count).astype(np.uint8))
        return data.tobytes()

    return flip_bits


def cut_end(data, rng):
    return data[: int(len(data) * rng.uniform(0.02, 0.98))]


def cut_start(data, rng):
    return data[int(len(data) * rng.uniform(0.001, 0.5)) :]


def zero_range(data, rng):
    at = int(rng.integers(0, len(data)))
    size = min(len(data) - at, int(rng.integers(1, len(data) // 3 + 2)))
    return data[:at] + bytes(size) + data[at + size :]


def repeat_range(data, rng):
    at = int(rng.integers(0, len(data)))
    return data[:at] + data[at : at + int(rng.integers(1, 5000))] * 2 + data[at:]


def swap_ranges(data, rng):
    size = max(1, len(data) // 20)
    a, b = (int(x) for x in rng.integers(0, max(1, len(data) - size), 2))
    data = bytearray(data)
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]
    return bytes(data)


def shuffle_boxes(data, rng):
    """The boxes of one level in another order: those of the file, or those inside one of its boxes."""
    parents = [(at + 8, at + size) for at, size, kind in all_boxes(data) if kind in CONTAINERS]
    start, end = [(0, len(data)), *parents][rng.integers(0, 1 + len(parents))]
    siblings = boxes(data, start, end)
    if len(siblings) < 2:
        return swap_ranges(data, rng)
    parts = [data[siblings[n][0] : siblings[n][0] + siblings[n][1]] for n in rng.permutation(len(siblings))]
    return data[:start] + b"".join(parts) + data[start + sum(map(len, parts)) :]


def resize_box(data, rng):
    """A box that claims another size, from 0 to 4 GiB."""
    listed = all_boxes(data)
    if not listed:
        return flip(8)(data, rng)
    at = listed[rng.integers(0, len(listed))][0]
    size = int(rng.choice([0, 1, 7, 8, 2**31, 2**32 - 1, int(rng.integers(0, 2**32))]))
    return data[:at] + struct.pack(">I", size) + data[at + 4 :]


def spoil_box(data, rng):
    """Random bytes inside a box of the index: sizes, times and places of frames that are not true."""
    listed = [
        b
        for b in all_boxes(data)
        if b[2] in (b"stsz", b"stts", b"stco", b"co64", b"stsc", b"stsd", b"ctts", b"tkhd", b"mvhd")
    ]
    if not listed:
        return flip(8)(data, rng)
    at, size, _ = listed[rng.integers(0, len(listed))]
    data = bytearray(data)
    for place in rng.integers(at + 8, max(at + 9, at + size), 6):
        data[place] = rng.integers(0, 256)
    return bytes(data)


MUTATIONS = {
    "flip 1 bit": flip(1),
    "flip 30 bits": flip(30),
    "flip 1000 bits": flip(1000),
    "cut the end": cut_end,
    "cut the start": cut_start,
    "zero a range": zero_range,
    "repeat a range": repeat_range,
    "swap two ranges": swap_ranges,
    "shuffle boxes": shuffle_boxes,
    "resize a box": resize_box,
    "spoil an index box": spoil_box,
}

NUMBERS = [0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]


def overwrite(data, rng):
    """A number that often matters, in either byte order, somewhere."""
    size = int(rng.choice([1, 2, 4, 8]))
    number = int(rng.choice(np.array(NUMBERS, dtype=object))) % (1 << 8 * size)
    at = int(rng.integers(0, max(1, len(data) - size)))
    return data[:at] + number.to_bytes(size, ("big", "little")[rng.integers(2)]) + data[at + size :]


def insert(data, rng):
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at:]


def delete(data, rng):
    at = int(rng.integers(0, max(1, len(data))))
    return data[:at] + data[at + int(rng.integers(1, 64)) :]


# Of any file, led by what its readers do with it.
RULES = {**MUTATIONS, "overwrite": overwrite, "overwrite again": overwrite, "insert": insert, "delete": delete}


# What a field of JSON may hold instead, as text: some of it Python's reader takes, and JSON does not know.
VALUES = (
    *("null", "true", "false", "0", "1", "-1", "2", "0.5", "1e308", "-1e308", "1e309", "1e-320", "NaN", "Infinity"),
    *("1" + "0" * 40, "9" * 5000, "4294967296", "100000", '""', '"none"', '"../.."', '"/dev/zero"', '"a\\u0000b"'),
    *('"\\ud800"', '"\\u001b[31m<script>"', "[]", "{}", "[[]]", "[null, 1]", '{"": 0}', '"' + "x" * 100_000 + '"'),
    *("[" + ", ".join(["1e9"] * 50_000) + "]", "[" * 200 + "]" * 200, "[" * 5000 + "]" * 5000),
    *(
        '{"a": ' * 300 + "0" + "}" * 300,
        '["mtcnn", "mtcnn"]',
        '"mtcnn"',
        '"chunks"',
        '"consecutive"',
        '"clip"',
        '"flow"',
    ),
)


def restructure(data, rng):
    """JSON with up to four places changed: values of other types and sizes, keys that are missing, double, misspelt, or
    stand elsewhere; without sense where it is none."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return overwrite(data, rng)
    texts = {}
    for _ in range(int(rng.integers(1, 5))):
        places = list(_places(tree))
        if not places:
            break
        parent, key = places[rng.integers(len(places))]
        other, place = places[rng.integers(len(places))]
        rule = rng.integers(8)
        if rule < 4:
            mark = f"@{len(texts)}@"
            texts[json.dumps(mark)] = VALUES[rng.integers(len(VALUES))]
            parent[key] = mark
        elif rule == 4:
            del parent[key]
        elif rule == 5:
            parent[key], other[place] = other[place], json.loads(json.dumps(parent[key]))
        elif rule == 6:
            parent[key] = [parent[key]] * int(rng.integers(1, 4))
        elif isinstance(parent, dict):
            parent[(key.upper(), f"{key} ", f"{key}s")[rng.integers(3)]] = parent.pop(key)
    try:
        text = json.dumps(tree)
    except (ValueError, RecursionError):  # something stands inside itself
        return overwrite(data, rng)
    for mark, value in texts.items():
        text = text.replace(mark, value)
    if rng.random() < 0.1:  # the same key twice
        text = text.replace("{", '{"network": "meso4", "data": {}, ', 1)
    return text.encode()


def _places(tree):
    """(parent, key or number) of everything in a JSON value, parts of parts included."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key])


def changed(corpus, rng, is_json=False):
    """A new content from those of one kind of files: up to three rules after each other, or two files put together; of
    JSON mostly by `restructure`."""
    data = corpus[rng.integers(len(corpus))]
    if is_json and rng.random() < 0.9:
        return restructure(data, rng)[: 1 << 20]
    if len(corpus) > 1 and rng.random() < 0.1:
        other = corpus[rng.integers(len(corpus))]
        data = data[: int(len(data) * rng.random())] + other[int(len(other) * rng.random()) :]
    for _ in range(int(rng.integers(1, 4))):
        data = RULES[list(RULES)[rng.integers(len(RULES))]](data or b"\0", rng)
    return data[: 1 << 20]
