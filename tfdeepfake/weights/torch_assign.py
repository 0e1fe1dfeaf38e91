"""Tensors in PyTorch's names and axes into Keras networks, strictly: every one is used, every variable gets one."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from keras import layers as keras_layers

from tfdeepfake.errors import InputError
from tfdeepfake.weights.torch_file import REMEDY
from tfdeepfake.weights.torch_file import read as read

if TYPE_CHECKING:
    import keras


_SHOWN = 20
_SUFFIXES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def _from_torch(layer, variable, array):
    """A tensor in the axis order of Keras."""
    if array.ndim < 2 or variable not in ("kernel", "depthwise_kernel", "pointwise_kernel"):
        return array
    depthwise = keras_layers.DepthwiseConv1D, keras_layers.DepthwiseConv2D
    if isinstance(layer, depthwise) or variable == "depthwise_kernel":
        return np.moveaxis(array, (0, 1), (-2, -1))  # [C, 1, h, w] -> [h, w, C, 1]
    if isinstance(layer, keras_layers.Dense) and all(n == 1 for n in array.shape[2:]):
        array = array.reshape(array.shape[:2])  # a convolution over one cell is a dense layer
    return np.moveaxis(array, (0, 1), (-1, -2))  # [out, in, ...] -> [..., in, out]


def _wanted(model, module_name, extra, keep):
    """Tensors of every variable: list of (variable, names of its tensors, function on their arrays)."""
    wanted, seen, extra_left = [], set(), dict(extra)
    for layer in model.layers:
        if layer.name in keep:
            continue
        for variable in layer.weights:
            if "seed_generator" in variable.path:
                continue
            short = variable.path.rsplit("/", 1)[-1]
            names, change = extra_left.pop(f"{layer.name}/{short}", (None, None))
            if names is None:
                names = f"{module_name(layer.name)}.{_SUFFIXES.get(short, 'bias' if short == 'bias' else 'weight')}"
                if names in seen:
                    raise ValueError(f"module_name needs another name for each layer, got {names} twice.")
                change = functools.partial(_from_torch, layer, short)
            names = (names,) if isinstance(names, str) else tuple(names)
            seen.update(names)
            wanted.append((variable, names, change))
    if extra_left:
        raise ValueError(f"extra needs names of the network's variables, got {', '.join(extra_left)}.")
    return wanted


def _listed(words, names):
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{words} {', '.join(names[:_SHOWN])}{more}"


def assign(
    model: "keras.Model",
    tensors: dict,
    module_name: Callable,
    subject: str,
    extra: dict | None = None,
    unused: tuple = ("num_batches_tracked",),
    keep: Sequence[str] = (),
) -> None:
    """Assigns every tensor to the network's variables, or nothing at all.

    Args:
      model: keras.Model.
      tensors: dict name -> array, from `torch_file.read`.
      module_name: function: Keras layer name -> name of the PyTorch module, for example "layer1_0_conv1" ->
        "layer1.0.conv1"; its tensors are that name + ".weight", ".bias", ".running_mean", ".running_var". Kernels are
        brought into Keras order; a 1 x 1 convolution may go into a Dense layer.
      subject: the file, for errors.
      extra: dict Keras "layer/variable" -> (tensor name, function on the array) for variables outside that rule.
        Several variables may take parts of one tensor this way; a tuple of names makes one variable of several tensors.
      unused: endings of tensor names that no network uses.
      keep: layers that keep their weights, for example a fresh head.
    Raises:
      InputError: lists missing, left-over and misshapen tensors.
      ValueError: two layers of one PyTorch name, or `extra` for a variable that does not exist.
    """
    wanted = _wanted(model, module_name, extra or {}, keep)
    used = {k: v for k, v in tensors.items() if not k.endswith(tuple(unused))}
    names = {name for _, needed, _ in wanted for name in needed}
    problems = []
    if missing := sorted(names - set(used)):
        problems.append(_listed("missing", missing))
    if left_over := sorted(set(used) - names):
        problems.append(_listed("left over", left_over))
    there = [part for part in wanted if all(name in used for name in part[1])]
    misfits = [misfit for part in sorted(there, key=lambda part: part[1]) if (misfit := _misfit(*part, used))]
    if misfits:
        problems.append(_listed("wrong:", misfits))
    if problems:
        raise InputError(subject, f"does not fit the network: {'; '.join(problems)}.", REMEDY)
    # One at a time, so that a mapped file of gigabytes is in memory once, as the network's variables.
    for variable, needed, change in wanted:
        variable.assign(change(*(used[name] for name in needed)).astype("float32", copy=False))


def _misfit(variable, names, change, tensors):
    """What is wrong with the tensors of a variable, or None."""
    arrays = [tensors[name] for name in names]
    try:
        array = change(*arrays)
    except (ValueError, IndexError):  # `change` may reshape, cut or join, which tensors of other ranks refuse
        array = None
    if array is None or array.shape != tuple(variable.shape):
        given = ", ".join(f"{name} of shape {x.shape}" for name, x in zip(names, arrays, strict=True))
        turned = "none" if array is None else array.shape
        return f"{given} ({turned} in Keras order; {variable.path} needs {tuple(variable.shape)})"
    if not _finite(array):
        return (
            f"{', '.join(n for n, x in zip(names, arrays, strict=True) if not _finite(x))} with NaN or infinite values"
        )
    return None


def _finite(array):
    """Whether all values are, as the float32 they become."""
    return bool(np.isfinite(array.astype("float32", copy=False)).all())
