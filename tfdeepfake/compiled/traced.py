"""A Keras network that only scores: its weights are fixed; it is built and traced in half the time of one that could
train.

What a Keras network takes to start is mostly the creation of variables and, at the first prediction, the tracing of
its layers one operation after another. Here weights are plain tensors, and normalisation is folded into the convolution
before it or at least into one product and one sum.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfdeepfake.layers.exact import ExactBatchNormalization
from tfdeepfake.layers.folding import affine, folded_weights, pairs
from tfdeepfake.model_folder import load_values
from tfdeepfake.quiet import uncollected
from tfdeepfake.recipe import Recipe

if TYPE_CHECKING:
    import tensorflow as tf


class TracedModel:
    """A network of fixed weights in the place of a keras.Model, where scores are made; on the TensorFlow backend.

    Attributes:
      name: of the network.
      inputs, outputs: as of a keras.Model.
    """

    def __init__(self, model: keras.Model, values: dict[str, np.ndarray]):
        """Takes a network from `model_folder.load_values` and {path of a weight: its value}, which is emptied."""
        self.name, self.inputs, self.outputs, self._model = model.name, model.inputs, model.outputs, model
        self._weights = keras.StatelessScope(_fixed(model, values), initialize_variables=False)
        self._graphs, self._lock = {}, threading.Lock()

    def predict_on_batch(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Outputs float32 [B, K] of {"frames": [B, ...], ...}, as `keras.Model.predict_on_batch`."""
        import tensorflow as tf

        batch = {tensor.name: tf.convert_to_tensor(batch[tensor.name]) for tensor in self.inputs}
        kinds = tuple(value.dtype for value in batch.values())
        with self._lock:
            if kinds not in self._graphs:
                with uncollected():
                    self._graphs[kinds] = self._traced(kinds)
        return self._graphs[kinds](batch).numpy()

    def _traced(self, kinds):
        import tensorflow as tf

        def run(batch):
            with self._weights:
                return self._model(batch, training=False)

        entries = zip(self.inputs, kinds, strict=True)
        signature = {tensor.name: tf.TensorSpec(tensor.shape, kind, tensor.name) for tensor, kind in entries}
        # As Keras's own predictions: by XLA where there is a GPU.
        jit_compile = self._model.jit_compile or None
        return tf.function(run, autograph=False, jit_compile=jit_compile).get_concrete_function(signature)


def load_traced(folder: Path | str) -> tuple[TracedModel, Recipe]:
    """As `model_folder.load_model`, for scores alone.

    Raises:
      InputError: see there.
    """
    values = {}

    def load():
        return load_values(folder, lambda weight, value: values.setdefault(weight.path, value))

    # Keras notes weights without a value, for each thread by itself, and gives them one with the next network's: this
    # thread ends before that.
    with uncollected(), ThreadPoolExecutor(1) as pool:
        model, recipe = pool.submit(load).result()
        return TracedModel(model, values), recipe


def _fixed(model, values) -> "list[tuple[keras.Variable, tf.Tensor]]":
    """[(weight, its value)] of those that are needed once normalisation is fixed; empties `values`."""
    import tensorflow as tf

    def value(weight):
        return values[weight.path]

    folded = {id(norm): conv for conv, norm in pairs(model)}
    for norm in model.layers:
        if not isinstance(norm, ExactBatchNormalization):
            continue
        if conv := folded.get(id(norm)):
            scale, (values[conv.kernel.path], shift) = None, folded_weights(conv, norm, value)
            if conv.bias is not None:
                values[conv.bias.path], shift = shift, None
        else:
            scale, shift = map(np.float32, affine(norm, value))
        norm.fix(*(part if part is None else tf.constant(part) for part in (scale, shift)))
        for weight in norm.weights:
            del values[weight.path]
    return [(weight, tf.constant(values.pop(weight.path))) for weight in model.weights if weight.path in values]
