"""A network's examples with their images and masks decoded."""

from collections.abc import Callable

import tensorflow as tf

from tfdeepfake.data.batches.augment_tf import images_of
from tfdeepfake.data.batches.prepared import PreparedData
from tfdeepfake.data.batches.records import MASK_FRACTION, PARALLEL, View, encoded_examples


def decoder(prepared: PreparedData) -> Callable[[dict], dict]:
    """Example, or examples of one image each, with images encoded -> the same with lists of uint8 images.

    A mask becomes `MASK_FRACTION`, float32 0..1: its mean over the pixels of all frames of an example.
    """
    h, w = prepared.recipe.height_px, prepared.recipe.width_px

    def images(encoded, decode, shape):
        # Unrolled: a loop op inside tf.data costs more than the decoding of a small face.
        return [tf.ensure_shape(decode(one), shape) for one in tf.unstack(tf.reshape(encoded, [-1]))]

    def image(encoded):
        if prepared.metadata.get("image_format") == "png":
            return tf.io.decode_png(encoded, channels=3)
        # The accurate transform gives OpenCV's pixels; TensorFlow's default is up to 8 levels off and no faster.
        return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")

    def grey(encoded):
        return tf.io.decode_png(encoded, channels=1)

    def decode(example):
        example = dict(example)
        example["frames"] = images(example["frames"], image, (h, w, 3))
        if "flow" in example:
            example["flow"] = images(example["flow"], grey, (2 * h, w, 1))
        if "mask" in example:
            masks = tf.stack(images(example.pop("mask"), grey, (h, w, 1)))
            example[MASK_FRACTION] = tf.reduce_mean(tf.cast(masks, tf.float32)) / 255
        return example

    return decode


def stacked(example: dict) -> dict:
    """The example with its lists of images as tensors."""
    return example | {name: tf.stack(example[name]) for name in images_of(example)}


def decoded_examples(
    view: View,
    paths: list[str],
    with_keys: bool = False,
    whole_clips: bool = False,
    change: Callable[[tf.Tensor, dict], dict] | None = None,
    only: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tf.data.Dataset:
    """Examples of a view in stored order, decoded: images uint8 [(T,) h, w, 3], maps uint8 [(T,) 2h, w, 1].

    Args:
      change: of (number of the example int64 [], example with lists of images) -> example with stacked images.
      only: of numbers of examples, whether they are decoded and given.
    """
    decode = decoder(view.prepared)

    def decoded(number, example):
        example = decode(example)
        if change:
            example = change(number, example)
            return example if view.input_type == "clip" else _first(example)
        return stacked(example) if view.input_type == "clip" else _first(example)

    examples = encoded_examples(view, tf.constant(paths), with_keys, whole_clips).enumerate()
    if only:
        examples = examples.filter(lambda number, example: only(number))
    return examples.map(decoded, num_parallel_calls=PARALLEL)


def _first(example):
    """The example of one image with it, and not a list of it."""
    return example | {name: example[name][0] for name in images_of(example)}
