"""TF Serving's API from a SavedModel: REST and gRPC, answers and errors as its documentation and source have them."""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from support import asking, served

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_recipe
from tfdeepfake.plain_answers import plain_process
from tfdeepfake.serving import rest
from tfdeepfake.serving.batching import Batcher
from tfdeepfake.serving.grpc_api import start_grpc
from tfdeepfake.serving.messages import fill_tensor, messages
from tfdeepfake.serving.remote import RemoteModel, ServableModel
from tfdeepfake.serving.servable import Servable, ServingError
from tfdeepfake.serving.shared_model import answers
from tfdeepfake.workers import OwnProcess, WorkerCrashed

ROWS = np.random.default_rng(0).integers(0, 256, (3, *served.SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frame")
    model = served.exported(folder, versions=(2, 10))
    return Servable(folder / "net", labels={"stable": 2}), model, folder


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return Servable(folder / "net") if served.exported(folder, "two_stream_frame") else None


def ask(servable, path, body=None, method=None):
    """(HTTP status, JSON)."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer = rest.answer(servable, method or ("GET" if body == b"null" else "POST"), path, body)
    return status, json.loads(answer)


def test_status_of_all_versions_of_one_and_of_a_label(frame):
    status, said = ask(frame[0], "/v1/models/net")
    fine = {"error_code": "OK", "error_message": ""}
    assert status == 200 and said == {
        "model_version_status": [
            {"version": "10", "state": "AVAILABLE", "status": fine},
            {"version": "2", "state": "AVAILABLE", "status": fine},
        ]
    }
    for which in ("versions/2", "labels/stable"):
        _, said = ask(frame[0], f"/v1/models/net/{which}")
        assert [one["version"] for one in said["model_version_status"]] == ["2"]


def test_metadata_names_the_signatures_and_their_tensors(frame):
    status, said = ask(frame[0], "/v1/models/net/labels/stable/metadata")
    assert status == 200 and said["model_spec"] == {"name": "net", "signature_name": "", "version": "2"}
    described = said["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "serve_jpeg", "embed"} <= set(described)
    frames = described["serving_default"]["inputs"]["frames"]
    assert frames["dtype"] == "DT_UINT8"
    assert [side["size"] for side in frames["tensor_shape"]["dim"]] == ["-1", "16", "24", "3"]
    assert described["serving_default"]["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize("which", ["", "/versions/2", "/labels/stable", "/versions/10"])
def test_rows_and_columns_score_as_the_network(frame, which):
    servable, model, _ = frame
    expected = model.predict(ROWS, verbose=0)[:, 0]
    assert np.ptp(expected) > 1e-4, "constant scores would prove nothing"
    status, rows = ask(servable, f"/v1/models/net{which}:predict", {"instances": ROWS.tolist()})
    assert status == 200 and [set(row) for row in rows["predictions"]] == 3 * [{"logit", "probability"}]
    status, columns = ask(servable, f"/v1/models/net{which}:predict", {"inputs": {"frames": ROWS.tolist()}})
    assert status == 200
    for got in ([row["logit"] for row in rows["predictions"]], columns["outputs"]["logit"]):
        np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)
    # One tensor stands without its name; so does one output.
    _, named = ask(servable, f"/v1/models/net{which}:predict", {"inputs": ROWS.tolist(), "signature_name": "embed"})
    assert np.shape(named["outputs"])[0] == 3 and np.ndim(named["outputs"]) == 2


def test_bytes_come_in_base64_of_either_alphabet(frame):
    import tensorflow as tf

    files = [tf.io.encode_jpeg(image, quality=95).numpy() for image in ROWS]
    said = []
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        texts = [{"b64": encode(file).decode().rstrip("=")} for file in files]
        for key in ("instances", "inputs"):
            body = {"signature_name": "serve_jpeg", key: texts}
            status, answer = ask(frame[0], "/v1/models/net:predict", body)
            assert status == 200, answer
            values = answer.get("outputs", {}).get("logit") or [row["logit"] for row in answer["predictions"]]
            said.append(values)
    assert all(values == said[0] for values in said) and len(set(said[0])) == 3


def test_a_network_of_two_inputs_takes_objects(two):
    flow = np.random.default_rng(1).normal(0, 2, (3, *served.SIZE, 2)).astype(np.float32)
    rows = [{"frames": f.tolist(), "flow": v.tolist()} for f, v in zip(ROWS, flow, strict=True)]
    status, by_row = ask(two, "/v1/models/net:predict", {"instances": rows})
    assert status == 200
    body = {"inputs": {"frames": ROWS.tolist(), "flow": flow.tolist()}}
    _, by_column = ask(two, "/v1/models/net:predict", body)
    assert [row["logit"] for row in by_row["predictions"]] == by_column["outputs"]["logit"]
    said = [
        ({"instances": [1]}, "instances is a plain list, but expecting list of objects"),
        ({"inputs": [1]}, "inputs is a plain value/list, but expecting an object"),
        ({"inputs": {"frames": ROWS.tolist()}}, "Missing named input: flow in 'inputs' object."),
        ({"instances": [{"frames": ROWS[0].tolist()}]}, "keys must be equal to: flow,frames"),
        ({"instances": [{"x": 1}]}, "key: x of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have"),
        ({"instances": [rows[0], 3]}, "Expecting object but got list at item 1 of input list"),
        ({"inputs": body["inputs"] | {"flow": flow[:2].tolist()}}, "different numbers of examples"),
    ]
    for body, text in said:
        status, answer = ask(two, "/v1/models/net:predict", body)
        assert status == 400 and text in answer["error"], answer


PREDICT = "/v1/models/net:predict"
SMALL_ROW = [[[1, 2, 3]] * 24] * 16


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/v1/models/half:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(half)"),
        ("/v1/models/net/versions/9:predict", {"instances": [1]}, 404, "for request: Specific(net, 9)"),
        ("/v1/models/net/labels/new:predict", {"instances": [1]}, 400, "Unrecognized servable version label: new"),
        ("/v1/models/half", None, 404, "Could not find any versions of model half"),
        ("/v1/models/net/versions/9", None, 404, "Could not find version 9 of model net"),
        ("/v1/models", None, 400, "Missing model name in request."),
        ("/v1/models/half/metadata", None, 404, "Servable not found for request: Latest(half)"),
        ("/v1/models/net:explain", {}, 400, "Malformed request: POST /v1/models/net:explain"),
        ("/v1/models/net:classify", {}, 400, "Expected classification signature method_name to be tensorflow/serving/"),
        (PREDICT, b"", 400, "JSON Parse error: The document is empty"),
        (PREDICT, b'{"instances": [1', 400, "JSON Parse error: "),
        (PREDICT, b"\xff\xfe", 400, "JSON Parse error: "),
        (PREDICT, b"[" * 100_000, 400, "JSON Parse error: "),
        (PREDICT, [1, 2], 400, "JSON Value: [1, 2] Is not object"),
        (PREDICT, {}, 400, "Missing 'inputs' or 'instances' key"),
        (PREDICT, {"inputs": 1, "instances": [1]}, 400, "expecting only one of 'inputs' or 'instances' keys to exist"),
        (PREDICT, {"instances": 5}, 400, "Expecting 'instances' to be an list/array"),
        (PREDICT, {"instances": []}, 400, "No values in 'instances' array"),
        (PREDICT, {"signature_name": 5, "instances": [1]}, 400, "'signature_name' key must be a string value."),
        (PREDICT, {"signature_name": "x", "instances": [1]}, 400, 'Serving signature name: "x" not found in signature'),
        (PREDICT, {"instances": [SMALL_ROW[:15]]}, 400, "frames needs uint8 [B, 16, 24, 3], got uint8 [1, 15, 24, 3]."),
        (PREDICT, {"instances": [SMALL_ROW, SMALL_ROW[:15]]}, 400, "Expecting tensor size: 1152 but got: 1080"),
        (PREDICT, {"instances": [[1, [2]]]}, 400, "Encountered list at unexpected level: 1 expected < 1"),
        (PREDICT, {"inputs": [[1, 2], [3]]}, 400, "unexpected size: 1 at level: 1 expected size: 2"),
        (PREDICT, {"inputs": [[1], 2]}, 400, "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        (PREDICT, {"inputs": [256]}, 400, "JSON Value: 256 Type: Number is not of expected type: uint8"),
        (PREDICT, {"inputs": [1.5]}, 400, "JSON Value: 1.5 Type: Number is not of expected type: uint8"),
        (PREDICT, {"inputs": ["1"]}, 400, 'JSON Value: "1" Type: String is not of expected type: uint8'),
        (PREDICT, {"inputs": [None]}, 400, "JSON Value: null Type: Null is not of expected type: uint8"),
        (PREDICT, {"inputs": [True]}, 400, "JSON Value: true Type: True is not of expected type: uint8"),
        (PREDICT, {"inputs": [[[1, True]], [[2, 3]]]}, 400, "JSON Value: true Type: True is not of expected"),
        (PREDICT, {"inputs": [float("nan")]}, 400, "JSON Value: NaN Type: Number is not of expected type: uint8"),
        (PREDICT, b'{"inputs": ' + 900 * b"[" + 900 * b"]" + b"}", 400, "Encountered list at unexpected level: 32"),
        (PREDICT, b'{"instances": [' + 200_000 * b"[]," + b"[]]}", 400, "got uint8 [200001, 0]."),
        (f"/v1/models/net/versions/{'9' * 5000}:predict", {}, 400, "Failed to convert version: 9999"),
        (PREDICT, {"inputs": [10**400]}, 400, ""),
        (PREDICT, {"inputs": {"frames": []}}, 400, "frames needs uint8"),
        (PREDICT, {"signature_name": "serve_jpeg", "inputs": [{"b64": "a"}]}, 400, "Unable to base64 decode"),
        (PREDICT, {"signature_name": "serve_jpeg", "inputs": [{"b64": "aGk="}]}, 400, "Invalid JPEG data, size 2"),
        (PREDICT, {"signature_name": "serve_jpeg", "inputs": [3]}, 400, "is not of expected type: string"),
    ],
)
def test_what_is_wrong_is_said_as_tensorflow_serving_says_it(frame, path, body, status, text):
    got, said = ask(frame[0], path, body)
    assert got == status and set(said) == {"error"} and text in said["error"] and said["error"], said


def test_numbers_beyond_a_float_are_refused(two):
    flow = np.zeros((1, *served.SIZE, 2)).tolist()
    for value, text in ((3e38, ""), (float("nan"), ""), (-1e39, "e+39 to float"), (10**40, "0 to float"), (True, "tr")):
        flow[0][3][2][1] = value
        status, said = ask(two, PREDICT, {"inputs": {"frames": ROWS[:1].tolist(), "flow": flow}})
        assert status == (400 if text else 200) and text in said.get("error", ""), (value, said)


def test_a_request_of_many_examples_takes_the_memory_of_one_call(frame):
    import tensorflow as tf

    servable, model, _ = frame
    many, sizes = np.concatenate([ROWS] * 25), []
    loaded = servable._loaded[10]
    run = loaded.run

    def noted(signature, inputs, output_filter):
        sizes.append(len(inputs["frames"]))
        return run(signature, inputs, output_filter)

    loaded.run = noted
    try:
        logits = servable.predict(10, "", {"frames": many})["logit"]
    finally:
        loaded.run = run
    assert sizes == [32, 32, 11]
    np.testing.assert_allclose(logits, np.tile(model.predict(ROWS, verbose=0)[:, 0], 25), atol=1e-6, rtol=0)
    files = np.array([tf.io.encode_jpeg(ROWS[0]).numpy()], object)
    with pytest.raises(ServingError, match="233017 images are more than the 233016 of one request"):
        servable.predict(10, "serve_jpeg", {"frames_bytes": np.repeat(files, 233_017)})


def test_numbers_are_the_shortest_of_their_float32(frame):
    from tfdeepfake.serving.json_tensors import write_tensors

    values = np.float32([0.2, 1 / 3, 3, np.inf, -np.inf, np.nan])
    text = write_tensors({"x": values}, in_rows=False).decode()
    assert "0.2," in text and "0.33333334" in text and "3.0" in text
    assert "Infinity" in text and "-Infinity" in text and "NaN" in text
    rows = json.loads(write_tensors({"a_bytes": np.array([b"\xff"], object), "b": np.int32([4])}, in_rows=True))
    assert rows == {"predictions": [{"a_bytes": {"b64": "/w=="}, "b": 4}]}


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
    with pytest.raises(InputError, match="answers HTTP 404: .*Servable not found for request: Latest"):
        RemoteModel("http://scores:8501", "half", recipe).predict_on_batch({"frames": ROWS})
    busy += [503] * 9
    with pytest.raises(InputError, match="is busy"):
        remote.predict_on_batch({"frames": ROWS})
    for address in ("scores:8501", "ftp://scores", "http://"):
        with pytest.raises(InputError, match="is no address of a server"):
            RemoteModel(address, "net", recipe)


def dumps(value):
    return json.dumps(value).encode()


class Gate:
    """A servable that notes the size of each call and waits until it is told to go on."""

    def __init__(self, servable):
        self._servable, self.sizes, self.go, self.began = servable, [], threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self._servable, name)

    def predict(self, version, signature, inputs, output_filter=()):
        self.sizes.append(len(next(iter(inputs.values()))))
        self.began.set()
        assert self.go.wait(30)
        return self._servable.predict(version, signature, inputs, output_filter)


def at_once(gate, batcher, calls):
    """Answers of the calls in order, errors among them: the first begins alone, the others come while it runs."""

    def call(number):
        if number:
            gate.began.wait(30)
        try:
            return calls[number]()
        except ServingError as error:
            return error.code

    with ThreadPoolExecutor(len(calls)) as pool:
        answers = [pool.submit(call, number) for number in range(len(calls))]
        for _ in range(3000):
            if batcher.num_present == len(calls):
                break
            time.sleep(0.01)
        gate.go.set()
        return [answer.result() for answer in answers]


def test_requests_of_the_same_kind_share_a_call_and_score_as_alone(frame):
    gate = Gate(frame[0])
    batcher = Batcher(gate, 8, 0, num_batch_threads=1)
    expected = frame[1].predict(ROWS, verbose=0)[:, 0]

    def score(first, last, signature="", version=10):
        return lambda: batcher.predict(version, signature, {"frames": ROWS[first:last]})

    calls = [score(0, 1), score(0, 3), score(1, 2), score(1, 3), score(0, 2, "embed"), score(0, 2, version=2)]
    answers = at_once(gate, batcher, [*calls, score(2, 3)])
    scored = [slice(0, 1), slice(0, 3), slice(1, 2), slice(1, 3), slice(0, 2), slice(2, 3)]
    for answer, rows in zip(answers[:4] + answers[5:], scored, strict=True):
        np.testing.assert_allclose(answer["logit"], expected[rows], atol=1e-6, rtol=0)
    alone = frame[0].predict(10, "embed", {"frames": ROWS[:2]})
    np.testing.assert_allclose(answers[4]["embedding"], alone["embedding"], atol=1e-6, rtol=0)
    # Seven examples of version 10's scores in one call; the other signature and the other version each by themselves.
    assert gate.sizes[0] == 1 and sorted(gate.sizes[1:]) == [2, 2, 7]
    assert (batcher.num_calls, batcher.num_requests) == (4, 7)


def test_an_error_of_one_request_is_not_its_neighbours(frame):
    import tensorflow as tf

    gate = Gate(frame[0])
    batcher = Batcher(gate, 8, 0, num_batch_threads=1)
    good = [tf.io.encode_jpeg(image, quality=95).numpy() for image in ROWS]
    expected = [frame[0].predict(10, "serve_jpeg", {"frames_bytes": np.array([file], object)}) for file in good]
    files = [good[0], good[1], b"no image", good[2]]

    def score(file):
        return lambda: batcher.predict(10, "serve_jpeg", {"frames_bytes": np.array([file], object)})

    calls = [score(file) for file in files]
    answers = at_once(gate, batcher, calls)
    assert answers[2] == "INVALID_ARGUMENT" and gate.sizes[:2] == [1, 3]
    for answer, alone in zip((answers[0], answers[1], answers[3]), expected, strict=True):
        np.testing.assert_allclose(answer["logit"], alone["logit"], atol=1e-6, rtol=0)
    with pytest.raises(ServingError, match="frames needs uint8"):  # seen before it is put among others
        batcher.predict(10, "", {"frames": ROWS[:, :2]})


def test_calls_are_no_larger_than_allowed_and_wait_for_nobody_when_alone(frame):
    gate = Gate(frame[0])
    batcher = Batcher(gate, 2, 60_000_000, num_batch_threads=1)
    gate.go.set()
    with batcher.coming():  # a minute's wait would be seen
        assert len(batcher.predict(10, "", {"frames": ROWS})["logit"]) == 3
        assert len(batcher.predict(10, "", {"frames": ROWS[:1]})["logit"]) == 1
    gate.go.clear()
    gate.began.clear()
    gate.sizes.clear()
    at_once(gate, batcher, 6 * [lambda: batcher.predict(10, "", {"frames": ROWS[:1]})])
    assert sum(gate.sizes) == 6 and max(gate.sizes) == 2


def test_a_call_waits_for_a_request_that_is_being_read(frame):
    batcher = Batcher(frame[0], 8, 60_000_000, num_batch_threads=1)
    first_is_there = threading.Event()

    def read_slowly():
        with batcher.coming():
            first_is_there.wait(30)
            time.sleep(0.05)
            batcher.predict(10, "", {"frames": ROWS[:1]})

    def ask():
        with batcher.coming():
            first_is_there.set()
            batcher.predict(10, "", {"frames": ROWS[1:]})

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(read_slowly)
        while not batcher.num_coming:
            time.sleep(0.001)
        pool.submit(ask).result()
        slow.result()
    assert (batcher.num_calls, batcher.num_requests) == (1, 2)


def test_what_a_network_reads_is_seen_in_its_signature(frame, two):
    for (servable, version), folder in (((frame[0], 10), frame[2]), ((two, 1), two.folder.parent)):
        recipe = load_recipe(folder / "net")
        assert servable.network_reads(version) == models.reads(recipe.network, recipe.network_args)


def test_processes_that_judge_share_the_network_of_the_server(frame):
    batcher = Batcher(frame[0], 8, 0)
    process = plain_process(answers=answers(batcher))
    logits, has_keras = process(asking.score_shared, (str(frame[2] / "net"), ROWS.tolist()))
    assert not has_keras, "it would take a second network's memory"
    np.testing.assert_allclose(logits, frame[1].predict(ROWS, verbose=0), atol=1e-6, rtol=0)
    with pytest.raises(InputError, match="net: frames needs uint8 .B, 16, 24, 3., got uint8 .3, 15, 24, 3.."):
        process(asking.score_shared, (str(frame[2] / "net"), ROWS[:, 1:].tolist()))
    for question in (3, {"frames": ("object", (1,), b"x")}, {"frames": ("uint8", (-1, 2), b"xx")}, {}):
        assert isinstance(answers(batcher)(question), str)
    process.close()


def test_a_process_asks_its_parent_as_long_as_it_has_time():
    process = OwnProcess(answers=lambda question: f"{question}!")
    assert process(asking.ask_twice, "said") == ["said!", "again!"]
    process._answers = None  # nobody is there to be asked
    assert isinstance(process(asking.ask_twice, "said"), WorkerCrashed)
