"""Dense optical flow: float32 px/frame, its compact 8-bit storage, and its colour image (P2 Sec. 3.1, Fig. 3).

    frames -> optical_flow -> pack_flow -> grey PNG in the TFRecord -> unpack_flow_ops in tf.data -> network

Map t says where the pixels of frame t - 1 went in frame t; map 0 repeats map 1, so T frames give T maps (P2 3.1).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tfdeepfake.vocabulary import FLOW_METHODS

if TYPE_CHECKING:
    import tensorflow as tf


# Codes 1..255 around 128: zero motion is exact, and left and right are treated alike.
CODES = 127
ZERO_CODE = CODES + 1
ERROR_FRAC = 1 / (2 * CODES)


def optical_flow(frames: np.ndarray, method: str = "dis") -> np.ndarray:
    """Motion between neighbouring frames.

    Args:
      frames: uint8 [T, H, W, 3] RGB, T >= 1.
      method: "dis" (Dense Inverse Search, arXiv:1603.03590, OpenCV's medium preset: faster and of lower warp error
        than Farneback, see benchmarks/flow.py) or "farneback".
    Returns:
      float32 [T, H, W, 2] px/frame, (u right, v down). Of map t, [y, x] is the way from (x, y) in frame t - 1 to its
      place in frame t. Map 0 is a copy of map 1; a single frame has no motion (zeros).
    Raises:
      ValueError: frames are not uint8 [T, H, W, 3] or the method is unknown.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or frames.size == 0:
        raise ValueError(f"frames needs uint8 [T, H, W, 3] with T, H, W >= 1, got {frames.dtype} {frames.shape}.")
    calculate = flow_method(method)
    count, height, width, _ = frames.shape
    flow = np.zeros((count, height, width, 2), np.float32)
    if count == 1:
        return flow
    padding = _padding(height, width)
    before = _grey(frames[0], padding)
    for t in range(1, count):
        after = _grey(frames[t], padding)
        flow[t] = calculate(before, after)[:height, :width]
        before = after
    flow[0] = flow[1]
    return flow


def flow_method(name: str) -> Callable:
    """The function (before, after: uint8 [H, W]) -> float32 [H, W, 2] of a method's name."""
    if name == "dis":
        dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        return lambda before, after: dis.calc(before, after, None)
    if name == "farneback":
        return lambda before, after: cv2.calcOpticalFlowFarneback(
            before, after, None, pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0
        )
    raise ValueError(f"method needs one of {FLOW_METHODS}, got {name!r}.")


def _padding(height, width):
    """Rows below and columns to the right that make a frame safe for DIS.

    OpenCV's DIS takes its number of scales from the width and then reads beyond a frame that has shrunk below its
    8 px patch: the process dies (seen at 15 x 192 and at 11 x 40). A short side of a quarter of the long one avoids it.
    """
    least = max(16, -(-max(height, width) // 4))
    return max(0, least - height), max(0, least - width)


def _grey(frame, padding):
    """RGB to grey, padded by repeating the edge."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    rows, columns = padding
    return cv2.copyMakeBorder(grey, 0, rows, 0, columns, cv2.BORDER_REPLICATE) if rows or columns else grey


def pack_flow(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """8-bit form of flow maps, one scale per map.

    Args:
      flow: float32 [..., H, W, 2] px/frame, finite.
    Returns:
      (packed uint8 [..., 2H, W, 1] with u above v, codes 1..255; max_px float32 [...], the largest |u| or |v| of each
      map). Unpacking errs by at most max_px / 254 per component (and float32 rounding); zero is exact.
    Raises:
      ValueError: another shape, or NaN or infinity in it.
    """
    flow = np.asarray(flow, np.float32)
    if flow.ndim < 3 or flow.shape[-1] != 2 or flow.size == 0:
        raise ValueError(f"flow needs float32 [..., H, W, 2], got shape {flow.shape}.")
    if wrong := np.count_nonzero(~np.isfinite(flow)):
        raise ValueError(f"flow needs finite px/frame, got {wrong} NaN or infinite values.")
    max_px = np.abs(flow).max(axis=(-3, -2, -1))
    scale = np.where(max_px > 0, max_px, 1)[..., None, None, None]
    codes = (np.rint(flow / scale * CODES) + ZERO_CODE).astype(np.uint8)
    packed = np.concatenate([codes[..., :1], codes[..., 1:]], axis=-3)
    return packed, max_px


def unpack_flow(packed: np.ndarray, max_px: np.ndarray) -> np.ndarray:
    """Inverse of `pack_flow` on numpy arrays: (uint8 [..., 2H, W, 1], float32 [...]) -> float32 [..., H, W, 2]."""
    packed, max_px = np.asarray(packed), np.asarray(max_px, np.float32)
    if packed.ndim < 3 or packed.shape[-1] != 1 or packed.shape[-3] % 2 or packed.shape[:-3] != max_px.shape:
        raise ValueError(
            f"packed needs [..., 2H, W, 1] with one max_px per map, got {packed.shape} and max_px {max_px.shape}."
        )
    codes = np.concatenate(np.split(packed, 2, axis=-3), axis=-1).astype(np.float32)
    return (codes - ZERO_CODE) / CODES * max_px[..., None, None, None]


def unpack_flow_ops(packed: "tf.Tensor", max_px: "tf.Tensor") -> "tf.Tensor":
    """`unpack_flow` on TensorFlow tensors, for use inside `tf.data` whatever backend Keras runs on.

    Args:
      packed: uint8 [..., 2H, W, 1] with known rank.
      max_px: float32 [...].
    Returns:
      float32 [..., H, W, 2] px/frame.
    """
    import tensorflow as tf

    codes = tf.cast(tf.concat(tf.split(packed, 2, axis=-3), axis=-1), tf.float32)
    return (codes - ZERO_CODE) / CODES * max_px[..., None, None, None]


def flow_image(flow: np.ndarray, max_px: float | None = None) -> np.ndarray:
    """Colour image of one map: hue is the direction, strength of colour the speed, white is still.

    Right is red, down yellow-green, left cyan, up violet.

    Args:
      flow: float32 [H, W, 2] px/frame.
      max_px: speed of the fullest colour. When not given, the 99th percentile of the map but at least 1 px, so that
        noise in a still scene stays pale. Give one number for all maps of a clip to compare them.
    Returns:
      uint8 [H, W, 3] RGB.
    """
    flow = np.asarray(flow, np.float32)
    if flow.ndim != 3 or flow.shape[-1] != 2:
        raise ValueError(f"flow needs float32 [H, W, 2], got shape {flow.shape}.")
    speed, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1], angleInDegrees=True)
    if max_px is None:
        max_px = max(1.0, float(np.percentile(speed, 99)))
    hsv = np.stack([angle, np.minimum(speed / max(max_px, 1e-6), 1), np.ones_like(speed)], axis=-1)
    return np.rint(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255).astype(np.uint8)
