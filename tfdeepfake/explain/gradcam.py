"""Grad-CAM: where in the frames a network's last map speaks for FAKE (arXiv:1610.02391; P2 Fig. 3, P3 5.5, P4 Fig. 5).

    maps = gradcam(model)
    maps({"frames": clip})["frames"].values      # float32 [B, T, H, W] in 0..1

Of the layer `features`, channels are weighted with the mean gradient of the logit and summed; what is left below zero
speaks against. It works on every network of `models.MODELS`: maps of 3D networks are enlarged in time too, those of
thumbnails are cut into the frames of their cells, a two-stream network has one for its flow besides, an ensemble one
for each member.
"""

import contextlib
import re
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.explain.seen import inputs_of, over_frames, seen_by
from tfdeepfake.recipe import Recipe


class Site(NamedTuple):
    """A place in a network that a map is made of.

    Args:
      name: "frames", "flow", or of an ensemble "member 1 frames" and so on.
      layer: name of the layer whose output is the map.
      logit: name of the layer that is explained.
      input_name: "frames" or "flow", what the map lies over.
    """

    name: str
    layer: str
    logit: str
    input_name: str


class Maps(NamedTuple):
    """Maps of a batch.

    Args:
      values: float32 [B, T, H, W] in 0..1 over the frames of the input, T is 1 for a frame network. The highest place
        of an example is 1: a map says where, and not how much.
      peak: float32 [B], the highest value before that, in units of the logit; where it is 0 nothing speaks for it and
        the map is 0 everywhere.
    """

    values: np.ndarray
    peak: np.ndarray


def sites(model: keras.Model, layer: str | None = None) -> list[Site]:
    """Where maps can be made: `features`, the last map of a flow stream, those of each member of an ensemble.

    Args:
      model: keras.Model.
      layer: this one alone, instead.
    Raises:
      InputError: the network has no such layer, or it gives no map; names the layers that do.
    """
    names = [one.name for one in model.layers]
    if layer is not None:
        _check_layer(model, layer)
        prefix = re.match(r"(m\d+_)?", layer)[0]
        logit = f"{prefix}logits" if f"{prefix}logits" in names else "logits"
        return [Site(layer, layer, logit, _input_of(model, layer))]
    members = sorted({m[0] for name in names if (m := re.match(r"m\d+_", name))}, key=lambda p: int(p[1:-1]))
    chosen = []
    for prefix in members or [""]:
        logit = f"{prefix}logits" if prefix else "logits"
        said = f"member {prefix[1:-1]} " if prefix else ""
        # Only the member that weighs most has kept the name itself.
        last = f"{prefix}features" if f"{prefix}features" in names else "features"
        if last not in names:
            _check_layer(model, last)
        chosen.append(Site(f"{said}frames", last, logit, "frames"))
        pools = [name for name in names if re.fullmatch(rf"{prefix}flow_pool\d+", name)]
        if pools:
            chosen.append(Site(f"{said}flow", max(pools, key=lambda name: int(name.rsplit("pool")[1])), logit, "flow"))
    return chosen


def _gives_map(layer):
    return len(getattr(layer.output, "shape", ())) in (4, 5)


def _check_layer(model, name):
    layers = {one.name: one for one in model.layers if not isinstance(one, keras.layers.InputLayer)}
    if name in layers and _gives_map(layers[name]):
        return
    with_maps = [key for key, one in layers.items() if _gives_map(one)]
    problem = "has no layer" if name not in layers else "gives no map, which has axes of height and width, at"
    raise InputError(model.name, f"{problem} {name!r}.", f"Layers that give maps: {', '.join(with_maps) or 'none'}.")


def _input_of(model, layer):
    return "flow" if "flow" in inputs_of(model) and re.match(r"(m\d+_)*flow_", layer) else "frames"


def explained_logit(outputs: object, target: int | str | None = None, classes: list | None = None) -> object:
    """What of a network's outputs is explained.

    Args:
      outputs: tensor [B, K].
      target: None for FAKE; number or name of a class; "real" or "fake" of a network with one logit.
      classes: names of the K classes.
    Returns:
      Tensor [B]. FAKE of K classes is the logarithm of the odds of all classes but "real" against it.
    Raises:
      InputError: there is no such class, or which one is "real" is not known.
    """
    ops, count = keras.ops, outputs.shape[-1]
    if count == 1:
        if target not in (None, "fake", "real", "FAKE", "REAL", 0):
            raise InputError("target", f"needs 'fake' or 'real' of a network with one logit, got {target!r}.")
        return -outputs[:, 0] if str(target).lower() == "real" else outputs[:, 0]
    names = [str(name).lower() for name in classes or ()]
    known = f"Known are {', '.join(classes)}." if classes else f"Give a number from 0 to {count - 1}."
    if isinstance(target, str) and target.lower() in names:
        target = names.index(target.lower())
    if isinstance(target, int) and 0 <= target < count:
        return outputs[:, target]
    if target in (None, "fake", "FAKE") and "real" in names:
        real = names.index("real")
        others = ops.take(outputs, [k for k in range(count) if k != real], axis=1)
        return ops.logsumexp(others, axis=1) - outputs[:, real]
    raise InputError("target", f"needs one of the {count} classes, got {target!r}.", known)


