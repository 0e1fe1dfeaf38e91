"""Self-blended pseudo-fakes: a real face, slightly changed, pasted back onto itself (arXiv:2204.08376, Sec. 3).

    blended, mask = self_blend(frames, landmarks_px, rng)

They differ from the real frames by what pasted faces have in common: a seam, and two sides that do not match. A network
learns that without a single fake. The steps are the paper's: change colour or sharpness of a copy, shift and
scale it, draw a mask over the face, deform and soften it, scale it by a blending ratio, blend. What differs:

  * Detectors give five landmarks, not 81. The outline is an oval drawn on a mean face, which an affine map fitted to
    the five takes into each frame; regions are the whole face, its lower half, or eyes to mouth.
  * Only the copy changes; in the paper either side may. Here real frames are stored as they are, so frames that are
    changed outside the face would be told from them by that alone.
  * A clip has one draw, and the mask follows the face, as that of a swapped face does. `drift` lets it slip a little.
  * Ranges (`COLOUR`, `SHARPNESS`, ... below) are ours, chosen by eye on contact sheets.

It needs OpenCV and landmarks, so it runs where data are prepared and not inside tf.data: the records keep no landmarks.
Several pseudo-fakes for each real video take the place of a new one in every epoch.
"""

import numpy as np

RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
# Left and right eye, nose, corners of the mouth: medians over twelve videos of real people, made symmetric. The unit of
# the mean face, here and below, is the distance of the eyes; the origin lies between them.
MEAN_FACE = np.array([[-0.5, 0], [0.5, 0], [0, 0.55], [-0.42, 1.09], [0.42, 1.09]])
CENTRE = np.array([0.0, 0.5])
# Part of the oval that is used: (probability; half width, reach above and below CENTRE; upper edge). Low and high.
REGIONS = {
    "face": (0.6, (0.85, 1.1), (0.85, 1.25), (1.0, 1.3), (-9, -9)),
    "lower": (0.2, (0.85, 1.05), (0.85, 0.85), (1.0, 1.3), (0.15, 0.45)),
    "inner": (0.2, (0.65, 0.85), (0.7, 0.85), (0.75, 0.95), (-9, -9)),
}
# The mask is drawn once, on a grid over the mean face, so many px for a unit.
GRID_PX, LOW, HIGH = 40, np.array([-2.0, -2.0]), np.array([2.0, 2.75])
ELASTIC = {"smooth": 0.35, "reach": (0.02, 0.1)}
SOFT_FIRST, SOFT_LAST, LEVEL = (0.03, 0.12), (0.02, 0.2), (0.25, 0.75)
SHIFT, SCALE = 0.08, (0.95, 1.05)
COLOUR = {"channels": 16.0, "hue_rad": 0.12, "saturation": 0.3, "contrast": 0.15, "brightness": 14.0}
SHARPNESS = {"shrink": (1.4, 2.6), "sharpen": (0.4, 1.2)}
SHARP_EYES_PX = 40.0
# Masks are nothing below this: then no pixel outside changes, to the last bit.
FAINT = 1 / 255
# Mean difference in levels inside the mask below which a draw is no fake: it would be a wrong label.
LEAST, DRAWS = 1.0, 20


