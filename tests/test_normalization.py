"""Layer normalisation with a gradient that is written out: values and gradients are Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdeepfake.layers.normalization import LayerNormalization


@pytest.mark.parametrize("shape", [(3, 5, 12), (2, 4, 3, 7)])
@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients_are_those_of_keras(shape, training):
    rng = np.random.default_rng(0)
    x = tf.Variable(rng.normal(2, 3, shape).astype("float32"))
    towards = rng.normal(size=shape).astype("float32")
    results = []
    for kind in (LayerNormalization, keras.layers.LayerNormalization):
        layer = kind(epsilon=1e-4)
        layer.build(shape)
        for weight in layer.weights:
            weight.assign(np.random.default_rng(1).normal(1, 0.5, weight.shape))
        options = {"training": training} if kind is LayerNormalization else {}

        @tf.function
        def run(layer=layer, options=options):
            with tf.GradientTape() as tape:
                y = layer(x, **options)
                loss = tf.reduce_sum(y * towards)
            return y, *tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])

        results.append([one.numpy() for one in run()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5 * np.abs(other).max())


def test_half_precision_is_left_to_keras():
    layer = LayerNormalization(dtype="mixed_bfloat16")
    x = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")
    assert layer(x, training=True).dtype == "bfloat16"
