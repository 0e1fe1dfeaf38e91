"""Animated WebP files as videos: FFmpeg's decoder does not know them, Pillow's does."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.data.video.check import VideoError, check_pixels
from tfdeepfake.data.video.images import is_moving_webp, opened_image, turn_of
from tfdeepfake.data.video.shown import upright

if TYPE_CHECKING:
    from tfdeepfake.data.video.check import Deadline


MAX_CHUNKS = 100_000


def is_animation(path: str | Path) -> bool:
    """Whether a file is an animation that is read here."""
    with open(path, "rb") as stream:
        return is_moving_webp(stream.read(32))


def describe(path: str | Path) -> tuple:
    """((width, height) as stored, turn, int64 [F] times at which the frames begin in ms, missing frames).

    Raises:
      VideoError: damaged, too large, or less than half of it is there.
    """
    with opened_image(path) as image:
        check_pixels(path, *image.size)
        size, turn, count = image.size, turn_of(image), getattr(image, "n_frames", 1)
    lengths = _lengths(path)[:count]
    if 2 * len(lengths) < count:
        raise VideoError(
            path, f"was cut off: {len(lengths)} of {count} frames are there.", "Copy or download it again."
        )
    # Times that are 0 are shown for 100 ms by browsers.
    ends = np.cumsum([length if length > 10 else 100 for length in lengths], dtype=np.int64)
    return size, turn, np.concatenate([[0], ends[:-1]]).astype(np.int64), count - len(lengths)


def frames(path: str | Path, wanted: Sequence[int], turn: tuple, deadline: "Deadline") -> Iterator[tuple]:
    """Yields (position, av.VideoFrame, None, False) for the wanted positions (None: all) that can be decoded.

    A frame of an animation rests on those before it: all up to the last one wanted are decoded.
    """
    import av

    chosen = None if wanted is None else set(wanted)
    with opened_image(path) as image:
        for position in range(image.n_frames if wanted is None else max(wanted) + 1):
            deadline.check()
            try:
                image.seek(position)
                image.load()
            except Exception:  # Pillow raises many kinds for damaged data
                return
            if chosen is None or position in chosen:
                rgb = np.ascontiguousarray(upright(np.asarray(image.convert("RGB")), turn))
                yield position, av.VideoFrame.from_ndarray(rgb, format="rgb24"), None, False


def _lengths(path):
    """Milliseconds that each frame whose data is there is shown for (the container of WebP, "Animation")."""
    lengths = []
    with open(path, "rb") as stream:
        end, at = stream.seek(0, 2), 12
        for _ in range(MAX_CHUNKS):
            stream.seek(at)
            head = stream.read(24)
            size = int.from_bytes(head[4:8], "little")
            if len(head) < 24 or at + 8 + size > end + 1:
                break
            if head[:4] == b"ANMF":
                lengths.append(int.from_bytes(head[20:23], "little"))
            at += 8 + size + size % 2
    return lengths
