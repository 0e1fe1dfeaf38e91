"""Training-time augmentation: one draw for all frames of a clip and for its flow (P0 IV-C, P1 2.2.5).

    augment    one example: colours, moves, shrinking, noise, compression
    cutmix     one batch: a box of every clip comes from its neighbour, labels are mixed (arXiv:1905.04899)

Names, probabilities and ranges are in `augment_policies`; `augment_tf` calls both inside `tf.data`. Draws are functions
of the generator. Only what is drawn is run, and neighbours of one sort take one pass: colours are one matrix, moves are
one resample. On OpenCV, because P0's policy with `tf.image` took six times the processor time, and Keras's layers draw
anew for every frame.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import NormalDist

import cv2
import numpy as np

from tfdeepfake.data.flow import ZERO_CODE

ALIGNED_BYTES = 64
# Luma and two axes of chroma around which hue turns (NTSC). Grey has no chroma and stays as it is.
TO_YIQ = np.float32(((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)))
FROM_YIQ = np.linalg.inv(TO_YIQ)
# 256 equally likely values, a normal's quantiles, of variance 1: a byte and a table are far faster than a normal draw.
NORMAL = np.array([NormalDist().inv_cdf((k + 0.5) / 256) for k in range(256)])
NORMAL /= NORMAL.std()
MIRROR = np.diag(np.float32((-1, 1, 1)))


def _between(rng, limits):
    """An even draw from (least, most), or from -limit..limit."""
    least, most = limits if isinstance(limits, tuple) else (-limits, limits)
    return rng.uniform(least, most)


# Colours: float32 [4, 4] that takes (r, g, b, 1) to its new colour. `frames` are those of the example as it came.


def _colour(linear, shift=0.0):
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3], matrix[:3, 3] = linear, shift
    return matrix


def _brightness_contrast(rng, frames, brightness, contrast):
    return _colour(np.eye(3) * (1 + _between(rng, contrast)), 255 * _between(rng, brightness))


def _hue_saturation(rng, frames, hue, saturation, value):
    angle, size = 2 * math.pi * _between(rng, hue), 1 + _between(rng, saturation)
    cos, sin = size * math.cos(angle), size * math.sin(angle)
    turned = FROM_YIQ @ np.float32(((1, 0, 0), (0, cos, -sin), (0, sin, cos))) @ TO_YIQ
    return _colour(turned * (1 + _between(rng, value)))


def _fancy_pca(rng, frames, alpha):
    # The axes of every 16th pixel are those of all, at a fraction of the work.
    colours = np.float32([frame[::4, ::4] for frame in frames]).reshape(-1, 3) / 255
    values, axes = np.linalg.eigh(np.cov(colours, rowvar=False, bias=True))
    return _colour(np.eye(3), 255 * axes @ (values * alpha * rng.standard_normal(3)))


def _grey(rng, frames):
    return _colour(np.repeat(TO_YIQ[:1], 3, axis=0))


# Moves: float32 [3, 3] that takes a place (x, y, 1), px from the image's middle, to where it goes.


def _affine(a, b, c, d, x=0.0, y=0.0):
    return np.float32(((a, b, x), (c, d, y), (0, 0, 1)))


def _shift_scale_rotate(rng, height, width, shift, scale, rotate_deg):
    size, angle = 1 + _between(rng, scale), math.radians(_between(rng, rotate_deg))
    cos, sin = size * math.cos(angle), size * math.sin(angle)
    return _affine(cos, -sin, sin, cos, width * _between(rng, shift), height * _between(rng, shift))


def _shear(rng, height, width, shear_deg):
    x, y = (math.tan(math.radians(_between(rng, shear_deg))) for _ in range(2))
    return _affine(1, x, y, 1)


def _pad(rng, height, width, border):
    size = 1 - 2 * _between(rng, border)
    return _affine(size, 0, 0, size)


# Everything else: a change, which makes of an image uint8 [H, W, 3] the next and writes it to `dst` where that is
# given; of `_downscale` the size (h, w) px that images are shrunk to.


def _jpeg(rng, height, width, quality):
    setting = (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(quality[0], quality[1] + 1)))

    def code(frame, dst=None):
        coded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), setting)[1]
        return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB, dst=dst)

    return code


def _noise(rng, height, width, variance):
    # The same grain in every frame: a draw belongs to the clip.
    which = np.frombuffer(rng.bytes(height * width * 3), np.uint8).reshape(height, width, 3)
    grey = np.rint(NORMAL * math.sqrt(_between(rng, variance)))
    more, less = (cv2.LUT(which, np.uint8(np.clip(side, 0, 255))) for side in (grey, -grey))
    # Both cut at 0 and 255.
    return lambda frame, dst=None: cv2.subtract(cv2.add(frame, more), less, dst=dst)


def _downscale(rng, height, width, factor):
    factor = _between(rng, factor)
    # Bilinear without a filter, as in P0's reference: the aliasing is part of what cheap software leaves.
    return max(1, round(height * factor)), max(1, round(width * factor))


COLOURS = {
    "brightness_contrast": _brightness_contrast,
    "hue_saturation": _hue_saturation,
    "fancy_pca": _fancy_pca,
    "grey": _grey,
}
MOVES = {
    "flip": lambda rng, height, width: MIRROR,
    "shift_scale_rotate": _shift_scale_rotate,
    "shear": _shear,
    "pad": _pad,
}
OTHERS = {"jpeg": _jpeg, "noise": _noise}
# A step after all: it does what has been drawn and not been done.
LAST = (1.0, {"end": {}})


def _recolouring(colour):
    """The change that applies `colour` (float32 [4, 4]) to every pixel."""
    matrix = colour[:3].copy()
    if not matrix[0, 1]:
        # OpenCV's way for diagonals takes four times as long; this is far below one grey level.
        matrix[0, 1] = 1e-6
    return partial(cv2.transform, m=matrix)


def resampling(
    move: np.ndarray | None, size: tuple[int, int], shrunk: tuple[int, int], border: int = 0
) -> list[Callable]:
    """The changes, all of them, after which places have gone where `move` takes them: one bilinear look-up.

    Args:
      move: float32 [3, 3]: (x, y, 1), px of the new size from the middle, to its new place. None: nothing moves.
      size: (H, W) px of the new image.
      shrunk: (h, w) px of the image, uint8 [h, w] or [h, w, 3], that it is made from.
      border: value where nothing came from.
    """
    enlarge = partial(cv2.resize, dsize=size[::-1], interpolation=cv2.INTER_LINEAR)
    # A look-up beyond the edges, which `resize` repeats, would darken them where nothing has to come from outside.
    if move is None:
        return [enlarge] * (size != shrunk)
    if np.array_equal(move, MIRROR):
        return [partial(cv2.flip, flipCode=1)] + [enlarge] * (size != shrunk)
    (a, b, x), (c, d, y) = move[:2].tolist()
    # From a new place, px from the corner, to where its value is.
    source = []
    for row, new, old in zip(((d, -b), (-c, a)), size[::-1], shrunk[::-1], strict=True):
        p, q = (old / new * part / (a * d - b * c) for part in row)
        source.append((p, q, (old - 1) / 2 - p * (x + (size[1] - 1) / 2) - q * (y + (size[0] - 1) / 2)))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return [partial(cv2.warpAffine, M=np.array(source), dsize=size[::-1], flags=flags, borderValue=(border,) * 3)]


def _drawn(frames, steps, rng):
    """The changes that an example's generator draws, in their order: (of its frames, of its maps, turn)."""
    size, of_frames, of_maps, turn = frames[0].shape[:2], [], [], np.eye(2, dtype=np.float32)
    # Drawn and not yet in the lists: a colour, then a move, which also enlarges what has been shrunk.
    nothing = colour, move, shrunk = None, None, size
    for probability, choices in (*steps, LAST):
        if rng.random() >= probability:
            continue
        name = list(choices)[rng.integers(len(choices))]
        if name in MOVES:
            step = MOVES[name](rng, *size, **choices[name])
            move = step if move is None else step @ move
            continue
        if name not in COLOURS or move is not None:
            of_frames += [] if colour is None else [_recolouring(colour)]
            of_frames += resampling(move, size, shrunk)
            if move is not None:
                of_maps += resampling(move, size, size, ZERO_CODE)
                turn = move[:2, :2] @ turn
            colour, move, shrunk = nothing
        if name in COLOURS:
            step = COLOURS[name](rng, frames, **choices[name])
            colour = step if colour is None else step @ colour
        elif name == "downscale":
            shrunk = _downscale(rng, *size, **choices[name])
            of_frames.append(partial(cv2.resize, dsize=shrunk[::-1], interpolation=cv2.INTER_LINEAR))
        elif name in OTHERS:
            of_frames.append(OTHERS[name](rng, *size, **choices[name]))
    return of_frames, of_maps, turn


