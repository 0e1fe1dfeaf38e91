"""Crops that stand upright: five landmarks of a face moved onto a template, as authors of published detectors crop.

    matrix, side_px = transform(landmarks_px, "gend", margin_frac=0.15)
    image = aligned_crop(frame, matrix, side_px, 224, 224)

A similarity (turn, scale, shift) carries the landmarks of a frame near the template's places in a square of `side_px`,
and the square is resized to the network's size. The two templates differ in more than their places:

  * "gend" (GenD, arXiv:2508.06248): the transform is OpenCV's least median of squares, which a landmark that is far off
    does not move; the square is as large as the face in the frame, so that the warp enlarges nothing.
  * "deepfakebench" (DeepfakeBench, arXiv:2307.01426): least squares (Umeyama 1991, doi:10.1109/34.88573); the square
    has 256 px whatever the face has. Its authors take the points from dlib, here they are MTCNN's.

Both authors cut at scale 1.3: that is margin_frac 0.15, once on each side, as for boxes.

Places count from the edge of the first pixel, as the detectors' do, so that resizing is a mere factor. OpenCV's warps
count from its centre: the crop of authors who hand it landmarks as they are lies beside ours by up to half a pixel of
the frame or the square.
"""

import numpy as np

from tfdeepfake.data.faces.tracks import smoothed

