"""One pass over a split of a prepared data set in stored order, in `tf.data` batches, for scoring and validation."""

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from tfdeepfake.data.batches import augment_policies
from tfdeepfake.data.batches.augment_tf import augmenter
from tfdeepfake.data.batches.decoding import decoded_examples
from tfdeepfake.data.batches.network_inputs import inputs_of, labels_of, prefetched
from tfdeepfake.data.batches.prepared import PreparedData
from tfdeepfake.data.batches.records import (
    CLIP_FPS,
    KEYS,
    MASK_FRACTION,
    PARALLEL,
    View,
    encoded_examples,
    host_paths,
    looks_of,
    stores_masks,
    subgroups_of,
    view_of,
)

# In the place of an epoch's number in the draws of augmentation: those of no epoch.
_NO_EPOCH = -1


def scoring_batches(
    prepared: PreparedData,
    split: str,
    input_type: str,
    batch_size: int,
    with_keys: bool = False,
    with_flow: bool | None = None,
    cache_bytes: int = 0,
    hosts: int = 1,
    host: int = 0,
    classes: tuple[str, ...] | None = None,
    augment: str = "none",
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches of one pass over a split in stored order, the uneven last batch included.

    Args:
      prepared, split, input_type, batch_size, with_flow: as of `pipeline.training_batches`.
      with_keys: adds a dict of `records.KEYS` ([B] each; strings, but int32 face, int64 frame, float32 timestamp_s) and
        of the subgroups that the data set stores (strings); of data that tell, float32 `records.LOOKS` and
        `records.MASK_FRACTION` and `records.CLIP_FPS`.
      cache_bytes: decoded examples are held in memory when they take no more than this, for further passes.
      hosts, host, classes: see `records.View`.
      augment, seed: as of `pipeline.BatchSettings`; each example has one draw, the same in each pass.
    Returns:
      tf.data.Dataset of (inputs, label) as of `pipeline.training_batches`, and keys when asked for.
    Raises:
      InputError, tf.errors.DataLossError: as `pipeline.training_batches`.
    """
    view = view_of(prepared, split, input_type, with_flow, hosts, host, classes)
    examples = decoded_examples(view, host_paths(view), with_keys, change=_augmented(view, augment, seed))
    if view.decoded_bytes <= cache_bytes:
        examples = examples.cache()
    # Told, because `predict` warns about a data set whose length it does not know.
    whole = tf.data.experimental.assert_cardinality(-(-view.count // batch_size))
    dataset = examples.batch(batch_size).apply(whole)
    keys = (*KEYS, *looks_of(prepared), *subgroups_of(prepared)) if with_keys else ()
    keys += (MASK_FRACTION,) if with_keys and stores_masks(prepared) else ()
    keys += (CLIP_FPS,) if with_keys and view.tells_rate else ()
    return prefetched(dataset.map(partial(_scoring_batch, keys), num_parallel_calls=PARALLEL))


def validation_batches(
    prepared: PreparedData,
    input_type: str,
    batch_size: int,
    with_flow: bool | None = None,
    cache_bytes: int = 0,
    augment: str = "none",
    seed: int = 0,
    parts: int = 1,
    part: int = 0,
) -> tf.data.Dataset:
    """The inputs of `scoring_batches` of the validation split in batches of one size.

    Args:
      prepared, input_type, with_flow, cache_bytes, augment, seed: as of `scoring_batches`.
      batch_size: a multiple of `parts`.
      parts, part: every batch is in so many equal parts, of which the one with this number is decoded and given.
    Returns:
      tf.data.Dataset of inputs as of `pipeline.training_batches`, each of batch_size / parts examples. Zeros take the
      place of those that the last batch lacks.
    """
    view, each = view_of(prepared, "validation", input_type, with_flow), batch_size // parts
    mine = [n for n in range(view.count) if n % batch_size // each == part] if parts > 1 else range(view.count)

    def is_mine(number):
        return tf.equal(number % batch_size // each, part)

    examples = decoded_examples(
        view, host_paths(view), change=_augmented(view, augment, seed), only=is_mine if parts > 1 else None
    )
    if view.decoded_bytes // parts <= cache_bytes:
        examples = examples.cache()
    inputs = examples.batch(each).map(lambda batch: _filled(inputs_of(batch), each), num_parallel_calls=PARALLEL)
    batches = -(-view.count // batch_size)
    if len(mine) <= (batches - 1) * each:  # the last batch has nothing for this part
        inputs = inputs.concatenate(tf.data.Dataset.from_tensors(_zeros(inputs.element_spec)))
    return prefetched(inputs.apply(tf.data.experimental.assert_cardinality(batches)))


def validation_labels(
    prepared: PreparedData, input_type: str, with_flow: bool | None = None, classes: tuple[str, ...] | None = None
) -> tf.Tensor:
    """Labels float32 [N, 1] of `scoring_batches` of the validation split; no image is decoded."""
    view = view_of(prepared, "validation", input_type, with_flow, classes=classes)
    examples = encoded_examples(view, tf.constant(host_paths(view)))
    batches = prefetched(examples.map(lambda example: {"label": example["label"]}).batch(1024).map(labels_of))
    return tf.concat(list(batches), axis=0)


def _augmented(view: View, augment: str, seed: int) -> Callable | None:
    """(number, decoded example with lists of images) -> the augmented one; None where nothing is drawn."""
    steps = augment_policies.steps(augment)
    if not steps:
        return None
    draw, finish = tf.constant([seed, _NO_EPOCH], tf.int64), augmenter(steps, view.num_frames)

    def change(number, example):
        example = finish(draw, number, example)
        return example | {"turn": example["turn"][0]} if "turn" in example else example

    return change


def _filled(inputs, size):
    """Inputs [n, ...] with zeros behind them, [size, ...]."""
    out = {}
    for name, x in inputs.items():
        missing = size - tf.shape(x)[0]
        out[name] = tf.ensure_shape(tf.pad(x, [[0, missing]] + [[0, 0]] * (x.shape.rank - 1)), [size, *x.shape[1:]])
    return out


def _zeros(spec):
    return {name: tf.zeros(one.shape, one.dtype) for name, one in spec.items()}


def _scoring_batch(keys, batch):
    """A batch of decoded examples -> what `predict` takes, and its keys."""
    return (inputs_of(batch), labels_of(batch)) + (({name: batch[name] for name in keys},) if keys else ())
