"""Vision Transformers for single frames: `vit_b`, also the body of TALL's ViT (arXiv:2010.11929; P4 Table 6), and
`clip_vit_l14`, the image tower of CLIP under GenD's head (arXiv:2103.00020, 2508.06248).

Layer names are those of timm's PyTorch files with "_" for ".", so that a checkpoint maps onto the network by name
alone (`module_name`, `tokens`); GenD's file has names of its own (`module_name_gend`, `tensors_gend`).
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from keras import Model, layers, ops, saving

from tfdeepfake.layers import contract
from tfdeepfake.layers.drop_path import DropPath
from tfdeepfake.layers.gelu import Gelu
from tfdeepfake.layers.initializers import small_normal
from tfdeepfake.layers.normalization import LayerNormalization
from tfdeepfake.layers.self_attention import SelfAttention

if TYPE_CHECKING:
    import keras


# The ImageNet-21k files of the authors take -1..1; others of timm's take ImageNet's mean and deviation.
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
EPSILON = 1e-6
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CLIP_EPSILON = 1e-5
POOLS = ("token", "avg")


def vit_b(
    input_size: tuple = (224, 224),
    patch: int = 16,
    embed_dim: int = 768,
    depth: int = 12,
    heads: int = 12,
    pool: str = "token",
    drop_path: float = 0.1,
    dropout: float = 0.0,
    num_classes: int = 1,
    mean: tuple = MEAN,
    std: tuple = STD,
    seed: int | None = None,
) -> Model:
    """Scores one frame; 86 M parameters.

    Args:
      input_size: (height, width) in px, multiples of `patch`.
      patch: side of a patch in px.
      embed_dim, depth, heads: channels, blocks, and attention heads of each block.
      pool: what the last layer sees: "token", the class token, as published, or "avg", the mean over patches.
      drop_path: how often the last residual is left out in training for an example; grows from 0 at the first.
      dropout: before the last layer.
      num_classes: 1 for the logit of FAKE, K for K classes.
      mean, std: of the input, on pixels / 255.
      seed: of both kinds of dropout.
    Returns:
      keras.Model {"frames": [B, H, W, 3]} -> float32 [B, num_classes]. `features` is [B, H/patch, W/patch, embed_dim]:
      with "avg" the map behind the last block; with "token" the one before it, because what the last block makes of
      the patches is not looked at.
    Raises:
      ValueError: a size that the patches do not divide, or an argument out of range.
    """
    frames = contract.frames_input(input_size)
    x = contract.pixels_standardised(frames, mean, std)
    x, token = vit(x, patch, embed_dim, depth, heads, pool, drop_path, seed)
    x = pooled(x, token)
    x = layers.Dropout(dropout, seed=seed, name="dropout")(x)
    return Model({"frames": frames}, contract.logits(x, num_classes), name="vit_b")


def clip_vit_l14(
    input_size: tuple = (224, 224),
    patch: int = 14,
    embed_dim: int = 1024,
    depth: int = 24,
    heads: int = 16,
    drop_path: float = 0.0,
    dropout: float = 0.0,
    num_classes: int = 1,
    mean: tuple = CLIP_MEAN,
    std: tuple = CLIP_STD,
    seed: int | None = None,
) -> Model:
    """Scores one aligned face as GenD does; 303 M parameters, 78 GMACs (81 if the last block computed the patches too).

    CLIP's tower differs from `vit_b` by a normalisation before the first block, patches without bias, and
    x * sigmoid(1.702 x) where others have GELU. `embedding` is the class token behind the last normalisation, scaled
    to length 1, so that the last layer sees directions only (arXiv:2508.06248 Sec. 3); CLIP's projection to 768
    dimensions is left out.

    Args:
      input_size, patch, embed_dim, depth, heads, num_classes, mean, std, seed: see `vit_b`.
      drop_path, dropout: see `vit_b`; GenD is trained without.
    Returns:
      keras.Model {"frames": [B, H, W, 3]} -> float32 [B, num_classes]. `features` is [B, H/patch, W/patch, embed_dim],
      the map before the last block.
    Raises:
      ValueError: a size that the patches do not divide, or an argument out of range.
    """
    frames = contract.frames_input(input_size)
    x = contract.pixels_standardised(frames, mean, std)
    _, token = vit(
        x, patch, embed_dim, depth, heads, drop_path=drop_path, seed=seed,
        norm_first=True, activation=quick_gelu, epsilon=CLIP_EPSILON,
    )  # fmt: skip
    x = layers.UnitNormalization(name="embedding")(token)
    x = layers.Dropout(dropout, seed=seed, name="dropout")(x)
    return Model({"frames": frames}, contract.logits(x, num_classes), name="clip_vit_l14")


@saving.register_keras_serializable("tfdeepfake")
def quick_gelu(x: "keras.KerasTensor") -> "keras.KerasTensor":
    """The approximation of GELU that CLIP was trained with: x * sigmoid(1.702 x)."""
    return x * ops.sigmoid(1.702 * x)


def pooled(x: "keras.KerasTensor", token: "keras.KerasTensor | None") -> "keras.KerasTensor":
    """Layer `embedding` [B, C] from what `vit` gives."""
    if token is None:
        return layers.GlobalAveragePooling2D(name="embedding")(x)
    return layers.Activation("linear", name="embedding")(token)


def vit(
    x: "keras.KerasTensor",
    patch: int = 16,
    embed_dim: int = 768,
    depth: int = 12,
    heads: int = 12,
    pool: str = "token",
    drop_path: float = 0.1,
    seed: int | None = None,
    position: Callable | None = None,
    norm_first: bool = False,
    activation: Callable | None = None,
    epsilon: float = EPSILON,
) -> tuple:
    """Map and class token.

    Args:
      x: float32 [B, H, W, 3], normalised.
      position: layer applied to the map of patches before the first block, such as `FramePosition`.
      norm_first: normalises before the first block (layer `norm_pre`); patches then go without a bias, which that
        normalisation would mostly undo.
      activation: between the two linear layers of a block; GELU when not given.
      epsilon: of all normalisations.
      patch, embed_dim, depth, heads, pool, drop_path, seed: see `vit_b`.
    Returns:
      (layer `features` [B, h, w, C], class token [B, C] or None with pool="avg").
    """
    if pool not in POOLS:
        raise ValueError(f"pool needs one of {POOLS}, got {pool!r}.")
    if depth < 1 or embed_dim % heads:
        raise ValueError(f"heads needs to divide embed_dim, depth to be 1 or more; got {heads}, {embed_dim}, {depth}.")
    _, height, width, _ = x.shape
    if height % patch or width % patch:
        raise ValueError(f"input_size needs multiples of {patch} px, the patches' side, got ({height}, {width}).")
    x = layers.Conv2D(
        embed_dim, patch, patch, use_bias=not norm_first, kernel_initializer=small_normal(), name="patch_embed_proj"
    )(x)
    if position is not None:
        x = position(x)
    size = x.shape[1:]
    x = ClassToken(name="tokens")(layers.Reshape((-1, embed_dim), name="patches")(x))
    if norm_first:
        x = _norm(x, epsilon, "norm_pre")
    rates = np.linspace(0, drop_path, depth).tolist()
    for number, rate in enumerate(rates):
        if pool == "token" and number == depth - 1:
            features = layers.Reshape(size, name="features")(x[:, 1:])
            x = ops.concatenate([x[:, :1], ops.reshape(features, (-1, size[0] * size[1], embed_dim))], axis=1)
        drawn = None if seed is None else seed + 1 + number
        # Behind the last block the token alone is looked at, so that nothing is computed there for the patches.
        num_queries = 1 if pool == "token" and number == depth - 1 else None
        x = _block(x, heads, activation, epsilon, rate, drawn, num_queries, f"blocks_{number}")
    x = _norm(x, epsilon, "norm")
    if pool == "token":
        return features, x[:, 0]
    return layers.Reshape(size, name="features")(x[:, 1:]), None


def _norm(x, epsilon, name):
    return LayerNormalization(epsilon=epsilon, name=name)(x)


def _dense(x, units, name, **kwargs):
    return layers.Dense(units, kernel_initializer=small_normal(), name=name, **kwargs)(x)


def _block(x, heads, activation, epsilon, rate, seed, num_queries, name):
    """Attention of the first `num_queries` places (None: of all) to all, then two linear layers, each added to its
    input."""
    channels = x.shape[-1]
    y = _dense(_norm(x, epsilon, f"{name}_norm1"), 3 * channels, f"{name}_attn_qkv")
    y = SelfAttention(heads, num_queries, name=f"{name}_attn")(y)
    x = x if num_queries is None else x[:, :num_queries]
    x = _add(x, _dense(y, channels, f"{name}_attn_proj"), rate, seed, f"{name}_add1")
    y = _dense(_norm(x, epsilon, f"{name}_norm2"), 4 * channels, f"{name}_mlp_fc1")
    y = layers.Activation(activation, name=f"{name}_mlp_act")(y) if activation else Gelu(name=f"{name}_mlp_act")(y)
    return _add(x, _dense(y, channels, f"{name}_mlp_fc2"), rate, seed, f"{name}_add2")


def _add(x, y, rate, seed, name):
    if rate:
        y = DropPath(rate, seed=seed, name=f"{name}_drop_path")(y)
    return layers.Add(name=name)([x, y])


@saving.register_keras_serializable("tfdeepfake")
class ClassToken(layers.Layer):
    """Puts a learned token before the patches and adds a learned position to each: [B, N, C] -> [B, 1 + N, C]."""

    def build(self, input_shape: tuple) -> None:
        _, count, channels = input_shape
        self.cls_token = self.add_weight(shape=(1, 1, channels), initializer=small_normal(), name="cls_token")
        self.pos_embed = self.add_weight(shape=(1, 1 + count, channels), initializer=small_normal(), name="pos_embed")

    def call(self, x) -> "keras.KerasTensor":
        token = ops.zeros_like(x[:, :1]) + self.cls_token
        return ops.concatenate([token, x], axis=1) + self.pos_embed

    def compute_output_shape(self, input_shape) -> tuple:
        return (input_shape[0], 1 + input_shape[1], input_shape[2])


def module_name(layer: str) -> str:
    """timm's module of a layer: "blocks_0_attn_qkv" -> "blocks.0.attn.qkv"."""
    return "head" if layer == "logits" else layer.replace("_", ".").replace("patch.embed", "patch_embed")


