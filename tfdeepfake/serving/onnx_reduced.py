"""Saved model folder -> an ONNX file of fewer bits, with what that does to its scores on drawn videos; extra `onnx`."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.quiet import hide_stderr
from tfdeepfake.recipe import Recipe
from tfdeepfake.serving import reduced
from tfdeepfake.serving.onnx import ONNX_FILE, converted, need_packages
from tfdeepfake.serving.remote import exits, logits_of

FACTS_FILE = f"{ONNX_FILE}.json"
# Smaller tensors stay: constants of shapes and biases weigh nothing.
_LEAST_NUMBERS = 64
# What holds nearly all weights; all else is computed in float32.
_OPERATIONS = ["Conv", "MatMul", "Gemm"]


class OnnxModel:
    """An ONNX file in the place of the Keras network, where a verdict is made.

    Attributes:
      name: of the network.
      inputs, outputs: tensors with name and shape.
    """

    def __init__(self, content: bytes, recipe: Recipe):
        import onnxruntime

        self.name, (self.inputs, self.outputs) = recipe.network, exits(recipe)
        self._session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]

    def predict_on_batch(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Logits float32 [B, K] of {"frames": [B, ...], "flow": float32 [B, ...]}."""
        inputs = {tensor.name: np.asarray(batch[tensor.name]) for tensor in self.inputs}
        inputs["frames"] = inputs["frames"].astype(np.uint8)
        outputs = dict(zip(self._names, self._session.run(None, inputs), strict=True))
        return logits_of(outputs, len(inputs["frames"]))


def export_reduced(
    model_folder: Path | str,
    out_dir: Path | str,
    precision: str,
    log: Callable[[str], None] = lambda line: None,
    most: float | None = None,
) -> Path:
    """Writes model.onnx, model.onnx.json, which says what was made of what, and the recipe.

    Inputs and outputs are those of `onnx.export_onnx`.

    Args:
      model_folder: as written by `model_folder.save_model`, or a run folder, whose best/ is taken.
      out_dir: made when absent.
      precision: "float16" stores weights in 16 bits and computes in float32; "int8" stores them in 8 bits and brings
        the inputs of layers to 8 bits as they come; "int8_full" brings these to 8 bits by ranges that faces of drawn
        videos show.
      log, most: see `reduced.write_smaller_form`.
    Returns:
      Path of the ONNX file.
    Raises:
      InputError: a package of the extra `onnx` is missing, the folder cannot be used, its network has no such form, it
        finds no face in the drawn videos, or a score moves by more than `most`.
    """
    need_packages()

    def make(model, recipe, calibration):
        whole = converted(model, recipe)
        try:
            content = _halved(whole) if precision == "float16" else _quantised(whole, precision, calibration)
            return content, OnnxModel(content, recipe)
        except Exception as error:  # the runtime raises many types
            problem = f"has no form of {precision}: {type(error).__name__}: {str(error)[:300]}".replace("\n", " ")
            raise InputError(recipe.network, problem, "Try another --precision.") from error

    out_dir = Path(out_dir)
    return reduced.write_smaller_form(
        model_folder, out_dir / ONNX_FILE, out_dir / FACTS_FILE, precision, make, log, most
    )


def _halved(content: bytes) -> bytes:
    """Weights in float16, brought back to float32 before they are used: ONNX Runtime does it once, when it loads."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model, casts = onnx.load_from_string(content), []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _LEAST_NUMBERS:
            continue
        half = numpy_helper.to_array(tensor).astype(np.float16)
        if np.isfinite(half).all():
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}/float16"))
            casts.append(helper.make_node("Cast", [f"{name}/float16"], [name], f"{name}/cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()


def _quantised(content: bytes, precision: str, calibration: Sequence[dict]) -> bytes:
    """By ONNX Runtime's own quantisation."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="tfdeepfake-") as folder, hide_stderr():
        whole, prepared, small = (Path(folder) / f"{name}.onnx" for name in ("whole", "prepared", "small"))
        whole.write_bytes(content)
        quant_pre_process(whole, prepared, skip_symbolic_shape=True)
        if precision == "int8":
            quantize_dynamic(prepared, small, _OPERATIONS, weight_type=QuantType.QUInt8)
        else:
            quantize_static(
                prepared, small, _Reader(calibration), QuantFormat.QDQ, op_types_to_quantize=_OPERATIONS,
                per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            )  # fmt: skip
        return small.read_bytes()


class _Reader:
    """Inputs one by one, as the quantisation asks for them."""

    def __init__(self, calibration):
        self._inputs = iter(calibration)

    def get_next(self):
        example = next(self._inputs, None)
        return example and example | {"frames": example["frames"].astype(np.uint8)}