def self_blend(
    frames: np.ndarray,
    landmarks_px: np.ndarray,
    rng: np.random.Generator,
    region: np.ndarray | None = None,
    drift: float = 0.0,
) -> tuple:
    """Pseudo-fakes of the frames of one real face.

    Args:
      frames: uint8 [T, H, W, 3] RGB.
      landmarks_px: float [T, 5, 2], x and y in px of the frames, as `boxes.Detections` has them.
      rng: numpy.random.Generator; the same state gives the same output.
      region: "face", "lower" or "inner"; drawn when None.
      drift: how far the pasted face slips over time, in distances of the eyes. 0: it is fixed to the face, so that
        frames and landmarks that do not change give output that does not.
    Returns:
      (uint8 [T, H, W, 3], mask float32 [T, H, W], 0..1: the fraction of the pasted copy). Where the mask is 0 the
      output is the frame itself; where it is not, they differ by a level or more in the mean.
    Raises:
      ValueError: shapes, dtype or region are wrong, landmarks are not finite, or no draw shows: the face lies outside
        the frames.
    """
    frames, landmarks = np.asarray(frames), np.asarray(landmarks_px, np.float64)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise ValueError(f"frames needs uint8 [T, H, W, 3], got {frames.dtype} {frames.shape}.")
    if landmarks.shape != (len(frames), 5, 2) or not np.isfinite(landmarks).all():
        raise ValueError(f"landmarks_px needs finite [T, 5, 2] with T = {len(frames)}, got {landmarks.shape}.")
    if region is not None and region not in REGIONS:
        raise ValueError(f"region needs one of {tuple(REGIONS)}, got {region!r}.")
    maps = face_maps(landmarks)
    for _ in range(DRAWS):
        blended, mask = _blend_once(frames, maps, rng, region, drift)
        inside = mask > 0
        change = np.abs(blended[inside].astype(np.int16) - frames[inside])
        if len(change) and change.mean() >= LEAST:
            return blended, mask
    raise ValueError(f"landmarks_px needs a face inside the frames: none of {DRAWS} draws changed them.")


def face_maps(landmarks_px: np.ndarray) -> np.ndarray:
    """Affine maps from the mean face to each frame.

    An affine map lets a face that is turned away be narrower. Neither axis gets less than 0.6 of the other,
    where five points, of a profile nearly on a line, say nothing of the outline.

    Args:
      landmarks_px: float [T, 5, 2].
    Returns:
      float64 [T, 2, 3].
    """
    landmarks = np.asarray(landmarks_px, np.float64)
    middle, centres = MEAN_FACE.mean(0), landmarks.mean(1)
    linear = np.swapaxes(np.linalg.pinv(MEAN_FACE - middle) @ (landmarks - centres[:, None]), 1, 2)
    u, s, v = np.linalg.svd(linear)
    s = np.maximum(s, np.maximum(0.6 * s[:, :1], 1.0))
    linear = u * s[:, None] @ v
    return np.concatenate([linear, (centres - linear @ middle)[..., None]], axis=2)


def draw_mask(rng: np.random.Generator, region: np.ndarray | None = None) -> np.ndarray:
    """A mask on the grid over the mean face, float32 [rows, columns], 0..1 but for rounding."""
    import cv2

    names = list(REGIONS)
    region = region or names[rng.choice(len(names), p=[REGIONS[name][0] for name in names])]
    width, above, below, top = (rng.uniform(*span) for span in REGIONS[region][1:])
    columns, rows = np.rint((HIGH - LOW) * GRID_PX).astype(int)
    y, x = np.mgrid[:rows, :columns] / GRID_PX
    x, y = x + LOW[0], y + LOW[1]
    smooth, noise = ELASTIC["smooth"] * GRID_PX, rng.standard_normal((2, rows, columns)).astype(np.float32)
    noise = np.stack([cv2.GaussianBlur(n, (0, 0), smooth) for n in noise])
    x, y = np.stack([x, y]) + noise / noise.std() * rng.uniform(*ELASTIC["reach"])
    away = y - CENTRE[1]
    inside = (x / width) ** 2 + (away / np.where(away < 0, above, below)) ** 2 <= 1
    mask = (inside & (y >= top)).astype(np.float32)
    # Softened, cut at a level that lets it shrink or grow, and softened again.
    mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(*SOFT_FIRST) * GRID_PX) > rng.uniform(*LEVEL)
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), rng.uniform(*SOFT_LAST) * GRID_PX)


