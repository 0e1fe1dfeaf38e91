"""Batch normalisation in TensorFlow's fused kernel against that of Keras."""

import keras
import numpy as np
import pytest

from tfdeepfake.layers.exact import ExactBatchNormalization

SHAPES = [(3, 4, 5, 6), (2, 3, 4, 5, 6), (3, 7, 6), (5, 6), (1, 1, 1, 6), (2, 1, 1, 1, 6)]


def trained(layer, x, weight):
    """Output, gradients of sum(output * weight) and moving statistics of one call in training."""
    import tensorflow as tf

    layer.build(x.shape)
    layer.gamma.assign(np.linspace(0.5, 2, x.shape[-1]))
    layer.beta.assign(np.linspace(-1, 1, x.shape[-1]))

    @tf.function  # with a batch of unknown size, as in fit
    def step(x, weight):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.cast(y, "float32") * weight)
        return y, *tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])

    free = tf.TensorSpec((None, *x.shape[1:]), "float32")
    outputs = step.get_concrete_function(free, free)(tf.constant(x), tf.constant(weight))
    return [np.asarray(value, "float32") for value in (*outputs, layer.moving_mean, layer.moving_variance)]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the kernel is TensorFlow's")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_training_is_that_of_keras(shape, policy):
    rng = np.random.default_rng(0)
    x, weight = (rng.normal(1, 2, shape).astype("float32") for _ in range(2))
    ours, keras_own = (
        trained(kind(momentum=0.9, epsilon=1e-5, dtype=policy), x, weight)
        for kind in (ExactBatchNormalization, keras.layers.BatchNormalization)
    )
    # bfloat16 has 8 bits.
    close = {"rtol": 1e-5, "atol": 1e-4} if policy == "float32" else {"rtol": 1e-2, "atol": 1e-2}
    for ours_is, theirs in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(ours_is, theirs, **close)


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_bfloat16"])
def test_inference_in_half_precision_is_that_of_keras(policy):
    x = np.random.default_rng(0).normal(1, 2, (2, 4, 4, 6)).astype("float32")
    outputs = []
    for kind in (ExactBatchNormalization, keras.layers.BatchNormalization):
        layer = kind(dtype=policy)
        layer.build(x.shape)
        layer.gamma.assign(np.linspace(0.5, 2, 6))
        layer.moving_mean.assign(np.linspace(-1, 1, 6))
        output = layer(x)
        assert output.dtype == layer.compute_dtype
        outputs.append(keras.ops.convert_to_numpy(keras.ops.cast(output, "float32")))
    # bfloat16 has 8 bits.
    np.testing.assert_allclose(*outputs, rtol=2e-2, atol=2e-2)


def test_fixed_layers_keep_their_statistics():
    x = np.random.default_rng(0).normal(1, 2, (2, 4, 4, 6)).astype("float32")
    layer = ExactBatchNormalization()
    layer.build(x.shape)
    layer.trainable = False
    layer(x, training=True)
    assert not np.asarray(layer.moving_mean).any()
    layer.trainable = True
    layer(x, training=True)
    expected = 0.01 * x.mean((0, 1, 2)), 0.99 + 0.01 * x.var((0, 1, 2))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer.moving_mean), expected[0], rtol=1e-5)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer.moving_variance), expected[1], rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the kernel is TensorFlow's")
def test_a_keras_without_renormalisation_trains_alike():
    x = np.random.default_rng(0).normal(1, 2, (2, 4, 4, 6)).astype("float32")
    outputs = []
    for lacking in (False, True):
        layer = ExactBatchNormalization()
        layer.build(x.shape)
        if lacking:
            vars(layer).pop("renorm", None)  # as in Keras 3.13
            assert not hasattr(layer, "renorm")
        outputs.append(np.asarray(layer(x, training=True)))
    np.testing.assert_array_equal(*outputs)