def need_tensorflow() -> None:
    """Raises InputError where Keras runs on another backend: gradients of maps are taken by TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            "explain", f"runs on TensorFlow, Keras uses {keras.backend.backend()}.", "Set KERAS_BACKEND=tensorflow."
        )


def gradcam(
    model: keras.Model,
    layer: str | None = None,
    target: int | str | None = None,
    recipe: Recipe | None = None,
    num_copies: int = 1,
    noise: float = 0.1,
    seed: int = 0,
) -> Callable[[dict], dict[str, Maps]]:
    """A function from a network's inputs to its maps.

    Args:
      model: keras.Model with the layers `features` and `logits`.
      layer: the map is made of this layer, which gives [B, h, w, C] or [B, t, h, w, C]; see `sites` when not given.
      target: what is explained, see `explained_logit`. Each member of an ensemble explains its own logit.
      recipe: of the saved model folder, for the names of classes.
      num_copies: the smoothed form (arXiv:1706.03825, on maps): the mean over so many noisy copies of the input; 1 for
        the plain form.
      noise: standard deviation of that noise, as a fraction of 255 (of frames) or of the largest motion (of flow).
      seed: of the noise.
    Returns:
      Function of {"frames": [B, (T,) H, W, 3], "flow": ...} that returns {name of the site: Maps}.
    Raises:
      InputError: no such layer or class, or another backend than TensorFlow.
      ValueError: num_copies or noise out of range.
    """
    need_tensorflow()
    if num_copies < 1 or noise < 0:
        raise ValueError(f"num_copies needs 1 or more and noise 0 or more, got {num_copies} and {noise}.")
    places = sites(model, layer)
    seen = [seen_by(model, model.get_layer(site.layer).output, site.input_name) for site in places]
    tensors = [(model.get_layer(site.layer).output, model.get_layer(site.logit).output) for site in places]
    part = keras.Model(inputs_of(model), [one for pair in tensors for one in pair])
    mapped = [model.get_layer(site.layer) for site in places]
    classes = recipe.classes if recipe else None

    def maps(inputs: dict) -> dict[str, Maps]:
        inputs = {name: np.asarray(inputs[name], np.float32) for name in inputs_of(model)}
        rng, total = np.random.default_rng(seed), None
        for _ in range(num_copies):
            copy = inputs if num_copies == 1 else {name: _noisy(x, noise, rng) for name, x in inputs.items()}
            raw = _raw_maps(part, mapped, copy, target, classes)
            total = raw if total is None else [a + b for a, b in zip(total, raw, strict=True)]
        batch = len(inputs["frames"])
        return {
            site.name: _scaled(_over_time(values / num_copies, batch), where)
            for site, values, where in zip(places, total, seen, strict=True)
        }

    return maps


def _noisy(x, noise, rng):
    scale = 255.0 if x.shape[-1] == 3 else float(np.abs(x).max())
    copy = x + rng.normal(0, noise * scale, x.shape).astype(np.float32)
    return copy.clip(0, 255) if x.shape[-1] == 3 else copy


@contextlib.contextmanager
def _recorded_from(layers, tape):
    """Inside, a tape records what becomes of the layers' outputs, and nothing before them.

    A gradient to the inputs would keep what every layer gives, gigabytes in CLIP ViT-L/14, and be taken through all
    blocks: a class token goes past the layer.
    """
    try:
        for layer in layers:
            call = layer.call

            def watched(*args, _call=call, **kwargs):
                values = _call(*args, **kwargs)
                tape.watch(values)
                return values

            layer.call = watched
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("call", None)


def _raw_maps(part, mapped, inputs, target, classes):
    """[B', (t,) h, w] of each site, 0 or more; B' is B times the images of an example."""
    import tensorflow as tf

    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape, _recorded_from(mapped, tape):
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = part(tensors, training=False)
        features, logits = outputs[0::2], outputs[1::2]
        # Examples do not touch each other, so the gradient of the sum is that of each.
        explained = [tf.reduce_sum(explained_logit(logit, target, classes)) for logit in logits]
    raw = []
    for values, logit in zip(features, explained, strict=True):
        gradient = tape.gradient(logit, values)
        if gradient is None:
            raise ValueError("the logit does not depend on the layer that was asked for.")
        values, gradient = (tf.cast(one, tf.float32) for one in (values, gradient))
        weights = tf.reduce_mean(gradient, axis=tuple(range(1, len(values.shape) - 1)), keepdims=True)
        raw.append(tf.nn.relu(tf.reduce_sum(weights * values, axis=-1)).numpy())
    return raw


def _over_time(values, batch):
    """[B', (t,) h, w] -> [B, t, h, w]."""
    return values.reshape(batch, -1, *values.shape[-2:])


def _scaled(values, seen):
    peak = values.max(axis=(1, 2, 3))
    values = over_frames(values / np.maximum(peak, 1e-30)[:, None, None, None], seen)
    # The highest place of the small map may lie between frames: the enlarged one is scaled once more.
    highest = values.max(axis=(1, 2, 3), keepdims=True)
    return Maps(np.where(highest > 0, values / np.maximum(highest, 1e-30), 0).astype(np.float32), peak)
