"""Layers of Keras computed with smaller rounding errors: published weights are compared in float64."""

import math
from typing import TYPE_CHECKING

from keras import config, layers, ops, saving

if TYPE_CHECKING:
    import keras


@saving.register_keras_serializable("tfdeepfake")
class ExactBatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with an unbiased reciprocal root at inference, and trained in one kernel.

    On CPU TensorFlow takes 1 / sqrt from an approximation that is low by 2e-8 on average (and up to 2e-7). Behind a
    hundred layers of weights from another framework that has added up to 6e-7 of every feature, more than all other
    rounding.

    In training the base class takes about fifteen passes over the map, forward and backward, where there is no XLA
    to join them; TensorFlow's fused kernel takes four, and a half to a fifth of the time. Its batch statistics are
    sums in float32 in another order: variances of 200,000 places differ by 1e-5 of themselves.
    """

    _fixed = None

    def fix(self, scale: "keras.KerasTensor | None", shift: "keras.KerasTensor | None") -> None:
        """From now on the layer computes inputs * scale + shift at inference, whatever its weights.

        Args:
          scale, shift: float32 [C]; None leaves a part out.
        """
        self._fixed = (scale, shift)

    def call(self, inputs, training=None, mask=None) -> "keras.KerasTensor":
        if self._fixed and not training:
            scale, shift = self._fixed
            x = ops.cast(inputs, "float32")
            x = x if scale is None else x * scale
            return ops.cast(x if shift is None else x + shift, self.compute_dtype)
        if training and self.trainable:
            # Keras 3.13 has no renormalisation yet.
            plain = mask is None and not getattr(self, "renorm", False) and not self.synchronized
            if plain and self.scale and self.center and self._is_map(inputs) and config.backend() == "tensorflow":
                return self._fused(inputs)
            return super().call(inputs, training=training, mask=mask)
        parts = inputs, self.gamma, self.beta, self.moving_mean, self.moving_variance
        # float32 for half precision, as the base class does; weights are in half precision too where no policy mixes.
        if inputs.dtype in ("float16", "bfloat16"):
            parts = (ops.cast(part, "float32") for part in parts)
        x, gamma, beta, mean, variance = parts
        scale = gamma / ops.sqrt(variance + self.epsilon)
        return ops.cast(x * scale + (beta - mean * scale), self.compute_dtype)

    def _is_map(self, inputs):
        return len(inputs.shape) > 2 and None not in inputs.shape[1:] and self.axis in (-1, len(inputs.shape) - 1)

    def _fused(self, inputs):
        # keras.ops has no fused form. TensorFlow is there when it is the backend.
        import tensorflow as tf

        x = tf.cast(inputs, "float32")
        shape, (*space, channels) = tf.shape(x), x.shape[1:]
        # The kernel that oneDNN has is for 2D maps; time joins the rows.
        x = tf.reshape(x, (-1, math.prod(space[:-1]), space[-1], channels))
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=tf.cast(self.gamma, "float32"), offset=tf.cast(self.beta, "float32"), mean=[], variance=[],
            epsilon=self.epsilon, is_training=True,
        )  # fmt: skip
        # n / (n - 1) times the mean square, which the base class averages.
        count = tf.cast(tf.size(x) // channels, "float32")
        variance *= (count - 1) / count
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + ops.cast(batch, moving.dtype) * (1.0 - self.momentum))
        return ops.cast(tf.reshape(y, shape), self.compute_dtype)


@saving.register_keras_serializable("tfdeepfake")
class ExactDense(layers.Dense):
    """`keras.layers.Dense`, summed in a tree where it has a handful of outputs.

    A matrix product adds 2048 terms one after the other. Where they nearly cancel, as in a head with random weights
    (absolute values sum to 310, the terms to 5), that alone errs by 1e-5, five times as much as a tree.
    """

    FEW = 16

    def call(self, inputs, training=None) -> "keras.KerasTensor":
        if self.units > self.FEW:
            return super().call(inputs, training=training)
        # The summed axis has to be the last: TensorFlow reduces others one after the other.
        y = ops.sum(inputs[..., None, :] * ops.transpose(self.kernel), axis=-1)
        return y if self.bias is None else y + self.bias


@saving.register_keras_serializable("tfdeepfake")
class Swish(layers.Layer):
    """x * sigmoid(x), at inference without the gradient of its own that TensorFlow writes for it.

    That gradient saves memory in training; where none is asked for it took a tenth of the time of tracing.
    """

    def call(self, inputs, training=None) -> "keras.KerasTensor":
        return ops.silu(inputs) if training else inputs * ops.sigmoid(inputs)

    def compute_output_shape(self, input_shape) -> tuple:
        return input_shape
