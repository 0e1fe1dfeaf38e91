"""Layers that LiteRT lacks or runs slowly, computed by those that it has: for the time of a conversion.

LiteRT has no 3D pooling, runs recurrent layers as loops only TensorFlow knows, and its 3D convolution takes several
times as long as its 2D one, which XNNPACK runs.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keras import layers, ops

if TYPE_CHECKING:
    import keras


@contextlib.contextmanager
def rewritten(model: "keras.Model") -> Iterator[None]:
    """A Keras network's own layers compute the same by other operations inside this block.

    Args:
      model: keras.Model, batch of fixed size.
    """
    changed = []

    def change(layer, name, value):
        changed.append((layer, name, vars(layer).get(name)))
        object.__setattr__(layer, name, value)

    for layer in model.operations:
        if isinstance(layer, layers.RNN):
            change(layer, "unroll", True)
        elif isinstance(layer, layers.Conv3D):
            change(layer, "convolution_op", _method(_conv3d, layer))
        elif isinstance(layer, layers.MaxPooling3D):
            change(layer, "call", _method(_max_pool3d, layer))
    try:
        yield
    finally:
        for layer, name, before in changed:
            object.__delattr__(layer, name) if before is None else object.__setattr__(layer, name, before)


def _method(function, layer):
    return lambda *args, **kwargs: function(layer, *args, **kwargs)


def _taps(x, size, stride, padding, value):
    """The frames that each place of a window of `size` frames meets: a list of [B, T', H, W, C].

    Args:
      x: [B, T, H, W, C]; padding: "same" or "valid" as TensorFlow means them; value: of frames past the ends.
    """
    frames = x.shape[1]
    if padding == "same":
        total = max((-(-frames // stride) - 1) * stride + size - frames, 0)
        if total:
            x = ops.pad(x, [(0, 0), (total // 2, total - total // 2)] + [(0, 0)] * 3, constant_values=value)
            frames += total
    count = (frames - size) // stride + 1
    return [x[:, tap : tap + stride * (count - 1) + 1 : stride] for tap in range(size)]


def _conv3d(layer, x, kernel):
    """`layer.convolution_op` as one 2D convolution over frames whose neighbours are further channels."""
    size, (stride, *area_strides) = layer.kernel_size[0], layer.strides
    if layer.data_format != "channels_last" or any(n != 1 for n in layer.dilation_rate):
        raise ValueError(f"{layer.name}: dilated or channels_first, which no network here is.")
    taps = _taps(x, size, stride, layer.padding, 0.0)
    kernels = [kernel[tap] for tap in range(size)]
    if layer.groups == 1:
        taps, kernels = [ops.concatenate(taps, -1)], [ops.concatenate(kernels, -2)]
    total = None
    for tap, part in zip(taps, kernels, strict=True):
        batch, frames, height, width, channels = tap.shape
        flat = ops.reshape(tap, (batch * frames, height, width, channels))
        y = ops.conv(flat, part, tuple(area_strides), layer.padding)
        total = y if total is None else total + y
    return ops.reshape(total, (batch, frames, *total.shape[1:]))


def _max_pool3d(layer, x):
    """`layer.call` as a maximum over frames and a 2D pool."""
    (size, *area), (stride, *area_strides) = layer.pool_size, layer.strides
    # Smaller than any value of a map; minus infinity is no number to some kernels.
    taps = _taps(x, size, stride, layer.padding, -1e30)
    most = taps[0]
    for tap in taps[1:]:
        most = ops.maximum(most, tap)
    batch, frames, *rest = most.shape
    y = ops.max_pool(ops.reshape(most, (batch * frames, *rest)), tuple(area), tuple(area_strides), layer.padding)
    return ops.reshape(y, (batch, frames, *y.shape[1:]))
