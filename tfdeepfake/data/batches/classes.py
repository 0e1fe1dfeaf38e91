"""Classes of a prepared data set: how many examples each method has, labels as fractions, batches of triplets."""

import tensorflow as tf

from tfdeepfake.data.batches.prepared import PreparedData, reading, shard_paths
from tfdeepfake.data.batches.records import example_count, record_count, serialized

# Which class an example of a triplet is taken from: anchor and positive of one, negative of the other, in turn (as
# Bonettini et al. draw them, arXiv:2004.07676).
TRIPLET_LABELS = (1, 1, 0, 0, 0, 1)


def method_counts(prepared: PreparedData, split: str, input_type: str = "clip") -> tuple[int, dict[str, int]]:
    """(real examples, {method: fake examples of it}) of the network's input type in a split; reads every record."""
    known = prepared.builder.info.features.tf_example_spec
    spec = {name: known[name] for name in ("label", "method")}
    records = serialized(prepared, split, tf.constant(shard_paths(prepared, split))).batch(256)
    real, fakes = 0, {}
    with reading(prepared, split):
        for batch in records.map(lambda s: tf.io.parse_example(s, spec)).as_numpy_iterator():
            for label, method in zip(batch["label"].tolist(), batch["method"].tolist(), strict=True):
                if label:
                    fakes[method.decode()] = fakes.get(method.decode(), 0) + 1
                else:
                    real += 1
    per_record = example_count(prepared, split, input_type) // record_count(prepared, split)
    return real * per_record, {method: count * per_record for method, count in sorted(fakes.items())}


def one_hot(label: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Numbers of classes float32 [B, 1] as fractions float32 [B, K]."""
    return tf.one_hot(tf.cast(label[:, 0], tf.int32), num_classes)


def triplets(examples: tf.data.Dataset, buffer: int, seed: tf.Tensor) -> tf.data.Dataset:
    """Examples in the order of triplets: anchor, positive, negative, anchor, ..., without end.

    Each class is shuffled by itself and begun again when it is used up, so that both are met equally often.

    Args:
      examples: with "label" 0 or 1, of both.
      buffer: examples of each class that the shuffle holds.
      seed: int64 [].
    """
    of_class = [
        examples.filter(lambda example, number=number: tf.equal(example["label"], number))
        .shuffle(buffer, seed, reshuffle_each_iteration=False)
        .repeat()
        for number in (0, 1)
    ]
    turns = tf.data.Dataset.from_tensor_slices(tf.constant(TRIPLET_LABELS, tf.int64)).repeat()
    return tf.data.Dataset.choose_from_datasets(of_class, turns)


def label_counts(prepared: PreparedData, split: str, input_type: str = "clip") -> tuple[int, int]:
    """(real, fake) examples of the network's input type in a split; reads the labels of every record."""
    spec = {"label": prepared.builder.info.features.tf_example_spec["label"]}
    counts = [0, 0]
    labels = serialized(prepared, split, tf.constant(shard_paths(prepared, split))).batch(256)
    with reading(prepared, split):
        for batch in labels.map(lambda s: tf.io.parse_example(s, spec)["label"]):
            fakes = int(tf.reduce_sum(batch))
            counts[1] += fakes
            counts[0] += len(batch) - fakes
    per_record = example_count(prepared, split, input_type) // record_count(prepared, split)
    return counts[0] * per_record, counts[1] * per_record


def balanced_weights(*counts: int) -> dict[int, float]:
    """{label: weight}, inverse to the class's frequency, so that all classes weigh the same and the mean is 1.

    Args:
      counts: examples of each class, in the order of the labels: real, fake, or K of them.
    """
    return {label: sum(counts) / (len(counts) * count) for label, count in enumerate(counts)}
