"""Crops that keep their shape: a face's box with its margin, cut at the frame's edge, and centred on black.

As the winner of the DFDC crops: a part of the box's width is added left and right and the same part of its height above
and below, whole px; what lies past the frame is left out, not padded; the longer side is resized to the network's, area
averaging where it shrinks, cubic where it grows.
"""

import numpy as np


def fit_boxes(boxes_px: np.ndarray, margin_frac: float, height_px: int, width_px: int) -> np.ndarray:
    """Boxes with their margin, cut at the edge of a frame.

    Args:
      boxes_px: [T, 4], x0, y0, x1, y1; they may reach past the frame.
      margin_frac: what is added on each side, as a part of the box's width or height.
      height_px, width_px: of the frame.
    Returns:
      int64 [T, 4] whole px. One that lies outside the frame has no area.
    """
    box = np.trunc(np.asarray(boxes_px, np.float64))
    # A third of 3 px is 1 px, whichever way the figures are rounded.
    more = np.floor((box[:, 2:] - box[:, :2]) * margin_frac + 1e-6)
    size = [width_px, height_px]
    return np.concatenate([np.maximum(box[:, :2] - more, 0), np.minimum(box[:, 2:] + more, size)], 1).astype(np.int64)


def fit_crop(frame: np.ndarray, box_px: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Cuts a box out of a frame and fits it into a crop, centred, black beside it.

    Args:
      frame: uint8 [H, W, 3].
      box_px: int [4] of `fit_boxes`.
      height_px, width_px: size of the crop.
    Returns:
      uint8 [height_px, width_px, 3].
    Raises:
      ValueError: the frame is no image, or the box has no area in it.
    """
    import cv2

    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise ValueError(f"frame needs uint8 [H, W, 3], got {frame.dtype} {frame.shape}.")
    x0, y0, x1, y1 = (int(v) for v in box_px)
    if not (0 <= x0 < x1 <= frame.shape[1] and 0 <= y0 < y1 <= frame.shape[0]):
        raise ValueError(
            f"box_px {[x0, y0, x1, y1]} has no area in the frame of {frame.shape[1]} x {frame.shape[0]} px."
        )
    inside = np.ascontiguousarray(frame[y0:y1, x0:x1])
    top, left, height, width = _place(x1 - x0, y1 - y0, height_px, width_px)
    if (height, width) != inside.shape[:2]:
        grows = height > inside.shape[0] or width > inside.shape[1]
        inside = cv2.resize(inside, (width, height), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)
    crop = np.zeros([height_px, width_px, 3], np.uint8)
    crop[top : top + height, left : left + width] = inside
    return crop


def fit_squares(boxes_px: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Where whole crops lie in their frames, the black beside the face included: float32 [T, 4] of boxes [T, 4]."""
    squares = []
    for x0, y0, x1, y1 in np.asarray(boxes_px, np.float64):
        top, left, height, width = _place(x1 - x0, y1 - y0, height_px, width_px)
        per_px = np.array([(x1 - x0) / width, (y1 - y0) / height])
        corner = [x0, y0] - per_px * [left, top]
        squares.append(np.concatenate([corner, corner + per_px * [width_px, height_px]]))
    return np.array(squares, np.float32).reshape(-1, 4)


def _place(width, height, height_px, width_px):
    """Where a cut of a size comes to lie in a crop: (top, left, height, width), px of the crop."""
    scale = min(height_px / max(height, 1), width_px / max(width, 1))
    height, width = (max(1, int(side * scale + 1e-6)) for side in (height, width))
    return (height_px - height) // 2, (width_px - width) // 2, height, width
