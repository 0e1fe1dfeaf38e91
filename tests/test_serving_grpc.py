"""TF Serving's gRPC API from a SavedModel, and networks that another server scores, over gRPC and REST."""

import json

import grpc
import numpy as np
import pytest
from support import asking, served

from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_recipe
from tfdeepfake.plain_answers import plain_process
from tfdeepfake.serving import rest
from tfdeepfake.serving.grpc_api import start_grpc
from tfdeepfake.serving.messages import fill_tensor, messages
from tfdeepfake.serving.remote import RemoteModel, ServableModel

ROWS = served.ROWS


@pytest.fixture(scope="module")
def over_grpc(frame):
    server = start_grpc(frame[0], "127.0.0.1:0")
    channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
    kinds = messages()

    def call(service, method, request, answer):
        stub = channel.unary_unary(
            f"/tensorflow.serving.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=getattr(kinds, answer).FromString,
        )
        return stub(request, timeout=30)

    yield call, server
    channel.close()
    server.stop(None)


def test_grpc_predicts_exactly_and_names_what_answered(frame, over_grpc):
    import tensorflow as tf

    request = messages().PredictRequest(output_filter=["logit"])
    request.model_spec.name, request.model_spec.version_label = "net", "stable"
    fill_tensor(request.inputs["frames"], ROWS)
    answer = over_grpc[0]("PredictionService", "Predict", request, "PredictResponse")
    assert set(answer.outputs) == {"logit"}
    # Where TF Serving has them, and clients of it read them.
    assert list(answer.outputs["logit"].float_val) == tf.make_ndarray(answer.outputs["logit"]).tolist() != []
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("net", 2, "serving_default")
    expected = frame[1].predict(ROWS, verbose=0)[:, 0]
    np.testing.assert_allclose(tf.make_ndarray(answer.outputs["logit"]), expected, atol=1e-6, rtol=0)


def test_grpc_tells_status_and_metadata(over_grpc):
    request = messages().GetModelStatusRequest()
    request.model_spec.name = "net"
    answer = over_grpc[0]("ModelService", "GetModelStatus", request, "GetModelStatusResponse")
    assert [(one.version, one.state, one.status.error_code) for one in answer.model_version_status] == [
        (10, 30, 0),
        (2, 30, 0),
    ]
    request = messages().GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "net"
    answer = over_grpc[0]("PredictionService", "GetModelMetadata", request, "GetModelMetadataResponse")
    signatures = messages().SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures) and "embed" in signatures.signature_def


def test_grpc_refuses_with_the_codes_of_tensorflow_serving(over_grpc):
    def code(change):
        request = messages().PredictRequest()
        request.model_spec.name = "net"
        fill_tensor(request.inputs["frames"], ROWS)
        change(request)
        with pytest.raises(grpc.RpcError) as refused:
            over_grpc[0]("PredictionService", "Predict", request, "PredictResponse")
        return refused.value.code().name, refused.value.details()

    def bomb(request):
        # One value stands for as many as the shape claims.
        tensor = request.inputs["frames"]
        tensor.Clear()
        tensor.dtype = 4
        for side in (1 << 20, 1 << 20):
            tensor.tensor_shape.dim.add(size=side)
        tensor.int_val.append(1)

    assert code(lambda r: r.ClearField("model_spec")) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    assert code(lambda r: setattr(r.model_spec, "name", "half"))[0] == "NOT_FOUND"
    assert code(lambda r: setattr(r.model_spec, "signature_name", "x"))[0] == "FAILED_PRECONDITION"
    said = code(lambda r: r.inputs["more"].CopyFrom(r.inputs["frames"]))
    assert said[0] == "INVALID_ARGUMENT" and "Sent extra: {more}. Missing but required: {}." in said[1]
    assert code(lambda r: r.output_filter.append("x"))[0] == "INVALID_ARGUMENT"
    assert code(lambda r: r.output_filter.extend(["logit"] * 2))[1] == "duplicate output tensor alias: logit"
    assert code(lambda r: r.model_spec.ClearField("name")) == ("INVALID_ARGUMENT", "ModelSpec has no name specified.")

    def of_strings(request):
        request.model_spec.signature_name = "serve_jpeg"
        request.inputs.clear()
        fill_tensor(request.inputs["frames_bytes"], np.array([b""], object))
        request.inputs["frames_bytes"].tensor_shape.dim[0].size = 1 << 26

    def out_of_range(request):
        bomb(request)
        for dim, side in zip(request.inputs["frames"].tensor_shape.dim, (1, 1), strict=True):
            dim.size = side
        request.inputs["frames"].int_val[0] = 300

    for change, text in (
        (bomb, "frames claims 1099511627776 values, which do not come with it."),
        (of_strings, "frames_bytes claims 67108864 values, which do not come with it."),
        (out_of_range, "frames cannot be read as a tensor"),
        (lambda r: setattr(r.inputs["frames"], "dtype", 20), "frames cannot be read as a tensor"),
        (lambda r: setattr(r.inputs["frames"], "dtype", 999), "frames cannot be read as a tensor"),
        (lambda r: setattr(r.inputs["frames"].tensor_shape.dim[0], "size", -1), "frames has no shape"),
        (lambda r: setattr(r.inputs["frames"].tensor_shape, "unknown_rank", True), "frames has no shape"),
    ):
        said = code(change)
        assert said[0] == "INVALID_ARGUMENT" and text in said[1], said


