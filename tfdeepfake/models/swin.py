"""`swin_b`: Swin Transformer for single frames, and the body of TALL's networks (arXiv:2103.14030; P4 Sec. 3.2).

Layer names are those of the authors' PyTorch files with "_" for ".", so that a checkpoint maps onto the network by
name alone (`module_name`, `module_name_timm`, `tables`).
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from keras import Model, layers, ops

from tfdeepfake.layers import contract
from tfdeepfake.layers.drop_path import DropPath
from tfdeepfake.layers.gelu import Gelu
from tfdeepfake.layers.initializers import small_normal
from tfdeepfake.layers.normalization import LayerNormalization
from tfdeepfake.layers.window_attention import WindowAttention
from tfdeepfake.weights import imagenet

if TYPE_CHECKING:
    import keras


EPSILON = 1e-5


def swin_b(
    input_size: tuple = (224, 224),
    embed_dim: int = 128,
    depths: tuple = (2, 2, 18, 2),
    heads: tuple = (4, 8, 16, 32),
    windows: tuple = (7, 7, 7, 7),
    drop_path: float = 0.1,
    dropout: float = 0.0,
    num_classes: int = 1,
    mean: tuple = imagenet.MEAN,
    std: tuple = imagenet.STD,
    seed: int | None = None,
) -> Model:
    """Scores one frame; 87 M parameters.

    Args:
      input_size: (height, width) in px; each stage halves the map behind patches of 4 x 4 px, and a stage's window has
        to divide its map.
      embed_dim: channels of the first stage; each further stage has twice as many.
      depths, heads: blocks and attention heads of each stage.
      windows: side of the attention windows of each stage, in places of its map; no larger than the map is used. P4
        Table 11 has (7, 7, 7, 7), (14, 14, 14, 7) and (28, 28, 28, 7).
      drop_path: how often the last residual is left out in training for an example; grows from 0 at the first.
      dropout: before the last layer.
      num_classes: 1 for the logit of FAKE, K for K classes.
      mean, std: of the input, on pixels / 255.
      seed: of both kinds of dropout.
    Returns:
      keras.Model {"frames": [B, H, W, 3]} -> float32 [B, num_classes]. `features` is [B, H/32, W/32, 8 * embed_dim].
    Raises:
      ValueError: a size that patches, halving or windows do not divide.
    """
    frames = contract.frames_input(input_size)
    x = contract.pixels_standardised(frames, mean, std)
    x = layers.Activation("linear", name="features")(swin(x, embed_dim, depths, heads, windows, drop_path, seed))
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    x = layers.Dropout(dropout, seed=seed, name="dropout")(x)
    return Model({"frames": frames}, contract.logits(x, num_classes), name="swin_b")


def swin(
    x: "keras.KerasTensor",
    embed_dim: int = 128,
    depths: tuple = (2, 2, 18, 2),
    heads: tuple = (4, 8, 16, 32),
    windows: tuple = (7, 7, 7, 7),
    drop_path: float = 0.1,
    seed: int | None = None,
    position: Callable | None = None,
) -> "keras.KerasTensor":
    """The normalised map before pooling.

    Args:
      x: float32 [B, H, W, 3], normalised.
      position: layer applied to the patches before the first block, such as `FramePosition`.
      embed_dim, depths, heads, windows, drop_path, seed: see `swin_b`.
    Returns:
      [B, H/32, W/32, 8 * embed_dim] with four stages.
    """
    if not len(depths) == len(heads) == len(windows):
        raise ValueError(f"depths, heads and windows need one value a stage, got {depths}, {heads}, {windows}.")
    _, height, width, _ = x.shape
    step = 4 * 2 ** (len(depths) - 1)
    if height % step or width % step:
        raise ValueError(f"input_size needs multiples of {step} px with {len(depths)} stages, got ({height}, {width}).")
    x = layers.Conv2D(embed_dim, 4, 4, kernel_initializer=small_normal(), name="patch_embed_proj")(x)
    x = _norm(x, "patch_embed_norm")
    if position is not None:
        x = position(x)
    rates = np.linspace(0, drop_path, sum(depths)).tolist()
    for stage, (depth, count, window) in enumerate(zip(depths, heads, windows, strict=True)):
        for block in range(depth):
            number = sum(depths[:stage]) + block
            block_seed = None if seed is None else seed + 1 + number
            x = _block(x, count, window, block % 2 == 1, rates[number], block_seed, f"layers_{stage}_blocks_{block}")
        if stage < len(depths) - 1:
            x = _merge(x, f"layers_{stage}_downsample")
    return _norm(x, "norm")


def _norm(x, name):
    return LayerNormalization(epsilon=EPSILON, name=name)(x)


def _dense(x, units, name, **kwargs):
    return layers.Dense(units, kernel_initializer=small_normal(), name=name, **kwargs)(x)


def _block(x, heads, window, shifted, rate, seed, name):
    """Attention within windows, then two linear layers, each added to its input."""
    height, width, channels = x.shape[1:]
    # A window as large as the map sees all of it; there is nothing to shift.
    window, shifted = (min(height, width), False) if min(height, width) <= window else (window, shifted)
    y = _dense(_norm(x, f"{name}_norm1"), 3 * channels, f"{name}_attn_qkv")
    y = WindowAttention(heads, window, window // 2 if shifted else 0, name=f"{name}_attn")(y)
    x = _add(x, _dense(y, channels, f"{name}_attn_proj"), rate, seed, f"{name}_add1")
    y = _dense(_norm(x, f"{name}_norm2"), 4 * channels, f"{name}_mlp_fc1")
    y = Gelu(name=f"{name}_mlp_act")(y)
    return _add(x, _dense(y, channels, f"{name}_mlp_fc2"), rate, seed, f"{name}_add2")


def _add(x, y, rate, seed, name):
    if rate:
        y = DropPath(rate, seed=seed, name=f"{name}_drop_path")(y)
    return layers.Add(name=name)([x, y])


def _merge(x, name):
    """Halves the map: 2 x 2 places become one, (0, 0), (1, 0), (0, 1), (1, 1) in this order of (row, column)."""
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height // 2, 2, width // 2, 2, channels))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 4, 2, 5)), (-1, height // 2, width // 2, 4 * channels))
    return _dense(_norm(x, f"{name}_norm"), 2 * channels, f"{name}_reduction", use_bias=False)


def module_name(layer: str) -> str:
    """Module of a layer in the authors' naming: "layers_0_blocks_1_attn_qkv" -> "layers.0.blocks.1.attn.qkv"."""
    return "head" if layer == "logits" else layer.replace("_", ".").replace("patch.embed", "patch_embed")


