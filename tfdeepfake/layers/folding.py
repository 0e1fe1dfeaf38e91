"""Batch normalisation folded into the convolution before it: one affine map for each channel at inference.

kernel' = kernel * s and bias' = (bias - mean) * s + beta, where s = gamma / sqrt(variance + epsilon).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from keras import layers
from keras.activations import linear

if TYPE_CHECKING:
    import keras

FOLDING = (layers.DepthwiseConv2D, layers.Conv2D, layers.Conv3D)


def pairs(model: "keras.Model", kept: tuple = ()) -> list[tuple]:
    """[(convolution, batch normalisation)] where the latter alone reads what the former gives, and no activation is.

    Args:
      model: keras.Model.
      kept: names of layers whose own output is asked for.
    """
    return [
        (norm.input._keras_history.operation, norm)
        for norm in model.layers
        if isinstance(norm, layers.BatchNormalization) and _folds(norm.input._keras_history.operation, norm, kept)
    ]


def _folds(conv, norm, kept):
    if not isinstance(conv, FOLDING) or conv.name in kept or conv.activation is not linear:
        return False
    alone = len(conv._inbound_nodes) == len(conv._outbound_nodes) == len(norm._inbound_nodes) == 1
    return alone and norm.axis in (-1, len(norm.input.shape) - 1) and norm.compute_dtype == "float32"


def affine(
    norm: "keras.layers.BatchNormalization", value: Callable[["keras.Variable"], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(scale, shift), float64 [C], of a normalisation at inference: x * scale + shift; `value` reads a weight."""
    scale = _of(norm.gamma, 1.0, value) / np.sqrt(_of(norm.moving_variance, 1.0, value) + norm.epsilon)
    return scale, _of(norm.beta, 0.0, value) - _of(norm.moving_mean, 0.0, value) * scale


def folded_weights(
    conv: "keras.layers.Layer",
    norm: "keras.layers.BatchNormalization",
    value: Callable[["keras.Variable"], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """(kernel, bias), float32, of the convolution that computes what the two do; `value` reads a weight."""
    scale, shift = affine(norm, value)
    kernel, bias = value(conv.kernel), _of(conv.bias, 0.0, value) * scale + shift
    if isinstance(conv, layers.DepthwiseConv2D):  # [h, w, C, multiplier]
        scale = scale.reshape(kernel.shape[-2:])
    return kernel * np.float32(scale), np.float32(bias)


def _of(weight, without, value):
    return without if weight is None else value(weight).astype(np.float64)
