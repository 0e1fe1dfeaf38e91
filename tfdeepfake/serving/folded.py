"""Batch normalisation folded into the convolution before it, for the time of an export.

At inference the two are one affine map for each channel: kernel' = kernel * s and bias' = (bias - mean) * s + beta,
where s = gamma / sqrt(variance + epsilon). TensorFlow does not do this itself where weights are variables.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from keras import layers, ops
from keras.activations import linear

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


def pairs(model: "keras.Model", kept: tuple = ()) -> list[tuple]:
    """[(convolution, batch normalisation)] where the latter alone reads what the former gives, and no activation is."""
    return [
        (norm.input._keras_history.operation, norm)
        for norm in model.layers
        if isinstance(norm, layers.BatchNormalization) and _folds(norm.input._keras_history.operation, norm, kept)
    ]


def _folds(conv, norm, kept):
    if not isinstance(conv, tuple(_CONVOLUTIONS)) or conv.name in kept or conv.activation is not linear:
        return False
    alone = len(conv._inbound_nodes) == len(conv._outbound_nodes) == len(norm._inbound_nodes) == 1
    return alone and norm.axis in (-1, len(norm.input.shape) - 1) and norm.compute_dtype == "float32"


def _unchanged(inputs, training=None, mask=None):
    return inputs


def _folded_call(conv, norm):
    import tensorflow as tf

    def of(weight, without):
        return without if weight is None else weight.numpy().astype(np.float64)

    scale = of(norm.gamma, 1.0) / np.sqrt(of(norm.moving_variance, None) + norm.epsilon)
    bias = (of(conv.bias, 0.0) - of(norm.moving_mean, None)) * scale + of(norm.beta, 0.0)
    run = next(run for kind, run in _CONVOLUTIONS.items() if isinstance(conv, kind))
    kernel = conv.kernel.numpy()
    if isinstance(conv, layers.DepthwiseConv2D):  # [h, w, C, multiplier]
        scale = scale.reshape(kernel.shape[-2:])
    kernel, bias = (
        tf.Variable(np.float32(values), trainable=False, name=f"{conv.name}_{name}")
        for name, values in (("kernel", kernel * scale), ("bias", bias))
    )
    return lambda inputs: tf.nn.bias_add(run(conv, inputs, tf.convert_to_tensor(kernel)), bias)


def _depthwise(conv, x, kernel):
    return ops.depthwise_conv(x, kernel, conv.strides, conv.padding, conv.data_format, conv.dilation_rate)


def _convolution(conv, x, kernel):
    return conv.convolution_op(x, kernel)


# What runs each kind of layer with another kernel.
_CONVOLUTIONS = {layers.DepthwiseConv2D: _depthwise, layers.Conv2D: _convolution, layers.Conv3D: _convolution}
