"""Self-attention within windows of a map, shifted or not (arXiv:2103.14030 Sec. 3.2; P4 Sec. 3.2)."""

from typing import TYPE_CHECKING

import numpy as np
from keras import layers, ops, saving

from tfdeepfake.layers.attention import attend
from tfdeepfake.layers.initializers import small_normal

if TYPE_CHECKING:
    import keras


# Added to the scores of places that are no neighbours in the image although a shifted window holds both.
APART = -100.0


@saving.register_keras_serializable("tfdeepfake")
class WindowAttention(layers.Layer):
    """Self-attention among the places of each window, softmax(q k^T / sqrt(d) + b(offset)) v.

    b is a learned number for every offset between two places and every head. A shifted layer moves the map by half a
    window first, so that windows straddle those of the layer before; places that the shift brought together from
    opposite edges do not see each other.

    Args:
      heads: attention heads.
      window: side of a window in places.
      shift: places the map is moved up and left, 0 for none.
    """

    def __init__(self, heads, window, shift=0, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.window, self.shift = heads, window, shift

    def build(self, input_shape: tuple) -> None:
        _, height, width, channels = input_shape
        if height % self.window or width % self.window:
            raise ValueError(
                f"windows: a window of {self.window} does not divide the map of {height} x {width} places at "
                f"{self.name}. Choose input_size (or thumbnail_size) and windows so that it does."
            )
        if channels % (3 * self.heads):
            raise ValueError(f"heads needs to divide the {channels // 3} channels at {self.name}, got {self.heads}.")
        self.relative_position_bias_table = self.add_weight(
            shape=((2 * self.window - 1) ** 2, self.heads), initializer=small_normal(),
            name="relative_position_bias_table",
        )  # fmt: skip

    def call(self, qkv, training=None) -> "keras.KerasTensor":
        """[B, H, W, 3 C], query, key and value side by side -> [B, H, W, C]."""
        _, height, width, channels = qkv.shape
        places, depth = self.window**2, channels // 3 // self.heads
        x = self._cut(_moved(qkv, self.shift))
        x = ops.transpose(ops.reshape(x, (-1, places, 3, self.heads, depth)), (2, 0, 3, 1, 4))
        # The gradient of `unstack` is one copy; that of three slices would be three maps of zeros and their sum.
        query, key, value = ops.unstack(x, 3, axis=0)
        bias = ops.cast(self._bias(training), "float32")
        if self.shift:
            ids = self._regions(height, width)
            bias = bias + np.where(ids[:, :, None] == ids[:, None, :], 0.0, APART).astype("float32")[:, None]
        x = attend(query * depth**-0.5, key, value, bias, training)
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, places, channels // 3))
        return _moved(self._join(x, height, width), -self.shift)

    def _bias(self, training):
        """[heads, N, N] from the table, whose row counts offsets of query minus key, rows first."""
        if training:
            return self._bias_by_products()
        line = np.arange(self.window)
        row, column = (grid.reshape(-1) for grid in np.meshgrid(line, line, indexing="ij"))
        offsets = [axis[:, None] - axis[None] + self.window - 1 for axis in (row, column)]
        index = offsets[0] * (2 * self.window - 1) + offsets[1]
        # Transposed first: the gradient of rows taken from a variable would be sparse, which optimizers treat apart.
        bias = ops.take(ops.transpose(self.relative_position_bias_table), index.reshape(-1), axis=1)
        return ops.reshape(bias, (self.heads, *index.shape))

    def _bias_by_products(self):
        """`_bias` by products with matrices of 0 and 1, first of rows, then of columns.

        The same numbers. Their gradients are such products, where those of numbers that are taken are sums one by one,
        which last as long as all else that attention does with its scores.
        """
        offsets, line = 2 * self.window - 1, np.arange(self.window)
        pairs = np.eye(offsets)[(line[:, None] - line + self.window - 1).reshape(-1)]
        table = ops.reshape(ops.transpose(self.relative_position_bias_table), (self.heads, offsets, offsets))
        bias = ops.matmul(ops.matmul(ops.cast(pairs, table.dtype), table), ops.cast(pairs.T, table.dtype))
        bias = ops.transpose(ops.reshape(bias, (self.heads, *[self.window] * 4)), (0, 1, 3, 2, 4))
        return ops.reshape(bias, (self.heads, self.window**2, self.window**2))

    def _regions(self, height, width):
        """int [windows, N]: places of one number were neighbours before the shift."""
        rows, columns = (
            (np.arange(length) >= length - self.window).astype(int) + (np.arange(length) >= length - self.shift)
            for length in (height, width)
        )
        ids = (3 * rows[:, None] + columns).reshape(height // self.window, self.window, width // self.window, -1)
        return ids.transpose(0, 2, 1, 3).reshape(-1, self.window**2)

    def _cut(self, x):
        """[B, H, W, C] -> [B * windows, N, C]."""
        _, height, width, channels = x.shape
        x = ops.reshape(x, (-1, height // self.window, self.window, width // self.window, self.window, channels))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, self.window**2, channels))

    def _join(self, x, height, width):
        """[B * windows, N, C] -> [B, H, W, C]."""
        channels = x.shape[-1]
        x = ops.reshape(x, (-1, height // self.window, width // self.window, self.window, self.window, channels))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height, width, channels))

    def compute_output_shape(self, input_shape) -> tuple:
        return (*input_shape[:-1], input_shape[-1] // 3)

    def get_config(self) -> dict:
        return super().get_config() | {"heads": self.heads, "window": self.window, "shift": self.shift}


def _moved(x, by):
    """The map moved up and left by `by` places, what falls off coming back at the other side.

    Parts instead of `roll`, which LiteRT does not have.
    """
    for axis in (1, 2) if by else ():
        first, second = ops.split(x, [by % x.shape[axis]], axis=axis)
        x = ops.concatenate([second, first], axis=axis)
    return x
