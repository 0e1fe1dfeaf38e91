"""Maps that attention networks compute for themselves, enlarged to their frames (P0 V-A: 14 x 14 to 224 x 224).

    attention2d, efficientnet_b4_att     the layer `attention`: weights 0..1 that are multiplied onto a map
    non-local blocks                     how much all places look at each place: the columns of the softmax, averaged
    class tokens (vit_b, CLIP, TALL)     how much the class token looks at each patch in the last block, mean over heads

They say what a network lets through, not what it concludes: an attention map is the same for FAKE and REAL.
"""

import re
from collections.abc import Callable

import keras
import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.explain.gradcam import Maps
from tfdeepfake.explain.seen import inputs_of, over_frames, seen_by
from tfdeepfake.layers.self_attention import SelfAttention


def attention(model: keras.Model) -> Callable[[dict], dict[str, Maps]]:
    """A function from a network's inputs to the attention maps that it computes.

    Args:
      model: keras.Model.
    Returns:
      Function of {"frames": [B, (T,) H, W, 3], "flow": ...} that returns {name of the map: Maps}, stretched: the
      lowest place is 0 and the highest 1; `peak` is the highest weight before that.
    Raises:
      InputError: the network has no attention that lies over its frames.
    """
    places = attention_tensors(model)
    if not places:
        raise InputError(
            model.name,
            "computes no attention map.",
            "Networks that do: attention2d, efficientnet_b4_att, 3D ResNets with nonlocal_after, vit_b, clip_vit_l14.",
        )
    seen = [seen_by(model, tensor) for _, tensor, _ in places]
    part = keras.Model(inputs_of(model), [tensor for _, tensor, _ in places])

    def maps(inputs: dict) -> dict[str, Maps]:
        inputs = {name: np.asarray(inputs[name], np.float32) for name in inputs_of(model)}
        outputs, batch = part(inputs, training=False), len(inputs["frames"])
        outputs = outputs if isinstance(outputs, list) else [outputs]  # Keras takes a list of one apart
        found = {}
        for (name, _, size), weights, where in zip(places, outputs, seen, strict=True):
            values = keras.ops.convert_to_numpy(weights).astype(np.float32)
            values = values.reshape(batch, -1, *size[-2:])
            low, high = (get(values, axis=(1, 2, 3), keepdims=True) for get in (np.min, np.max))
            stretched = over_frames((values - low) / np.maximum(high - low, 1e-12), where)
            found[name] = Maps(stretched.clip(0, 1), high.reshape(-1))
        return found

    return maps


def attention_tensors(model: keras.Model) -> list[tuple]:
    """Where a network computes attention.

    Returns:
      list of (name, KerasTensor [B', ...] of weights, size (t, h, w) or (h, w) of the map that they are).
    """
    layers, found = {layer.name: layer for layer in model.layers}, []
    for name, layer in layers.items():
        if re.fullmatch(r"(m\d+_)*attention", name):
            found.append((name, layer.output, layer.output.shape[1:3]))
        elif name.endswith("_softmax") and f"{name.removesuffix('_softmax')}_theta" in layers:
            # [B, looking, looked at]: the mean over those that look.
            block = name.removesuffix("_softmax")
            size = layers[f"{block}_add"].output.shape[1:4]
            found.append((block, keras.ops.mean(layer.output, axis=1), size))
    if (last := _last_token_attention(model)) is not None:
        found.append(last)
    return found


def _last_token_attention(model):
    """What the class token looks at in the last block of a ViT; None where there is none."""
    blocks = [layer for layer in model.layers if isinstance(layer, SelfAttention)]
    tokens = [layer for layer in model.layers if layer.name.endswith("tokens")]
    if len(tokens) != 1 or not blocks:  # of an ensemble's members one has to be chosen: by its own folder
        return None
    features = next(layer for layer in model.layers if layer.name.endswith("features") and len(layer.output.shape) == 4)
    size = features.output.shape[1:3]
    if blocks[-1].input.shape[1] != 1 + size[0] * size[1]:
        return None
    return "class_token", keras.ops.mean(blocks[-1].weights_of(blocks[-1].input), axis=1)[:, 0, 1:], size
