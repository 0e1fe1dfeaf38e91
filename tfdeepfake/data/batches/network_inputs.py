"""Decoded examples in batches -> what a network reads: flow unpacked and turned, labels, batches made ahead."""

import tensorflow as tf

from tfdeepfake.data import flow as flow_module


def inputs_of(batch: dict) -> dict:
    """What the network reads of a batch of decoded examples: flow unpacked, and turned as augmentation asks."""
    inputs = {"frames": batch["frames"]}
    if "flow" in batch:
        inputs["flow"] = flow_module.unpack_flow_ops(batch["flow"], batch["flow_max_px"])
    if "turn" in batch:
        # To [B, 1.., 2, 2]. Written out: a product with a matrix of 2 x 2 is slow for so many vectors.
        turn = tf.reshape(batch["turn"], [-1] + [1] * (inputs["flow"].shape.rank - 2) + [2, 2])
        u, v = inputs["flow"][..., :1], inputs["flow"][..., 1:]
        inputs["flow"] = turn[..., 0] * u + turn[..., 1] * v
    return inputs


def labels_of(batch: dict) -> tf.Tensor:
    """Labels of a batch, float32 [B, 1]."""
    return tf.cast(batch["label"], tf.float32)[:, None]


def prefetched(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Batches prepared ahead, in a fixed order."""
    options = tf.data.Options()
    options.deterministic = True
    # See `records.PARALLEL`.
    options.autotune.enabled = False
    # Hosts have their parts from `records.View`; TensorFlow would try in vain for one host, and warn in every epoch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.prefetch(2).with_options(options)
