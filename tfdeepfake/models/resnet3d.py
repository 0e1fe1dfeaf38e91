"""3D ResNets, ResNeXt and R(2+1)D in the form of the Kinetics checkpoints (Hara et al., arXiv:1711.09577, 2004.04968).

P3 Sec. 4 and Table 6, P0 III-B. Layer names are those of the published PyTorch files with "_" for ".", so that a
checkpoint maps onto the network by name alone (`module_name`). Options of P3 Sec. 2.2: squeeze-and-excitation inside
the blocks, non-local blocks behind them.
"""

import functools
import re

from keras import Model, layers, ops

from tfdeepfake.layers import contract
from tfdeepfake.layers.attention3d import nonlocal_block, squeeze_excite
from tfdeepfake.layers.conv3d import conv, max_pool, norm

# Mean and standard deviation of Kinetics on pixels / 255, as the checkpoints were trained with.
KINETICS_MEAN = (0.4345, 0.4051, 0.3775)
KINETICS_STD = (0.2768, 0.2713, 0.2737)

# depth -> (blocks of each stage, whether they are bottlenecks)
DEPTHS = {
    10: ((1, 1, 1, 1), False),
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
    200: ((3, 24, 36, 3), True),
}


def resnet3d(
    name: str,
    depth: int,
    factorised: bool = False,
    input_size: tuple = (112, 112),
    num_frames: int = 16,
    num_classes: int = 1,
    dropout: float = 0.0,
    width: int = 64,
    stem_width: int | None = None,
    expansion: int = 4,
    cardinality: int = 1,
    blocks: tuple | None = None,
    shortcut: str = "B",
    stem_kernel: tuple = (7, 7, 7),
    stem_strides: tuple = (1, 2, 2),
    stem_pool: bool = True,
    se_reduction: int | None = None,
    se_stages: tuple = (1, 2, 3, 4),
    nonlocal_after: tuple = (),
    nonlocal_inner: int | None = None,
    head_bias: bool = True,
    mean: tuple = KINETICS_MEAN,
    std: tuple = KINETICS_STD,
) -> Model:
    """Scores a clip; the common body of all networks of this file.

    Args:
      name: of the model.
      depth: 10, 18, 34 (two 3x3x3 convolutions a block), 50, 101, 152 or 200 (bottlenecks).
      factorised: (2+1)D convolutions, space and then time, in place of 3x3x3 ones (P0 III-B).
      input_size: (height, width) of a frame in px.
      num_frames: T, frames of a clip.
      num_classes: 1 for the logit of FAKE, K for K classes.
      dropout: before the last layer.
      width: channels of the first stage's 3x3x3 convolutions; each stage doubles them.
      stem_width: channels of the stem; `width` when not given.
      expansion: how many times that a bottleneck gives out: 4, or 2 in ResNeXt.
      cardinality: groups of the bottlenecks' 3x3x3 convolutions; published is 32. Their channels do not depend on it.
      blocks: blocks of each stage where not those of `depth`.
      shortcut: where a block changes the size, "B" projects its input, "A" samples it and fills up with zeros.
      stem_kernel, stem_strides: of the first convolution (time, height, width).
      stem_pool: whether a max-pool halves the map behind the first convolution.
      se_reduction: r of squeeze-and-excitation at the end of each block, None for none. P3 prints 94,303,808
        parameters for its ResNet-101 without saying r; 16 gives 89,992,384, 8 gives 94,735,552, both with the two
        bias-free outputs of its other counts.
      se_stages: which of the stages 1 to 4 have it.
      nonlocal_after: where non-local blocks stand: stage s for one behind that stage (4 in P3, 93,647,040
        parameters), (s, b) for one behind block b of stage s, counted from 0.
      nonlocal_inner: channels inside them; half of those outside when not given.
      head_bias: False as in the network that P3 counts.
      mean, std: of the input, on pixels / 255.
    Returns:
      keras.Model {"frames": [B, T, H, W, 3]} -> float32 [B, num_classes]. `features` is [B, ceil(T/16), ceil(H/32),
      ceil(W/32), 8 * width * expansion] (512 channels without bottlenecks).
    Raises:
      ValueError: an argument is out of range.
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth needs one of {', '.join(map(str, DEPTHS))}, got {depth!r}.")
    if shortcut not in ("A", "B"):
        raise ValueError(f"shortcut needs 'A' or 'B', got {shortcut!r}.")
    counts, bottleneck = DEPTHS[depth]
    counts = counts if blocks is None else tuple(blocks)
    wanted = _nonlocal_places(nonlocal_after, counts)
    clip = contract.frames_input(input_size, num_frames)
    x = contract.pixels_standardised(clip, mean, std)
    x = _stem(x, stem_width or width, stem_kernel, stem_strides, factorised)
    if stem_pool:
        x = max_pool(x, 3, 2, name="maxpool")
    for stage, count in enumerate(counts, 1):
        for number in range(count):
            filters, strides = width * 2 ** (stage - 1), 2 if stage > 1 and number == 0 else 1
            block = f"layer{stage}_{number}"
            short = x
            if bottleneck:
                x = _bottleneck(x, filters, expansion * filters, strides, block, cardinality, factorised)
            else:
                x = _basic(x, filters, strides, block, factorised)
            if se_reduction is not None and stage in se_stages:
                x = squeeze_excite(x, se_reduction, name=f"{block}_se")
            short = _shortcut(short, x.shape[-1], strides, block, shortcut)
            x = layers.ReLU(name=block)(layers.Add(name=f"{block}_add")([x, short]))
            if (stage, number) in wanted:
                x = nonlocal_block(x, nonlocal_inner, name=wanted[stage, number])
    x = layers.Activation("linear", name="features")(x)
    x = layers.GlobalAveragePooling3D(name="embedding")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return Model({"frames": clip}, contract.logits(x, num_classes, head_bias), name=name)


def _nonlocal_places(nonlocal_after, counts):
    """{(stage, block): layer name}."""
    places = {}
    for place in nonlocal_after:
        whole = isinstance(place, int)
        stage, number = (place, None) if whole else place
        if not 1 <= stage <= len(counts) or not (whole or 0 <= number < counts[stage - 1]):
            raise ValueError(f"nonlocal_after needs stages 1 to {len(counts)} or (stage, block), got {place!r}.")
        places[stage, counts[stage - 1] - 1 if whole else number] = f"nonlocal{stage}" + ("" if whole else f"_{number}")
    return places


def _stem(x, filters, kernel, strides, factorised):
    if factorised:
        x = _space_time(x, filters, kernel, strides, "conv1")
    else:
        x = norm(conv(x, filters, kernel, strides, name="conv1"), "bn1")
    return layers.ReLU(name="relu")(x)


def _space_time(x, filters, kernel, strides, name):
    """A 3D convolution as space, then time; the width between keeps the parameter count of the 3D one (P0 III-B)."""
    (t, h, w), channels = kernel, x.shape[-1]
    middle = t * h * w * channels * filters // (h * w * channels + t * filters)
    bn = name.replace("conv", "bn")
    x = conv(x, middle, (1, h, w), (1, *strides[1:]), name=f"{name}_s")
    x = layers.ReLU(name=f"{name}_relu_s")(norm(x, f"{bn}_s"))
    return norm(conv(x, filters, (t, 1, 1), (strides[0], 1, 1), name=f"{name}_t"), f"{bn}_t")


def _cube(x, filters, strides, block, number, factorised=False, groups=1):
    """Convolution `number` of a block, 3x3x3 or (2+1)D, and its normalisation."""
    if factorised:
        return _space_time(x, filters, (3, 3, 3), (strides,) * 3, f"{block}_conv{number}")
    return norm(conv(x, filters, 3, strides, groups, name=f"{block}_conv{number}"), f"{block}_bn{number}")


def _basic(x, filters, strides, block, factorised):
    x = layers.ReLU(name=f"{block}_relu1")(_cube(x, filters, strides, block, 1, factorised))
    return _cube(x, filters, 1, block, 2, factorised)


def _bottleneck(x, inner, outer, strides, block, groups, factorised):
    if inner % groups:
        raise ValueError(f"cardinality needs to divide the {inner} channels of {block}, got {groups}.")
    x = norm(conv(x, inner, 1, name=f"{block}_conv1"), f"{block}_bn1")
    x = layers.ReLU(name=f"{block}_relu1")(x)
    x = layers.ReLU(name=f"{block}_relu2")(_cube(x, inner, strides, block, 2, factorised, groups))
    return norm(conv(x, outer, 1, name=f"{block}_conv3"), f"{block}_bn3")


def _shortcut(x, filters, strides, block, kind):
    """The block's input in the size of its output."""
    if x.shape[-1] == filters and strides == 1:
        return x
    if kind == "A":
        x = x[:, ::strides, ::strides, ::strides]
        return ops.pad(x, [(0, 0)] * 4 + [(0, filters - x.shape[-1])])
    return norm(conv(x, filters, 1, strides, name=f"{block}_downsample_0"), f"{block}_downsample_1")


