"""TF Serving's REST API: paths, methods, codes (tensorflow_serving/model_servers/http_rest_api_util.cc, Apache-2.0).

GET  /v1/models/NAME[/versions/N|/labels/L]             status of the versions
GET  /v1/models/NAME[/versions/N|/labels/L]/metadata    signatures of the version
POST /v1/models/NAME[/versions/N|/labels/L]:predict     rows or columns of tensors to outputs
"""

import json
import re
import threading
from urllib.parse import unquote

from tfdeepfake.serving import json_tensors
from tfdeepfake.serving.messages import messages
from tfdeepfake.serving.servable import Servable, ServingError, no_signature_of

_WHICH = r"(?:(?:/versions/(?P<version>[0-9]+))|(?:/labels/(?P<label>[^/:]+)))?"
_PREDICTION = re.compile(rf"/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<method>classify|regress|predict)")
_STATUS = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?:/(?P<metadata>metadata))?")
# JSON of tensors takes many times its size while it is read.
_READING = threading.Semaphore(2)
HTTP_STATUS = {
    "OK": 200,
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}


def answer(servable: Servable, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """The answer to one request.

    Args:
      servable: the model.
      method: of HTTP.
      path: as it came, with its escapes.
      body: of the request.
    Returns:
      (HTTP status, JSON). What is wrong with a request is {"error": text}.
    """
    try:
        return 200, _answer(servable, method, path, body)
    except ServingError as error:
        return HTTP_STATUS.get(error.code, 500), json.dumps({"error": error.text}, indent=1).encode()


def _answer(servable, method, path, body):
    match = (_PREDICTION if method == "POST" else _STATUS).fullmatch(path) if method in ("GET", "POST") else None
    if match is None:
        raise ServingError("INVALID_ARGUMENT", f"Malformed request: {method} {path}")
    groups = match.groupdict()
    name = unquote(groups["name"] or "")
    label = unquote(groups["label"]) if groups["label"] else None
    version = _number(groups["version"]) if groups["version"] else None
    if method == "POST":
        return _predict(servable, groups["method"], body, name, version, label)
    if not name:
        raise ServingError("INVALID_ARGUMENT", "Missing model name in request.")
    if groups["metadata"]:
        return _metadata(servable, servable.find(name, version, label))
    return _status(servable.status(name, version, label))


def _number(digits):
    if len(digits.lstrip("0")) > 19 or int(digits) >= 1 << 63:
        raise ServingError("INVALID_ARGUMENT", f"Failed to convert version: {digits[:256]} to numeric.")
    return int(digits)


def _predict(servable, method, body, name, version, label):
    if method != "predict":
        servable.find(name, version, label)
        raise no_signature_of(method)
    with servable.coming():
        with _READING:
            document = json_tensors.parse(body)
            signature = json_tensors.signature_name(document)
            version = servable.find(name, version, label)
            tensors, in_rows = json_tensors.read_tensors(document, servable.inputs(version, signature))
            del document
        outputs = servable.predict(version, signature, tensors)
    return json_tensors.write_tensors(outputs, in_rows)


def _status(versions):
    # In TF Serving's order: the newest first.
    available = [
        {"version": str(version), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        for version in sorted(versions, reverse=True)
    ]
    return json.dumps({"model_version_status": available}, indent=1).encode()


def _metadata(servable, version):
    from google.protobuf.json_format import MessageToDict

    signatures = messages().SignatureDefMap()
    for name, signature in servable.signature_defs(version).items():
        signatures.signature_def[name].MergeFromString(signature.SerializeToString())
    shown = MessageToDict(signatures, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    about = {
        "model_spec": {"name": servable.name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": shown},
    }
    return json.dumps(about, indent=1).encode()
