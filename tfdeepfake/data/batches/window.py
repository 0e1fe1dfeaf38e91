"""Fewer frames of a stored run than it has: drawn anew in each epoch of training, the middle ones for scoring.

P4 trains on four consecutive frames at random within a clip. P3 trains on 64 or 16 frames and tests on chunks of 250:
there `whole` gives the stored chunks to what was trained on windows of them.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfdeepfake.data.batches.prepared import PreparedData
from tfdeepfake.errors import InputError

_PER_FRAME = ("frames", "flow", "flow_max_px", "frame_indices", "timestamps_s", "face_side_px", "mask")
# Sets the draw of a window apart from those of augmentation, which have the same numbers.
_WINDOW = 0x77696E


def windowed(prepared: PreparedData, window_frames: int) -> PreparedData:
    """The data set whose clips are `window_frames` consecutive frames of the stored ones.

    Raises:
      InputError: it holds no runs of consecutive frames, or shorter ones.
    """
    recipe = prepared.recipe
    if recipe.input_type != "clip" or recipe.sampling == "spaced":
        raise InputError(
            "window_frames",
            f"needs clips of consecutive frames; {prepared.version} holds input type {recipe.input_type}, sampled "
            f"{recipe.sampling}.",
            "Prepare it with --input-type clip --sampling consecutive.",
        )
    if window_frames > recipe.num_frames:
        raise InputError(
            "window_frames",
            f"is {window_frames}, but the runs of {prepared.version} have {recipe.num_frames} frames.",
            f"Prepare longer ones: --num-frames {window_frames}",
        )
    shorter = dataclasses.replace(recipe, num_frames=window_frames)
    return dataclasses.replace(prepared, recipe=shorter, stored_frames=recipe.num_frames)


def whole(prepared: PreparedData) -> PreparedData:
    """The data set of `windowed` with its stored clips as they are."""
    if prepared.stored_frames is None:
        return prepared
    recipe = dataclasses.replace(prepared.recipe, num_frames=prepared.stored_frames)
    return dataclasses.replace(prepared, recipe=recipe, stored_frames=None)


def middle(prepared: PreparedData) -> Callable[[dict], dict]:
    """Stored example -> the same with its middle frames only."""
    size = prepared.recipe.num_frames
    start = ((prepared.stored_frames or size) - size) // 2
    return lambda example: _cut(example, start, size)


def drawn(prepared: PreparedData) -> Callable:
    """(draw, number, example) -> the example with frames drawn by its number in the epoch `draw`."""
    size = prepared.recipe.num_frames

    def cut(draw, number, example):
        seed = tf.random.experimental.stateless_fold_in(tf.random.experimental.stateless_fold_in(draw, number), _WINDOW)
        starts = prepared.stored_frames - size + 1
        return _cut(example, tf.random.stateless_uniform([], seed, maxval=starts, dtype=tf.int32), size)

    return cut


def _cut(example, start, size):
    return example | {
        name: tf.ensure_shape(example[name][start : start + size], [size, *example[name].shape[1:]])
        for name in _PER_FRAME
        if name in example
    }