def _blend_once(frames, maps, rng, region, drift):
    """One random draw: (blended, mask), see `self_blend`."""
    import cv2

    height, width = frames.shape[1:3]
    face_mask, ratio = draw_mask(rng, region), rng.choice(RATIOS)
    change = _draw_look(rng, np.sqrt(np.abs(np.linalg.det(maps[:, :, :2])).mean()))
    scale, shift = rng.uniform(*SCALE, 2), rng.uniform(-SHIFT, SHIFT, 2)
    slip = _draw_slip(rng, len(frames), drift)
    grid = np.array([[1 / GRID_PX, 0, LOW[0]], [0, 1 / GRID_PX, LOW[1]], [0, 0, 1]])
    blended, masks = np.empty_like(frames), np.empty(frames.shape[:3], np.float32)
    for t, frame in enumerate(frames):
        to_frame = np.vstack([maps[t], [0, 0, 1]])
        mask = cv2.warpAffine(face_mask, (to_frame @ grid)[:2], (width, height), flags=cv2.INTER_LINEAR)
        mask = np.where(mask < FAINT, 0, np.minimum(mask, 1)) * np.float32(ratio)
        move = np.eye(3)
        move[:2, :2] *= scale
        move[:2, 2] = CENTRE - scale * CENTRE + shift + slip[t]
        move = (to_frame @ move @ np.linalg.inv(to_frame))[:2]
        copy = cv2.warpAffine(
            change(frame), move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        mixed = frame + mask[..., None] * (copy.astype(np.float32) - frame)
        blended[t], masks[t] = np.rint(mixed).clip(0, 255), mask
    return blended, masks


def _draw_look(rng, eyes_px):
    """A change of colour and sharpness: function of a frame uint8 [H, W, 3] that returns one.

    Args:
      eyes_px: distance of the eyes; a small face is blurred less, as it has few pixels to lose.
    """
    import cv2

    def some(chance, reach):
        return rng.uniform(-reach, reach) * (rng.random() < chance)

    grey = np.full((3, 3), 1 / 3)
    angle, axis = some(0.5, COLOUR["hue_rad"]), np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * axis + (1 - np.cos(angle)) * grey  # about the grey axis
    matrix = (grey + (1 + some(0.5, COLOUR["saturation"])) * (np.eye(3) - grey)) @ turn
    contrast = 1 + some(0.5, COLOUR["contrast"])
    offset = 128 * (1 - contrast) + some(0.5, COLOUR["brightness"])
    offsets = offset + rng.uniform(-1, 1, 3) * some(0.5, COLOUR["channels"])
    colours = np.concatenate([contrast * matrix, offsets[:, None]], axis=1).astype(np.float32)
    kind = rng.choice(["shrink", "sharpen", "none"], p=[0.4, 0.4, 0.2])
    amount = rng.uniform(*SHARPNESS.get(kind, (0, 1)))
    factor = 1 + (amount - 1) * min(1.0, eyes_px / SHARP_EYES_PX)

    def change(frame):
        height, width = frame.shape[:2]
        if kind == "shrink":
            small = max(1, round(width / factor)), max(1, round(height / factor))
            frame = cv2.resize(cv2.resize(frame, small, interpolation=cv2.INTER_AREA), (width, height))
        frame = frame.astype(np.float32)
        if kind == "sharpen":
            frame += amount * (frame - cv2.GaussianBlur(frame, (0, 0), 1.0))
        return np.rint(cv2.transform(frame, colours)).clip(0, 255).astype(np.uint8)

    return change


def _draw_slip(rng, count, drift):
    """Slow motion of the pasted face, float64 [count, 2]: two waves of 8 to 40 frames in each direction."""
    phases, periods = rng.uniform(0, 2 * np.pi, (2, 2)), rng.uniform(8, 40, (2, 2))
    time = np.arange(count)[:, None, None]
    return drift / 2 * np.sin(2 * np.pi * time / periods + phases).sum(1)


def contact_sheet(
    frames: np.ndarray, landmarks_px: np.ndarray, seed: int = 0, draws: int = 6, columns: int = 3, cell_px: int = 224
) -> np.ndarray:
    """An image to judge blends by: in each row frames of a clip, then the same blended, then the mask of the first.

    Args:
      frames, landmarks_px: see `self_blend`.
      draws: rows, one draw each; columns: frames shown, equally spaced.
    Returns:
      uint8 [H, W, 3] RGB.
    """
    import cv2

    shown = np.unique(np.linspace(0, len(frames) - 1, columns).round().astype(int))
    rows = []
    for draw in range(draws):
        blended, mask = self_blend(frames, landmarks_px, np.random.default_rng([seed, draw]))
        cells = [*frames[shown], *blended[shown], np.repeat(np.uint8(255 * mask[0])[..., None], 3, axis=2)]
        rows.append(np.concatenate([cv2.resize(c, (cell_px, cell_px), interpolation=cv2.INTER_AREA) for c in cells], 1))
    return np.concatenate(rows)
