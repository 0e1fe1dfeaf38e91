"""Keras network -> LiteRT network of equal scores. Needs TensorFlow; `compiled` runs this in a process of its own.

It takes one example at a time: its shapes are all fixed then, which leaves LiteRT half of the operations and nothing
to allocate again, and batches of 2 to 8 were no faster. It takes frames as uint8, and some of its layers are computed
by other operations (`rewrite`).
"""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


# Of the logit, or of its size where that is above 1: sums in another order give some 1e-6.
TOLERANCE = 1e-5


class NotConverted(Exception):
    """LiteRT has no such operation, or the scores differ: says which."""


def convert(model: "keras.Model", precision: str = "float32", calibration: Sequence[dict] = ()) -> bytes:
    """Makes the LiteRT form of a network; of full precision the two are compared.

    Args:
      model: keras.Model of `frames` (and `flow`), on the TensorFlow backend.
      precision: "float32"; "float16" stores weights in 16 bits; "int8" stores them in 8 and computes layers that
        can be with activations that are brought to 8 bits as they come; "int8_full" computes with 8 bits throughout,
        by ranges that `calibration` shows.
      calibration: inputs of single examples, {"frames": [1, ...], "flow": [1, ...]}.
    Returns:
      bytes of a .tflite file: inputs `frames` uint8 [1, (T,) H, W, 3] and, where the network reads it, `flow` float32
      [1, (T,) H, W, 2]; one output, logits float32 [1, K].
    Raises:
      NotConverted: see there.
    """
    import tensorflow as tf

    from tfdeepfake.compiled.rewrite import rewritten

    specs = [
        tf.TensorSpec((1, *i.shape[1:]), tf.uint8 if i.name == "frames" else tf.float32, i.name) for i in model.inputs
    ]

    def logits(*tensors):
        inputs = {i.name: tf.cast(tensor, i.dtype) for i, tensor in zip(model.inputs, tensors, strict=True)}
        return tf.cast(model(inputs, training=False), tf.float32)

    def traced():
        return tf.function(logits, input_signature=specs, autograph=False).get_concrete_function()

    with rewritten(model):
        function = traced()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8_full":
        names = [spec.name for spec in specs]
        converter.representative_dataset = lambda: ([example[name] for name in names] for example in calibration)
    try:
        content = converter.convert()
    except Exception as error:  # the converter's own class, and several of the compiler's
        raise NotConverted(_reason(error)) from error
    if precision == "float32":
        _compare(content, traced(), specs)
    return content


def _compare(content, function, specs):
    """Raises NotConverted unless both give the same logits for noise and for a smooth image."""
    from tfdeepfake.litert.network import Network

    try:
        network = Network(content)
    except ValueError as error:
        raise NotConverted(_reason(error)) from error
    rng = np.random.default_rng(0)
    for coarse in (1, 16):
        inputs = {}
        for spec in specs:
            *axes, height, width, channels = spec.shape
            grid = rng.uniform(0, 255, (*axes, -(-height // coarse), -(-width // coarse), channels))
            full = grid.repeat(coarse, -3).repeat(coarse, -2)[..., :height, :width, :]
            inputs[spec.name] = full.astype(np.uint8) if spec.name == "frames" else (full / 32 - 4).astype(np.float32)
        (got,) = network(**inputs).values()
        expected = function(*inputs.values()).numpy()
        if not np.allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE):
            raise NotConverted(f"its scores differ by {np.abs(got - expected).max():.2g} from those of Keras")


def _reason(error):
    """The line of a converter's long message that says what is missing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    telling = [line for line in lines if "op" in line.lower() and ("not supported" in line or "requires" in line)]
    return (telling or lines)[0][:300]


def main(folder: str, out: str) -> int:
    """Writes the LiteRT form of a saved model folder to a file; returns the exit code.

    2: the folder cannot be used; the last line printed is the InputError's subject, problem and remedy as JSON. 3: the
    network has no LiteRT form; it is the reason.
    """
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    from tfdeepfake.errors import InputError
    from tfdeepfake.model_folder import load_model

    try:
        model, _ = load_model(folder)
        content = convert(model)
    except InputError as error:
        print(json.dumps([error.subject, error.problem, error.remedy]))
        return 2
    except NotConverted as error:
        print(json.dumps(str(error)))
        return 3
    with open(out, "wb") as file:
        file.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
