"""A prepared data set (TFDS) to shuffled `tf.data` batches for a network; those in stored order are of `one_pass`.

    records -> [one per frame] -> shuffle (encoded) -> decode -> augment -> batch -> unpack flow, weight, CutMix

The order and the augmentation of an epoch are a function of (seed, epoch): a run that is killed and
started again sees the batches it would have seen. Images stay encoded until they are past the shuffle
buffer, so the buffer is small, and only what is taken is decoded; frames reach the network as uint8. A split
that is small once decoded is decoded once, held in memory, and shuffled whole. Several hosts read parts that do not
overlap.
"""

from dataclasses import dataclass
from functools import partial

import tensorflow as tf

from tfdeepfake.data.batches import augment_policies
from tfdeepfake.data.batches.augment_tf import augmenter, cut_and_mixed, images_of
from tfdeepfake.data.batches.classes import balanced_weights, label_counts, method_counts, one_hot, triplets
from tfdeepfake.data.batches.decoding import decoded_examples, decoder, stacked
from tfdeepfake.data.batches.network_inputs import inputs_of, labels_of, prefetched
from tfdeepfake.data.batches.one_pass import scoring_batches, validation_batches, validation_labels
from tfdeepfake.data.batches.prepared import PreparedData, open_data, reading, serves
from tfdeepfake.data.batches.records import (
    PARALLEL,
    encoded_examples,
    example_count,
    host_paths,
    least_count,
    record_count,
    view_of,
)
from tfdeepfake.data.batches.window import drawn

# Those of `prepared` and `records` are for users who need the batches too.
__all__ = [
    "BatchSettings", "PreparedData", "balanced_weights", "example_count", "label_counts", "method_counts", "open_data",
    "reading", "scoring_batches", "serves", "steps_per_epoch", "training_batches", "validation_batches",
    "validation_labels",
]  # fmt: skip

# A split whose decoded examples fit in here is decoded once and held (the demo's 500 clips of 16 x 64 x 64
# with flow take 170 MB); a larger one is decoded again every epoch.
CACHE_BYTES = 1 << 30
# Encoded examples that a shuffle buffer may hold: about 9,000 JPEG frames of 224 x 224 or 570 clips of 16.
SHUFFLE_BYTES = 256 << 20
# Single frames that are decoded and augmented in one call of `map`, which costs as much as the decoding of a small one.
GROUP_FRAMES = 16


@dataclass(frozen=True)
class BatchSettings:
    """How training draws, changes and distributes its examples.

    Args:
      seed: of order and augmentation, together with the epoch's number.
      augment: as `augment_policies.steps`: "none", "flip" (left-right with probability 1/2, u negated), "p0", "p1",
        operations joined by "+". One draw for a whole clip and its flow.
      mix: "none" or "cutmix" (`augment.cutmix`): labels and weights become fractions.
      mix_probability: of each example to be mixed.
      class_weight: {label: weight}, {0: real, 1: fake} or one of each class, to add a weight [B] to every batch; or
        None.
      classes: of the labels, see `records.View`; None for 0 and 1.
      triplets: whether examples come as anchor, positive, negative, anchor, ... (`classes.triplets`); the batch size
        is a multiple of 3 then.
      cache_bytes: decoded examples are held in memory when those of the host take no more than this.
      shuffle_bytes: bound of the shuffle buffer, of encoded examples.
      hosts, host: see `records.View`. The batch size is that of one host; all hosts take as many steps.
      parts, part: every batch is that of one host, of which only the part with this number, of so many equal ones, is
        decoded and given: together the parts are the batch, whatever their number.
    Raises:
      ValueError: no such augmentation or mix, or a mix in parts.
    """

    seed: int = 0
    augment: str = "none"
    mix: str = "none"
    mix_probability: float = 0.5
    class_weight: dict | None = None
    classes: tuple[str, ...] | None = None
    triplets: bool = False
    cache_bytes: int = CACHE_BYTES
    shuffle_bytes: int = SHUFFLE_BYTES
    hosts: int = 1
    host: int = 0
    parts: int = 1
    part: int = 0

    def __post_init__(self):
        if self.parts > 1 and self.mix != "none":
            raise ValueError(f"mix needs whole batches, got {self.mix!r} in {self.parts} parts.")
        augment_policies.steps(self.augment)
        if self.mix not in augment_policies.MIXES:
            raise ValueError(f"mix needs one of {augment_policies.MIXES}, got {self.mix!r}.")


