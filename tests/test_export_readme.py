"""The README of an exported model shows calls that its network takes: they are run as they stand there."""

import json
import re
import subprocess
import sys
import types
from urllib.parse import urlsplit

import numpy as np
import pytest
from support import media
from support.tiny_models import TINY, recipe_of

from tfdeepfake import models
from tfdeepfake.model_folder import save_model
from tfdeepfake.serving import rest
from tfdeepfake.serving.export import export
from tfdeepfake.serving.grpc_api import start_grpc
from tfdeepfake.serving.messages import messages
from tfdeepfake.serving.servable import Servable

CLASSES = ["real", "Deepfakes", "FaceSwap"]


def code_of(readme, section):
    """The indented lines of a section, a text for each block."""
    text = readme.split(f"## {section}\n")[1].split("\n## ")[0]
    return [re.sub("(?m)^    ", "", block) for block in re.findall(r"(?:(?:^    .*)?\n)+", text, re.M) if block.strip()]


def stub_of(kinds):
    """What the README imports of the package tensorflow-serving-api: messages, and a stub of the service."""

    class PredictionServiceStub:
        def __init__(self, channel):
            self.Predict = channel.unary_unary(
                "/tensorflow.serving.PredictionService/Predict",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=kinds.PredictResponse.FromString,
            )

    return types.SimpleNamespace(
        predict_pb2=kinds,
        prediction_service_pb2_grpc=types.SimpleNamespace(PredictionServiceStub=PredictionServiceStub),
    )


@pytest.mark.parametrize(("name", "classes"), [("meso4", CLASSES), ("two_stream_frame", None), ("cnn_rnn", None)])
def test_its_calls_score_the_crops_of_a_video(tmp_path, monkeypatch, name, classes):
    import requests
    import tensorflow as tf

    arguments = TINY[name] | ({"num_classes": len(classes)} if classes else {})
    model = models.build(name, **arguments)
    recipe = recipe_of(model, arguments, classes=classes, temperature=2.0)
    object.__setattr__(recipe.data, "detector", "none")
    save_model(tmp_path / "model", model, recipe)
    export(tmp_path / "model", tmp_path / "net")
    servable = Servable(tmp_path / "net")
    server = start_grpc(servable, "127.0.0.1:0")
    readme = (tmp_path / "net" / "README.md").read_text()
    media.make_video(tmp_path / "net" / "clip.mp4", media.moving_frames(12))
    monkeypatch.chdir(tmp_path / "net")
    said = []

    def post(address, json, timeout):
        status, answer = rest.answer(servable, "POST", urlsplit(address).path, dumps(json))
        assert status == 200, answer
        return types.SimpleNamespace(json=lambda: loads(answer))

    dumps, loads = lambda value: json.dumps(value).encode(), json.loads
    monkeypatch.setattr(requests, "post", post)
    apis = stub_of(messages())
    for module, value in (("tensorflow_serving", types.ModuleType("x")), ("tensorflow_serving.apis", apis)):
        monkeypatch.setitem(sys.modules, module, value)
    # The package's messages are TensorFlow's own class of tensors, ours another of the same bytes.
    tensor, make = type(messages().PredictRequest().inputs["x"]), tf.make_tensor_proto
    monkeypatch.setattr(tf, "make_tensor_proto", lambda array: tensor.FromString(make(array).SerializeToString()))
    scope = {"print": said.append}
    exec(code_of(readme, "Whole videos")[-1], scope)
    curl, python = code_of(readme, "REST")
    exec(python, scope)
    exec(code_of(readme, "gRPC")[-1].replace("8500", str(server.port)), scope)
    server.stop(None)

    inputs = {key: scope[value] for key, value in (("frames", "crops"), ("flow", "flow")) if value in scope}
    assert set(inputs) == {tensor.name for tensor in model.inputs}
    expected = servable.predict(1, "", inputs)["probability"]
    over_rest, over_grpc = said
    assert np.shape(over_grpc) == np.shape(expected) and len(expected) > 0
    np.testing.assert_allclose(over_grpc, expected, atol=1e-6)
    np.testing.assert_allclose([row["probability"] for row in over_rest], expected, atol=0.02)  # JPEG files
    # One file is all that a frame network takes: this call stands for the shell, too.
    assert ("base64" in curl) == (set(inputs) == {"frames"} and inputs["frames"].ndim == 4)
    if "base64" in curl:
        piped = curl[curl.index("printf") :].replace("curl -d @-", "cat #")
        body = subprocess.run(["bash", "-ec", piped], capture_output=True, check=True).stdout
        assert rest.answer(servable, "POST", "/v1/models/net:predict", body)[0] == 200
    for signature in servable.signature_defs(1):
        assert signature.startswith("__") or f"| `{signature}` |" in readme
    assert ("`attention`" in readme, "`votes`" in readme, "`flow`" in readme) == (False, False, "flow" in inputs)
    assert ("classes real, Deepfakes, FaceSwap" in readme) == bool(classes)
