"""Keras's SGD and Adam with each weight updated in one pass over it, by TensorFlow's kernels of the same formulas.

Keras writes an update as five (SGD with momentum) to twelve (Adam) operations, each of which reads and writes arrays
as large as the weight, where there is no XLA to join them. The kernels differ from it in the last bits. On other
backends, and where a weight is mirrored over several devices, an update is Keras's own.
"""

from typing import TYPE_CHECKING

import keras
from keras import ops

if TYPE_CHECKING:
    import tensorflow as tf


class SGD(keras.optimizers.SGD):
    """`keras.optimizers.SGD`; m <- momentum m - rate g, w <- w + m."""

    def update_step(self, gradient: "tf.Tensor", variable: "tf.Variable", learning_rate: "tf.Tensor") -> None:
        if not self.momentum or not _is_plain(gradient, variable):
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        (momentum,) = _handles(self, variable, self.momentums)
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=momentum,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )


class _FusedAdam:
    """The update of `Adam` and `AdamW`, whose decay of weights is a step of its own."""

    def update_step(self, gradient: "tf.Tensor", variable: "tf.Variable", learning_rate: "tf.Tensor") -> None:
        if self.amsgrad or not _is_plain(gradient, variable):
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        dtype, step = variable.dtype, ops.cast(self.iterations + 1, variable.dtype)
        m, v = _handles(self, variable, self._momentums, self._velocities)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m,
            v=v,
            beta1_power=tf.pow(tf.cast(self.beta_1, dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, dtype), step),
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )


class Adam(_FusedAdam, keras.optimizers.Adam):
    """`keras.optimizers.Adam`."""


class AdamW(_FusedAdam, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`."""


def _is_plain(gradient, variable):
    """Whether TensorFlow updates one array of one device by a gradient as large as it."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return isinstance(gradient, tf.Tensor) and tf.distribute.get_strategy().num_replicas_in_sync == 1


def _handles(optimizer, variable, *slots):
    """Resources of the optimizer's own variables that belong to a weight."""
    number = optimizer._get_variable_index(variable)
    return [slot[number].value.handle for slot in slots]
