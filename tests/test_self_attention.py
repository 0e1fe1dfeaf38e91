"""A Vision Transformer's attention beside Keras's own, and its last block beside one that computes every place."""

import keras
import numpy as np
import pytest
from keras import ops

from tfdeepfake import models
from tfdeepfake.layers.self_attention import SelfAttention

RNG = np.random.default_rng(0)
QKV = RNG.standard_normal((2, 5, 3 * 8)).astype(np.float32)


def keras_own(qkv, heads):
    parts = ops.reshape(qkv, (2, 5, 3, heads, 8 // heads))
    return ops.reshape(ops.dot_product_attention(parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]), (2, 5, 8))


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("num_queries", [None, 1, 3])
def test_it_is_keras_own_for_the_places_that_look(heads, num_queries):
    layer = SelfAttention(heads, num_queries)
    expected = keras_own(QKV, heads)[:, :num_queries]
    np.testing.assert_allclose(layer(QKV), expected, atol=1e-6)
    assert layer.compute_output_shape(QKV.shape) == tuple(expected.shape)
    assert SelfAttention.from_config(layer.get_config()).num_queries == num_queries
    weights = layer.weights_of(QKV)
    assert weights.shape == (2, heads, expected.shape[1], 5)
    np.testing.assert_allclose(ops.sum(weights, axis=-1), 1, atol=1e-6)


def test_its_gradient_is_keras_own():
    import tensorflow as tf

    x, weights = tf.constant(QKV), RNG.standard_normal((2, 5, 8)).astype(np.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours = tf.reduce_sum(SelfAttention(4)(x) * weights)
        theirs = tf.reduce_sum(keras_own(x, 4) * weights)
    np.testing.assert_allclose(tape.gradient(ours, x), tape.gradient(theirs, x), atol=1e-6)


def test_the_last_block_computes_the_token_as_if_it_computed_all_places():
    tiny = {"input_size": (32, 32), "embed_dim": 16, "depth": 3, "heads": 4}
    token, whole = (models.build("vit_b", pool=pool, **tiny) for pool in ("token", "avg"))
    whole.set_weights(token.get_weights())
    of_all = keras.Model(whole.inputs, whole.get_layer("norm").output[:, 0])
    frames = {"frames": RNG.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)}
    of_token = keras.Model(token.inputs, token.get_layer("embedding").output)
    np.testing.assert_allclose(of_token(frames), of_all(frames), atol=1e-5)
    assert token.get_layer("blocks_2_mlp_fc1").output.shape[1] == 1
