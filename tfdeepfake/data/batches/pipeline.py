"""A prepared data set (TFDS) to `tf.data` batches for a network.

    records -> [one per frame] -> shuffle (encoded) -> decode -> augment -> batch -> unpack flow, weight, CutMix

The order and the augmentation of an epoch are a function of (seed, epoch) alone: a run that is killed and
started again sees the batches it would have seen. Images stay encoded until they are past the shuffle
buffer, so the buffer is small, and only what is taken is decoded; frames reach the network as uint8. A split
that is small once decoded is decoded once, kept, and shuffled whole. Several hosts read parts that do not overlap.
"""

import os

import tensorflow as tf

from tfdeepfake.data import flow as flow_module
from tfdeepfake.data.batches import augment_policies
from tfdeepfake.data.batches.augment_tf import augmenter, cut_and_mixed, images_of
from tfdeepfake.data.batches.prepared import PreparedData, open_data, prepare_command, reading, serves, shard_paths
from tfdeepfake.errors import InputError
from tfdeepfake.vocabulary import INPUT_TYPES

__all__ = ["PreparedData", "open_data", "reading"]  # from `prepared`, for those who need the batches too

# A split whose decoded examples fit in here is decoded once and kept (the demo's 500 clips of 16 x 64 x 64
# with flow take 170 MB); a larger one is decoded again every epoch.
CACHE_BYTES = 1 << 30
# Encoded examples that a shuffle buffer may hold: about 9,000 JPEG frames of 224 x 224 or 570 clips of 16.
SHUFFLE_BYTES = 256 << 20
# Single frames that are decoded and augmented in one call of `map`, which costs as much as the decoding of a small one.
GROUP_FRAMES = 16
# Not `tf.data.AUTOTUNE`: its thread sleeps for up to a minute, and an interrupted run waited for it (seen: 35 s).
PARALLEL = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
KEYS = ("data_set", "method", "video", "source", "face", "frame", "timestamp_s")


def _frames_each(prepared, input_type):
    """Examples of the network's input type in one stored example."""
    return prepared.recipe.num_frames if prepared.recipe.input_type == "clip" and input_type != "clip" else 1


def example_count(prepared, split, input_type):
    """Examples of the network's input type in a split."""
    return prepared.split(split).num_examples * _frames_each(prepared, input_type)


def steps_per_epoch(prepared, split, input_type, batch_size, hosts=1):
    """Training batches in an epoch of each host; what is left over is dropped, so that all hosts take as many."""
    least = min(sum(_host_lengths(prepared, split, hosts, host)) for host in range(hosts))
    return least * _frames_each(prepared, input_type) // batch_size


def _by_file(prepared, split, hosts):
    """Whether hosts read different files; with fewer files than hosts they read different records of all."""
    return hosts <= len(prepared.split(split).shard_lengths)


def _host_lengths(prepared, split, hosts, host):
    """Records that a host takes of each file it reads."""
    lengths = prepared.split(split).shard_lengths
    if _by_file(prepared, split, hosts):
        return lengths[host::hosts]
    return [len(range(sum(lengths))[host::hosts])]


def _records(prepared, split, paths, hosts=1, host=0):
    """Serialised examples of a host, in the order that its shard `paths` (string tensor [N]) are given in."""
    records = tf.data.Dataset.from_tensor_slices(paths).interleave(
        tf.data.TFRecordDataset, cycle_length=8, block_length=4, num_parallel_calls=2, deterministic=True
    )
    count = prepared.split(split).num_examples
    if _by_file(prepared, split, hosts):
        count = sum(_host_lengths(prepared, split, hosts, host))
    # A file that was cut between two records is an error, not a shorter epoch.
    records = records.apply(tf.data.experimental.assert_cardinality(count))
    return records if _by_file(prepared, split, hosts) else records.shard(hosts, host)


