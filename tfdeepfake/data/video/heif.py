"""HEIC and AVIF still images: their items are found here and decoded by FFmpeg's codecs.

FFmpeg's own reader gives the tiles that a phone stores as so many videos; which image is the one to show, how its tiles
lie and how it is turned stands in the boxes of the file (ISO 23008-12, 14496-12).
"""

import contextlib
import itertools
import struct
from pathlib import Path

import numpy as np

from tfdeepfake.data.video import colours, profiles
from tfdeepfake.data.video.check import MAX_PIXELS, VideoError, check_pixels
from tfdeepfake.data.video.crop import clean_aperture
from tfdeepfake.data.video.heif_boxes import read_items
from tfdeepfake.data.video.shown import turn_degrees, upright

CODECS = {b"hvc1": ("hevc", b"hvcC"), b"av01": ("libdav1d", b"av1C"), b"jpeg": ("mjpeg", b"jpgC")}
_NOT_READ = {
    b"iovl": "put together from overlapping ones", b"tmap": "told by a gain map", b"vvc1": "coded in VVC",
    b"avc1": "coded in H.264", b"j2k1": "coded in JPEG 2000", b"unci": "not compressed",
}  # fmt: skip
MAX_TILES = 4096
DAMAGED = "Copy or download it again."


def describe(path: str | Path) -> tuple:
    """((width, height) as shown, clockwise degrees it is turned, format, notes) of the image to show."""
    with _errors_named(path):
        image = _Image(path)
        return image.size(), image.degrees(), image.format(), image.notes()


def read(path: str | Path) -> np.ndarray:
    """The image to show: uint8 RGB [H, W, 3], upright, in the colours of ordinary images.

    Raises:
      VideoError: damaged, cut off, too large, or of a kind that is not known.
    """
    with _errors_named(path):
        return _Image(path).read()


@contextlib.contextmanager
def _errors_named(path):
    """What a reader stumbles over in boxes that make no sense becomes a VideoError."""
    try:
        yield
    except VideoError:
        raise
    except (struct.error, IndexError, KeyError, ValueError, OverflowError, ZeroDivisionError):
        raise VideoError(path, "is a damaged or cut off image.", DAMAGED) from None