def module_name_timm(layer: str) -> str:
    """The same as timm names it since 0.9: a stage begins with its halving, and the head has one more name."""
    if layer == "logits":
        return "head.fc"
    name = module_name(layer)
    return re.sub(r"layers\.(\d+)\.downsample", lambda match: f"layers.{int(match[1]) + 1}.downsample", name)


def naming(tensors: dict) -> Callable:
    """Which of the two namings a file has, `module_name` or `module_name_timm`, by where its first halving stands."""
    return module_name if any(name.startswith("layers.0.downsample.") for name in tensors) else module_name_timm


def tables(model: Model, name: Callable = module_name) -> dict:
    """`extra` of `torch_assign.assign` for the tables of relative position bias."""
    return {
        f"{layer.name}/relative_position_bias_table": (_table(layer, name), _same)
        for layer in model.layers
        if isinstance(layer, WindowAttention)
    }


def tables_timm(model: Model) -> dict:
    """`tables` by timm's names."""
    return tables(model, module_name_timm)


def fitted(tensors: dict, model: Model, name: Callable = module_name) -> dict:
    """Position tables of a file enlarged (or shrunk) to the windows of `model`, bicubically, head by head.

    A window of 7 has 13 x 13 offsets, one of 14 has 27 x 27; the same offset then means half as much of a window, and
    neighbouring offsets stay alike.

    Returns:
      dict tensor name -> array, the other tensors as they are.
    """
    tensors = dict(tensors)
    for layer in model.layers:
        table = tensors.get(_table(layer, name)) if isinstance(layer, WindowAttention) else None
        if table is None or table.ndim != 2 or table.shape == tuple(layer.relative_position_bias_table.shape):
            continue
        old, new = round(len(table) ** 0.5), 2 * layer.window - 1
        if old**2 == len(table):
            square = table.astype("float32").reshape(1, old, old, -1)
            square = ops.image.resize(square, (new, new), "bicubic", antialias=False)
            tensors[_table(layer, name)] = ops.convert_to_numpy(square).reshape(new**2, -1)
    return tensors


def _table(layer, name):
    return f"{name(layer.name)}.relative_position_bias_table"


def _same(array):
    return array
