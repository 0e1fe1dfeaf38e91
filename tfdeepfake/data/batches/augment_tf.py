"""`augment` as steps of `tf.data`, drawn by the epoch and the example's or batch's number in it."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfdeepfake.data.batches import augment as augmentation
from tfdeepfake.data.batches.python_op import python_op


def images_of(example: dict) -> list[str]:
    """Names of what an example has of frames and flow."""
    return [name for name in ("frames", "flow") if name in example]


def _generator(draw, *numbers):
    """numpy's generator of an example (one number) or of a batch (two) of the epoch with `draw`, int64 [2]."""
    return np.random.default_rng([*draw.view(np.uint64).tolist(), *map(int, numbers)])


def augmenter(steps: tuple, length: int) -> Callable:
    """(draw, number, example with lists of images) -> the example augmented, images stacked.

    With flow it gains `turn` (`augment.augment`), one in front for each example. More images than `length` are
    several examples, of which each is changed as by its own number, however many come together.
    """

    def run(draw, number, example):
        names = images_of(example)
        images = [one for name in names for one in example[name]]
        total = len(example["frames"])

        def augmented(draw, number, *images):
            # One by one as they were decoded: stacking them first would copy them once more.
            frames, flow, turns = images[:total], images[total:], []
            into = [augmentation.aligned_empty((total, *x[0].shape)) for x in (frames, flow) if x]
            for k in range(total // length):
                part = slice(k * length, (k + 1) * length)
                rng = _generator(draw, number * (total // length) + k)
                _, turn = augmentation.augment(frames[part], flow[part], steps, rng, [x[part] for x in into])
                turns.append(turn)
            return [*into, np.stack(turns)]

        *changed, turn = python_op(augmented, [draw, number, *images], [tf.uint8] * len(names) + [tf.float32])
        for name, x in zip(names, changed, strict=True):
            example[name] = tf.ensure_shape(x, (total, *example[name][0].shape))
        if "flow" in example:
            example["turn"] = tf.ensure_shape(turn, (total // length, 2, 2))
        return example

    return run


def cut_and_mixed(
    draw: tf.Tensor,
    number: tf.Tensor,
    inputs: dict,
    label: tf.Tensor,
    weight: tf.Tensor | None,
    probability: float = 0.5,
) -> tuple:
    """`augment.cutmix` of a batch, by its number in the epoch."""
    given = {"frames": inputs["frames"], "flow": inputs.get("flow"), "label": label, "weight": weight}
    there = {name: x for name, x in given.items() if x is not None}

    def mixed(draw, number, *values):
        values = given | dict(zip(there, values, strict=True))
        rng = _generator(draw, number, 1)
        return [x for x in augmentation.cutmix(**values, rng=rng, probability=probability) if x is not None]

    done = python_op(mixed, [draw, number, *there.values()], [x.dtype for x in there.values()])
    after = given | {n: tf.ensure_shape(x, there[n].shape) for n, x in zip(there, done, strict=True)}
    return {name: after[name] for name in inputs}, after["label"], after["weight"]
