"""Resizing of frames as `ops.image.resize(..., antialias=True)`, bilinearly, by products with matrices."""

from typing import TYPE_CHECKING

import numpy as np
from keras import layers, ops, saving

if TYPE_CHECKING:
    import keras


@saving.register_keras_serializable("tfdeepfake")
class AntialiasedResize(layers.Layer):
    """Frames at another size, rows first, then columns: resizing is linear.

    TensorFlow's own operation has no form for XLA, with which networks train on GPUs, nor for LiteRT or ONNX.

    Args:
      size: (height, width) in px.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = tuple(size)

    def call(self, x) -> "keras.KerasTensor":
        """[B, H, W, C] -> [B, h, w, C]."""
        (_, height, width, channels), (new_height, new_width) = x.shape, self.size
        flat = ops.reshape(ops.cast(x, "float32"), (-1, height, width * channels))
        rows = ops.reshape(ops.matmul(_matrix(height, new_height), flat), (-1, new_height, width, channels))
        return ops.cast(ops.matmul(_matrix(width, new_width), rows), self.compute_dtype)

    def compute_output_shape(self, input_shape) -> tuple:
        return (input_shape[0], *self.size, input_shape[-1])

    def get_config(self) -> dict:
        return super().get_config() | {"size": self.size}


def _matrix(size, new):
    """float32 [new, size]: what each place takes of each, a triangle as wide as the larger of both steps."""
    scale = size / new
    centres = (np.arange(new) + 0.5) * scale - 0.5
    weights = np.maximum(1 - np.abs(np.arange(size) - centres[:, None]) / max(scale, 1), 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
