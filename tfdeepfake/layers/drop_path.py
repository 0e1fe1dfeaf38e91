"""Stochastic depth: a residual that is left out in training for some examples."""

from typing import TYPE_CHECKING

from keras import layers, ops, random, saving

if TYPE_CHECKING:
    import keras


@saving.register_keras_serializable("tfdeepfake")
class DropPath(layers.Dropout):
    """Leaves an example out whole, or scales it up by what is left out on average (arXiv:1603.09382).

    It draws what `keras.layers.Dropout` with a noise_shape of one number an example draws, but multiplies once by the
    drawn numbers, where that scales the map, chooses between it and zeros, and does both again for the gradient.
    """

    def call(self, inputs, training=False) -> "keras.KerasTensor":
        if not training or not self.rate:
            return inputs
        one = ops.ones((ops.shape(inputs)[0], *[1] * (len(inputs.shape) - 1)), inputs.dtype)
        return inputs * random.dropout(one, self.rate, seed=self.seed_generator)
