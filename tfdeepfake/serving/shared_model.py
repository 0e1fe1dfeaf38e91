"""One network for all processes that judge: they ask the server's own through their pipes, which puts them together.

Such a process has given up sockets; the pipe that it answers by is all it has. What it asks is read as texts, numbers
and bytes, and checked as any other request is.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import Recipe
from tfdeepfake.serving.batching import Batcher
from tfdeepfake.serving.remote import exits, logits_of
from tfdeepfake.serving.servable import ServingError
from tfdeepfake.workers import ask_parent

_DTYPES = ("uint8", "float32")


class SharedModel:
    """What `verdict.judging.judge` needs of a network, in a process whose parent has it; see `answers`."""

    def __init__(self, name: str, recipe: Recipe, network_reads: tuple[str, bool] | None = None):
        self.name = name
        self.inputs, self.outputs = exits(recipe, network_reads)
        self.votes = bool(recipe.members)

    def predict_on_batch(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Logits float32 [B, K] of {"frames": uint8 [B, ...], "flow": float32 [B, ...]}.

        Raises:
          InputError: the parent's network refuses the batch.
        """
        inputs = {tensor.name: np.asarray(batch[tensor.name]) for tensor in self.inputs}
        inputs["frames"] = inputs["frames"].astype(np.uint8)
        question = {name: (value.dtype.name, value.shape, value.tobytes()) for name, value in inputs.items()}
        answered = ask_parent(question)
        if isinstance(answered, str):
            raise InputError(self.name, answered)
        return logits_of(answered, len(inputs["frames"]))


def answers(servable: Batcher) -> Callable[[Any], dict | str]:
    """Function of what a process asks: outputs of the highest version's default signature, or what is wrong with it."""

    def answer(question):
        try:
            with servable.coming():
                inputs = {name: _array(*value) for name, value in question.items()}
                return servable.predict(servable.versions[-1], "", inputs)
        except ServingError as error:
            return error.text
        except (TypeError, ValueError, AttributeError) as error:
            return f"cannot be asked that ({error})."

    return answer


def _array(dtype, shape, content):
    if dtype not in _DTYPES or math.prod(shape) * np.dtype(dtype).itemsize != len(content):
        raise ValueError("a tensor's bytes are not its shape's")
    return np.frombuffer(content, dtype).reshape(shape)
