"""What an exported model's README says of its signatures, and the calls it shows: those that this network takes."""

from tfdeepfake.recipe import Recipe
from tfdeepfake.serving.signatures import DEFAULT, JPEG
from tfdeepfake.serving.warmup import batch_sizes

# OpenCV wants BGR.
_CROPS = """\
import cv2
import numpy as np
from tfdeepfake.data import examples
from tfdeepfake.model_folder import load_recipe

cut = examples.extract("clip.mp4", load_recipe(".").data)[:{most}]       # no more in one request
crops = np.stack([example.frames{first} for example in cut])      # uint8 {frames}, RGB"""
_FLOW = """
flow = np.stack([example.flow{first} for example in cut])         # float32 {flow}, px/frame"""
_ONE_FILE = """
cv2.imwrite("crop.jpg", crops[0][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])"""
_CURL = """\
curl http://localhost:8501/v1/models/{name}
curl http://localhost:8501/v1/models/{name}/metadata"""
_CURL_FILE = """
printf '{{"signature_name": "{jpeg}", "instances": [{{"b64": "%s"}}]}}' "$(base64 -w0 crop.jpg)" |
    curl -d @- http://localhost:8501/v1/models/{name}:predict"""
_REST = """\
import base64
import requests

def jpeg(image):
    file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return {{"b64": base64.b64encode(file).decode()}}

rows = [{row} for {item}]
body = {{"signature_name": "{jpeg}", "instances": rows}}
answer = requests.post("http://localhost:8501/v1/models/{name}:predict", json=body, timeout=60)
print(answer.json()["predictions"])"""
_GRPC = """\
import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

request = predict_pb2.PredictRequest()
request.model_spec.name = "{name}"
request.inputs["frames"].CopyFrom(tf.make_tensor_proto(crops))"""
_GRPC_FLOW = """
request.inputs["flow"].CopyFrom(tf.make_tensor_proto(flow))"""
_GRPC_CALL = """
stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel("localhost:8500"))
print(tf.make_ndarray(stub.Predict(request, timeout=60).outputs["{output}"]))"""
_MEANINGS = {
    "frames_bytes": "`frames_bytes` are JPEG files, one for each crop.",
    "logit": "`logit` and `probability` are of FAKE.",
    "logits": "`logits` and `probabilities` are of the classes{classes}.",
    "votes": "`votes` are the logits of FAKE of each network.",
    "embedding": "`embedding` are the features before the last layer.",
    "attention": "`attention` is a map of 0 to 1.",
}


def example_calls(name: str, inputs: dict[str, dict], outputs: dict[str, dict]) -> dict[str, str]:
    """{field of the README's template: code}, with the inputs of the network in the shape that it takes.

    Args:
      name: that the model is served under.
      inputs, outputs: {signature: {tensor: tf.TensorSpec}}.
    """
    crops = inputs[DEFAULT]
    flow, clip = "flow" in crops, len(crops["frames"].shape) == 5
    row, item = "[jpeg(image) for image in crop]" if clip else "jpeg(crop)", "crop in crops"
    if flow:
        row, item = f'{{"frames_bytes": {row}, "flow": f.tolist()}}', "crop, f in zip(crops, flow)"
    values = {
        "name": name,
        "jpeg": JPEG,
        "most": batch_sizes(crops)[-1],
        "first": "" if clip else "[0]",
        "row": row,
        "item": item,
        "output": "probability" if "probability" in outputs[DEFAULT] else "probabilities",
    }
    one_file = not flow and not clip
    code = {
        "crops": _CROPS + _FLOW * flow + _ONE_FILE * one_file,
        "curl": _CURL + _CURL_FILE * one_file,
        "rest": _REST,
        "grpc": _GRPC + _GRPC_FLOW * flow + _GRPC_CALL,
    }
    shapes = {tensor: _shape(spec) for tensor, spec in crops.items()}
    return {key: _indented(text.format(**values, **shapes)) for key, text in code.items()}


def signature_table(inputs: dict[str, dict], outputs: dict[str, dict], recipe: Recipe) -> dict[str, str]:
    """{field of the README's template: text}: a table of the signatures, and what their tensors mean.

    Args:
      inputs, outputs: {signature: {tensor: tf.TensorSpec}}.
      recipe: of the network.
    """
    rows = [f"| `{key}` | {_tensors(inputs[key])} | {_tensors(outputs[key])} |" for key in inputs]
    classes = f" {', '.join(recipe.classes)}" if recipe.classes else ""
    known = {tensor for specs in (*inputs.values(), *outputs.values()) for tensor in specs}
    meanings = [text.format(classes=classes) for tensor, text in _MEANINGS.items() if tensor in known]
    return {"signatures": "\n".join(rows), "meanings": " ".join(meanings)}


def _tensors(specs):
    return "<br>".join(f"`{name}` {spec.dtype.name} {_shape(spec)}" for name, spec in specs.items())


def _shape(spec):
    return str(["B", *spec.shape[1:]]).replace("'", "")


def _indented(text):
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
