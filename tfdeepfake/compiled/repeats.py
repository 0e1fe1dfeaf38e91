"""Blocks that a network repeats: the converter sees one of them, the others are its file with their own weights."""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.litert.join import APART_FROM_BYTES
from tfdeepfake.litert.write import IDENTIFIER

if TYPE_CHECKING:
    import keras


class Block:
    """The LiteRT file of one block, into which the weights of every block that is built alike can be put."""

    def __init__(self, function: "keras.Function", convert: Callable):
        """Converts a block.

        Args:
          function: over the layers of the block; its weights are other ones for the time of the conversion.
          convert: keras.Function -> bytes of a .tflite file.
        """
        weights, rng = _weights(function), np.random.default_rng(0)
        before = [np.asarray(weight) for weight in weights]
        # No two alike, no zeros: where each went is seen by its values.
        drawn = [rng.standard_normal(weight.shape).astype(np.float32) for weight in weights]
        try:
            for weight, value in zip(weights, drawn, strict=True):
                weight.assign(value)
            self._content = convert(function)
        finally:
            for weight, value in zip(weights, before, strict=True):
                weight.assign(value)
        self._places = self._find(drawn)

    def _find(self, drawn):
        """{number of a buffer: (number of its weight, order of axes)}, or None where a weight became something else."""
        known = {}
        for number, value in enumerate(drawn):
            for axes in itertools.permutations(range(value.ndim)):
                known.setdefault(value.transpose(axes).tobytes(), (number, axes))
        places = {}
        for number, buffer in enumerate(self._model().buffers):
            content = b"" if buffer.data is None else bytes(buffer.data)
            if content in known:
                places[number] = known[content]
            elif len(content) >= APART_FROM_BYTES:
                return None
        return places if len({number for number, _ in places.values()}) == len(drawn) else None

    def _model(self):
        from ai_edge_litert import schema_py_generated as schema

        return schema.ModelT.InitFromPackedBuf(self._content)

    def filled(self, function: "keras.Function") -> bytes | None:
        """The file of another block of the same `signature`; None where the converter put weights together."""
        if self._places is None:
            return None
        import flatbuffers

        model, weights = self._model(), _weights(function)
        for number, (weight, axes) in self._places.items():
            value = np.asarray(weights[weight], "<f4").transpose(axes)
            model.buffers[number].data = np.frombuffer(value.tobytes(), np.uint8)
        builder = flatbuffers.Builder(len(self._content) + 1024)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())


def signature(function: "keras.Function") -> tuple:
    """What two blocks that are built alike have in common: their steps, shapes and settings but names."""
    steps = []
    for step in function.operations:
        config = step.get_config() if hasattr(step, "weights") else {}
        weights = [tuple(weight.shape) for weight in getattr(step, "weights", ())]
        config = {name: value for name, value in config.items() if name != "name"}
        steps.append((type(step).__name__, repr(config), tuple(weights)))
    return tuple(tensor.shape for tensor in (*function.inputs, *function.outputs)), tuple(steps)


def _weights(function):
    return [weight for step in function.operations for weight in getattr(step, "weights", ())]