class _Image:
    def __init__(self, path):
        self.path = path
        with open(path, "rb") as stream:
            self.items = read_items(stream)
        self.number = self._top()
        if self.number is None:
            kind = self.items.kinds.get(self.items.primary)
            if kind in _NOT_READ:
                raise VideoError(path, f"holds an image that is {_NOT_READ[kind]}.", "Convert it to JPEG.")
            raise VideoError(path, "is a damaged or cut off image.", DAMAGED)
        check_pixels(path, *self.size())

    def _top(self):
        """Number of the image to show."""
        images = self._images()
        primary = self.items.primary
        known = (*CODECS, b"grid", b"iden")
        return primary if self.items.kinds.get(primary) in known else images[0] if images else None

    def _images(self):
        """Numbers of the images that are meant to be looked at: no tiles, thumbnails, depths or masks."""
        parts = {to for (kind, _), many in self.items.references.items() if kind == b"dimg" for to in many}
        beside = {number for kind, number in self.items.references if kind in (b"thmb", b"auxl")}
        known = (*CODECS, b"grid", b"iden")
        return [
            number
            for number, kind in self.items.kinds.items()
            if kind in known and number not in parts | beside | self.items.hidden
        ]

    def format(self):
        kinds = {self.items.kinds.get(number) for number in (self.number, *self._below(self.number))}
        return "avif" if b"av01" in kinds else "heic"

    def notes(self):
        images = len(self._images())
        return (f"a file of {images} images: the one that viewers show is read",) if images > 1 else ()

    def _below(self, number):
        return self.items.references.get((b"dimg", number), [])

    def _property(self, number, kind):
        return next((body for name, body in self.items.properties.get(number, ()) if name == kind), None)

    def _stored_px(self, number):
        body = self._property(number, b"ispe")
        if body is None:
            raise VideoError(self.path, "is a damaged image: it states no size.", DAMAGED)
        return struct.unpack(">II", body[4:12])

    def _turns(self):
        """[(type, body)] of the properties that turn, mirror and crop, in the order in which they are to be done."""
        chain = [each for number in self._chain() for each in self.items.properties.get(number, ())]
        return [(kind, body) for kind, body in chain if kind in (b"irot", b"imir", b"clap")]

    def _chain(self):
        """Numbers of the image itself, and of those that only show another one turned, up to the one to show."""
        numbers = [self.number]
        while self.items.kinds.get(numbers[0]) == b"iden" and self._below(numbers[0]) and len(numbers) < 10:
            numbers.insert(0, self._below(numbers[0])[0])
        return numbers

    def size(self):
        """(width, height) as shown."""
        width, height = self._stored_px(self._chain()[0])
        for kind, body in self._turns():
            if kind == b"irot" and body[0] & 1:
                width, height = height, width
            if kind == b"clap":
                left, top, right, bottom = clean_aperture(body, width, height)
                width, height = right - left, bottom - top
        return width, height

    def degrees(self):
        """As `shown.turn_degrees`."""
        corners = shown = np.arange(6).reshape(2, 3)
        for kind, body in self._turns():
            shown = shown if kind == b"clap" else _turned(shown, kind, body)
        turns = itertools.product((False, True), repeat=3)
        return next(turn_degrees(turn) for turn in turns if np.array_equal(upright(corners, turn), shown))

    def read(self):
        number = self._chain()[0]
        with open(self.path, "rb") as stream:
            image = self._grid(stream, number) if self.items.kinds[number] == b"grid" else None
            image = next(self._decoded(stream, [number])) if image is None else image
        width, height = self._stored_px(number)
        image = self._in_srgb(image[:height, :width], number)
        for kind, body in self._turns():
            if kind == b"clap":
                left, top, right, bottom = clean_aperture(body, *image.shape[1::-1])
                image = image[top:bottom, left:right]
            else:
                image = _turned(image, kind, body)
        return np.ascontiguousarray(image)

    def _grid(self, stream, number):
        """An image put together from tiles of one size, row by row (ISO 23008-12, 6.6.2.3)."""
        layout, tiles = self._bytes(stream, number), self._below(number)
        rows, columns = layout[2] + 1, layout[3] + 1
        width, height = struct.unpack(">II" if layout[1] & 1 else ">HH", layout[4 : 12 if layout[1] & 1 else 8])
        check_pixels(self.path, width, height)
        if len(tiles) != rows * columns or len(tiles) > MAX_TILES:
            raise VideoError(self.path, f"is a damaged image: {len(tiles)} tiles for {rows} x {columns}.", DAMAGED)
        image = np.zeros((height, width, 3), np.uint8)
        for place, tile in enumerate(self._decoded(stream, tiles)):
            check_pixels(self.path, tile.shape[1] * columns // 2, tile.shape[0] * rows // 2)
            top, left = place // columns * tile.shape[0], place % columns * tile.shape[1]
            if top < height and left < width:
                part = image[top : top + tile.shape[0], left : left + tile.shape[1]]
                part[:] = tile[: part.shape[0], : part.shape[1]]
        return image

    def _decoded(self, stream, numbers):
        """Yields uint8 RGB [H, W, 3] of coded images, as stored."""
        import av
        from av.video.reformatter import VideoReformatter

        decoder, before, reformatter = None, None, VideoReformatter()
        for number in numbers:
            kind = self.items.kinds.get(number)
            if kind not in CODECS:
                raise VideoError(self.path, "holds an image of a kind that is not known.", "Convert it to JPEG.")
            codec, header = CODECS[kind]
            extradata = self._property(number, header)
            check_pixels(self.path, *self._stored_px(number))
            if decoder is None or (codec, extradata) != before:
                decoder, before = av.CodecContext.create(codec, "r"), (codec, extradata)
                decoder.extradata = extradata
                decoder.options = {"max_pixels": str(MAX_PIXELS)}
                decoder.thread_type, decoder.thread_count = "SLICE", 1
            try:
                frames = decoder.decode(av.Packet(self._bytes(stream, number))) + decoder.decode(None)
                decoder.flush_buffers()
            except av.error.FFmpegError:
                frames = []
            if not frames or frames[0].is_corrupt:
                raise VideoError(self.path, "is a damaged or cut off image.", DAMAGED)
            frame = frames[0]
            self._name_colours(frame, number)
            yield colours.to_rgb(reformatter, frame, frame.width, frame.height, "BICUBIC")

    def _name_colours(self, frame, number):
        """Colours that the file states go before those that the codec states."""
        for name, body in [*self.items.properties.get(self.number, ()), *self.items.properties.get(number, ())]:
            if name == b"colr" and body[:4] == b"nclx":
                primaries, transfer, matrix = struct.unpack(">HHH", body[4:10])
                frame.color_primaries, frame.color_trc = primaries, transfer
                frame.colorspace, frame.color_range = matrix, 2 if body[10] & 0x80 else 1
                return

    def _in_srgb(self, image, number):
        """The image by its colour profile, where its colours are not named by number."""
        stated = [
            body
            for each in (self.number, number)
            for kind, body in self.items.properties.get(each, ())
            if kind == b"colr"
        ]
        if any(body[:4] == b"nclx" and struct.unpack(">H", body[4:6])[0] in colours.WIDE for body in stated):
            return image
        profile = next((body[4:] for body in stated if body[:4] in (b"prof", b"rICC")), None)
        if profile is None:
            return image
        from PIL import Image

        return np.asarray(profiles.to_srgb(Image.fromarray(np.ascontiguousarray(image)), profile))

    def _bytes(self, stream, number):
        """The data of an item."""
        if number not in self.items.places:
            raise VideoError(self.path, "is a damaged image: a part of it is missing.", DAMAGED)
        method, extents = self.items.places[number]
        if method == 1:
            return b"".join(
                self.items.data[at : at + length] if length else self.items.data[at:] for at, length in extents
            )
        if method:
            raise VideoError(self.path, "stores its images in a way that is not known.", "Convert it to JPEG.")
        end, data = stream.seek(0, 2), []
        for at, length in extents:
            length = length or end - at
            if at + length > end:
                raise VideoError(self.path, "is a damaged or cut off image.", DAMAGED)
            stream.seek(at)
            data.append(stream.read(length))
        return b"".join(data)


def _turned(image, kind, body):
    """A view with a rotation or mirroring applied (ISO 23008-12, 6.5.10 and 6.5.12)."""
    if kind == b"irot":
        return np.rot90(image, body[0] & 3)  # anticlockwise
    return image[:, ::-1] if body[0] & 1 else image[::-1]