def _parser(prepared, input_type, with_flow, with_keys):
    """Serialised example -> dataset of examples of the network's input type, images still encoded."""
    names = ["frames", "label"]
    names += ["flow", "flow_max_px"] if with_flow else []
    names += ["data_set", "method", "video", "source", "face", "frame_indices", "timestamps_s"] if with_keys else []
    known = prepared.builder.info.features.tf_example_spec
    spec = {name: known[name] for name in names}
    per_frame = [n for n in ("frames", "flow", "flow_max_px", "frame_indices", "timestamps_s") if n in spec]
    bag = prepared.recipe.input_type == "clip" and input_type != "clip"

    def keys(example):
        if not with_keys:
            return example
        example = dict(example)
        frames, times = example.pop("frame_indices"), example.pop("timestamps_s")
        # A clip is named by its first frame.
        example["frame"] = frames if bag else frames[0]
        example["timestamp_s"] = times if bag else times[0]
        example["face"] = tf.cast(example["face"], tf.int32)
        return example

    def parse(serialized):
        return keys(tf.io.parse_single_example(serialized, spec))

    def split_clip(example):
        count = prepared.recipe.num_frames
        cut = {"frame", "timestamp_s", *per_frame}
        return tf.data.Dataset.from_tensor_slices(
            {n: v if n in cut else tf.repeat(v[None], count, axis=0) for n, v in example.items()}
        )

    def apply(records):
        examples = records.map(parse, num_parallel_calls=PARALLEL)
        return examples.flat_map(split_clip) if bag else examples

    return apply


def _decoder(prepared):
    """Example, or examples of one image each, with images encoded -> the same with lists of uint8 images."""
    h, w = prepared.recipe.height_px, prepared.recipe.width_px

    def images(encoded, decode, shape):
        # Unrolled: a loop op inside tf.data costs more than the decoding of a small face.
        return [tf.ensure_shape(decode(one), shape) for one in tf.unstack(tf.reshape(encoded, [-1]))]

    def image(encoded):
        if prepared.metadata.get("image_format") == "png":
            return tf.io.decode_png(encoded, channels=3)
        # The accurate transform gives OpenCV's pixels; TensorFlow's default is up to 8 levels off and no faster.
        return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")

    def decode(example):
        example = dict(example)
        example["frames"] = images(example["frames"], image, (h, w, 3))
        if "flow" in example:
            example["flow"] = images(example["flow"], lambda e: tf.io.decode_png(e, channels=1), (2 * h, w, 1))
        return example

    return decode


def _stacked(example):
    """The example with its lists of images as tensors."""
    return example | {name: tf.stack(example[name]) for name in images_of(example)}


def _finisher(class_weight, with_keys, mix):
    """A batch of decoded examples -> what `fit` takes."""

    def finish(batch):
        batch = dict(batch)
        inputs = {"frames": batch["frames"]}
        if "flow" in batch:
            inputs["flow"] = flow_module.unpack_flow_ops(batch["flow"], batch["flow_max_px"])
        if "turn" in batch:
            # To [B, 1.., 2, 2]. Written out: a product with a matrix of 2 x 2 is slow for so many vectors.
            turn = tf.reshape(batch["turn"], [-1] + [1] * (inputs["flow"].shape.rank - 2) + [2, 2])
            u, v = inputs["flow"][..., :1], inputs["flow"][..., 1:]
            inputs["flow"] = turn[..., 0] * u + turn[..., 1] * v
        label, weight = tf.cast(batch["label"], tf.float32)[:, None], None
        if class_weight is not None:
            weight = tf.gather(tf.constant([class_weight[0], class_weight[1]], tf.float32), batch["label"])
        if mix == "cutmix":
            inputs, label, weight = cut_and_mixed(batch["mix_draw"], batch["mix_number"], inputs, label, weight)
        result = (inputs, label)
        if weight is not None:
            result += (weight,)
        if with_keys:
            result += ({name: batch[name] for name in KEYS},)
        return result

    return finish


