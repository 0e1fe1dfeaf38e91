"""Layers that train in another form than they score: values and gradients are those of Keras's own form."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfdeepfake.layers.attention import attend
from tfdeepfake.layers.drop_path import DropPath
from tfdeepfake.layers.gelu import Gelu
from tfdeepfake.layers.window_attention import WindowAttention
from tfdeepfake.models.xception import PointwiseConv2D

RNG = np.random.default_rng(0)


def drawn(*shape):
    return tf.constant(RNG.standard_normal(shape), tf.float32)


def values_and_gradients(call, towards, inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = call(*inputs)
        loss = tf.reduce_sum(y * towards)
    return [y, *tape.gradient(loss, inputs)]


def assert_equal(written, own):
    for one, other in zip(written, own, strict=True):
        np.testing.assert_allclose(one, other, atol=3e-6)


@pytest.mark.parametrize("bias_shape", [None, (2, 5, 5), (3, 2, 5, 5)])
def test_attention(bias_shape):
    inputs = [drawn(6, 2, 5, 4) for _ in "qkv"] + ([drawn(*bias_shape)] if bias_shape else [])

    def plain(query, key, value, bias=0.0):
        if bias_shape and len(bias_shape) == 4:
            bias = ops.tile(bias, (2, 1, 1, 1))  # two images of three windows
        return ops.matmul(ops.softmax(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) + bias), value)

    towards = drawn(6, 2, 5, 4)
    expected = values_and_gradients(plain, towards, inputs)
    for training in (True, False):
        run = functools.partial(attend, training=training)
        assert_equal(values_and_gradients(run, towards, inputs), expected)


@pytest.mark.parametrize("shift", [0, 2])
def test_window_attention(shift):
    qkv, towards = drawn(2, 8, 12, 3 * 6), drawn(2, 8, 12, 6)
    layer = WindowAttention(3, 4, shift)
    layer.build(qkv.shape)
    table = layer.relative_position_bias_table
    table.assign(drawn(*table.shape))

    def run(training):
        with tf.GradientTape() as tape:
            tape.watch(qkv)
            y = layer(qkv, training=training)
            loss = tf.reduce_sum(y * towards)
        return [y, *tape.gradient(loss, [qkv, table.value])]

    assert_equal(run(True), run(False))


def test_gelu():
    x, towards = 3 * drawn(50, 40), drawn(50, 40)
    expected = values_and_gradients(keras.activations.gelu, towards, [x])
    assert_equal(values_and_gradients(lambda x: Gelu()(x, training=True), towards, [x]), expected)
    np.testing.assert_array_equal(Gelu()(x), expected[0])
    assert Gelu(dtype="mixed_bfloat16")(x, training=True).dtype == "bfloat16"


def test_pointwise_convolution():
    layer, x, towards = PointwiseConv2D(5, 1, use_bias=False), drawn(2, 3, 4, 6), drawn(2, 3, 4, 5)
    layer.build(x.shape)
    kernel = layer.kernel.value

    def run(training):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y * towards)
        return [y, *tape.gradient(loss, [x, kernel])]

    assert_equal(run(True), run(False))


def test_a_residual_is_dropped_as_keras_drops_it():
    x, towards = drawn(64, 3, 4), drawn(64, 3, 4)
    layers = DropPath(0.5, seed=1), keras.layers.Dropout(0.5, noise_shape=(None, 1, 1), seed=1)
    ours, theirs = (values_and_gradients(functools.partial(one, training=True), towards, [x]) for one in layers)
    np.testing.assert_array_equal(ours, theirs)
    dropped = (ours[0].numpy() == 0).all(axis=(1, 2))
    assert 8 < dropped.sum() < 56 and np.array_equal(ours[0][~dropped], 2 * x[~dropped])
    np.testing.assert_array_equal(layers[0](x), x)
