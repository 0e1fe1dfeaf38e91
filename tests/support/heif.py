"""Makes small HEIC and AVIF files, box by box, as phones and cameras write them."""

import struct
import tempfile
from pathlib import Path

import av
from support.media import make_video

CODECS = {
    "heic": (b"hvc1", b"hvcC", {"codec": "libx265", "x265_params": "log-level=none:keyint=1", "crf": 4}),
    "avif": (b"av01", b"av1C", {"codec": "libsvtav1", "crf": 4, "svtav1_params": "avif=1"}),
}


def coded_image(kind, frame, **options):
    """(bytes of a coded image, its decoder's header)."""
    settings = {name: value for name, value in CODECS[kind][2].items() if name != "svtav1_params"}
    with tempfile.TemporaryDirectory() as folder:
        path = make_video(Path(folder) / "a.mp4", [frame], **settings | options)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            packet = next(container.demux(stream))
            return bytes(packet), stream.codec_context.extradata


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind, version, *parts, flags=0):
    return box(kind, bytes([version]), flags.to_bytes(3, "big"), *parts)


def write_heif(path, kind, images, primary=1, grid=None, overlay=None):
    """Writes a file of images.

    Args:
      kind: "heic" or "avif".
      images: {number: ((data, header), (width, height), [boxes of further properties], hidden)}; all of one codec.
      primary: number of the image to show.
      grid: (number, rows, columns, (width, height), [properties]) of an image put together from all of `images`.
      overlay: (number, number of another one, [properties]) of an image that shows the other one turned.
    """
    item, header_box, _ = CODECS[kind]
    properties, uses, entries, datas, references = [], [], [], [], b""

    def use(number, boxes):
        for each in boxes:
            properties.append(each)
        uses.append((number, list(range(len(properties) - len(boxes) + 1, len(properties) + 1))))

    for number, ((data, header), size, more, hidden) in images.items():
        entries.append(full(b"infe", 2, struct.pack(">HH", number, 0), item, b"\0", flags=int(hidden)))
        use(number, [box(header_box, header), full(b"ispe", 0, struct.pack(">II", *size)), *more])
        datas.append((number, data))
    if grid:
        number, rows, columns, size, more = grid
        entries.append(full(b"infe", 2, struct.pack(">HH", number, 0), b"grid", b"\0"))
        use(number, [full(b"ispe", 0, struct.pack(">II", *size)), *more])
        datas.append((number, bytes([0, 0, rows - 1, columns - 1]) + struct.pack(">HH", *size)))
        tiles = list(images)
        references += box(b"dimg", struct.pack(f">HH{len(tiles)}H", number, len(tiles), *tiles))
    if overlay:
        number, other, more = overlay
        entries.append(full(b"infe", 2, struct.pack(">HH", number, 0), b"iden", b"\0"))
        use(number, more)
        references += box(b"dimg", struct.pack(">HHH", number, 1, other))
    place = {}

    def meta():
        located = b"".join(
            struct.pack(">HHHII", number, 0, 1, place.get(number, 0), len(data)) for number, data in datas
        )
        used = b"".join(
            struct.pack(">HB", number, len(places)) + bytes(0x80 | at for at in places) for number, places in uses
        )
        return full(
            b"meta",
            0,
            full(b"hdlr", 0, b"\0\0\0\0pict", bytes(13)),
            full(b"pitm", 0, struct.pack(">H", primary)),
            full(b"iloc", 0, b"\x44\0", struct.pack(">H", len(datas)), located),
            full(b"iinf", 0, struct.pack(">H", len(entries)), *entries),
            *([full(b"iref", 0, references)] if references else []),
            box(b"iprp", box(b"ipco", *properties), full(b"ipma", 0, struct.pack(">I", len(uses)), used)),
        )

    brand = b"heic" if kind == "heic" else b"avif"
    start = box(b"ftyp", brand, bytes(4), b"mif1", brand)
    at = len(start) + len(meta()) + 8
    for number, data in datas:
        place[number] = at
        at += len(data)
    path.write_bytes(start + meta() + box(b"mdat", *(data for _, data in datas)))
    return path