def batches(
    prepared,
    split,
    input_type,
    batch_size,
    training,
    seed=0,
    first_epoch=0,
    epochs=1,
    augment="none",
    mix="none",
    class_weight=None,
    with_keys=False,
    with_flow=None,
    cache_bytes=None,
    shuffle_bytes=SHUFFLE_BYTES,
    hosts=1,
    host=0,
):
    """Batches of a split for a network of `input_type`.

    Args:
      prepared: PreparedData.
      split: "train", "validation" or "test".
      input_type: "frame", "flow" or "clip": what the network reads. A clip data set feeds all three.
      batch_size: B.
      training: True: epochs `first_epoch` to `first_epoch + epochs - 1` one after the other, each shuffled and
        of `steps_per_epoch` whole batches. False: one pass in stored order, the uneven last batch included.
      seed: of order and augmentation, together with the epoch's number.
      first_epoch, epochs: see `training`.
      augment: as `policies.steps`: "none", "flip" (left-right with probability 1/2, u negated), "p0", "p1", operations
        joined by "+". One draw for a whole clip and its flow.
      mix: "none" or "cutmix" (`augment.cutmix`): labels and weights become shares.
      class_weight: {0: real, 1: fake} to add a weight [B] to every batch, or None.
      with_keys: adds a dict of `KEYS` ([B] each; strings, but int32 face, int64 frame, float32 timestamp_s).
      with_flow: whether to give flow; None gives what the input type and the data have.
      cache_bytes: decoded examples kept in memory when the split takes no more than this; None is
        `CACHE_BYTES` in training and 0 otherwise.
      shuffle_bytes: bound of the shuffle buffer, of encoded examples.
      hosts, host: number of hosts (or of the input pipelines of a tf.distribute.InputContext) and which this is. Each
        reads files of its own, or, with fewer files than hosts, every hosts-th record of all files. `batch_size` is
        that of one host; all take `steps_per_epoch(..., hosts)` training steps.
    Returns:
      tf.data.Dataset of ({"frames": uint8 [B, (T,) h, w, 3], "flow": float32 [B, (T,) h, w, 2]},
      label float32 [B, 1], weight float32 [B] when asked for, keys when asked for).
    Raises:
      InputError: the data cannot feed the input type, the split is empty or has fewer examples than there are hosts, or
        a file is missing or cut short.
      tf.errors.DataLossError while iterating over a damaged file: iterate inside `reading`.
    """
    if input_type not in INPUT_TYPES:
        raise ValueError(f"input_type needs one of {INPUT_TYPES}, got {input_type!r}.")
    steps = augment_policies.steps(augment)
    if mix not in augment_policies.MIXES:
        raise ValueError(f"mix needs one of {augment_policies.MIXES}, got {mix!r}.")
    if training and with_keys:
        raise ValueError("with_keys needs training=False: keys are for scoring.")
    if not training and (steps or mix != "none"):
        raise ValueError(f"augment and mix need training=True, got {augment!r} and {mix!r}.")
    if not 0 <= host < hosts:
        raise ValueError(f"host needs 0 <= host < hosts, got host {host} of {hosts}.")
    recipe = prepared.recipe
    if with_flow is None:
        with_flow = input_type == "flow" or (input_type == "clip" and recipe.flow != "none")
    if not serves(recipe, input_type, with_flow):
        name = prepared.version.partition("/")[0].partition(":")[0]
        raise InputError(
            prepared.version,
            f"holds input type {recipe.input_type} with flow {recipe.flow}; the network reads input type {input_type}"
            + (" with flow." if with_flow else "."),
            f"Run: {prepare_command(name, None, input_type, with_flow)}",
        )
    paths = shard_paths(prepared, split)
    if hosts > prepared.split(split).num_examples:
        raise InputError(prepared.version, f"has fewer examples in {split!r} than there are hosts ({hosts}).")
    own_paths = paths[host::hosts] if _by_file(prepared, split, hosts) else paths
    count = sum(_host_lengths(prepared, split, hosts, host)) * _frames_each(prepared, input_type)
    parse = _parser(prepared, input_type, with_flow, with_keys)
    decode = _decoder(prepared)
    finish = _finisher(class_weight, with_keys, mix)
    image_bytes = recipe.height_px * recipe.width_px * (5 if with_flow else 3)
    decoded_bytes = count * image_bytes * (recipe.num_frames if input_type == "clip" else 1)
    if cache_bytes is None:
        cache_bytes = CACHE_BYTES if training else 0
    kept = decoded_bytes <= cache_bytes
    in_order = parse(_records(prepared, split, tf.constant(own_paths), hosts, host))

    def decoded(example):
        example = decode(example)
        return _stacked(example) if input_type == "clip" else example | {n: example[n][0] for n in images_of(example)}

    if not training or kept:
        in_order = in_order.map(decoded, num_parallel_calls=PARALLEL)
    if kept:
        # Built outside the epochs, so that they share it.
        in_order = in_order.cache()

    whole = steps_per_epoch(prepared, split, input_type, batch_size, hosts)
    changed = bool(steps) or not kept
    grouped = input_type != "clip" and changed
    # The most that divide a batch, so that no example is left over that a batch had room for.
    group = max(n for n in range(1, GROUP_FRAMES + 1) if batch_size % n == 0)
    augmented = augmenter(steps, recipe.num_frames if input_type == "clip" else 1)

    def prepare(draw, number, example):
        """A clip, or a group of single frames; encoded, or decoded and kept."""
        if kept:
            example = example | {name: tf.unstack(example[name]) for name in images_of(example)}
        else:
            example = decode(example)
        return augmented(draw, number, example) if steps else _stacked(example)

    def one_epoch(epoch):
        # Without this the order would also depend on the process's global seed.
        tf.compat.v1.set_random_seed(1)
        draw = tf.stack([tf.constant(seed, tf.int64), epoch])
        # The same on all hosts: where they share files they have to count the same records.
        by_file = tf.argsort(tf.random.stateless_uniform([len(own_paths)], draw))
        if hosts > 1:
            draw = tf.random.experimental.stateless_fold_in(draw, host)
        order_seed = tf.random.stateless_uniform([], draw, maxval=2**31 - 1, dtype=tf.int64)
        if kept:
            examples = in_order.shuffle(count, order_seed, reshuffle_each_iteration=False)
        else:
            shuffled = tf.gather(tf.constant(own_paths), by_file)
            each = prepared.split(split).num_bytes / example_count(prepared, split, input_type)
            buffer = min(count, max(batch_size, int(shuffle_bytes / each)))
            examples = parse(_records(prepared, split, shuffled, hosts, host)).shuffle(
                buffer, order_seed, reshuffle_each_iteration=False
            )
        examples = examples.take(whole * batch_size)
        if grouped:
            examples = examples.batch(group, drop_remainder=True)
        if changed:
            examples = examples.enumerate().map(
                lambda number, example: prepare(draw, number, dict(example)), num_parallel_calls=PARALLEL
            )
        examples = (examples.rebatch if grouped else examples.batch)(batch_size, drop_remainder=True)
        if mix == "none":
            return examples
        return examples.enumerate().map(lambda number, batch: batch | {"mix_draw": draw, "mix_number": number})

    if training:
        dataset = tf.data.Dataset.range(first_epoch, first_epoch + epochs).flat_map(one_epoch)
    else:
        # Told, because `predict` warns about a data set whose length it does not know.
        dataset = in_order.batch(batch_size).apply(tf.data.experimental.assert_cardinality(-(-count // batch_size)))
    dataset = dataset.map(finish, num_parallel_calls=PARALLEL).prefetch(2)
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return dataset.with_options(options)


def label_counts(prepared, split, input_type="clip"):
    """(real, fake) examples of the network's input type in a split; reads the labels of every record."""
    spec = {"label": prepared.builder.info.features.tf_example_spec["label"]}
    counts = [0, 0]
    labels = _records(prepared, split, tf.constant(shard_paths(prepared, split))).batch(256)
    with reading(prepared, split):
        for batch in labels.map(lambda s: tf.io.parse_example(s, spec)["label"]):
            fakes = int(tf.reduce_sum(batch))
            counts[1] += fakes
            counts[0] += len(batch) - fakes
    each = _frames_each(prepared, input_type)
    return counts[0] * each, counts[1] * each


def balanced_weights(real, fake):
    """{label: weight}, inverse to the class's frequency, so that both classes weigh the same and the mean is 1."""
    return {0: (real + fake) / (2 * real), 1: (real + fake) / (2 * fake)}