# Left eye, right eye, nose, left and right corner of the mouth as the image shows them, in a unit square.
TEMPLATES = {
    "gend": np.array([(0.34, 0.46), (0.66, 0.46), (0.5, 0.64), (0.37, 0.82), (0.63, 0.82)]),
    "deepfakebench": np.array(
        [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
    )
    / 112,
}
DEEPFAKEBENCH_SIDE_PX = 256


def template_px(alignment: str, side_px: float, margin_frac: float) -> np.ndarray:
    """Where landmarks belong in a square of `side_px`: float64 [5, 2], x and y."""
    return side_px * (TEMPLATES[alignment] + margin_frac) / (1 + 2 * margin_frac)


def alignable(landmarks_px: np.ndarray) -> np.ndarray:
    """Which faces [N, 5, 2] can be aligned: bool [N]. Their landmarks are finite and not all on one spot."""
    points = np.asarray(landmarks_px, np.float64).reshape(-1, 5, 2)
    with np.errstate(invalid="ignore"):
        return np.isfinite(points).all((1, 2)) & (np.ptp(points, axis=1).max(1) > 1)


def transform(landmarks_px: np.ndarray, alignment: str, margin_frac: float = 0.15) -> tuple:
    """The transform of one face.

    Args:
      landmarks_px: [5, 2], x and y in px of the frame, as `boxes.Detections` has them.
      alignment: "gend" or "deepfakebench".
      margin_frac: added around the template on each side, as a part of it.
    Returns:
      (float64 [2, 3], which takes (x, y, 1) of the frame to px of the square; side of the square in px, int).
    Raises:
      ValueError: unknown alignment, or landmarks that no face has: not finite, or all on one spot.
    """
    if alignment not in TEMPLATES:
        raise ValueError(f"alignment needs one of {tuple(TEMPLATES)}, got {alignment!r}.")
    points = np.asarray(landmarks_px, np.float64)
    if points.shape != (5, 2):
        raise ValueError(f"landmarks_px needs [5, 2], got {list(points.shape)}.")
    if not alignable(points)[0]:
        raise ValueError(f"landmarks_px needs five finite points that are not on one spot, got {points.tolist()}.")
    if alignment == "deepfakebench":
        return similarity(points, template_px(alignment, DEEPFAKEBENCH_SIDE_PX, margin_frac)), DEEPFAKEBENCH_SIDE_PX
    import cv2

    one, other = np.triu_indices(5, 1)
    lengths, units = (np.linalg.norm(p[one] - p[other], axis=1) for p in (points, TEMPLATES[alignment]))
    side = max(round((1 + 2 * margin_frac) * float((lengths / units).mean())), 1)
    target = template_px(alignment, side, margin_frac)
    matrix, _ = cv2.estimateAffinePartial2D(points.astype(np.float32), target.astype(np.float32), method=cv2.LMEDS)
    # Of points that fit no face OpenCV may find nothing; the authors' code stops there.
    usable = matrix is not None and np.isfinite(matrix).all() and np.abs(matrix[:, :2]).max() > 0
    return matrix if usable else similarity(points, target), side


def similarity(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The least-squares similarity from points [N, 2] to target [N, 2], float64 [2, 3].

    As complex numbers a similarity without reflection is z -> a z + b, so Umeyama's closed form is a regression.

    Raises:
      ValueError: no such similarity: all points on one spot, or the target turned inside out.
    """
    z, w = (np.asarray(p, np.float64) @ [1, 1j] for p in (points, target))
    centred = z - z.mean()
    spread = (np.abs(centred) ** 2).sum()
    a = (centred.conj() * (w - w.mean())).sum() / spread if spread > 0 else 0
    if abs(a) < 1e-9:
        raise ValueError(f"points need to be apart and not a mirror image of the target, got {z.tolist()}.")
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def run_transforms(
    landmarks_px: np.ndarray, alignment: str, margin_frac: float = 0.15, smoothing: str = "frame"
) -> tuple:
    """The transforms of a face in all frames of a run.

    Args:
      landmarks_px: [T, 5, 2].
      alignment, margin_frac: see `transform`.
      smoothing: "frame", each its own; "smooth", of landmarks averaged over neighbours; "clip", one for the run, of the
        mean landmarks. Where a face moves so far that the template would leave the square, turn and scale stay those
        of the run and the square follows the smooth centre.
    Returns:
      (float64 [T, 2, 3], int64 [T] sides in px).
    Raises:
      ValueError: see `transform`.
    """
    points = np.asarray(landmarks_px, np.float64)
    if smoothing != "clip":
        points = smoothed(points) if smoothing == "smooth" else points
        matrices, sides = zip(*(transform(p, alignment, margin_frac) for p in points), strict=True)
        return np.stack(matrices), np.array(sides, np.int64)
    mean, centres = points.mean(0), points.mean(1)
    matrix, side = transform(mean, alignment, margin_frac)
    matrices = np.tile(matrix, (len(points), 1, 1))

    def way_px(places):
        """From the mean place, in px of the square."""
        return (places - mean.mean(0)) @ matrix[:, :2].T

    if np.abs(way_px(centres)).max() > side * margin_frac / (1 + 2 * margin_frac):
        matrices[:, :, 2] -= way_px(smoothed(centres))
    return matrices, np.full(len(points), side, np.int64)


def moved(matrices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [T, N, 2] of frames in px of their squares."""
    return points @ np.swapaxes(matrices[:, :, :2], 1, 2) + matrices[:, None, :, 2]


def rescaled(matrices: np.ndarray, factor: float | np.ndarray) -> np.ndarray:
    """Transforms [..., 2, 3] for the frames resized by a factor."""
    return np.concatenate([matrices[..., :2] / factor, matrices[..., 2:]], axis=-1)


def squares_px(matrices: np.ndarray, sides_px: np.ndarray) -> np.ndarray:
    """Upright squares float32 [T, 4] with the centre and the size of those that transforms cut out of their frames."""
    turn, shift = matrices[:, :, :2], matrices[:, :, 2]
    half = np.asarray(sides_px, np.float64)[:, None] / 2
    centre = np.linalg.solve(turn, (half - shift)[..., None])[..., 0]
    half = half / np.sqrt(np.linalg.det(turn))[:, None]
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def warped(frame: np.ndarray, matrix: np.ndarray, side_px: int, border: tuple = (0, 0, 0)) -> np.ndarray:
    """The square that a transform cuts out, uint8 [side_px, side_px, 3], bilinear; `border` is past the frame."""
    import cv2

    turn, shift = matrix[:, :2], matrix[:, 2:]
    centred = np.concatenate([turn, shift + turn.sum(1, keepdims=True) / 2 - 0.5], axis=1)
    return cv2.warpAffine(frame, centred, (side_px, side_px), flags=cv2.INTER_LINEAR, borderValue=border)


def aligned_crop(frame: np.ndarray, matrix: np.ndarray, side_px: int, height_px: int, width_px: int) -> np.ndarray:
    """Warps a square out of a frame (bilinear, black past the border), then resizes it.

    It is resized as torchvision resizes PIL images: bicubic, averaged where it shrinks.

    Args:
      frame: uint8 [H, W, 3].
      matrix, side_px: from `transform`.
      height_px, width_px: size of the crop.
    Returns:
      uint8 [height_px, width_px, 3].
    Raises:
      ValueError: the frame is no image, or the square lies outside it or has more than eight times its size.
    """
    from PIL import Image

    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise ValueError(f"frame needs uint8 [H, W, 3], got {frame.dtype} {frame.shape}.")
    height, width = frame.shape[:2]
    side = int(side_px)
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float64) - matrix[:, 2]
    corners = np.linalg.solve(matrix[:, :2], corners.T).T
    low, high = corners.min(0), corners.max(0)
    if (high <= 0).any() or (low >= [width, height]).any():
        middle = corners.mean(0).tolist()
        raise ValueError(f"the square around {middle} lies outside the frame of {width} x {height} px (W x H).")
    if max(side, *(high - low)) > 8 * max(height, width, DEEPFAKEBENCH_SIDE_PX):
        raise ValueError(f"a square of {side} px is over eight times the frame of {width} x {height} px (W x H).")
    square = warped(frame, matrix, side)
    if (side, side) == (height_px, width_px):
        return square
    return np.asarray(Image.fromarray(square).resize((width_px, height_px), Image.Resampling.BICUBIC))
