"""The API in the form of OpenAPI 3.1, for documentation and generated clients; /openapi.json."""

from tfdeepfake import __version__
from tfdeepfake.serving.settings import ServeSettings

_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}, "description": "as POST answered"}
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_JOB = {
    "type": "object",
    "required": ["id", "name", "state", "before", "step", "fraction", "expires_in_s", "verdict", "links"],
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "state": {"enum": ["uploading", "queued", "running", "done", "stopped"]},
        "before": {"type": "integer", "description": "videos that are judged first"},
        "step": {"type": "string"},
        "fraction": {"type": "number", "minimum": 0, "maximum": 1},
        "expires_in_s": {"type": ["integer", "null"]},
        "verdict": {"type": ["object", "null"], "description": "docs/predictions.md, with `page` and `threshold`"},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_TENSORS = {
    "type": "object",
    "properties": {
        "signature_name": {"type": "string"},
        "instances": {"description": "a row for each example"},
        "inputs": {"description": "a tensor for each input"},
    },
}

_RESUMED = ("400", "404", "408", "409", "412", "413", "415", "507")


def describe(settings: ServeSettings) -> dict:
    """The description of a server with these limits."""
    video = {"type": "string", "format": "binary", "maxLength": settings.max_upload_mb << 20}
    form = {"type": "object", "properties": {"file": video}, "required": ["file"]}
    models = {
        f"/v1/models/{{model}}{which}{end}": operation
        for which in ("", "/versions/{version}", "/labels/{label}")
        for end, operation in (
            ("", {"get": _op("Status of the versions", {"200": "TF Serving's GetModelStatusResponse"}, ("404",))}),
            ("/metadata", {"get": _op("Signatures", {"200": "TF Serving's GetModelMetadataResponse"}, ("404",))}),
            (":predict", {"post": _predict()}),
        )
    }
    for path, operations in models.items():
        names = [part.split("}")[0] for part in path.split("{")[1:]]
        for operation in operations.values():
            operation["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
            ]
    videos = {
        "/v1/videos": {
            "post": _op(
                "Judge a video: its bytes, or a form with a file; with Tus-Resumable 201 and a place for it",
                {"202": _JOB, "201": None},
                ("400", "401", "408", "413", "429"),
            )
            | {
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/octet-stream": {"schema": video},
                        "multipart/form-data": {"schema": form},
                    },
                },
                "parameters": [
                    {"name": "X-File-Name", "in": "header", "schema": {"type": "string"}, "description": "escaped"}
                ],
                "security": [{"token": []}] if settings.token else [],
            },
            "options": _op("What resumable uploads (tus 1.0.0) can do here, in headers", {"204": None}),
        },
        "/v1/videos/{id}": {
            "head": _of_job("Of a resumable upload: Upload-Offset, how many bytes are here", {"200": None}),
            "patch": _of_job("Of a resumable upload: more bytes, from Upload-Offset on", {"204": None}, _RESUMED)
            | {
                "requestBody": {
                    "required": True,
                    "content": {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}},
                }
            },
            "get": _of_job("Where it is, and the verdict once there is one", {"200": _JOB}),
            "delete": _of_job("Delete it now", {"204": None}),
        },
        "/v1/videos/{id}/events": {
            "get": _of_job(
                "Server-sent events, the state as each one's name, until it has ended", {"200": "text/event-stream"}
            )
        },
        "/v1/videos/{id}/predictions.json": {
            "get": _of_job("What `predict --out` writes", {"200": {"type": "object"}})
        },
        "/v1/videos/{id}/index.html": {"get": _of_job("The verdict page, one file", {"200": "text/html"})},
        "/v1/videos/{id}/faces/{face}/map": {
            "post": _of_job(
                "Draw where in a face the network looks", {"200": {"type": "object"}}, ("404", "422", "429")
            )
        },
        "/v1/videos/{id}/frames/{folder}/{name}": {
            "get": _of_job("An annotated frame or a face, as `images` of the verdict names them", {"200": "image/jpeg"})
        },
    }
    images = videos["/v1/videos/{id}/frames/{folder}/{name}"]["get"]["parameters"]
    images += [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in ("folder", "name")]
    face = {"name": "face", "in": "path", "required": True, "schema": {"type": "integer"}}
    videos["/v1/videos/{id}/faces/{face}/map"]["post"]["parameters"] += [face]
    image = {"required": True, "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
    preview = _op(
        "Judge one JPEG file and keep nothing", {"200": {"type": "object"}}, ("401", "413", "415", "422", "429")
    )
    others = {
        "/v1/preview": {"post": preview | {"requestBody": image}},
        "/v1/server": {"get": _op("Model and limits", {"200": {"type": "object"}})},
        "/healthz": {"get": _op("Whether the process answers", {"200": {"type": "object"}})},
        "/readyz": {"get": _op("Whether videos can be judged", {"200": {"type": "object"}, "503": {"type": "object"}})},
        "/metrics": {"get": _op("For Prometheus", {"200": "text/plain"})},
        "/openapi.json": {"get": _op("This description", {"200": {"type": "object"}})},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "tfdeepfake", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": videos | models | others,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _predict():
    body = {"required": True, "content": {"application/json": {"schema": _TENSORS}}}
    codes = ("400", "401", "404", "408", "413", "429")
    return _op("Run a signature, as TF Serving's REST API", {"200": {"type": "object"}}, codes) | {"requestBody": body}


def _of_job(summary, answers, errors=("404",)):
    return _op(summary, answers, errors) | {"parameters": [_ID]}


def _op(summary, answers, errors=()):
    """An operation; an answer is a schema, a media type, a text about JSON, or None for none."""
    responses = {code: {"description": "what is wrong", "content": _json(_ERROR)} for code in errors}
    for code, answer in answers.items():
        if answer is None:
            responses[code] = {"description": "done"}
        elif isinstance(answer, dict):
            responses[code] = {"description": summary, "content": _json(answer)}
        elif "/" in answer and " " not in answer:
            responses[code] = {"description": summary, "content": {answer: {}}}
        else:
            responses[code] = {"description": answer, "content": _json({"type": "object"})}
    return {"summary": summary, "responses": dict(sorted(responses.items()))}


def _json(schema):
    return {"application/json": {"schema": schema}}
