"""EfficientNets B0 to B7 and their attention and siamese forms (arXiv:1905.11946; P0 Sec. III-A, P1 Sec. 3.5).

`efficientnet_b4_att`, `efficientnet_b4_st` and `efficientnet_b4_att_st` are those of Bonettini et al.
(arXiv:2004.07676), `attention2d` is P0's. Layer names are those of the published PyTorch files with "_" for ".", so
that a checkpoint maps onto the network by name alone (`efficientnet_names`).
"""

import functools
import math
from typing import TYPE_CHECKING

from keras import Model, layers

from tfdeepfake.layers import contract
from tfdeepfake.layers.drop_path import DropPath
from tfdeepfake.layers.exact import ExactBatchNormalization, Swish
from tfdeepfake.layers.initializers import he_by_outputs
from tfdeepfake.layers.siamese import siamese_head
from tfdeepfake.weights import imagenet

if TYPE_CHECKING:
    import keras


# variant -> (width and depth multipliers, native size in px, dropout)
VARIANTS = {
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4),
    "b5": (1.6, 2.2, 456, 0.4),
    "b6": (1.8, 2.6, 528, 0.5),
    "b7": (2.0, 3.1, 600, 0.5),
}
# Blocks, kernel, stride of the first block, expansion, channels of each stage of B0.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def efficientnet(
    name: str,
    variant: str,
    input_size: tuple = (224, 224),
    num_classes: int = 1,
    dropout: float | None = None,
    drop_connect: float = 0.2,
    seed: int | None = None,
    embedding_units: int | None = None,
    attention_stage: int | None = None,
    width: float | None = None,
    depth: float | None = None,
    pad_size: int | str | None = "native",
    stem_padding: str = "same",
    mean: tuple = imagenet.MEAN,
    std: tuple = imagenet.STD,
) -> Model:
    """Scores one face crop; the common body of all networks of this file.

    Args:
      name: of the model.
      variant: "b0" to "b7".
      input_size: (height, width) in px.
      num_classes: 1 for the logit of FAKE (sigmoid head), K for K classes (softmax head).
      dropout: before the last layer; 0.2 to 0.5 by variant when not given.
      drop_connect: how often a block's residual is left out in training for an example, growing from 0 at the first
        block towards this at the last (arXiv:1603.09382).
      seed: of both kinds of dropout, for runs that can be repeated.
      embedding_units: width of a linear layer `embedding` behind the pooled features, such as P1's 512; None for the
        pooled features themselves (1792 for B4, 2560 for B7).
      attention_stage: stage 1 to 7 behind whose last block a map of weights 0..1 (layer `attention`, [B, h, w, 1]) is
        computed from the features and multiplied onto them. For B4, 3 is block 9 and 28 x 28 x 56 at 224 px, 4 is
        block 15 and 14 x 14 x 112.
      width, depth: multipliers of channels and blocks where not those of `variant`.
      pad_size: px of the square image for which the padding of convolutions with stride is computed. The published
        PyTorch networks keep that of the native size (380 for B4, 600 for B7) at any input: "native". None pads for
        the input as TensorFlow does; the winner of the DFDC was trained so.
      stem_padding: "same", or "valid" for a first convolution without padding, as DeepfakeBench has it.
      mean, std: of the input, on pixels / 255.
    Returns:
      keras.Model {"frames": [B, H, W, 3]} -> float32 [B, num_classes]. `features` is [B, H/32, W/32, C].
    Raises:
      ValueError: an argument is out of range.
    """
    frames, x = _embedding(
        variant, input_size, drop_connect, seed, embedding_units, attention_stage, width, depth, pad_size, stem_padding,
        mean, std,
    )  # fmt: skip
    rate = VARIANTS[variant][3] if dropout is None else dropout
    x = layers.Dropout(rate, seed=seed, name="dropout")(x)
    return Model({"frames": frames}, contract.logits(x, num_classes), name=name)


