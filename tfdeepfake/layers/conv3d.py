"""3D convolution, pooling and normalisation with the padding and constants of PyTorch, for published checkpoints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from keras import config, layers, ops, saving

from tfdeepfake.layers.exact import ExactBatchNormalization
from tfdeepfake.layers.initializers import he_by_outputs

if TYPE_CHECKING:
    import keras


def triple(value: int | Sequence[int]) -> tuple[int, int, int]:
    """An integer, or three of them (time, height, width), as three."""
    return (value,) * 3 if isinstance(value, int) else tuple(value)


def conv(
    x: "keras.KerasTensor",
    filters: int,
    kernel: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    groups: int = 1,
    name: str | None = None,
) -> "keras.KerasTensor":
    """3D convolution without bias, padded by kernel // 2 on both sides as PyTorch does.

    Args:
      x: [B, T, H, W, C].
      filters: output channels.
      kernel: odd; an integer or three of them (time, height, width).
      strides: likewise.
      groups: of channels.
      name: of the layer.
    """
    kernel, strides = triple(kernel), triple(strides)
    padding = "same"
    # Keras "same" pads as much on both sides at stride 1 and at odd sizes, but (0, 1) where a size is even and the
    # stride 2, where PyTorch pads (1, 1) and checkpoints need it. Padding by hand copies the map: only where needed.
    if any(_same(*axis) != 2 * (axis[1] // 2) for axis in zip(x.shape[1:4], kernel, strides, strict=True)):
        padding = "valid"
        x = layers.ZeroPadding3D([k // 2 for k in kernel], name=f"{name}_pad")(x)
    make = layers.Conv3D if groups == 1 else GroupedConv3D
    return make(
        filters, kernel, strides, padding, groups=groups, use_bias=False, kernel_initializer=he_by_outputs(), name=name
    )(x)


@saving.register_keras_serializable("tfdeepfake")
class GroupedConv3D(layers.Conv3D):
    """A grouped convolution that is quick on TensorFlow's CPU kernels too, and exports without XLA.

    TensorFlow has no grouped 3D convolution on CPU; Keras compiles one with XLA, which is 2 to 100 times slower there
    (forward and backward, 128 to 1024 channels in 32 groups) and sums less exactly. Instead, neighbouring groups are
    merged to about 16 channels, with zeros in the kernel between them, and convolved in turn.
    """

    MERGED_CHANNELS = 16

    def convolution_op(self, inputs, kernel) -> "keras.KerasTensor":
        if config.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        channels, filters = inputs.shape[-1] // self.groups, self.filters // self.groups
        merged = max(
            n
            for n in range(1, self.groups + 1)
            if self.groups % n == 0 and n * channels <= max(self.MERGED_CHANNELS, channels)
        )
        inside = np.kron(np.eye(merged), np.ones((channels, filters)))
        maps = []
        for number in range(self.groups // merged):
            x = inputs[..., number * merged * channels : (number + 1) * merged * channels]
            k = kernel[..., number * merged * filters : (number + 1) * merged * filters]
            k = ops.tile(k, (1, 1, 1, merged, 1)) * ops.convert_to_tensor(inside, k.dtype)
            maps.append(super().convolution_op(x, k))
        return ops.concatenate(maps, axis=-1)


def _same(size, kernel, stride):
    """What Keras "same" pads in all along one axis."""
    return max((-(-size // stride) - 1) * stride + kernel - size, 0)


def max_pool(
    x: "keras.KerasTensor", size: int | Sequence[int], strides: int | Sequence[int], name: str
) -> "keras.KerasTensor":
    """Max-pool of a map without negative values, padded by size // 2 on both sides.

    Zeros are then as good as the minus infinity that PyTorch pads with.
    """
    x = layers.ZeroPadding3D([n // 2 for n in triple(size)], name=f"{name}_pad")(x)
    return layers.MaxPooling3D(size, strides, name=name)(x)


def norm(x: "keras.KerasTensor", name: str, epsilon: float = 1e-5, momentum: float = 0.9) -> "keras.KerasTensor":
    """Batch normalisation with PyTorch's constants."""
    return ExactBatchNormalization(momentum=momentum, epsilon=epsilon, name=name)(x)