def module_name(layer: str) -> str:
    """PyTorch module of a layer in the published files: "layer1_0_downsample_0" -> "layer1.0.downsample.0"."""
    if layer == "logits":
        return "fc"
    return re.sub(r"_(?=\d)|(?<=\d)_(?=conv|bn|downsample|se)", ".", layer)


def module_name_nonlocal(layer: str) -> str:
    """The same in the form of P3's non-local network: stage 4 is "layer4.0", the block behind it "layer4.1"."""
    if match := re.fullmatch(r"nonlocal4_(.*)", layer):
        return f"r.layer4.1.{match[1].replace('_', '.')}"
    return "r." + module_name(layer).replace("layer4.", "layer4.0.")


def _of_depth(name, depth, *args, **fixed):
    network = functools.partial(resnet3d, name, depth, *args, **fixed)
    network.__doc__ = resnet3d.__doc__
    return network


resnet3d_18 = _of_depth("resnet3d_18", 18, False)
resnet3d_34 = _of_depth("resnet3d_34", 34, False)
resnet3d_50 = _of_depth("resnet3d_50", 50, False)
resnet3d_101 = _of_depth("resnet3d_101", 101, False)
resnet3d_152 = _of_depth("resnet3d_152", 152, False)
resnet3d_200 = _of_depth("resnet3d_200", 200, False)
resnext3d_50 = _of_depth("resnext3d_50", 50, False, width=128, expansion=2, cardinality=32)
resnext3d_101 = _of_depth("resnext3d_101", 101, False, width=128, expansion=2, cardinality=32)
# (2+1)D as Hara et al. publish it. The 18-layer network of that name most people mean is in video_resnets.py.
r2plus1d_hara_18 = _of_depth("r2plus1d_hara_18", 18, True)
r2plus1d_34 = _of_depth("r2plus1d_34", 34, True)
r2plus1d_50 = _of_depth("r2plus1d_50", 50, True)
r2plus1d_101 = _of_depth("r2plus1d_101", 101, True)
