"""`light3d`: a small 3D network on noise residuals (P0 Sec. IV-B(4); Liu et al. 2021, doi 10.1002/int.22499).

The authors published no code and no layer table. Their abstract gives three ideas, which are all here: residuals of
the spatial rich model as input, which suppress what a frame shows and leave its texture; a channel transformation
module that keeps parameters few in higher layers; 3D convolutions that fuse the frames' features over time. Filters,
widths and depths were decided here and are stated below.
"""

from typing import TYPE_CHECKING

import numpy as np
from keras import Model, layers, ops

from tfdeepfake.layers import contract
from tfdeepfake.layers.exact import ExactBatchNormalization

if TYPE_CHECKING:
    import keras


# Residuals of second order along rows, of a 3 x 3 and of a 5 x 5 square (Fridrich and Kodovsky, doi
# 10.1109/TIFS.2012.2190402); the three that arXiv:1805.04953 found enough. Each sums to zero.
SRM_FILTERS = (
    np.pad([[1, -2, 1]], ((2, 2), (1, 1))) / 2,
    np.pad([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], 1) / 4,
    np.array(
        [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]]
    ) / 12,
)  # fmt: skip


def light3d(
    input_size: tuple = (224, 224),
    num_frames: int = 16,
    num_classes: int = 1,
    dropout: float = 0.5,
    width: int = 32,
    reduction: int = 4,
    truncate: float = 3.0,
) -> Model:
    """Scores a clip; 424,929 parameters.

    Decided here: residuals per colour (9 maps) and cut off at +-3 grey levels, so that edges do not drown the noise; a
    3x3x3 convolution at half the size; four stages of two blocks with 1, 2, 4 and 8 times `width` channels, the
    map halved between them, and time too from the second on.

    Args:
      input_size: (height, width) of a frame in px.
      num_frames: T, frames of a clip.
      num_classes: 1 for the logit of FAKE, K for K classes.
      dropout: before the last layer.
      width: channels of the first stage.
      reduction: how many times fewer channels the 3x3x3 convolutions of a block work on.
      truncate: grey levels at which residuals are cut off.
    Returns:
      keras.Model {"frames": [B, T, H, W, 3]} -> float32 [B, num_classes]. `features` is [B, T/8, H/32, W/32,
      8 * width], sizes rounded up.
    Raises:
      ValueError: an argument is out of range.
    """
    if width < reduction:
        raise ValueError(f"width needs to be at least reduction = {reduction}, got {width}.")
    clip = contract.frames_input(input_size, num_frames)
    x = noise_residuals(clip, truncate)
    x = _conv(x, width, 3, "stem", strides=(1, 2, 2))
    x = layers.MaxPooling3D((1, 2, 2), padding="same", name="stem_pool")(x)
    for stage in range(1, 5):
        if stage > 1:
            x = layers.MaxPooling3D(2, padding="same", name=f"stage{stage}_pool")(x)
        for block in (1, 2):
            x = _channel_transformation(x, width * 2 ** (stage - 1), reduction, f"stage{stage}_block{block}")
    x = layers.Activation("linear", name="features")(x)
    x = layers.GlobalAveragePooling3D(name="embedding")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return Model({"frames": clip}, contract.logits(x, num_classes), name="light3d")


def noise_residuals(clip: "keras.KerasTensor", truncate: float = 3.0) -> "keras.KerasTensor":
    """What the three filters leave of each colour of each frame.

    Args:
      clip: float32 [B, T, H, W, 3] RGB 0..255.
      truncate: cut-off in grey levels.
    Returns:
      float32 [B, T, H, W, 9] in -1..1: colour by colour the three residuals. Zero where a frame is uniform; at its
      border the frame is continued by mirroring, since a jump to black would be an edge of its own.
    """
    _, t, h, w, _ = clip.shape
    if min(h, w) < 3:
        raise ValueError(f"input_size needs at least 3 px, got ({h}, {w}).")
    # [5, 5, 3, 3]: every colour through every filter. A constant, not a weight: it can be neither trained nor lost.
    kernel = np.repeat(np.stack(SRM_FILTERS, axis=-1)[:, :, None], 3, axis=2).astype("float32")
    x = ops.pad(contract.fold_time(clip), [(0, 0), (2, 2), (2, 2), (0, 0)], mode="reflect")
    x = ops.depthwise_conv(x, kernel, padding="valid")
    x = ops.clip(x, -truncate, truncate) / truncate
    return ops.reshape(x, (-1, t, h, w, 9))


def _channel_transformation(x, filters, reduction, name):
    """Few channels, then space and time, then many: x + expand(3x3x3(reduce(x))).

    A 3x3x3 convolution of C channels has 27 C^2 weights; on C/4 of them, with 1x1x1 ones before and behind, 2.2 C^2.
    """
    short, inner = x, filters // reduction
    x = _conv(x, inner, 1, f"{name}_reduce")
    x = _conv(x, inner, 3, f"{name}_fuse")
    x = _conv(x, filters, 1, f"{name}_expand", activation=False)
    if short.shape[-1] != filters:
        short = _conv(short, filters, 1, f"{name}_short", activation=False)
    return layers.ReLU(name=name)(layers.Add(name=f"{name}_add")([x, short]))


def _conv(x, filters, kernel, name, strides=1, activation=True):
    x = layers.Conv3D(
        filters, kernel, strides, "same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    x = ExactBatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x
