"""Training-time augmentation inside `tf.data`: one draw for all frames of a clip and for its flow (P0 IV-C, P1 2.2.5).

    augment_example   one example: flip, colours, noise, compression, one resample for all that moves pixels
    cutmix            one batch: a box of every clip comes from its neighbour, labels are mixed (arXiv:1905.04899)

Names, probabilities and ranges are in `policies`. Draws are functions of a seed alone. Only what is drawn is run.
Operations take and give uint8 [..., H, W, 3]; those that move pixels give a matrix instead.
"""

import math
from functools import partial

import tensorflow as tf

from tfdeepfake.data import flow as flow_module

# Share of examples that CutMix changes; the others stay whole, because faces to be judged are.
CUTMIX_PROBABILITY = 0.5


def _between(seed, limits):
    """An even draw from (least, most), or from -limit..limit."""
    least, most = limits if isinstance(limits, tuple) else (-limits, limits)
    return tf.random.stateless_uniform([], seed, least, most)


def _seeds(seed, count):
    return [tf.random.experimental.stateless_fold_in(seed, n) for n in range(count)]


def _bytes(frames):
    """float32 grey levels -> uint8."""
    return tf.cast(tf.round(tf.clip_by_value(frames, 0.0, 255.0)), tf.uint8)


def _jpeg(frames, seed, quality):
    quality = tf.random.stateless_uniform([], seed, quality[0], quality[1] + 1, tf.int32)
    each = tf.unstack(frames) if frames.shape.rank == 4 else [frames]
    done = [tf.image.adjust_jpeg_quality(one, quality, dct_method="INTEGER_ACCURATE") for one in each]
    return tf.stack(done) if frames.shape.rank == 4 else done[0]


def _noise(frames, seed, variance):
    draws = _seeds(seed, 2)
    # The same grain in every frame: a draw belongs to the clip.
    grain = tf.random.stateless_normal(frames.shape[-3:], draws[0]) * tf.sqrt(_between(draws[1], variance))
    noisy = tf.cast(frames, tf.int16) + tf.cast(tf.round(grain), tf.int16)
    return tf.cast(tf.clip_by_value(noisy, 0, 255), tf.uint8)


def _downscale(frames, seed, factor):
    height, width = frames.shape[-3:-1]
    factor = _between(seed, factor)
    small = [tf.maximum(1, tf.cast(tf.round(side * factor), tf.int32)) for side in (height, width)]
    # Bilinear without a filter, as OpenCV's INTER_LINEAR: the aliasing is part of what cheap software leaves.
    return _bytes(tf.image.resize(tf.image.resize(frames, small), (height, width)))


def _brightness_contrast(frames, seed, brightness, contrast):
    draws = _seeds(seed, 2)
    return _bytes(
        tf.cast(frames, tf.float32) * (1 + _between(draws[0], contrast)) + 255 * _between(draws[1], brightness)
    )


def _hue_saturation(frames, seed, hue, saturation, value):
    draws = _seeds(seed, 3)
    turned = tf.image.adjust_hue(tf.cast(frames, tf.float32), _between(draws[0], hue))
    strong = tf.image.adjust_saturation(turned, 1 + _between(draws[1], saturation))
    return _bytes(strong * (1 + _between(draws[2], value)))


def _fancy_pca(frames, seed, alpha):
    # The axes of every 16th pixel are those of all, at a fraction of the work.
    colours = tf.reshape(tf.cast(frames[..., ::4, ::4, :], tf.float32), [-1, 3]) / 255
    colours -= tf.reduce_mean(colours, axis=0)
    count = tf.cast(tf.shape(colours)[0], tf.float32)
    values, axes = tf.linalg.eigh(tf.matmul(colours, colours, transpose_a=True) / count)
    shift = tf.linalg.matvec(axes, values * alpha * tf.random.stateless_normal([3], seed))
    return _bytes(tf.cast(frames, tf.float32) + 255 * shift)


