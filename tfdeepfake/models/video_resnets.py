"""`r3d_18`, `mc3_18` and `r2plus1d_18` as torchvision publishes them (Tran et al., arXiv:1711.11248; P0 III-B).

Layer names are those of the published PyTorch files with "_" for "." (`module_name`). No pool behind the stem; the
width inside a (2+1)D convolution is that of the block, unlike in `resnet3d`.
"""

import functools

from keras import Model, layers

from tfdeepfake.layers import contract
from tfdeepfake.layers.conv3d import conv, norm

MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
# What the convolutions of stages 1 to 4 are.
FORMS = {"r3d": ("3d",) * 4, "mc3": ("3d", "2d", "2d", "2d"), "r2plus1d": ("2+1d",) * 4}
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


def video_resnet(
    name: str,
    form: str,
    depth: int = 18,
    input_size: tuple = (112, 112),
    num_frames: int = 16,
    num_classes: int = 1,
    dropout: float = 0.0,
    width: int = 64,
    stem_middle: int = 45,
    blocks: tuple | None = None,
    mean: tuple = MEAN,
    std: tuple = STD,
) -> Model:
    """Scores a clip; the common body of all networks of this file.

    Args:
      name: of the model.
      form: "r3d" (3x3x3 convolutions), "mc3" (3x3x3 in the first stage, 1x3x3 behind it: time keeps its length) or
        "r2plus1d" (1x3x3, then 3x1x1).
      depth: 18 or 34 (two such convolutions a block), 50, 101 or 152 (bottlenecks); published is 18.
      input_size: (height, width) of a frame in px.
      num_frames: T, frames of a clip.
      num_classes: 1 for the logit of FAKE, K for K classes.
      dropout: before the last layer.
      width: channels of the first stage; each stage doubles them.
      stem_middle: channels between space and time in the stem of "r2plus1d".
      blocks: blocks of each stage where not those of `depth`.
      mean, std: of the input, on pixels / 255.
    Returns:
      keras.Model {"frames": [B, T, H, W, 3]} -> float32 [B, num_classes]. `features` is [B, ceil(T/8) (T for "mc3"),
      ceil(H/16), ceil(W/16), 8 * width], four times as many channels with bottlenecks.
    Raises:
      ValueError: an argument is out of range.
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth needs one of {', '.join(map(str, DEPTHS))}, got {depth!r}.")
    counts, bottleneck = DEPTHS[depth]
    clip = contract.frames_input(input_size, num_frames)
    x = contract.pixels_standardised(clip, mean, std)
    if form == "r2plus1d":
        x = _conv_norm_relu(x, stem_middle, (1, 7, 7), (1, 2, 2), "stem_0", "stem_1")
        x = _conv_norm_relu(x, width, (3, 1, 1), 1, "stem_3", "stem_4")
    else:
        x = _conv_norm_relu(x, width, (3, 7, 7), (1, 2, 2), "stem_0", "stem_1")
    for stage, (count, kind) in enumerate(zip(blocks or counts, FORMS[form], strict=True), 1):
        for number in range(count):
            strides = 2 if stage > 1 and number == 0 else 1
            x = _block(x, width * 2 ** (stage - 1), strides, kind, bottleneck, f"layer{stage}_{number}")
    x = layers.Activation("linear", name="features")(x)
    x = layers.GlobalAveragePooling3D(name="embedding")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return Model({"frames": clip}, contract.logits(x, num_classes), name=name)


def _conv_norm_relu(x, filters, kernel, strides, conv_name, norm_name):
    x = norm(conv(x, filters, kernel, strides, name=conv_name), norm_name)
    return layers.ReLU(name=f"{norm_name}_relu")(x)


def _block(x, filters, strides, kind, bottleneck, name):
    channels = x.shape[-1]
    outer = 4 * filters if bottleneck else filters
    # One width for both (2+1)D convolutions of a block, from the block's input, as published.
    middle = 27 * channels * filters // (9 * channels + 3 * filters)
    short = x
    if strides != 1 or channels != outer:
        steps = (1, strides, strides) if kind == "2d" else strides
        short = norm(conv(x, outer, 1, steps, name=f"{name}_downsample_0"), f"{name}_downsample_1")
    if bottleneck:
        x = _conv_norm_relu(x, filters, 1, 1, f"{name}_conv1_0", f"{name}_conv1_1")
        x = norm(_conv(x, filters, middle, strides, kind, f"{name}_conv2_0"), f"{name}_conv2_1")
        x = layers.ReLU(name=f"{name}_conv2_relu")(x)
        x = norm(conv(x, outer, 1, name=f"{name}_conv3_0"), f"{name}_conv3_1")
    else:
        x = norm(_conv(x, filters, middle, strides, kind, f"{name}_conv1_0"), f"{name}_conv1_1")
        x = layers.ReLU(name=f"{name}_conv1_relu")(x)
        x = norm(_conv(x, filters, middle, 1, kind, f"{name}_conv2_0"), f"{name}_conv2_1")
    return layers.ReLU(name=name)(layers.Add(name=f"{name}_add")([x, short]))


def _conv(x, filters, middle, strides, kind, name):
    if kind == "3d":
        return conv(x, filters, 3, strides, name=name)
    if kind == "2d":
        return conv(x, filters, (1, 3, 3), (1, strides, strides), name=name)
    x = _conv_norm_relu(x, middle, (1, 3, 3), (1, strides, strides), f"{name}_0", f"{name}_1")
    return conv(x, filters, (3, 1, 1), (strides, 1, 1), name=f"{name}_3")


def module_name(layer: str) -> str:
    """PyTorch module of a layer: "layer1_0_conv1_0_3" -> "layer1.0.conv1.0.3"."""
    return "fc" if layer == "logits" else layer.replace("_", ".")


def _of_form(name, form):
    network = functools.partial(video_resnet, name, form)
    network.__doc__ = video_resnet.__doc__
    return network


r3d_18 = _of_form("r3d_18", "r3d")
mc3_18 = _of_form("mc3_18", "mc3")
r2plus1d_18 = _of_form("r2plus1d_18", "r2plus1d")
