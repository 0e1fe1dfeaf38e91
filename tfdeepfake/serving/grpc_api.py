"""TF Serving's gRPC API: PredictionService (Predict, GetModelMetadata) and ModelService (GetModelStatus).

Classify and Regress are refused, as no signature is theirs.
"""

import hmac
import math
from concurrent.futures import ThreadPoolExecutor

import grpc

from tfdeepfake.errors import InputError
from tfdeepfake.serving.messages import fill_tensor, messages
from tfdeepfake.serving.servable import Servable, ServingError, no_signature_of

_AVAILABLE = 30  # ModelVersionStatus.State


def start_grpc(
    servable: Servable,
    address: str,
    num_threads: int = 2,
    max_bytes: int = 64 << 20,
    token: str | None = None,
    max_calls: int = 32,
) -> grpc.Server:
    """Starts to answer.

    Args:
      servable: the model, or a `batching.Batcher` of it.
      address: HOST:PORT.
      num_threads: calls that are worked on at once, or wait in the batcher to be put together.
      max_bytes: of one request.
      token: that calls have to bring as metadata `authorization: Bearer TOKEN`.
      max_calls: that wait or are worked on; more are answered with RESOURCE_EXHAUSTED.
    Returns:
      The server; `stop(seconds)` ends it. Its `port` is the one in use, also where 0 was asked for.
    Raises:
      InputError: the address cannot be used.
    """
    options = [
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.server(ThreadPoolExecutor(num_threads), options=options, maximum_concurrent_rpcs=max_calls)
    kinds, api = messages(), _Api(servable, token, max_bytes)
    for service, methods in (
        (
            "PredictionService",
            {
                "Predict": kinds.PredictRequest,
                "GetModelMetadata": kinds.GetModelMetadataRequest,
                "Classify": kinds.ClassificationRequest,
                "Regress": kinds.RegressionRequest,
            },
        ),
        ("ModelService", {"GetModelStatus": kinds.GetModelStatusRequest}),
    ):
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(
                api.handler(method),
                request_deserializer=kind.FromString,
                response_serializer=lambda response: response.SerializeToString(),
            )
            for method, kind in methods.items()
        }
        full = f"tensorflow.serving.{service}"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(full, handlers),))
    try:
        server.port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise InputError("--grpc-port", f"{address} cannot be used.", "Choose another port.") from error
    server.start()
    return server


class _Api:
    def __init__(self, servable, token, max_bytes):
        self._servable, self._token, self._max_bytes = servable, token, max_bytes

    def handler(self, method):
        work = getattr(self, f"_{method}")

        def handle(request, context):
            try:
                self._check_token(context)
                if not request.HasField("model_spec"):
                    raise ServingError("INVALID_ARGUMENT", "Missing ModelSpec")
                return work(request)
            except ServingError as error:
                code = getattr(grpc.StatusCode, error.code, grpc.StatusCode.INTERNAL)
                context.abort(code, error.text)

        return handle

    def _check_token(self, context):
        given = dict(context.invocation_metadata()).get("authorization", "")
        if self._token and not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise ServingError("UNAUTHENTICATED", "a token is needed: metadata authorization: Bearer TOKEN")

    def _Predict(self, request):
        spec = request.model_spec
        version = self._servable.find(*_which(spec))
        with self._servable.coming():
            inputs = {name: _array(name, tensor, self._max_bytes) for name, tensor in request.inputs.items()}
            outputs = self._servable.predict(version, spec.signature_name, inputs, tuple(request.output_filter))
        response = messages().PredictResponse()
        response.model_spec.name, response.model_spec.version.value = self._servable.name, version
        response.model_spec.signature_name = spec.signature_name or "serving_default"
        for name, value in outputs.items():
            fill_tensor(response.outputs[name], value, as_fields=True)
        return response

    def _Classify(self, request):
        self._servable.find(*_which(request.model_spec))
        raise no_signature_of("classify")

    def _Regress(self, request):
        self._servable.find(*_which(request.model_spec))
        raise no_signature_of("regress")

    def _GetModelMetadata(self, request):
        for field in request.metadata_field:
            if field != "signature_def":
                raise ServingError("INVALID_ARGUMENT", f"Metadata field {field} is not supported")
        if not request.metadata_field:
            raise ServingError("INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field")
        version = self._servable.find(*_which(request.model_spec))
        response, signatures = messages().GetModelMetadataResponse(), messages().SignatureDefMap()
        for name, signature in self._servable.signature_defs(version).items():
            signatures.signature_def[name].MergeFromString(signature.SerializeToString())
        response.model_spec.name, response.model_spec.version.value = self._servable.name, version
        response.metadata["signature_def"].Pack(signatures)
        return response

    def _GetModelStatus(self, request):
        response = messages().GetModelStatusResponse()
        for version in sorted(self._servable.status(*_which(request.model_spec)), reverse=True):
            status = response.model_version_status.add(version=version, state=_AVAILABLE)
            status.status.error_code = 0
        return response


def _array(name, tensor, max_bytes):
    """The array of a TensorProto.

    A tensor of one value may stand for as many as its shape claims: for no more than one request may hold otherwise,
    and texts have to be there themselves.
    """
    import tensorflow as tf

    sides = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or min(sides, default=0) < 0:
        raise ServingError("INVALID_ARGUMENT", f"{name} has no shape: {sides}.")
    try:
        dtype = tf.as_dtype(tensor.dtype)
        missing = dtype == tf.string and math.prod(sides) > len(tensor.string_val)
        if missing or math.prod(sides) * dtype.size > max_bytes:
            text = f"{name} claims {math.prod(sides)} values, which do not come with it."
            raise ServingError("INVALID_ARGUMENT", text)
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError, KeyError, OverflowError, AttributeError) as error:
        text = f"{name} cannot be read as a tensor ({type(error).__name__}: {str(error)[:200]})."
        raise ServingError("INVALID_ARGUMENT", text) from error


def _which(spec):
    """(name, version or None, label or None) of a ModelSpec."""
    choice = spec.WhichOneof("version_choice")
    version = spec.version.value if choice == "version" else None
    return spec.name, version, spec.version_label if choice == "version_label" else None
