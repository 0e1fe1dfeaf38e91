"""`swin_b`: Swin Transformer for single frames, and the body of TALL's networks (arXiv:2103.14030; P4 Sec. 3.2).

Layer names are those of the authors' PyTorch files with "_" for ".", so that a checkpoint maps onto the network by
name alone (`module_name`, `module_name_timm`, `tables`).
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from keras import Model, layers, ops, saving

from tfdeepfake.layers import contract
from tfdeepfake.layers.attention import attend
from tfdeepfake.layers.drop_path import DropPath
from tfdeepfake.layers.gelu import Gelu
from tfdeepfake.layers.initializers import small_normal
from tfdeepfake.layers.normalization import LayerNormalization
from tfdeepfake.weights import imagenet

if TYPE_CHECKING:
    import keras


EPSILON = 1e-5
# Added to the scores of places that are no neighbours in the image although a shifted window holds both.
APART = -100.0


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
    position: Callable | None | None = None,
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
