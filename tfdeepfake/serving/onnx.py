"""Saved model folder -> ONNX file, for ONNX Runtime and what else reads it; the extra `onnx`."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path
from tfdeepfake.model_folder import MEMBERS, RECIPE_FILE, find_model_folder
from tfdeepfake.recipe import Recipe
from tfdeepfake.serving.signatures import DEFAULT, signatures
from tfdeepfake.serving.voting import SideBySide, load_exported
from tfdeepfake.verdict.inference import check_model

if TYPE_CHECKING:
    import keras

ONNX_FILE = "model.onnx"
OPSET = 17
# Of the largest logit, or of 1 where that is smaller: sums come in another order.
TOLERANCE = 1e-4
_MOST_BYTES = 2**31  # a protocol buffer holds no more


def export_onnx(model_folder: Path | str, out_dir: Path | str) -> Path:
    """Writes out_dir/model.onnx, whose inputs and outputs are those of the signature `serving_default`, and the recipe.

    Inputs: `frames` uint8 [B, (T,) H, W, 3] and where the network reads it `flow` float32 [B, (T,) H, W, 2]. Outputs:
    `logit` and `probability` float32 [B] of FAKE, of K classes `logits` and `probabilities` [B, K], of M networks that
    vote also `votes` [B, M] (`signatures`). Any
    batch size. The file is compared with the Keras network on random crops before it is written.

    Args:
      model_folder: as written by `model_folder.save_model`, or a run folder, whose best/ is taken.
      out_dir: made when absent.
    Returns:
      Path of the ONNX file.
    Raises:
      InputError: a package of the extra `onnx` is missing, the model folder cannot be used, its network cannot be
        converted, or the disk is full.
    """
    need_packages()
    model_folder, out_dir = find_model_folder(model_folder), Path(out_dir)
    model, recipe = load_exported(model_folder)
    if recipe.members and 4 * model.count_params() >= _MOST_BYTES:
        problem = f"has weights of {4 * model.count_params() / 1e9:.1f} GB; an ONNX file holds 2."
        remedy = f"Use --format saved_model or litert. Or export its {len(recipe.members)} networks one by one: "
        raise InputError(recipe.network, problem, f"{remedy}{model_folder / MEMBERS}/NAME.")
    content = converted(model, recipe)
    with atomic_path(out_dir / ONNX_FILE) as temporary:
        Path(temporary).write_bytes(content)
    with atomic_path(out_dir / RECIPE_FILE) as temporary:
        shutil.copyfile(model_folder / RECIPE_FILE, temporary)
    return out_dir / ONNX_FILE


def need_packages() -> None:
    """Raises InputError unless the extra `onnx` is installed."""
    try:
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        remedy = 'pip install "tfdeepfake[onnx]"'
        raise InputError("onnx", f"needs a package that is not installed ({error.name}).", remedy) from None


def converted(model: "keras.Model | SideBySide", recipe: Recipe) -> bytes:
    """The ONNX file of a network, compared with it on random crops.

    Raises:
      InputError: it has no such form.
    """
    import onnxruntime
    import tensorflow as tf
    import tf2onnx

    check_model(model, recipe, one_logit=False)
    if (size := 4 * model.count_params()) >= _MOST_BYTES:
        problem = f"has weights of {size / 1e9:.1f} GB; an ONNX file holds 2."
        raise InputError(recipe.network, problem, "Use --format saved_model or litert.")
    function, inputs = signatures(model, recipe)[DEFAULT]
    specs = list(inputs.values())

    @tf.function(input_signature=specs)
    def run(*tensors):
        return function(**dict(zip(inputs, tensors, strict=True)))

    try:
        proto, _ = tf2onnx.convert.from_function(run, input_signature=specs, opset=OPSET, custom_op_handlers=OPERATIONS)
        content = proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        _compare(run, session, inputs)
    except Exception as error:  # the converter and the runtime raise many types
        problem = f"has no ONNX form: {type(error).__name__}: {str(error)[:300]}".replace("\n", " ")
        raise InputError(recipe.network, problem, "Use --format saved_model or litert.") from error
    return content


def _erfc(graph, node, name, arguments):
    """The complementary error function of GELU, which ONNX lacks: 1 - erf(x)."""
    one = graph.make_const(f"{name}/one", np.float32(1)).output[0]
    node.type = "Erf"
    (output,) = node.output
    shapes, dtypes = [graph.get_shape(output)], [graph.get_dtype(output)]
    graph.insert_node_on_output(graph.make_node("Sub", [one, output], shapes=shapes, dtypes=dtypes), output)


# What tf2onnx does not convert for this version of ONNX.
OPERATIONS = {"Erfc": (_erfc, [])}


def _compare(run, session, inputs):
    """Raises ValueError where the two differ on three random examples, and on one."""
    rng = np.random.default_rng(0)
    for batch in (3, 1):
        given = {
            name: rng.integers(0, 256, (batch, *spec.shape[1:]), np.uint8)
            if spec.dtype.name == "uint8"
            else rng.normal(0, 2, (batch, *spec.shape[1:])).astype(np.float32)
            for name, spec in inputs.items()
        }
        expected = {name: value.numpy() for name, value in run(*given.values()).items()}
        names = [output.name for output in session.get_outputs()]
        answered = dict(zip(names, session.run(names, given), strict=True))
        for name, values in expected.items():
            limit = TOLERANCE * max(1.0, float(np.abs(values).max()))
            if name not in answered or not np.abs(answered[name] - values).max() <= limit:
                raise ValueError(f"its {name} differ from Keras's by more than {limit:.1e}")
