"""Layers of Keras computed so that they keep their digits: what published weights are compared with is float64."""

from keras import layers, ops


class ExactBatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with an unbiased reciprocal root at inference.

    On CPU TensorFlow takes 1 / sqrt from an approximation that is low by 2e-8 on average (and up to 2e-7). Behind a
    hundred layers of weights from another framework that has added up to 6e-7 of every feature, more than all other
    rounding. Training is that of the base class.
    """

    def call(self, inputs, training=None, mask=None):
        if training and self.trainable:
            return super().call(inputs, training=training, mask=mask)
        # float32 for half precision, as the base class does.
        x = ops.cast(inputs, "float32") if inputs.dtype in ("float16", "bfloat16") else inputs
        scale = self.gamma / ops.sqrt(self.moving_variance + self.epsilon)
        return ops.cast(x * scale + (self.beta - self.moving_mean * scale), self.compute_dtype)


class ExactDense(layers.Dense):
    """`keras.layers.Dense`, summed in a tree where it has a handful of outputs.

    A matrix product adds 2048 terms one behind the other. Where they nearly cancel, as in a head with random weights
    (sum of sizes 310, result 5), that alone errs by 1e-5, five times as much as a tree.
    """

    FEW = 16

    def call(self, inputs, training=None):
        if self.units > self.FEW:
            return super().call(inputs, training=training)
        # The summed axis has to be the last: TensorFlow reduces others one after the other.
        y = ops.sum(inputs[..., None, :] * ops.transpose(self.kernel), axis=-1)
        return y if self.bias is None else y + self.bias