def _grey(frames, seed):
    return tf.broadcast_to(tf.image.rgb_to_grayscale(frames), frames.shape)


# Matrices float32 [3, 3] that take a place (x, y, 1), px from the picture's middle, to where it goes.


def _affine(a, b, c, d, x=0.0, y=0.0):
    return tf.stack([tf.stack([a, b, x]), tf.stack([c, d, y]), tf.constant([0.0, 0.0, 1.0])])


def _shift_scale_rotate(seed, height, width, shift, scale, rotate_deg):
    draws = _seeds(seed, 4)
    size, angle = 1 + _between(draws[0], scale), _between(draws[1], rotate_deg) * (math.pi / 180)
    cos, sin = size * tf.cos(angle), size * tf.sin(angle)
    return _affine(cos, -sin, sin, cos, width * _between(draws[2], shift), height * _between(draws[3], shift))


def _shear(seed, height, width, shear_deg):
    x, y = (tf.tan(_between(draw, shear_deg) * (math.pi / 180)) for draw in _seeds(seed, 2))
    return _affine(1.0, x, y, 1.0)


def _pad(seed, height, width, border):
    size = 1 - 2 * _between(seed, border)
    return _affine(size, 0.0, 0.0, size)


COLOURS = {
    "jpeg": _jpeg,
    "noise": _noise,
    "downscale": _downscale,
    "brightness_contrast": _brightness_contrast,
    "hue_saturation": _hue_saturation,
    "fancy_pca": _fancy_pca,
    "grey": _grey,
}
MOVES = {"shift_scale_rotate": _shift_scale_rotate, "shear": _shear, "pad": _pad}


def resample(pictures, matrix):
    """Pictures whose places have gone where `matrix` takes them; black (or still) where nothing came from.

    Args:
      pictures: float32 [..., H, W, C] with three or four axes.
      matrix: float32 [3, 3]: (x, y, 1), px from the middle, to its new place.
    Returns:
      As `pictures`.
    """
    height, width = pictures.shape[-3:-1]
    middle = tf.constant([[1.0, 0.0, (width - 1) / 2], [0.0, 1.0, (height - 1) / 2], [0.0, 0.0, 1.0]])
    # The op wants where a pixel comes from.
    source = middle @ tf.linalg.inv(matrix) @ tf.linalg.inv(middle)
    clip = pictures if pictures.shape.rank == 4 else pictures[None]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=clip,
        transforms=tf.reshape(source, [1, 9])[:, :8],
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.reshape(moved, pictures.shape)


def _move(frames, flow, matrix):
    """Frames (uint8) and flow (float32, or None) resampled; the vectors turn and stretch as the picture does."""
    frames = _bytes(resample(tf.cast(frames, tf.float32), matrix))
    if flow is None:
        return (frames,)
    flow = resample(flow, matrix)
    # Written out: a product with a matrix of 2 x 2 is slow for so many vectors.
    u, v = flow[..., 0], flow[..., 1]
    turned = [matrix[row, 0] * u + matrix[row, 1] * v for row in range(2)]
    return frames, tf.stack(turned, axis=-1)


