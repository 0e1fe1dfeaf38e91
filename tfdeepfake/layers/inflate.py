"""Inflation: kernels of a 2D network made into kernels of a 3D one (arXiv:1705.07750, Sec. 2.4)."""

import numpy as np


def inflate(kernel: np.ndarray, time: int) -> np.ndarray:
    """A 2D kernel repeated over time and divided by its length.

    On a clip of one repeated frame the 3D convolution then equals the 2D one on that frame, at every time whose window
    lies inside the clip. Zeros that pad a clip in time count as black frames after
    normalisation, so positions nearer to the ends than half the receptive field differ.

    Args:
      kernel: [h, w, in, out].
      time: length of the new axis.
    Returns:
      [time, h, w, in, out], same dtype.
    """
    if kernel.ndim != 4:
        raise ValueError(f"kernel needs the shape [h, w, in, out], got {kernel.shape}.")
    return np.repeat(kernel[None] / np.asarray(time, kernel.dtype), time, axis=0)


class Inflated:
    """A variable that takes the array of a 2D network: kernels are inflated, other arrays are assigned unchanged.

    Has the `shape` and `assign` that `keras_h5.load` uses.
    """

    def __init__(self, variable):
        self.variable = variable
        self.time = variable.shape[0] if len(variable.shape) == 5 else None
        self.shape = tuple(variable.shape) if self.time is None else tuple(variable.shape)[1:]

    def assign(self, array: np.ndarray) -> None:
        self.variable.assign(array if self.time is None else inflate(array, self.time))
