"""Attention among places, whose training step takes fewer passes over the scores on TensorFlow."""

from typing import TYPE_CHECKING

from keras import config, ops

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def attend(
    query: "keras.KerasTensor",
    key: "keras.KerasTensor",
    value: "keras.KerasTensor",
    bias: "keras.KerasTensor | None" = None,
    training: bool | None = False,
) -> "keras.KerasTensor":
    """softmax(q k^T + bias) v (arXiv:1706.03762 Sec. 3.2, its scale being part of q).

    In training it has a gradient that is written out: that of softmax needs the sum of dp p over what a place looks
    at, which is the product of the output and its gradient, N / D times as short (arXiv:2205.14135 App. B.2), and is
    subtracted within the product that gives dp. In half precision, at inference and on other backends it is the
    backend's own.

    Args:
      query: [B, heads, M, D].
      key, value: [B, heads, N, D].
      bias: float32 [heads, M, N], or [W, heads, M, N] for W windows of an image that follow one another in B.
      training: whether a gradient will be asked for.
    Returns:
      [B, heads, M, D]; scores are float32, because half precision loses the differences between close ones.
    """
    if training and config.backend() == "tensorflow" and query.dtype == value.dtype == "float32":
        return _attended(query, key, value, bias)
    scores = weights_of(query, key, bias)
    return ops.matmul(ops.cast(scores, value.dtype), value)


def weights_of(
    query: "keras.KerasTensor", key: "keras.KerasTensor", bias: "keras.KerasTensor | None" = None
) -> "keras.KerasTensor":
    """softmax(q k^T + bias), float32 [B, heads, M, N]: how much each place looks at each; rows sum to 1."""
    scores = ops.cast(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))), "float32")
    if bias is not None and len(bias.shape) == 4:
        shape = (-1, *scores.shape[1:])
        scores = ops.reshape(ops.reshape(scores, (-1, *bias.shape)) + bias, shape)
    elif bias is not None:
        scores = scores + bias
    return ops.softmax(scores)


def _attended(query, key, value, bias) -> "tf.Tensor":
    import tensorflow as tf

    def forward(query, key, value, bias):
        scores = tf.matmul(query, key, transpose_b=True)
        if bias is not None:
            scores = tf.reshape(tf.reshape(scores, (-1, *bias.shape)) + bias, tf.shape(scores))
        weights = tf.nn.softmax(scores)
        y = tf.matmul(weights, value)

        def gradient(dy):
            # The last column subtracts the sum of dp p over each row from dp.
            row = tf.concat([dy, -tf.reduce_sum(dy * y, axis=-1, keepdims=True)], axis=-1)
            column = tf.concat([value, tf.ones_like(value[..., :1])], axis=-1)
            ds = weights * tf.matmul(row, column, transpose_b=True)
            of_three = (
                tf.matmul(ds, key),
                tf.matmul(ds, query, transpose_a=True),
                tf.matmul(weights, dy, transpose_a=True),
            )
            if bias is None:
                return of_three
            return *of_three, tf.reduce_sum(tf.reshape(ds, (-1, *bias.shape)), axis=0)

        return y, gradient

    if bias is None:
        return tf.custom_gradient(lambda *qkv: forward(*qkv, None))(query, key, value)
    return tf.custom_gradient(forward)(query, key, value, tf.convert_to_tensor(bias))
