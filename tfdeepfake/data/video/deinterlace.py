"""Interlaced frames to progressive ones, with FFmpeg's bwdif.

An interlaced frame holds two moments in its odd and even lines. The filter makes the first of them a whole frame with
the help of the frame before and the frame after, and leaves frames alone that are not marked as interlaced.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tfdeepfake.data.video.shown import filter_graph

if TYPE_CHECKING:
    import av


ALONE = [("estdif", "mode=frame:parity=auto:deint=interlaced")]
FILTERS = [("bwdif", "mode=send_frame:parity=auto:deint=interlaced")]


def with_neighbours(wanted: Sequence[int], count: int) -> list[int]:
    """Positions [n], ascending, and those before and after each that a video of `count` frames has."""
    near = {position + step for position in wanted for step in (-1, 0, 1)}
    return sorted(position for position in near if 0 <= position < count)


def deinterlaced_alone(frame: "av.VideoFrame", field_order: str | None = None) -> "av.VideoFrame":
    """One of the two moments of an interlaced av.VideoFrame, made whole without its neighbours.

    Args:
      field_order: "tff" or "bff" of a frame that does not say itself that it is interlaced.
    """
    graph = filter_graph(frame, _marked(field_order) + ALONE)
    if graph is None:
        return frame
    graph.push(frame)
    graph.push(None)
    return graph.pull()


def _marked(field_order):
    return [("setfield", f"mode={field_order}")] if field_order else []


class Deinterlacer:
    """Takes frames in order and gives each back a frame later.

    Runs of neighbouring frames are filtered by themselves: what comes out does not depend on what else was read.

    Args:
      skip: position of a frame that is only a neighbour and not given back; None for none.
      field_order: see `deinterlaced_alone`.
    """

    def __init__(self, skip=None, field_order=None):
        self.skip, self.graph, self.kind, self.waiting = skip, None, None, deque()
        self.filters = _marked(field_order) + FILTERS

    def push(self, given: tuple) -> Iterator[tuple]:
        """Takes (position, frame, decoder, doubtful); yields those that are ready."""
        position, frame, decoder, doubtful = given
        kind = frame.width, frame.height, frame.format.name
        if self.waiting and (position != self.waiting[-1][0] + 1 or kind != self.kind):
            yield from self.flush()
        if self.graph is None:
            self.graph, self.kind = filter_graph(frame, self.filters), kind
        if self.graph is None:
            if position != self.skip:
                yield given
            return
        # The filter orders by time, which damaged files may lack.
        frame.pts = position
        self.waiting.append((position, decoder, doubtful))
        self.graph.push(frame)
        yield from self._ready()

    def flush(self) -> Iterator[tuple]:
        """Yields what is left."""
        if self.graph is not None:
            self.graph.push(None)
            yield from self._ready()
        self.graph = None
        self.waiting.clear()

    def _ready(self):
        import av

        while self.waiting:
            try:
                frame = self.graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            position, decoder, doubtful = self.waiting.popleft()
            if position != self.skip:
                yield position, frame, decoder, doubtful
