"""TALL, frame networks that read a clip as a thumbnail of its frames, and TALL++ (P4; arXiv:2307.07494).

The thumbnail is made inside the network, so these take clips like every clip network.
"""

import functools

from keras import Model, layers, ops

from tfdeepfake.errors import InputError
from tfdeepfake.layers import contract
from tfdeepfake.layers.graph_reasoning import SemanticConsistency, graph_reasoning
from tfdeepfake.layers.thumbnail import FramePosition, thumbnail
from tfdeepfake.models import backbones, efficientnet, efficientnet_names, swin, vit
from tfdeepfake.weights import imagenet, torch_assign

IMAGENET = (imagenet.MEAN, imagenet.STD)
# backbone -> (mean and deviation of its input on pixels / 255, width of the graph reasoning block)
BACKBONES = {
    "swin": (IMAGENET, 512),
    "vit": ((vit.MEAN, vit.STD), 512),
    # These two normalise inside: by the means of the file of keras.applications, and to -1..1.
    "resnet50": (((123.68 / 255, 116.779 / 255, 103.939 / 255), None), 256),
    "small": (((0.5, 0.5, 0.5), None), 256),
    "efficientnet_b4": (IMAGENET, 256),
}
# The published files that P4 starts from.
_FILES = {
    "swin": imagenet.SWIN_22K_FILE,
    "vit": imagenet.VIT_FILE,
    "efficientnet_b4": imagenet.EFFICIENTNET_FILES.format("b4", "6ed6700e"),
}
WINDOWS = (14, 14, 14, 7)