def efficientnet_siamese(
    name: str,
    variant: str,
    input_size: tuple = (224, 224),
    num_classes: int = 1,
    dropout: float = 0.0,
    drop_connect: float = 0.2,
    seed: int | None = None,
    embedding_units: int | None = None,
    attention_stage: int | None = None,
    width: float | None = None,
    depth: float | None = None,
    pad_size: int | str | None = "native",
    stem_padding: str = "same",
    mean: tuple = imagenet.MEAN,
    std: tuple = imagenet.STD,
    head_only: bool = False,
    spare_head: bool = False,
) -> Model:
    """The siamese form: an embedding trained by triplets, and a classifier of its own on it (arXiv:2004.07676).

    First keras.Model(model.input, model.get_layer("embedding").output) is trained with a triplet loss, then the
    classifier (batch normalisation and a linear layer) on what it gives, the embedding held fixed (`head_only`).

    Args:
      head_only: whether only the classifier is trainable, as the authors trained it. Here the fixed layers' batch
        normalisation keeps its statistics too; in the authors' code these went on moving.
      spare_head: adds the embedding network's own last layer as `feat_ext_classifier`, weighted by zero. The
        authors' files hold one; it changes no score and is never trained, but with it every tensor has its place and
        the parameter count is theirs.
      dropout: before the last layer; the authors have none.
      name, variant, input_size, num_classes, drop_connect, seed: see `efficientnet`.
      embedding_units, attention_stage, width, depth, pad_size, mean, std: see `efficientnet`.
    Returns:
      keras.Model {"frames": [B, H, W, 3]} -> float32 [B, num_classes].
    """
    frames, x = _embedding(
        variant, input_size, drop_connect, seed, embedding_units, attention_stage, width, depth, pad_size, stem_padding,
        mean, std,
    )  # fmt: skip
    return siamese_head(name, frames, x, num_classes, dropout, seed, head_only, spare_head)


def _embedding(
    variant, input_size, drop_connect, seed, embedding_units, attention_stage, width, depth, pad_size, stem_padding,
    mean, std,
):  # fmt: skip
    """Input `frames` and the tensor `embedding`."""
    if variant not in VARIANTS:
        raise ValueError(f"variant needs one of {', '.join(VARIANTS)}, got {variant!r}.")
    if attention_stage is not None and attention_stage not in range(1, len(STAGES) + 1):
        raise ValueError(f"attention_stage needs 1 to {len(STAGES)} or None, got {attention_stage!r}.")
    if not 0 <= drop_connect < 1:
        raise ValueError(f"drop_connect needs 0 <= rate < 1, got {drop_connect!r}.")
    if pad_size == "native":
        pad_size = VARIANTS[variant][2]
    frames = contract.frames_input(input_size)
    x = contract.pixels_standardised(frames, mean, std)
    x = feature_map(x, variant, drop_connect, seed, attention_stage, width, depth, pad_size, stem_padding)
    pool = layers.GlobalAveragePooling2D(name="pool" if embedding_units else "embedding")
    x = pool(x)
    if embedding_units:
        x = layers.Dense(embedding_units, name="embedding")(x)
    return frames, x


def feature_map(
    x: "keras.KerasTensor",
    variant: str,
    drop_connect: float = 0.2,
    seed: int | None = None,
    attention_stage: int | None = None,
    width: float | None = None,
    depth: float | None = None,
    pad_size: int | None = None,
    stem_padding: str = "same",
) -> "keras.KerasTensor":
    """The map `features` of normalised frames, for networks that build on an EfficientNet.

    Args:
      x: [B, H, W, 3], normalised.
      variant, drop_connect, seed, attention_stage, width, depth: see `efficientnet`.
      pad_size: in px or None, see `efficientnet`.
    Returns:
      [B, h, w, C]; C = 1792 for B4.
    """
    width = VARIANTS[variant][0] if width is None else width
    depth = VARIANTS[variant][1] if depth is None else depth
    repeats = [math.ceil(depth * stage[0]) for stage in STAGES]
    last = {sum(repeats[: n + 1]) - 1: n + 1 for n in range(len(STAGES))}  # last block of each stage -> the stage
    x, native = _stem(x, pad_size, _channels(32, width), stem_padding)
    x = _swish(_norm(x, "bn0"), "swish0")
    number = 0
    for count, (_, kernel, strides, expansion, filters) in zip(repeats, STAGES, strict=True):
        for block in range(count):
            rate = drop_connect * number / sum(repeats)
            x, native = _block(
                x, native, f"blocks_{number}", kernel, strides if block == 0 else 1, expansion,
                _channels(filters, width), rate, None if seed is None else seed + 1 + number,
            )  # fmt: skip
            if attention_stage is not None and last.get(number) == attention_stage:
                attention = layers.Conv2D(1, 1, name="attconv")(x)
                attention = layers.Activation("sigmoid", name="attention")(attention)
                x = layers.Multiply(name="attended")([x, attention])
            number += 1
    filters = _channels(1280, width)
    x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer=he_by_outputs(), name="conv_head")(x)
    return _swish(_norm(x, "bn1"), "features")


