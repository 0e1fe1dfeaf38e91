"""How a stored frame is to be shown, and the conversion to the RGB image that a viewer sees.

Every reader (videos, keyframes, still images) goes through here: pixels that are not square, rotation and mirroring,
two views packed into one frame, high dynamic range and wide colours, and frames that differ in size inside one file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.data.video import colours
from tfdeepfake.data.video.crop import WHOLE

if TYPE_CHECKING:
    import av


# Wider than any real format (2 is the most that is in use); a damaged header must not stretch a frame without bound.
MAX_PIXEL_ASPECT = 8

NOT_TURNED = (False, False, False)
STATED_ONCE = ("h264", "hevc", "apng")  # codecs whose first frame alone may carry how all are turned
_STEREO = {1: "left", 2: "top"}  # AVStereo3DType: side by side, top and bottom


@dataclass(frozen=True)
class Shown:
    """How a frame is stored and how it is to be shown.

    Args:
      stored_px: (width, height) as stored.
      pixel_aspect: width of a pixel divided by its height.
      turn: (transpose, flip rows, flip columns), which shows the stored frame upright.
      view: "left" or "top" where the frame holds two views of a scene: the one that is taken; "" otherwise.
      is_field: the frame is one field of an interlaced one, half its height.
      cut: (left, top, right, bottom) px of the stored frame that are not shown.
    """

    stored_px: tuple
    pixel_aspect: float = 1.0
    turn: tuple = NOT_TURNED
    view: str = ""
    is_field: bool = False
    cut: tuple = WHOLE

    @property
    def kept_px(self) -> tuple[int, int]:
        """(width, height) of the part of the stored frame that is shown."""
        left, top, right, bottom = self.cut
        return self.stored_px[0] - left - right, self.stored_px[1] - top - bottom

    @property
    def upright_px(self) -> tuple[int, int]:
        """(width, height) as shown, but not yet turned."""
        width, height = self.kept_px
        width, height = width * self.pixel_aspect, height * (2 if self.is_field else 1)
        # Two views in one frame of usual proportions are squeezed to half: "half" side by side, or over each other.
        if self.view == "left":
            width = width / 2 if width > 2.5 * height else width
        if self.view == "top":
            height = height / 2 if height > 1.1 * width else height
        return max(1, round(width)), max(1, round(height))

    @property
    def px(self) -> tuple[int, int]:
        """(width, height) as shown."""
        return self.upright_px[::-1] if self.turn[0] else self.upright_px


class Looker:
    """Says of frames how they are to be shown.

    Args:
      pixel_aspect: that of the container, which goes before those of the frames; None when it has none.
      codec: name of the codec.
      seen: pixel aspect ratios of frames of the file, as far as they are known.
      turn: that of the first frame; those of H.264, HEVC and APNG without one have it too: these state it once.
      cut: that of the container; frames that are too small for it are shown whole.
    """

    def __init__(self, pixel_aspect, codec, seen=(), turn=NOT_TURNED, cut=WHOLE):
        self.pixel_aspect, self.codec, self.cut = pixel_aspect, codec, cut
        self.turn = turn if codec in STATED_ONCE else NOT_TURNED
        self.seen, self.graphs = set(seen), {}

    def __call__(self, frame: "av.VideoFrame", decoder: "av.CodecContext | None" = None) -> Shown:
        """Shown of an av.VideoFrame.

        Args:
          decoder: the codec context that has just given it. A frame does not tell the shape of its pixels here and the
            decoder may already be some frames ahead: where it has told of several, a filter says which is this one's.
        """
        if decoder is not None:
            self.seen.add(_number(decoder.sample_aspect_ratio))
        aspect = self.pixel_aspect
        if aspect is None:
            aspect = self._own_aspect(frame) if len(self.seen) > 1 else next(iter(self.seen), 1.0)
        turn, view = self.turn, ""
        for kind, data in self.side_data(frame):
            if kind == "DISPLAYMATRIX":
                turn = _turn(data)
            elif kind == "STEREO3D":
                view = _STEREO.get(int.from_bytes(data[:4], "little"), "")
        # HEVC has no interlaced frames: a field there is a frame of its own.
        is_field = self.codec == "hevc" and frame.interlaced_frame
        left, top, right, bottom = self.cut
        fits = left + right < frame.width and top + bottom < frame.height
        return Shown((frame.width, frame.height), aspect, turn, view, is_field, self.cut if fits else WHOLE)

    def side_data(self, frame: "av.VideoFrame") -> list:
        """[(name, bytes)] of what accompanies a frame, as far as its kinds are known to PyAV."""
        try:
            return [(side.type.name, bytes(side)) for side in frame.side_data]
        except ValueError:  # PyAV names all kinds as soon as one is asked for, and knows only those of its own time
            graph = self._graph("side data", frame, [("sidedata", f"mode=delete:type={n}") for n in _unnamed()])
            if graph is None:
                return []
            graph.push(frame)
            return [(side.type.name, bytes(side)) for side in graph.pull().side_data]

    def _own_aspect(self, frame):
        graph = self._graph("aspect", frame, [("scale", "w='clip(round(16*1000*sar),1,60000)':h=16:eval=frame")])
        if graph is None:
            return 1.0
        graph.push(frame)
        told = graph.pull().width / 16000
        return min(self.seen, key=lambda aspect: abs(aspect - told))

    def _graph(self, name, frame, filters):
        key = name, frame.width, frame.height, frame.format.name
        if key not in self.graphs:
            if len(self.graphs) > 8:
                self.graphs.clear()
            self.graphs[key] = filter_graph(frame, filters)
        return self.graphs[key]


def filter_graph(frame: "av.VideoFrame", filters: Sequence) -> "av.filter.Graph | None":
    """A configured av.filter.Graph of filters [(name, arguments)] for frames like this one; None where they cannot be
    filtered so, e.g. because they are of a few px."""
    import av

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    try:
        graph.link_nodes(source, *[graph.add(name, args) for name, args in filters], graph.add("buffersink"))
        graph.configure()
    except (av.error.FFmpegError, OSError, ValueError):
        return None
    return graph


def _unnamed():
    """Numbers of kinds of side data that PyAV has no name for, up to 63."""
    from av.sidedata.sidedata import Type

    return sorted(set(range(64)) - {kind.value for kind in Type})


def _number(ratio):
    """A pixel aspect ratio as a float; 1 when there is none or it is absurd."""
    ratio = float(ratio or 1)
    return ratio if 1 / MAX_PIXEL_ASPECT <= ratio <= MAX_PIXEL_ASPECT else 1.0


def container_aspect(container: "av.container.InputContainer", stream: "av.VideoStream") -> float | None:
    """The pixel aspect ratio that the container states (float), None when it leaves it to the frames.

    To be asked before anything is decoded: FFmpeg's guess is the container's, else that of the stream's beginning.
    """
    guess, own = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
    states = container.format.name.startswith(("mov", "matroska")) and guess
    return _number(guess) if guess and (states or guess != own) else None


def _turn(matrix):
    """(transpose, flip rows, flip columns) that shows a frame as its display matrix asks."""
    # x' = a x + c y and y' = b x + d y (16.16 fixed point); other angles are rounded to the next 90 degrees.
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(a) >= abs(b):
        return False, d < 0, a < 0
    return True, b < 0, c < 0


def turn_degrees(turn: tuple) -> int:
    """Clockwise degrees of a turn, 0, 90, 180 or 270; where it also mirrors, those of the image's top edge."""
    transpose, rows, _ = turn
    if transpose:
        return 270 if rows else 90
    return 180 if rows else 0


