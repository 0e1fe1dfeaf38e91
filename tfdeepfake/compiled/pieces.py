"""A Keras network cut into pieces, one behind the other, where a single tensor leads from one to the next."""

import math
from typing import TYPE_CHECKING

from keras import Function, layers, tree

if TYPE_CHECKING:
    import keras


def pieces(model: "keras.Model", piece_bytes: float) -> list["keras.Function"]:
    """Cuts a network at its necks.

    Args:
      model: keras.Model of one output.
      piece_bytes: weights of a piece, as float32, from which on the next neck ends it.
    Returns:
      Functions over the layers of `model` whose chain computes the same: the first takes the inputs of `model`, each
      other one what leaves the one before it. A single one where there is no neck.
    """
    *steps, _ = model.operations
    last_use = {id(tensor): place for place, step in enumerate(model.operations) for tensor in _inputs(step)}
    cuts, size, waiting = [], 0, {id(tensor) for tensor in model.inputs}
    for place, step in enumerate(steps):
        size += sum(4 * math.prod(weight.shape) for weight in getattr(step, "weights", ()))
        output = step.output
        waiting |= {id(tensor) for tensor in tree.flatten(output)}
        waiting = {tensor for tensor in waiting if last_use.get(tensor, 0) > place}
        if size >= piece_bytes and waiting == {id(output)}:
            cuts.append(output)
            size = 0
    starts, ends = [model.inputs, *([cut] for cut in cuts)], [*cuts, model.outputs[0]]
    return [Function(start, end) for start, end in zip(starts, ends, strict=True)]


def _inputs(step):
    return () if isinstance(step, layers.InputLayer) else tree.flatten(step.input)
