"""Keras network -> LiteRT network of equal scores. Needs TensorFlow; `compiled` runs this in a process of its own.

It takes one example at a time: its shapes are all fixed then, which leaves LiteRT half of the operations and nothing
to allocate again, and batches of 2 to 8 were no faster. It takes frames as uint8, and some of its layers are computed
by other operations (`rewrite`).
"""

import gc
import json
import math
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


# Weights up to which a network goes through the converter whole, and from which on a piece of a larger one ends.
WHOLE_BYTES, PIECE_BYTES = 512 << 20, 48 << 20
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
    from keras import Function

    content = _converted(Function(model.inputs, model.outputs[0]), model, precision, calibration)
    if precision == "float32":
        _compare(content, *_expected(model))
    return content


def convert_to_file(load: Callable[[], "keras.Model"], out: Path, whole_bytes: int = WHOLE_BYTES) -> None:
    """Makes the LiteRT form of a network of any size, in full precision, and compares the two.

    The converter takes some sixteen times the memory of the weights: a large network goes through it in pieces, and of
    blocks that are built alike only one goes through it.

    Args:
      load: gives the network (see `convert`), which is let go before the two are compared.
      out: file to write; the pieces lie beside it meanwhile.
      whole_bytes: weights up to which a network goes through the converter whole.
    Raises:
      NotConverted: see there.
    """
    from tfdeepfake.compiled.pieces import pieces
    from tfdeepfake.litert.join import join

    model = load()
    large = sum(4 * math.prod(weight.shape) for weight in model.weights) > whole_bytes
    parts = pieces(model, min(PIECE_BYTES, whole_bytes) if large else math.inf)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".pieces-") as temporary:
        paths = []
        for content in _contents(parts, model):
            paths.append(Path(temporary) / f"{len(paths)}.tflite")
            paths[-1].write_bytes(content)
        if len(paths) == 1:
            paths[0].replace(out)
        else:
            join(paths, out)
    expected = _expected(model)
    del model, parts
    gc.collect()
    _compare(out, *expected)


def _contents(parts, model):
    """Content of the .tflite file of each of several Functions over layers of `model`."""
    from tfdeepfake.compiled.repeats import Block, signature

    signatures, blocks = [signature(part) for part in parts], {}
    for part, built in zip(parts, signatures, strict=True):
        content = None
        if signatures.count(built) > 1:
            if built not in blocks:
                blocks[built] = Block(part, lambda part: _converted(part, model))
            content = blocks[built].filled(part)
        yield content or _converted(part, model)


def _converted(network, model, precision="float32", calibration=()):
    """Content of the .tflite file of a Function over layers of `model`."""
    import tensorflow as tf

    from tfdeepfake.compiled.rewrite import rewritten

    specs = [
        tf.TensorSpec((1, *i.shape[1:]), tf.uint8 if i.name == "frames" else tf.float32, i.name) for i in network.inputs
    ]

    def outputs(*tensors):
        inputs = [tf.cast(tensor, i.dtype) for i, tensor in zip(network.inputs, tensors, strict=True)]
        return tf.cast(network(inputs), tf.float32)

    with rewritten(model):
        function = tf.function(outputs, input_signature=specs, autograph=False).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8_full":
        names = [spec.name for spec in specs]
        converter.representative_dataset = lambda: ([example[name] for name in names] for example in calibration)
    try:
        return converter.convert()
    except Exception as error:  # the converter's own class, and several of the compiler's
        raise NotConverted(_reason(error)) from error


def _expected(model):
    """Inputs by name, noise and a smooth image, and what Keras makes of each."""
    rng = np.random.default_rng(0)
    examples, logits = [], []
    for coarse in (1, 16):
        inputs = {}
        for tensor in model.inputs:
            *axes, height, width, channels = 1, *tensor.shape[1:]
            grid = rng.uniform(0, 255, (*axes, -(-height // coarse), -(-width // coarse), channels))
            full = grid.repeat(coarse, -3).repeat(coarse, -2)[..., :height, :width, :]
            flow = tensor.name == "flow"
            inputs[tensor.name] = (full / 32 - 4).astype(np.float32) if flow else full.astype(np.uint8)
        examples.append(inputs)
        logits.append(np.asarray(model.predict_on_batch(inputs), np.float32))
    return examples, logits


def _compare(source, examples, logits):
    """Raises NotConverted unless the .tflite file, or its content, gives these logits."""
    from tfdeepfake.litert.network import Network

    try:
        network = Network(source)
    except ValueError as error:
        raise NotConverted(_reason(error)) from error
    for inputs, expected in zip(examples, logits, strict=True):
        (got,) = network(**inputs).values()
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
        convert_to_file(lambda: load_model(folder)[0], Path(out))
    except InputError as error:
        print(json.dumps([error.subject, error.problem, error.remedy]))
        return 2
    except NotConverted as error:
        print(json.dumps(str(error)))
        return 3
    return 0


def _end_with_parent():
    """Ends this process when its standard input is closed: when the process that began it has ended, in any way."""
    while os.read(0, 1):
        pass
    os._exit(70)


if __name__ == "__main__":
    if stat.S_ISFIFO(os.fstat(0).st_mode):  # begun by `folder.compile_folder`
        threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(main(*sys.argv[1:]))
