"""Layer normalisation whose training step takes fewer passes over the map on TensorFlow."""

from typing import TYPE_CHECKING

from keras import config, layers, saving

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


@saving.register_keras_serializable("tfdeepfake")
class LayerNormalization(layers.LayerNormalization):
    """`keras.layers.LayerNormalization`, trained with a gradient that is written out.

    Keras's own is a dozen operations, each with a gradient that reads and writes maps, where there is no XLA to join
    them. Here means are products with a vector, which oneDNN sums faster than TensorFlow reduces, and the gradient is

        dx = (g - mean(g) - n mean(g n)) / sqrt(variance + epsilon), g = gamma dy, n the normalised map.

    At inference, of other axes than the last, in half precision and on other backends it is Keras's.
    """

    def call(self, inputs, training=None) -> "keras.KerasTensor":
        last = self.axis in (-1, [-1], len(inputs.shape) - 1, [len(inputs.shape) - 1])
        plain = last and self.scale and self.center and not getattr(self, "rms_scaling", False)
        plain = plain and inputs.dtype == "float32" == self.compute_dtype
        if not training or not plain or config.backend() != "tensorflow":
            return super().call(inputs)
        import tensorflow as tf

        return _normalised(*map(tf.convert_to_tensor, (inputs, self.gamma, self.beta)), self.epsilon)


def _normalised(x, gamma, beta, epsilon) -> "tf.Tensor":
    """float32 [..., C] of x [..., C], gamma and beta [C]."""
    import tensorflow as tf

    shape, channels = tf.shape(x), x.shape[-1]

    @tf.custom_gradient
    def normalise(x, gamma, beta):
        rows = tf.reshape(x, (-1, channels))
        mean_of = tf.fill((channels, 1), tf.constant(1 / channels, x.dtype))
        apart = rows - tf.matmul(rows, mean_of)
        scale = tf.math.rsqrt(tf.matmul(tf.square(apart), mean_of) + epsilon)
        normal = apart * scale

        def gradient(dy):
            dy = tf.reshape(dy, (-1, channels))
            part, over_rows = dy * normal, tf.ones((1, tf.shape(dy)[0]), dy.dtype)
            weighted = gamma[:, None] / channels
            dx = scale * (dy * gamma - tf.matmul(dy, weighted) - normal * tf.matmul(part, weighted))
            return tf.reshape(dx, shape), tf.matmul(over_rows, part)[0], tf.matmul(over_rows, dy)[0]

        return tf.reshape(normal * gamma + beta, shape), gradient

    return normalise(x, gamma, beta)