def tall(
    name: str,
    backbone: str = "swin",
    input_size: tuple = (112, 112),
    num_frames: int = 4,
    rows: int = 2,
    columns: int = 2,
    snake: bool = False,
    order: str = "forward",
    empty: int = 0,
    thumbnail_size: tuple = (224, 224),
    tile_size: tuple[int, int] | None = None,
    mask_px: int = 16,
    frame_position: bool = True,
    whole_frames: bool = False,
    graph: bool = False,
    graph_inner: int | None = None,
    consistency: float = 0.0,
    backbone_args: dict | None = None,
    mean: tuple | None = None,
    std: tuple | None = None,
    dropout: float = 0.0,
    num_classes: int = 1,
    weights: str | None = None,
    seed: int | None = None,
) -> Model:
    """Scores a clip; the common body of all networks of this file.

    Args:
      name: of the model.
      backbone: "swin" (Swin-B with windows (14, 14, 14, 7) of P4 Table 11), "vit" (ViT-B), "resnet50",
        "efficientnet_b4" or "small" (learns from scratch, see `backbones.small`).
      input_size: (height, width) of a frame in px. The authors' code takes 112.
      num_frames: T, frames of a clip; rows * columns - empty.
      rows, columns, snake, order, empty, tile_size, mask_px: the thumbnail, see `layers.thumbnail.thumbnail`.
      thumbnail_size: (height, width) of the image that the backbone sees, in px.
      frame_position: adds a learned vector per frame to the patches of "swin" and "vit" (P4 Sec. 3.2). The others have
        no position encoding that it could stand beside.
      whole_frames: no thumbnail: the backbone sees each frame by itself, at `input_size`, and what it finds is averaged
        over the frames (variants 1, 4 and 5 of P4 Table 7). Arguments of the thumbnail, and frame_position, have no
        effect then.
      graph: adds the graph reasoning block behind the last map (P4 Sec. 3.3); `features` is then the map it takes,
        `graph` the one it gives. "vit" then pools patches.
      graph_inner: its width; 512, or 256 for convolutional backbones, when not given.
      consistency: alpha of the semantic consistency loss (P4 Eq. 4), 0 for none; it is computed in training behind
        the graph reasoning block (behind the last map without one) and adds itself to any loss.
      backbone_args: dict of further arguments of the backbone: those of `swin.swin`, `vit.vit`,
        `efficientnet.feature_map`, or width of "small".
      mean, std: of the input of "swin", "vit" and "efficientnet_b4", on pixels / 255, where not theirs.
      dropout: before the last layer.
      num_classes: 1 for the logit of FAKE, K for K classes.
      weights: path of the backbone's ImageNet file: Swin-B of the authors or timm (position tables are enlarged for
        other windows), ViT-B of timm, EfficientNet-B4 of EfficientNet-PyTorch, ResNet50 of keras.applications (or
        "imagenet", which downloads it). None for random weights.
      seed: of mask, random order and dropout.
    Returns:
      keras.Model {"frames": [B, T, H, W, 3]} -> float32 [B, num_classes].
    Raises:
      ValueError: an argument is out of range, the frames do not fill the grid, or windows do not divide the map.
      InputError: `weights` does not fit the backbone.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"backbone needs one of {', '.join(BACKBONES)}, got {backbone!r}.")
    (own_mean, own_std), inner = BACKBONES[backbone]
    if (mean is not None or std is not None) and own_std is None:
        raise ValueError(f"mean and std need None with backbone {backbone!r}, which has its own.")
    mean, std = own_mean if mean is None else mean, own_std if std is None else std
    clip = contract.frames_input(input_size, num_frames)
    if whole_frames:
        x, position = contract.fold_time(clip), None
    else:
        fill = [255 * value for value in mean]
        x = thumbnail(clip, rows, columns, thumbnail_size, tile_size, snake, order, empty, mask_px, fill, seed)
        position = FramePosition(rows, columns, snake, name="frame_pos_embed") if frame_position else None
    if std is not None:
        x = contract.pixels_standardised(x, mean, std)
    x, token = _BODIES[backbone](x, position, graph, seed, backbone_args or {})
    if graph:
        x = graph_reasoning(x, graph_inner or inner)
    if whole_frames:
        # One above the other: a grid of one column, whose cells are the frames.
        x, token, rows, columns, snake = _stacked(x, num_frames), _stacked(token, num_frames), num_frames, 1, False
    if consistency:
        x = SemanticConsistency(rows, columns, snake, consistency, name="semantic_consistency")(x)
    x = layers.Dropout(dropout, seed=seed, name="dropout")(vit.pooled(x, token))
    model = Model({"frames": clip}, contract.logits(x, num_classes), name=name)
    return model if weights is None else _load(model, backbone, weights)


def _stacked(x, num_frames):
    """Maps of frames [B * T, h, w, C] -> [B, T * h, w, C]; tokens [B * T, C] -> their mean [B, C]."""
    if x is None:
        return None
    if len(x.shape) == 2:
        return ops.mean(ops.reshape(x, (-1, num_frames, x.shape[-1])), axis=1)
    return ops.reshape(x, (-1, num_frames * x.shape[1], *x.shape[2:]))


def _swin(x, position, graph, seed, args):
    x = swin.swin(x, seed=seed, position=position, **({"windows": WINDOWS} | args))
    return layers.Activation("linear", name="features")(x), None


def _vit(x, position, graph, seed, args):
    # A class token would bypass the graph, which works on places of the map.
    return vit.vit(x, seed=seed, position=position, **(({"pool": "avg"} if graph else {}) | args))


def _resnet50(x, position, graph, seed, args):
    return backbones.resnet50(x, **args), None


def _small(x, position, graph, seed, args):
    return backbones.small(x, **args), None


def _efficientnet_b4(x, position, graph, seed, args):
    native = efficientnet.VARIANTS["b4"][2]  # the published weights are used to the padding of that size
    return efficientnet.feature_map(x, "b4", seed=seed, **({"pad_size": native} | args)), None


_BODIES = {
    "swin": _swin, "vit": _vit, "resnet50": _resnet50, "small": _small, "efficientnet_b4": _efficientnet_b4,
}  # fmt: skip


def _load(model, backbone, weights):
    """Published ImageNet weights into the backbone's layers; the others keep theirs."""
    if backbone in ("resnet50", "small"):
        return backbones.load(model, backbone, weights)
    if weights == "imagenet":
        raise InputError(
            "weights='imagenet'",
            f"is not downloaded for {backbone}.",
            f"Fetch {_FILES[backbone]} and give its path, or train from weights=None.",
        )
    tensors, extra, naming, heads = torch_assign.read(weights), {}, vit.module_name, ("head.",)
    if backbone == "swin":
        naming = swin.naming(tensors)
        tensors, extra = swin.fitted(tensors, model, naming), swin.tables(model, naming)
    elif backbone == "vit":
        extra = vit.tokens(model)
    else:
        naming, heads = efficientnet_names.module_name, ("_fc.",)
    tensors = {name: array for name, array in tensors.items() if not name.startswith(heads)}
    ours = ("frame_pos_embed", "graph_", "logits")
    keep = [layer.name for layer in model.layers if layer.name.startswith(ours)]
    torch_assign.assign(model, tensors, naming, weights, extra, imagenet.SWIN_UNUSED, keep)
    return model


def _named(name, backbone, **fixed):
    network = functools.partial(tall, name, backbone=backbone, **fixed)
    network.__doc__ = tall.__doc__
    return network


tall_swin = _named("tall_swin", "swin")
tall_vit = _named("tall_vit", "vit")
tall_resnet50 = _named("tall_resnet50", "resnet50")
tall_efficientnet_b4 = _named("tall_efficientnet_b4", "efficientnet_b4")
tall_plus_plus = _named("tall_plus_plus", "swin", graph=True, consistency=0.5)


def tables(model: Model) -> dict:
    """`extra` of `torch_assign.assign` for a checkpoint of the authors' code over Swin-B."""
    return swin.tables(model) | {"frame_pos_embed/embedding": ("frame_pos_embed", _same)}


def _same(array):
    return array