def augment_example(example, steps, seed):
    """One example with the steps that its seed draws.

    Args:
      example: dict with frames uint8 [(T,) H, W, 3] of known shape, and, where the network reads flow, flow uint8
        [(T,) 2H, W, 1] with flow_max_px as `flow.pack_flow` makes them.
      steps: of `policies.steps`.
      seed: integer [2].
    Returns:
      The example with frames of the same shape and dtype. When a step may move pixels, flow comes unpacked (float32
      [(T,) H, W, 2] px/frame, flow_max_px gone). Otherwise it stays packed, and a bool `flip` says that u has still
      to be negated.
    """
    example = dict(example)
    moves = any(name in MOVES for _, choices in steps for name in choices)
    if moves and "flow" in example:
        example["flow"] = flow_module.unpack_flow_ops(example["flow"], example.pop("flow_max_px"))
    height, width = example["frames"].shape[-3:-1]
    matrix, moved = tf.eye(3), tf.constant(False)
    for number, (probability, choices) in enumerate(steps):
        if "flip" in choices:
            # By the seed itself: a run that only flips has always drawn so.
            _flip(example, tf.random.stateless_uniform([], seed) < probability)
            continue
        drawn_by, chosen_by, own = _seeds(tf.random.experimental.stateless_fold_in(seed, number), 3)
        drawn = tf.random.stateless_uniform([], drawn_by) < probability
        which = tf.random.stateless_uniform([], chosen_by, maxval=len(choices), dtype=tf.int32)
        for position, (name, ranges) in enumerate(choices.items()):
            take = drawn & (which == position)
            if name in MOVES:
                step = tf.cond(take, partial(MOVES[name], own, height, width, **ranges), lambda: tf.eye(3))
                matrix, moved = step @ matrix, moved | take
            else:
                frames = example["frames"]
                change = partial(COLOURS[name], frames, own, **ranges)
                # JPEG forgets the shape that the next operation needs.
                example["frames"] = tf.ensure_shape(tf.cond(take, change, partial(tf.identity, frames)), frames.shape)
    if moves:
        names = [name for name in ("frames", "flow") if name in example]
        kept = tuple(example[name] for name in names)
        after = tf.cond(moved, lambda: _move(example["frames"], example.get("flow"), matrix), lambda: kept)
        example |= dict(zip(names, after, strict=True))
    return example


def _flip(example, flip):
    """Mirrors frames and maps; negates u, or leaves word to, where it is still packed."""
    names = [name for name in ("frames", "flow") if name in example]
    kept = [example[name] for name in names]
    unpacked = "flow" in example and example["flow"].dtype == tf.float32

    def mirrored():
        # On bytes, and only where it is wanted: several times faster than on a batch of floats.
        turned = [tf.reverse(x, [-2]) for x in kept]
        return turned[:1] + [turned[1] * tf.constant([-1.0, 1.0])] if unpacked else turned

    example |= dict(zip(names, tf.cond(flip, mirrored, lambda: kept), strict=True))
    if not unpacked:
        example["flip"] = flip


def cutmix(inputs, label, weight, seed):
    """Puts a box of the neighbour in the batch into half of the examples, the same box in all frames and maps.

    The box covers an even draw of the area before it is cut at the edge, its centre is anywhere (arXiv:1905.04899
    Sec. 3.1, alpha 1). The label becomes the share of fake area, the class weight that of the two examples by area.

    Args:
      inputs: {"frames": uint8 [B, (T,) H, W, 3], "flow": float32 [B, (T,) H, W, 2]}, with or without flow.
      label: float32 [B, 1].
      weight: float32 [B] or None.
      seed: integer [2].
    Returns:
      (inputs, label, weight) of the same shapes and dtypes.
    """
    count, (height, width) = tf.shape(label)[0], inputs["frames"].shape[-3:-1]
    drawn, area, across, down = (tf.random.stateless_uniform([count, 1], own) for own in _seeds(seed, 4))
    side = tf.where(drawn < CUTMIX_PROBABILITY, tf.sqrt(area), 0.0) / 2

    def inside(middle, pixels):
        place = (tf.range(pixels, dtype=tf.float32) + 0.5)[None] / pixels
        return tf.abs(place - middle) < side

    box = inside(down, height)[:, :, None] & inside(across, width)[:, None, :]
    share = tf.reduce_mean(tf.cast(box, tf.float32), axis=[1, 2])

    def mixed(x):
        wide = box[..., None] if x.shape.rank == 4 else box[:, None, :, :, None]
        return tf.where(wide, tf.roll(x, 1, axis=0), x)

    def shared(x, by):
        return x + by * (tf.roll(x, 1, axis=0) - x)

    inputs = {name: mixed(x) for name, x in inputs.items()}
    return inputs, shared(label, share[:, None]), None if weight is None else shared(weight, share)