@pytest.mark.parametrize(("method", "kind"), [("Classify", "Classification"), ("Regress", "Regression")])
def test_no_signature_is_for_classify_or_regress(over_grpc, method, kind):
    request = getattr(messages(), f"{kind}Request")()
    request.model_spec.name = "net"
    with pytest.raises(grpc.RpcError, match=f"Expected {kind.lower()} signature method_name to be") as refused:
        over_grpc[0]("PredictionService", method, request, "PredictResponse")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_token_is_asked_for_over_grpc_too(frame):
    server = start_grpc(frame[0], "127.0.0.1:0", token="secret")
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = channel.unary_unary(
            "/tensorflow.serving.ModelService/GetModelStatus",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=messages().GetModelStatusResponse.FromString,
        )
        request = messages().GetModelStatusRequest()
        request.model_spec.name = "net"
        with pytest.raises(grpc.RpcError) as refused:
            stub(request, timeout=30)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert stub(request, timeout=30, metadata=[("authorization", "Bearer secret")]).model_version_status
    server.stop(None)


def test_a_network_behind_the_api_scores_as_the_one_here(frame, over_grpc):
    servable, model, folder = frame
    recipe = load_recipe(folder / "net")
    expected = model.predict(ROWS, verbose=0)
    remote = RemoteModel(f"grpc://127.0.0.1:{over_grpc[1].port}", "net", recipe)
    for other in (remote, ServableModel(servable, recipe)):
        assert [(t.name, t.shape) for t in other.inputs] == [("frames", (None, 16, 24, 3))]
        np.testing.assert_allclose(other.predict_on_batch({"frames": ROWS}), expected, atol=1e-6, rtol=0)


def test_a_process_that_asks_another_server_loads_no_tensorflow(frame, over_grpc):
    process = plain_process()
    address = f"grpc://127.0.0.1:{over_grpc[1].port}"
    logits, loaded = process(asking.score_elsewhere, (address, str(frame[2] / "net"), ROWS.tolist()))
    assert loaded == []
    np.testing.assert_allclose(logits, frame[1].predict(ROWS, verbose=0), atol=1e-6, rtol=0)
    process.close()


def test_over_rest_a_busy_server_is_asked_again_and_a_refusal_is_told(frame, monkeypatch):
    import requests

    servable, model, folder = frame
    recipe, busy, asked = load_recipe(folder / "net"), [503, 429], []

    def post(address, json, timeout):
        asked.append(address)
        answer = requests.Response()
        if busy:
            answer.status_code = busy.pop()
        else:
            path = address.removeprefix("http://scores:8501")
            answer.status_code, answer._content = rest.answer(servable, "POST", path, dumps(json))
        return answer

    monkeypatch.setattr(requests, "post", post)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    remote = RemoteModel("http://scores:8501/", "net", recipe)
    expected = model.predict(ROWS, verbose=0)
    np.testing.assert_allclose(remote.predict_on_batch({"frames": ROWS}), expected, atol=1e-6, rtol=0)
    assert len(asked) == 3
    with pytest.raises(
        InputError, match="the scoring server answers HTTP 404: .*Servable not found for request: Latest"
    ):
        RemoteModel("http://scores:8501", "half", recipe).predict_on_batch({"frames": ROWS})
    busy += [503] * 9
    with pytest.raises(InputError, match="the scoring server is busy"):
        remote.predict_on_batch({"frames": ROWS})
    for address in ("scores:8501", "ftp://scores", "http://"):
        with pytest.raises(InputError, match="is no address of a server"):
            RemoteModel(address, "net", recipe)


def dumps(value):
    return json.dumps(value).encode()
