"""Boxes in pixels: overlap, suppression of duplicates, squares, crops, and what a face detector returns."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Detections:
    """Faces of one frame, sorted by score, highest first.

    Args:
      boxes_px: float32 [N, 4], x0, y0, x1, y1 in px of the frame as it was given; may reach past its borders.
      scores: float32 [N], 0..1.
      landmarks_px: float32 [N, 5, 2], x and y of left eye, right eye, nose, left and right corner of the
        mouth; left and right as seen in the image.
      dropped: number of faces beyond the detector's `max_faces`; the smallest ones were left out.
    """

    boxes_px: np.ndarray
    scores: np.ndarray
    landmarks_px: np.ndarray
    dropped: int = 0

    def __len__(self):
        return len(self.scores)

    def rows(self, keep: np.ndarray) -> "Detections":
        """Those of the faces that a bool [N] or int [K] array names."""
        return Detections(self.boxes_px[keep], self.scores[keep], self.landmarks_px[keep], self.dropped)


def make_detections(
    boxes_px: np.ndarray | list,
    scores: np.ndarray | list,
    landmarks_px: np.ndarray | list,
    max_faces: int | None = None,
) -> Detections:
    """Sorts by score and keeps the `max_faces` largest boxes; see `Detections` for shapes."""
    boxes_px = np.asarray(boxes_px, np.float32).reshape(-1, 4)
    scores = np.asarray(scores, np.float32).reshape(-1)
    landmarks_px = np.asarray(landmarks_px, np.float32).reshape(-1, 5, 2)
    keep = np.argsort(-scores, kind="stable")
    dropped = 0
    if max_faces is not None and len(keep) > max_faces:
        largest = np.argsort(-box_area(boxes_px), kind="stable")[:max_faces]
        keep, dropped = keep[np.isin(keep, largest)], len(keep) - max_faces
    return Detections(boxes_px, scores, landmarks_px, dropped).rows(keep)


def check_frames(frames: np.ndarray) -> np.ndarray:
    """Returns frames as a list of uint8 [H, W, 3] arrays; raises ValueError for anything else."""
    frames = list(frames)
    for i, frame in enumerate(frames):
        shape, dtype = getattr(frame, "shape", None), getattr(frame, "dtype", None)
        if shape is None or len(shape) != 3 or shape[2] != 3 or 0 in shape or dtype != np.uint8:
            raise ValueError(f"frames need uint8 [T, H, W, 3] or a list of [H, W, 3]; frame {i} is {dtype} {shape}.")
    return frames


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Area of boxes [..., 4], 0 for one turned inside out."""
    sides = np.maximum(boxes[..., 2:4] - boxes[..., 0:2], 0)
    return sides[..., 0] * sides[..., 1]


def overlap(a: np.ndarray, b: np.ndarray, over: str = "union") -> np.ndarray:
    """Intersection of every box of `a` with every box of `b`, as a part of their union (or the smaller box).

    Args:
      a: [N, 4]; b: [M, 4].
      over: "union" or "min".
    Returns:
      float [N, M], 0..1.
    """
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    shared = box_area(np.concatenate([low, high], axis=-1))
    areas = box_area(a)[:, None], box_area(b)[None]
    whole = np.minimum(*areas) if over == "min" else areas[0] + areas[1] - shared
    return shared / np.maximum(whole, 1e-9)


def suppress(boxes: np.ndarray | list, scores: np.ndarray | list, limit: float, over: str = "union") -> np.ndarray:
    """Greedy non-maximum suppression.

    Args:
      boxes: [N, 4]; scores: [N].
      limit: a box that overlaps a better one by more is left out.
      over: "union" or "min", see `overlap`.
    Returns:
      int64 [K], rows that are not suppressed, best first.
    """
    remaining = np.argsort(-scores, kind="stable")
    best = []
    while len(remaining):
        best.append(remaining[0])
        remaining = remaining[1:][overlap(boxes[remaining[:1]], boxes[remaining[1:]], over)[0] <= limit]
    return np.array(best, np.int64)


def square_box(box_px: np.ndarray | list, margin_frac: float = 0.0) -> np.ndarray:
    """The square around the centre of a box, side = longer side * (1 + 2 * margin_frac).

    P3's "1.3x" box is margin_frac 0.15; P4's "30 % each side" is 0.30.

    Args:
      box_px: [4] or [..., 4], x0, y0, x1, y1.
      margin_frac: added on each side, as a part of the longer side.
    Returns:
      float32, same shape; it may reach past the frame, `crop` pads there.
    """
    box = np.asarray(box_px, np.float32)
    centre = (box[..., :2] + box[..., 2:4]) / 2
    half = (box[..., 2:4] - box[..., :2]).max(-1, keepdims=True) * (1 + 2 * margin_frac) / 2
    return np.concatenate([centre - half, centre + half], axis=-1).astype(np.float32)


def crop(frame: np.ndarray, box_px: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Cuts a box out of a frame and resizes it; where it reaches past the border, the edge is repeated.

    The box is rounded to whole pixels. Shrinking averages areas (no aliasing), enlarging is bilinear.

    Args:
      frame: uint8 [H, W, 3].
      box_px: [4], x0, y0, x1, y1.
      height_px, width_px: size of the crop.
    Returns:
      uint8 [height_px, width_px, 3].
    Raises:
      ValueError: the frame is no image, or the box is not finite, empty, outside the frame or more than eight
        times its size (the padding alone would fill the memory).
    """
    import cv2

    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise ValueError(f"frame needs uint8 [H, W, 3], got {frame.dtype} {frame.shape}.")
    if min(height_px, width_px) < 1:
        raise ValueError(f"height_px and width_px need to be at least 1, got {height_px} and {width_px}.")
    box = np.asarray(box_px, np.float64)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise ValueError(f"box_px needs four finite numbers x0, y0, x1, y1, got {box.tolist()}.")
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = np.rint(box).astype(int)
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f"box_px needs x1 > x0 and y1 > y0 after rounding, got {box.tolist()}.")
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise ValueError(f"box_px {box.tolist()} lies outside the frame of {width} x {height} px (W x H).")
    if max(x1 - x0, y1 - y0) > 8 * max(height, width):
        raise ValueError(f"box_px {box.tolist()} is over eight times the frame of {width} x {height} px (W x H).")
    inside = frame[max(y0, 0) : y1, max(x0, 0) : x1]
    past = [max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0)]
    if any(past):
        inside = cv2.copyMakeBorder(inside, *past, cv2.BORDER_REPLICATE)
    return resize(np.ascontiguousarray(inside), height_px, width_px)


def resize(frame: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Resizes uint8 [H, W, 3]: area average when both sides shrink, bilinear otherwise."""
    import cv2

    if frame.shape[:2] == (height_px, width_px):
        return frame.copy()
    shrinks = height_px <= frame.shape[0] and width_px <= frame.shape[1]
    return cv2.resize(frame, (width_px, height_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