def upright(frame: np.ndarray, turn: tuple) -> np.ndarray:
    """A view of [H, W, ...] with the turn applied."""
    transpose, rows, columns = turn
    if transpose:
        frame = frame.swapaxes(0, 1)
    return frame[:: -1 if rows else 1, :: -1 if columns else 1]


def shrunk(width: int, height: int, max_side_px: int | None) -> tuple[int, int]:
    """(width, height) with the longer side at most max_side_px, in the same proportion."""
    part = min(1.0, max_side_px / max(width, height))
    return max(1, round(width * part)), max(1, round(height * part))


def canvas_px(looks: Iterable[Shown]) -> tuple[int, int]:
    """(width, height) that holds every one of `looks` (Shown) unscaled."""
    return max(look.px[0] for look in looks), max(look.px[1] for look in looks)


class Converter:
    """Turns the decoder's frames (any pixel format, size, colour matrix and range) into upright RGB of one size.

    Args:
      canvas_px: (width, height) of the image; a frame of other proportions is fitted into its middle, on black.
      looker: `Looker` of the file.
      max_side_px: images whose longer side is longer are shrunk to it.
    """

    def __init__(self, canvas_px, looker, max_side_px):
        from av.video.reformatter import Interpolation, VideoReformatter

        self.size = shrunk(*canvas_px, max_side_px)
        self.shape = (*self.size[::-1], 3)  # H, W, 3
        self.looker = looker
        self.reformatter = VideoReformatter()
        self.enlarging, self.shrinking = Interpolation.BICUBIC, Interpolation.AREA

    def __call__(self, frame: "av.VideoFrame", out: np.ndarray, decoder: "av.CodecContext | None" = None) -> None:
        """Writes an av.VideoFrame into out, uint8 [H, W, 3]; decoder as in `Looker`."""
        look = self.looker(frame, decoder)
        width, height = look.px
        if (width, height) != self.size:
            scale = min(self.size[0] / width, self.size[1] / height)
            width, height = max(1, round(width * scale)), max(1, round(height * scale))
        image = upright(self._rgb(frame, look, *((height, width) if look.turn[0] else (width, height))), look.turn)
        if (width, height) == self.size:
            out[:] = image
            return
        out[:] = 0
        left, top = (self.size[0] - width) // 2, (self.size[1] - height) // 2
        out[top : top + height, left : left + width] = image

    def _rgb(self, frame, look, width, height):
        """uint8 RGB [height, width, 3] of the frame's one view, not yet turned."""
        columns, rows = width * (2 if look.view == "left" else 1), height * (2 if look.view == "top" else 1)
        # Bicubic is what OpenCV asks of the same library: colours of ordinary videos are then equal to its own.
        kept_width, kept_height = look.kept_px
        shrinks = columns < kept_width or rows < kept_height
        how = self.shrinking if shrinks else self.enlarging
        # The whole frame, so large that what is kept of it has the size wanted.
        across, down = columns / kept_width, rows / kept_height
        whole = max(columns, round(frame.width * across)), max(rows, round(frame.height * down))
        left = min(round(look.cut[0] * across), whole[0] - columns)
        top = min(round(look.cut[1] * down), whole[1] - rows)
        image = colours.to_rgb(self.reformatter, frame, *whole, how)
        return image[top : top + height, left : left + width]