def steps_per_epoch(prepared: PreparedData, split: str, input_type: str, batch_size: int, hosts: int = 1) -> int:
    """Training batches in an epoch of each host; what is left over is dropped, so that all hosts take as many."""
    return least_count(prepared, split, input_type, hosts) // batch_size


def training_batches(
    prepared: PreparedData,
    split: str,
    input_type: str,
    batch_size: int,
    settings: BatchSettings = BatchSettings(),
    first_epoch: int = 0,
    epochs: int = 1,
    with_flow: bool | None = None,
    skip_batches: int = 0,
) -> tf.data.Dataset:
    """Shuffled and augmented batches of a split, epoch after epoch, each of `steps_per_epoch` whole batches.

    Args:
      prepared: PreparedData.
      split: "train", "validation" or "test".
      input_type: "frame", "flow" or "clip": what the network reads. A clip data set feeds all three.
      batch_size: B.
      settings: BatchSettings.
      first_epoch, epochs: epochs `first_epoch` to `first_epoch + epochs - 1` are given.
      with_flow: whether to give flow; None gives what the input type and the data have.
      skip_batches: batches of the first epoch that are left out, without decoding them; the others stay as they are.
    Returns:
      tf.data.Dataset of ({"frames": uint8 [B, (T,) h, w, 3], "flow": float32 [B, (T,) h, w, 2]},
      label float32 [B, 1], or [B, K] where classes were mixed, weight float32 [B] with `class_weight`).
    Raises:
      InputError: the data cannot feed the input type, the split is empty or has fewer examples than there are hosts, or
        a file is missing or cut short.
      tf.errors.DataLossError while iterating over a damaged file: iterate inside `reading`.
    """
    view = view_of(prepared, split, input_type, with_flow, settings.hosts, settings.host, settings.classes)
    paths = host_paths(view)
    examples_per_epoch = steps_per_epoch(prepared, split, input_type, batch_size, settings.hosts) * batch_size
    # Built outside the epochs: one for all.
    in_memory = None
    if view.decoded_bytes <= settings.cache_bytes:
        in_memory = decoded_examples(view, paths, whole_clips=True).cache()
    change = _change(view, settings.augment, in_memory is not None)

    def one_epoch(epoch):
        # Without this the order would also depend on the process's global seed.
        tf.compat.v1.set_random_seed(1)
        draw, order_seed, file_order = _epoch_draws(settings, epoch, len(paths))
        if in_memory is not None:
            examples, buffer = in_memory, view.count
        else:
            examples = encoded_examples(view, tf.gather(tf.constant(paths), file_order), whole_clips=True)
            buffer = _shuffle_buffer(view, batch_size, settings.shuffle_bytes)
        if settings.triplets:
            examples = triplets(examples, buffer, order_seed)
        else:
            examples = examples.shuffle(buffer, order_seed, reshuffle_each_iteration=False)
        examples = examples.take(examples_per_epoch)
        skip = tf.where(tf.equal(epoch, first_epoch), tf.constant(skip_batches, tf.int64), 0)
        batches = _changed_batches(examples, batch_size, change, draw, input_type != "clip", skip, settings)
        if settings.mix == "none":
            return batches
        return batches.enumerate(start=skip).map(lambda number, batch: batch | {"mix_draw": draw, "mix_number": number})

    dataset = tf.data.Dataset.range(first_epoch, first_epoch + epochs).flat_map(one_epoch)
    return prefetched(dataset.map(partial(_training_batch, settings), num_parallel_calls=PARALLEL))