def tokens(model: Model) -> dict:
    """`extra` of `torch_assign.assign` for class token and positions."""
    return {f"tokens/{name}": (name, _same) for name in ("cls_token", "pos_embed")}


def _same(array):
    return array


_TOWER = "feature_extractor.vision_model."
_GEND = {
    "patch_embed_proj": f"{_TOWER}embeddings.patch_embedding",
    "norm_pre": f"{_TOWER}pre_layrnorm",
    "norm": f"{_TOWER}post_layernorm",
    "logits": "model.linear",
}
_GEND_PARTS = {"norm1": "layer_norm1", "norm2": "layer_norm2", "attn_proj": "self_attn.out_proj"}
_GEND_PARTS |= {"mlp_fc1": "mlp.fc1", "mlp_fc2": "mlp.fc2", "attn_qkv": "self_attn"}


def module_name_gend(layer: str) -> str:
    """GenD's module of a layer: "blocks_0_norm1" -> "feature_extractor.vision_model.encoder.layers.0.layer_norm1"."""
    if match := re.fullmatch(r"blocks_(\d+)_(\w+)", layer):
        return f"{_TOWER}encoder.layers.{match[1]}.{_GEND_PARTS[match[2]]}"
    return _GEND[layer]


def tensors_gend(model: Model) -> dict:
    """`extra` of `torch_assign.assign` for GenD's file: query, key and value, which are three layers there, token and
    positions."""
    extra = {
        "tokens/cls_token": (f"{_TOWER}embeddings.class_embedding", lambda array: array[None, None]),
        "tokens/pos_embed": (f"{_TOWER}embeddings.position_embedding.weight", lambda array: array[None]),
    }
    for layer in model.layers:
        if layer.name.endswith("_attn_qkv"):
            for ours, theirs in (("kernel", "weight"), ("bias", "bias")):
                names = tuple(f"{module_name_gend(layer.name)}.{part}_proj.{theirs}" for part in "qkv")
                extra[f"{layer.name}/{ours}"] = (names, _side_by_side)
    return extra


def _side_by_side(*arrays):
    """[out, in] or [out] of equal PyTorch layers -> [in, sum of out] or [sum of out] of one."""
    if len({array.shape for array in arrays}) > 1:
        raise ValueError("layers of different sizes do not stand side by side.")
    return np.concatenate(arrays).T
