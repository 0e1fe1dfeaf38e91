"""Frames that look interlaced although nothing in their file says so: fine stripes where something moves."""

from collections.abc import Sequence

import numpy as np

# Videos of people that are interlaced have frames above this, those that are not stay below (benchmarks/README.md).
LEAST_STRIPED = 5e-5
# A line counts as striped that is so much lighter, or darker, than both lines beside it, which resemble each other.
LEAST_STEP, MOST_BETWEEN = 12, 8
EVERY_COLUMN = 4
LEAST_PLACES = 3  # in a small frame one place is more than the limit, and noise makes one


def striped(frames: Sequence[np.ndarray]) -> np.ndarray:
    """How much of each frame shows lines that are lighter and darker in turn, four or more below each other.

    Args:
      frames: uint8 RGB [H, W, 3], each as it is stored: not shrunk, not turned.
    Returns:
      float64 [T], 0..1, the fraction of the frame's places; 0 of fewer than three.
    """
    return np.array([_striped(frame) for frame in frames])


def _striped(frame):
    green = frame[:, ::EVERY_COLUMN, 1].astype(np.int16)
    if len(green) < 8:
        return 0.0
    above, here, below = green[:-2], green[1:-1], green[2:]
    up, down = here - above, here - below
    is_line = (np.minimum(up, down) > LEAST_STEP) | (np.maximum(up, down) < -LEAST_STEP)
    is_line &= np.abs(above - below) < MOST_BETWEEN
    in_turn = is_line[:-1] & is_line[1:] & ((up[:-1] > 0) != (up[1:] > 0))
    places = in_turn[:-2] & in_turn[1:-1] & in_turn[2:]
    return float(places.mean()) if places.sum() >= LEAST_PLACES else 0.0