def augment(
    frames: Sequence[np.ndarray],
    flow: Sequence[np.ndarray],
    steps: tuple,
    rng: np.random.Generator,
    into: list[np.ndarray] | None = None,
) -> tuple[list[np.ndarray], np.ndarray]:
    """One example with the steps that its generator draws, in their order.

    Colours are cut to 0..255 after the last of those that follow one another, not after each.

    Args:
      frames: T images uint8 [H, W, 3] RGB, as a list or an array.
      flow: their maps, T of uint8 [2H, W, 1] as `flow.pack_flow` makes them; nothing (`()`) where there are none.
      steps: of `augment_policies.steps`.
      rng: np.random.Generator of this example.
      into: list of arrays to write to, as they are returned; None makes new ones.
    Returns:
      ([frames uint8 [T, H, W, 3], flow uint8 [T, 2H, W, 1] where there is any], turn float32 [2, 2]): the vectors of
      the flow still have to be multiplied by `turn`, which turns and stretches them as the images were.
    """
    of_frames, of_maps, turn = _drawn(frames, steps, rng)
    if into is None:
        into = [aligned_empty((len(x), *x[0].shape)) for x in (frames, flow) if len(x)]
    _each(frames, of_frames, into[0])
    if len(flow):
        height = len(frames[0])
        # u and v are images of their own.
        for half in (slice(0, height), slice(height, None)):
            _each([one[half] for one in flow], of_maps, into[1][:, half])
    return into, turn


