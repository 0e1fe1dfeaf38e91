"""TF Serving's API from a SavedModel: REST and gRPC, answers and errors as its documentation and source have them."""

import base64
import json

import numpy as np
import pytest
from support import served

from tfdeepfake import models
from tfdeepfake.model_folder import load_recipe
from tfdeepfake.serving import rest
from tfdeepfake.serving.servable import Servable, ServingError

ROWS = served.ROWS


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
        ("/v1/models/net:PREDICT", {}, 400, "Malformed request: POST /v1/models/net:PREDICT"),
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
    flow[0][3][2][1] = 12345
    body = json.dumps({"inputs": {"frames": ROWS[:1].tolist(), "flow": flow}}).encode()
    for digits, expected in ((b"1e400", 400), (b"-1.5E+999", 400), (b"9" * 400 + b".0", 400), (b"1e-400", 200)):
        status, said = ask(two, PREDICT, body.replace(b"12345", digits))
        assert status == expected, (digits[:9], said)


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


def test_what_a_network_reads_is_seen_in_its_signature(frame, two):
    for (servable, version), folder in (((frame[0], 10), frame[2]), ((two, 1), two.folder.parent)):
        recipe = load_recipe(folder / "net")
        assert servable.network_reads(version) == models.reads(recipe.network, recipe.network_args)
