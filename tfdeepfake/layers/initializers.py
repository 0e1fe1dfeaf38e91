"""Initial values of kernels. Each layer gets a new object: a common one would give all kernels of a shape equal values,
by a seed from the import instead of the run's.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keras import initializers, layers

if TYPE_CHECKING:
    import keras


_SLACK_BYTES = 16 << 20  # of counters, and of weights that a file need not hold
_UNDRAWN = contextvars.ContextVar("undrawn", default=False)


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Kernels of networks built inside start as zeros: for networks that a file then fills, whole.

    Drawing the 303 M numbers of `clip_vit_l14` takes longer than reading them.
    """
    token = _UNDRAWN.set(True)
    try:
        yield
    finally:
        _UNDRAWN.reset(token)


@contextlib.contextmanager
def no_larger_than(num_bytes: int | None) -> Iterator[None]:
    """Networks built inside have no more weights than a file of `num_bytes` can hold; None for any number.

    A recipe of a stranger may describe one that fills the memory: it is refused before that.

    Raises:
      ValueError: at the weight that is too much.
    """
    if num_bytes is None:
        yield
        return
    left, own = num_bytes + _SLACK_BYTES, layers.Layer.add_weight

    def add_weight(layer, shape=None, *args, **options):
        nonlocal left
        left -= 4 * math.prod(shape or ())
        if left < 0:
            raise ValueError(f"it has more weights than a file of {num_bytes} bytes can hold")
        return own(layer, shape, *args, **options)

    # Keras offers no place to ask at.
    layers.Layer.add_weight = add_weight
    try:
        yield
    finally:
        layers.Layer.add_weight = own


def _start(initializer):
    # Made in any case: that draws a seed, and the seeds of dropout after it stay what they are.
    return initializers.Zeros() if _UNDRAWN.get() else initializer


def he_by_outputs() -> "keras.Initializer":
    """He et al. (arXiv:1502.01852) by outputs, as the published convolutional networks start."""
    return _start(initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"))


def small_normal() -> "keras.Initializer":
    """Normal, deviation 0.02, cut at two deviations, as the published transformers start."""
    return _start(initializers.TruncatedNormal(stddev=0.02))