def _each(images, changes, into):
    """Writes each of the images with all the changes, one after the other: an image stays in the cache."""
    for image, new in zip(images, into, strict=True):
        for change in changes[:-1]:
            image = change(image)
        if changes:
            changes[-1](image, dst=new)
        else:
            np.copyto(new, image)


def aligned_empty(shape: tuple[int, ...]) -> np.ndarray:
    """An empty uint8 array that begins where TensorFlow takes memory as it is; elsewhere it would copy."""
    count = math.prod(shape)
    more = np.empty(count + ALIGNED_BYTES, np.uint8)
    start = -more.ctypes.data % ALIGNED_BYTES
    return more[start : start + count].reshape(shape)


def cutmix(
    frames: np.ndarray,
    flow: np.ndarray | None,
    label: np.ndarray,
    weight: np.ndarray | None,
    rng: np.random.Generator,
    probability: float = 0.5,
) -> tuple:
    """Puts a box of the neighbour in the batch into some of the examples, the same box in all frames and maps.

    The box covers an even draw of the area before it is cut at the edge, its centre is anywhere (arXiv:1905.04899
    Sec. 3.1, alpha 1). The label becomes the fraction of fake area, the class weight that of the two examples by area.

    Args:
      frames: uint8 [B, (T,) H, W, 3].
      flow: float32 [B, (T,) H, W, 2] px/frame, or None.
      label: float32 [B, 1].
      weight: float32 [B], or None.
      rng: np.random.Generator of this batch.
      probability: of each example to be changed; the others stay whole, because faces to be judged are.
    Returns:
      (frames, flow, label, weight) of the same shapes and dtypes.
    """
    count, (height, width) = len(frames), frames.shape[-3:-1]
    mixed = [x if x is None else x.copy() for x in (frames, flow, label, weight)]
    for k in np.flatnonzero(rng.random(count) < probability):
        side = math.sqrt(rng.random()) / 2
        box = []
        for pixels in (height, width):
            middle = rng.random()
            # Pixels whose own middle is in the box.
            edges = (round(pixels * (middle - side)), round(pixels * (middle + side)))
            box.append(slice(*np.clip(edges, 0, pixels)))
        fraction = np.float32(np.prod([s.stop - s.start for s in box]) / (height * width))
        for new, old in zip(mixed[:2], (frames, flow), strict=True):
            if old is not None:
                new[k, ..., box[0], box[1], :] = old[k - 1, ..., box[0], box[1], :]
        for new, old in zip(mixed[2:], (label, weight), strict=True):
            if old is not None:
                new[k] += fraction * (old[k - 1] - old[k])
    return tuple(mixed)