def _epoch_draws(settings, epoch, num_files):
    """What an epoch draws: its `draw` int64 [2] for augmentation, the seed of its shuffle, the order of the files."""
    draw = tf.stack([tf.constant(settings.seed, tf.int64), epoch])
    # The same on all hosts: where they share files they have to count the same records.
    file_order = tf.argsort(tf.random.stateless_uniform([num_files], draw))
    if settings.hosts > 1:
        draw = tf.random.experimental.stateless_fold_in(draw, settings.host)
    order_seed = tf.random.stateless_uniform([], draw, maxval=2**31 - 1, dtype=tf.int64)
    return draw, order_seed, file_order


def _shuffle_buffer(view, batch_size, shuffle_bytes):
    """Examples in the shuffle buffer: as many encoded ones as have room, but no fewer than a batch."""
    split_bytes = view.prepared.split(view.split).num_bytes
    stored = view.prepared.split(view.split).num_examples * example_count(view.prepared, view.split, view.input_type)
    example_bytes = split_bytes / (stored // record_count(view.prepared, view.split))
    return min(view.count, max(batch_size, int(shuffle_bytes / example_bytes)))


def _change(view, augment, in_memory):
    """(draw, number, example) -> the example as its batch has it, decoded and augmented; of single frames, a group.

    None where examples that are held in memory stay as they are.
    """
    steps, windows = augment_policies.steps(augment), view.prepared.stored_frames is not None
    if in_memory and not steps and not windows:
        return None
    separate = _unstacked if in_memory else decoder(view.prepared)
    finish = augmenter(steps, view.num_frames) if steps else lambda draw, number, example: stacked(example)
    cut = drawn(view.prepared) if windows else lambda draw, number, example: example
    return lambda draw, number, example: finish(draw, number, separate(cut(draw, number, example)))


def _unstacked(example):
    """The example with its images as lists."""
    return example | {name: tf.unstack(example[name]) for name in images_of(example)}


def _changed_batches(examples, batch_size, change, draw, groups, skip, settings):
    """Examples -> whole batches of changed ones but for the first `skip`. With `groups` several are changed at once.

    Of batches in parts only the part's examples are changed.
    """
    each = batch_size // settings.parts
    if change is None:
        batches = examples.batch(batch_size, drop_remainder=True).skip(skip)
        if settings.parts == 1:
            return batches
        first = settings.part * each
        return batches.map(lambda batch: {name: x[first : first + each] for name, x in batch.items()})
    size = 1
    if groups:
        # The most that divide a batch, so that no example is left over that a batch had room for.
        group = max(n for n in range(1, GROUP_FRAMES + 1) if each % n == 0)
        examples, size = examples.batch(group, drop_remainder=True), group
    # Counted before the skip: an example's number is part of its draw.
    numbered = examples.enumerate().skip(skip * (batch_size // size))
    if settings.parts > 1:
        numbered = numbered.filter(
            lambda number, example: number % (batch_size // size) // (each // size) == settings.part
        )
    changed = numbered.map(lambda number, example: change(draw, number, dict(example)), num_parallel_calls=PARALLEL)
    return (changed.rebatch if groups else changed.batch)(each, drop_remainder=True)


def _training_batch(settings, batch):
    """A batch of decoded examples -> what `fit` takes."""
    inputs, label, weight = inputs_of(batch), labels_of(batch), None
    if settings.class_weight is not None:
        by_class = tf.constant([settings.class_weight[n] for n in range(len(settings.class_weight))], tf.float32)
        weight = tf.gather(by_class, batch["label"])
    if settings.mix == "cutmix":
        # A fraction between two numbers of classes would be a third class.
        label = one_hot(label, len(settings.classes)) if settings.classes else label
        numbers = batch["mix_draw"], batch["mix_number"]
        inputs, label, weight = cut_and_mixed(*numbers, inputs, label, weight, settings.mix_probability)
    return (inputs, label) if weight is None else (inputs, label, weight)
