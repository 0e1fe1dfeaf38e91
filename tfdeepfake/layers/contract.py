"""Inputs and outputs of all networks: inputs `frames` and `flow`, time folded into the batch, the layer `logits`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras import Input, layers, ops

from tfdeepfake.layers.exact import ExactDense

if TYPE_CHECKING:
    import keras


# Camera and head motion between frames 0.5 s apart reaches tens of px, between neighbours about one: this constant
# keeps both within the range that freshly initialised convolutions like.
FLOW_UNIT_PX = 4.0


def _size(input_size, num_frames=None):
    """Checks the arguments that every network has; lists are accepted, because they come from JSON."""
    pair = isinstance(input_size, tuple | list) and len(input_size) == 2
    if not pair or any(not isinstance(side, int) or side < 1 for side in input_size):
        raise ValueError(f"input_size needs two positive integers (height, width), got {input_size!r}.")
    if num_frames is not None and (not isinstance(num_frames, int) or num_frames < 1):
        raise ValueError(f"num_frames needs a positive integer, got {num_frames!r}.")
    return (*(() if num_frames is None else (num_frames,)), *input_size)


def frames_input(input_size: tuple, num_frames: int | None = None) -> "keras.KerasTensor":
    """Input `frames`: RGB 0..255, float32 [B, H, W, 3], or [B, T, H, W, 3] when `num_frames` (= T) is given.

    Keras converts inputs to float32, so uint8 gives the same scores; networks normalise behind this.
    """
    return Input((*_size(input_size, num_frames), 3), dtype="float32", name="frames")


def flow_input(input_size: tuple, num_frames: int | None = None) -> "keras.KerasTensor":
    """Input `flow`: px/frame, float32 [B, H, W, 2] or [B, T, H, W, 2], as `data.flow.optical_flow` returns it."""
    return Input((*_size(input_size, num_frames), 2), dtype="float32", name="flow")


def pixels_between(x: "keras.KerasTensor", low: float, high: float) -> "keras.KerasTensor":
    """0..255 scaled to low..high, in float32 whatever the precision policy."""
    return layers.Rescaling((high - low) / 255, offset=low, dtype="float32", name="normalize")(x)


def pixels_standardised(x: "keras.KerasTensor", mean: Sequence[float], std: Sequence[float]) -> "keras.KerasTensor":
    """(x / 255 - mean) / std per colour (RGB), in float32 whatever the precision policy; mean and std are on 0..1."""
    scale = [1 / (255 * s) for s in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return layers.Rescaling(scale, offset=offset, dtype="float32", name="normalize")(x)


def fold_time(x: "keras.KerasTensor") -> "keras.KerasTensor":
    """[B, T, ...] -> [B*T, ...], clip by clip: a frame network then sees single frames, in one flat graph."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def unfold_time(x: "keras.KerasTensor", num_frames: int) -> "keras.KerasTensor":
    """[B*T, C] -> [B, T, C]."""
    return ops.reshape(x, (-1, num_frames, x.shape[-1]))


def stack_time(x: "keras.KerasTensor", num_frames: int) -> "keras.KerasTensor":
    """[B*T, C] -> [B, T*C]: the features of a clip's frames side by side (P2 Table 4, "Flatten")."""
    return ops.reshape(x, (-1, num_frames * x.shape[-1]))


def logits(x: "keras.KerasTensor", num_classes: int = 1, use_bias: bool = True) -> "keras.KerasTensor":
    """Layer `logits`: [B, 1] raw logit of FAKE, or [B, K] of K classes; float32 whatever the precision policy."""
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"num_classes needs a positive integer, got {num_classes!r}.")
    return ExactDense(num_classes, use_bias=use_bias, dtype="float32", name="logits")(x)
