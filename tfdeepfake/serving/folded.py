"""Batch normalisation folded into the convolution before it, for the time of an export.

TensorFlow does not do this itself where weights are variables.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keras import layers, ops

from tfdeepfake.layers.folding import folded_weights, pairs

if TYPE_CHECKING:
    import keras


@contextlib.contextmanager
def folded(model: "keras.Model", kept: tuple = ()) -> Iterator[int]:
    """A network's own layers compute the same with each pair folded, inside this block; gives the number of pairs.

    Folded weights are TensorFlow variables of their own, so that what is traced here is saved without the others.

    Args:
      model: keras.Model in float32, on the TensorFlow backend.
      kept: names of layers whose own output is asked for.
    """
    changed = []

    def change(layer, call):
        changed.append(layer)
        object.__setattr__(layer, "call", call)

    try:
        for conv, norm in pairs(model, kept):
            change(conv, _folded_call(conv, norm))
            change(norm, _unchanged)
        yield len(changed) // 2
    finally:
        for layer in changed:
            object.__delattr__(layer, "call")


def _unchanged(inputs, training=None, mask=None):
    return inputs


def _folded_call(conv, norm):
    import tensorflow as tf

    run = next(run for kind, run in _CONVOLUTIONS.items() if isinstance(conv, kind))
    weights = folded_weights(conv, norm, lambda weight: weight.numpy())
    kernel, bias = (
        tf.Variable(values, trainable=False, name=f"{conv.name}_{name}")
        for name, values in zip(("kernel", "bias"), weights, strict=True)
    )
    return lambda inputs, training=None: tf.nn.bias_add(run(conv, inputs, tf.convert_to_tensor(kernel)), bias)


def _depthwise(conv, x, kernel):
    return ops.depthwise_conv(x, kernel, conv.strides, conv.padding, conv.data_format, conv.dilation_rate)


def _convolution(conv, x, kernel):
    return conv.convolution_op(x, kernel)


# What runs each kind of layer with another kernel.
_CONVOLUTIONS = {layers.DepthwiseConv2D: _depthwise, layers.Conv2D: _convolution, layers.Conv3D: _convolution}