def _stem(x, native, filters, padding):
    """First convolution; returns also the native size behind it."""
    if padding == "same":
        return _padded_conv(layers.Conv2D, x, native, 3, 2, filters=filters, name="conv_stem")
    if padding != "valid":
        raise ValueError(f"stem_padding needs 'same' or 'valid', got {padding!r}.")
    conv = layers.Conv2D(filters, 3, 2, use_bias=False, kernel_initializer=he_by_outputs(), name="conv_stem")
    # DeepfakeBench puts it in place of the padded one, and all behind stays padded for the map of that.
    return conv(x), native and -(-native // 2)


def _channels(count, width):
    """Channels scaled by `width` to a multiple of 8, never below 90 % of the exact value."""
    rounded = max(8, int(count * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * count * width else rounded


def _block(x, native, name, kernel, strides, expansion, filters, drop_rate, seed):
    """Inverted residual with squeeze-and-excitation; hidden width of the latter is a quarter of the block's input."""
    short, channels = x, x.shape[-1]
    if expansion != 1:
        x = layers.Conv2D(
            channels * expansion, 1, use_bias=False, kernel_initializer=he_by_outputs(), name=f"{name}_expand_conv"
        )(x)
        x = _swish(_norm(x, f"{name}_bn0"), f"{name}_swish0")
    x, native = _padded_conv(layers.DepthwiseConv2D, x, native, kernel, strides, name=f"{name}_depthwise_conv")
    x = _swish(_norm(x, f"{name}_bn1"), f"{name}_swish1")
    # Dense layers of [B, C]: those of more axes are a dozen operations each, and were a third of what tracing took.
    gate = layers.GlobalAveragePooling2D(name=f"{name}_se_squeeze")(x)
    gate = layers.Dense(max(1, channels // 4), "silu", name=f"{name}_se_reduce")(gate)
    gate = layers.Dense(channels * expansion, "sigmoid", name=f"{name}_se_expand")(gate)
    gate = layers.Reshape((1, 1, channels * expansion), name=f"{name}_se_gate")(gate)
    x = layers.Multiply(name=f"{name}_se_scale")([x, gate])
    x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer=he_by_outputs(), name=f"{name}_project_conv")(x)
    x = _norm(x, f"{name}_bn2")
    if strides == 1 and channels == filters:
        if drop_rate:
            # One draw for a whole example: the residual is left out, or scaled up by what is left out on average.
            x = DropPath(drop_rate, seed=seed, name=f"{name}_drop_connect")(x)
        x = layers.Add(name=name)([x, short])
    return x, native


def _padding(size, kernel, strides):
    """(before, after) that TensorFlow's "same" pads along an axis."""
    total = max((-(-size // strides) - 1) * strides + kernel - size, 0)
    return total // 2, total - total // 2


def _padded_conv(layer, x, native, kernel, strides, name, **kwargs):
    """A convolution padded for a map of `native` px; returns also the native size behind it."""
    initializer = "depthwise_initializer" if layer is layers.DepthwiseConv2D else "kernel_initializer"
    pads = [_padding(native or size, kernel, strides) for size in x.shape[1:3]]
    padding = "same"
    # "same" pads for the size at hand; by hand, which copies the map, only where that differs.
    if pads != [_padding(size, kernel, strides) for size in x.shape[1:3]]:
        if any(size + sum(pad) < kernel for size, pad in zip(x.shape[1:3], pads, strict=True)):
            raise ValueError(f"input_size is too small: {name} gets a map of {x.shape[1]} x {x.shape[2]}.")
        padding = "valid"
        x = layers.ZeroPadding2D(pads, name=f"{name}_pad")(x)
    kwargs |= {initializer: he_by_outputs()}
    x = layer(kernel_size=kernel, strides=strides, padding=padding, use_bias=False, name=name, **kwargs)(x)
    return x, native and -(-native // strides)


def _norm(x, name):
    return ExactBatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)


def _swish(x, name):
    return Swish(name=name)(x)


def _named(body, name, variant, **fixed):
    network = functools.partial(body, name, variant, **fixed)
    network.__doc__ = body.__doc__
    return network


efficientnet_b0 = _named(efficientnet, "efficientnet_b0", "b0")
efficientnet_b1 = _named(efficientnet, "efficientnet_b1", "b1", input_size=(240, 240))
efficientnet_b2 = _named(efficientnet, "efficientnet_b2", "b2", input_size=(260, 260))
efficientnet_b3 = _named(efficientnet, "efficientnet_b3", "b3", input_size=(300, 300))
# P0 scores faces of 224 px with B4, P1 of 240 px with B7.
efficientnet_b4 = _named(efficientnet, "efficientnet_b4", "b4")
efficientnet_b5 = _named(efficientnet, "efficientnet_b5", "b5", input_size=(456, 456))
efficientnet_b6 = _named(efficientnet, "efficientnet_b6", "b6", input_size=(528, 528))
efficientnet_b7 = _named(efficientnet, "efficientnet_b7", "b7", input_size=(240, 240))
attention2d = _named(efficientnet, "attention2d", "b4", attention_stage=4)
efficientnet_b4_att = _named(efficientnet, "efficientnet_b4_att", "b4", attention_stage=3)
efficientnet_b4_st = _named(efficientnet_siamese, "efficientnet_b4_st", "b4")
efficientnet_b4_att_st = _named(efficientnet_siamese, "efficientnet_b4_att_st", "b4", attention_stage=3)
