"""A network behind TF Serving's API in the place of one in this process: faces are found here, scored there."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.model_inputs import reads_by_name
from tfdeepfake.recipe import Recipe
from tfdeepfake.serving.servable import Servable

REMEDY = "Start the server, or check its address and the model's name."
# A server that is restarted or full is asked again after so many seconds.
_WAITS_S = (0.2, 1.0, 3.0, 9.0)


class _Tensor(NamedTuple):
    name: str
    shape: tuple


class RemoteModel:
    """What `verdict.judging.judge` needs of a network, answered by a server's signature `serving_default`.

    Args:
      url: http://HOST:PORT (REST) or grpc://HOST:PORT; gRPC takes a fifth of the bytes and scores exactly.
      name: that the model is served under.
      recipe: of the model.
      time_limit_s: for one call.
    Raises:
      InputError: no such server or model, or an address of another kind.
    """

    def __init__(self, url: str, name: str, recipe: Recipe, time_limit_s: float = 60.0):
        self.name, self._recipe, self._time_limit_s = name, recipe, time_limit_s
        kind, _, rest = url.partition("://")
        if kind not in ("http", "https", "grpc") or not rest:
            raise InputError(url, "is no address of a server.", "Give http://HOST:8501 or grpc://HOST:8500.")
        self._url = url.rstrip("/")
        self._call = self._over_grpc(rest.rstrip("/")) if kind == "grpc" else self._over_rest
        self.votes = bool(recipe.members)
        self.inputs, self.outputs = exits(recipe)

    def predict_on_batch(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Logits float32 [B, K] of {"frames": uint8 [B, ...], "flow": float32 [B, ...]}.

        Raises:
          InputError: the server does not answer, or refuses the batch.
        """
        names = {tensor.name for tensor in self.inputs}
        inputs = {name: np.asarray(value) for name, value in batch.items() if name in names}
        inputs["frames"] = inputs["frames"].astype(np.uint8)
        for wait_s in (*_WAITS_S, None):
            try:
                outputs = self._call(inputs)
                break
            except _Busy as error:
                if wait_s is None:
                    raise InputError(self._url, str(error), REMEDY) from error
                time.sleep(wait_s)
        return logits_of(outputs, len(inputs["frames"]))

    def _over_rest(self, inputs):
        import requests

        body = {"inputs": {name: value.tolist() for name, value in inputs.items()}}
        if len(inputs) == 1:
            body = {"inputs": body["inputs"]["frames"]}
        try:
            address = f"{self._url}/v1/models/{self.name}:predict"
            answer = requests.post(address, json=body, timeout=self._time_limit_s)
        except requests.RequestException as error:
            raise _Busy(f"the scoring server does not answer ({type(error).__name__}).") from error
        if answer.status_code in (429, 503):
            raise _Busy(f"the scoring server is busy (HTTP {answer.status_code}).")
        if answer.status_code != 200:
            said = " ".join(answer.text[:300].split())
            raise InputError(self._url, f"the scoring server answers HTTP {answer.status_code}: {said}", REMEDY)
        return answer.json()["outputs"]

    def _over_grpc(self, host) -> Callable:
        import grpc

        from tfdeepfake.serving.messages import fill_tensor, predict_messages, scores_of

        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        channel = grpc.insecure_channel(host, options)
        call = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=predict_messages().PredictResponse.FromString,
        )

        def predict(inputs):
            request = predict_messages().PredictRequest()
            request.model_spec.name = self.name
            for name, value in inputs.items():
                fill_tensor(request.inputs[name], value)
            try:
                response = call(request, timeout=self._time_limit_s)
            except grpc.RpcError as error:
                if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                    raise _Busy(f"the scoring server does not answer ({error.code().name}).") from error
                said = f"the scoring server answers {error.code().name}: {error.details()}"
                raise InputError(self._url, said, REMEDY) from error
            try:
                return {name: scores_of(tensor) for name, tensor in response.outputs.items()}
            except ValueError as error:
                raise InputError(self._url, f"the scoring server answers no scores ({error}).", REMEDY) from error

        return predict


class ServableModel:
    """What `verdict.judging.judge` needs of a network, answered by the highest version of a `servable.Servable`."""

    def __init__(self, servable: Servable, recipe: Recipe):
        self.name, self._servable, self.votes = servable.name, servable, bool(recipe.members)
        self.inputs, self.outputs = exits(recipe)

    def predict_on_batch(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """As of `RemoteModel`."""
        inputs = {tensor.name: np.asarray(batch[tensor.name]) for tensor in self.inputs}
        inputs["frames"] = inputs["frames"].astype(np.uint8)
        outputs = self._servable.predict(self._servable.versions[-1], "", inputs)
        return logits_of(outputs, len(inputs["frames"]))


def exits(recipe: Recipe, network_reads: tuple[str, bool] | None = None) -> tuple[list, list]:
    """(inputs, outputs), tensors with name and shape, of the network, as its recipe describes them.

    Args:
      recipe: of the network.
      network_reads: (input type, whether it reads flow), where they are known.
    """
    network_reads = network_reads or reads_by_name(recipe.network, recipe.network_args)
    if network_reads is None:  # of an ensemble of its own members, which Keras's side knows
        from tfdeepfake.models.by_name import reads

        network_reads = reads(recipe.network, recipe.network_args)
    data, (input_type, flow) = recipe.data, network_reads
    lead = (None, data.num_frames) if input_type == "clip" else (None,)
    size = (data.height_px, data.width_px)
    inputs = [_Tensor("frames", (*lead, *size, 3))] + ([_Tensor("flow", (*lead, *size, 2))] if flow else [])
    return inputs, [_Tensor("logits", (None, len(recipe.classes) if recipe.classes else 1))]


def logits_of(outputs: dict, num_examples: int) -> np.ndarray:
    """float32 [B, K] of what the default signature answers, [B, M] of M networks that vote."""
    values = next(outputs[name] for name in ("votes", "logits", "logit") if name in outputs)
    return np.asarray(values, np.float32).reshape(num_examples, -1)


class _Busy(Exception):
    """The server may answer later."""
