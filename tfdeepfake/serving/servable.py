"""The versions of an exported model, loaded: what TF Serving calls a servable, and the errors it answers with.

Texts and codes of errors are those of tensorflow/serving (model_servers/, servables/tensorflow/, Apache-2.0), so that a
client cannot tell which server it talks to.
"""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.quiet import hide_absl, load_tensorflow
from tfdeepfake.serving.signatures import DEFAULT
from tfdeepfake.serving.warmup import batch_sizes

SAVED_MODEL_FILE = "saved_model.pb"
# An image of 150 bytes becomes one of the network's size.
_MOST_DECODED_BYTES = 1 << 28


class ServingError(Exception):
    """What a request is answered with: `code` is a name of absl's status codes, the text is for the client."""

    def __init__(self, code: str, text: str):
        self.code, self.text = code, text
        super().__init__(f"{code}: {text}")


def no_signature_of(method: str) -> ServingError:
    """What `classify` and `regress` are answered with: signatures here are all for `predict`."""
    kind, started = {"classify": "classification", "regress": "regression"}[method], "tensorflow/serving"
    text = f"Expected {kind} signature method_name to be {started}/{method}. Was: {started}/predict"
    return ServingError("INVALID_ARGUMENT", text)


def is_exported(folder: Path | str) -> bool:
    """Whether a folder holds versions of a SavedModel, as `tfdeepfake export` writes them."""
    return bool(_versions(folder))


def _versions(folder):
    folders = Path(folder).iterdir() if Path(folder).is_dir() else ()
    return {int(f.name): f for f in folders if f.name.isdecimal() and (f / SAVED_MODEL_FILE).is_file()}


class Servable:
    """A model under a name, in all its versions; safe to be used by several threads, `at_once` of them.

    Args:
      folder: with a folder for each version.
      name: that it is served under; the folder's when not given.
      labels: {label: version}.
      largest_call: examples of one call of the graph, into which larger requests are split; 32 crops or 4 clips when
        not given.
    Raises:
      InputError: there is no version, or one cannot be loaded.
    """

    # Each call uses several cores.
    at_once = 2

    def __init__(
        self,
        folder: Path | str,
        name: str | None = None,
        labels: Mapping[str, int] | None = None,
        largest_call: int | None = None,
    ):
        load_tensorflow()
        self.largest_call = largest_call
        self.folder, self.name = Path(folder), name or Path(folder).resolve().name
        versions = _versions(folder)
        if not versions:
            remedy = "Give a folder that `tfdeepfake export` wrote."
            raise InputError(folder, "holds no version of a SavedModel.", remedy)
        self._loaded = {number: _Version(path) for number, path in sorted(versions.items())}
        self._labels = dict(labels or {})
        if unknown := set(self._labels.values()) - set(self._loaded):
            problem = f"is given to version {min(unknown)}, which is not among {sorted(self._loaded)}."
            raise InputError("label", problem, "Export that version, or leave the label out.")

    @property
    def versions(self) -> list[int]:
        """Numbers of the versions, in order."""
        return sorted(self._loaded)

    def find(self, name: str, version: int | None = None, label: str | None = None) -> int:
        """Number of the version that a request means.

        Raises:
          ServingError: NOT_FOUND or INVALID_ARGUMENT.
        """
        if not name:
            raise ServingError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
        if label is not None:
            if name != self.name or label not in self._labels:
                raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
            version = self._labels[label]
        if name != self.name or (version is not None and version not in self._loaded):
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise ServingError("NOT_FOUND", f"Servable not found for request: {asked}")
        return max(self._loaded) if version is None else version

    def status(self, name: str, version: int | None = None, label: str | None = None) -> list[int]:
        """Numbers of the versions whose status is asked for; all of these are available.

        Raises:
          ServingError: NOT_FOUND or INVALID_ARGUMENT.
        """
        if label is not None:
            version = self.find(name, None, label)
        if version is not None:
            if name != self.name or version not in self._loaded:
                raise ServingError("NOT_FOUND", f"Could not find version {version} of model {name}")
            return [version]
        if name != self.name:
            raise ServingError("NOT_FOUND", f"Could not find any versions of model {name}")
        return self.versions

    def signature_defs(self, version: int) -> dict:
        """{signature: tensorflow.SignatureDef message} of a version."""
        return self._loaded[version].signature_defs

    def inputs(self, version: int, signature: str) -> dict:
        """{input: tf.TensorSpec} of a signature.

        Raises:
          ServingError: INVALID_ARGUMENT, there is no such signature.
        """
        signature = signature or DEFAULT
        if signature not in self._loaded[version].functions:
            text = f'Serving signature name: "{signature}" not found in signature def'
            raise ServingError("INVALID_ARGUMENT", text)
        return self._loaded[version].inputs(signature)

    def network_reads(self, version: int) -> tuple[str, bool]:
        """(input type "frame", "flow" or "clip", whether it reads flow) of a version, as `models.reads` says."""
        inputs = self.inputs(version, DEFAULT)
        flow = "flow" in inputs
        return "clip" if len(inputs["frames"].shape) == 5 else "flow" if flow else "frame", flow

    def predict(
        self, version: int, signature: str, inputs: Mapping[str, np.ndarray], output_filter: tuple = ()
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
          version: one of `versions`.
          signature: its name; the default one when empty.
          inputs: {input: array}; bytes in an array of objects.
          output_filter: names of the outputs that are wanted; all when empty.
        Raises:
          ServingError: what was given does not fit, or the graph refuses it.
        """
        self.check(version, signature, inputs, output_filter)
        loaded, most = self._loaded[version], self.largest_call or batch_sizes(self.inputs(version, DEFAULT))[-1]
        # Memory is that of one call, however many examples a request has.
        calls = [
            loaded.run(signature or DEFAULT, {n: v[start : start + most] for n, v in inputs.items()}, output_filter)
            for start in range(0, len(next(iter(inputs.values()))), most)
        ]
        return calls[0] if len(calls) == 1 else {n: np.concatenate([call[n] for call in calls]) for n in calls[0]}

    def coming(self) -> contextlib.AbstractContextManager:
        """See `batching.Batcher.coming`; here nobody waits for anybody."""
        return contextlib.nullcontext()

    def check(self, version: int, signature: str, inputs: Mapping[str, np.ndarray], output_filter: tuple = ()) -> None:
        """Raises the ServingError of what does not fit, as `predict`, without running anything."""
        signature = signature or DEFAULT
        if signature not in self._loaded[version].functions:
            raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.')
        self._loaded[version].check(signature, inputs, output_filter)
        crop = self.inputs(version, DEFAULT)["frames"].shape[-3:].num_elements()
        for name, value in inputs.items():
            if value.dtype.kind in "OSU" and value.size * crop > _MOST_DECODED_BYTES:
                text = f"{name}: {value.size} images are more than the {_MOST_DECODED_BYTES // crop} of one request."
                raise ServingError("INVALID_ARGUMENT", text)


class _Version:
    def __init__(self, path):
        import tensorflow as tf
        from tensorflow.core.protobuf import saved_model_pb2

        try:
            with hide_absl():  # it warns that gradients were not saved, and nobody asks for them here
                self._loaded = tf.saved_model.load(str(path))  # kept, because it owns the weights
            described = saved_model_pb2.SavedModel.FromString((path / SAVED_MODEL_FILE).read_bytes())
        except Exception as error:  # TensorFlow raises many types for a damaged folder
            problem = f"cannot be loaded ({type(error).__name__}: {str(error)[:200]})."
            raise InputError(path, problem, "Export it again.") from error
        self.functions = dict(self._loaded.signatures)
        self.signature_defs = dict(described.meta_graphs[0].signature_def)

    def inputs(self, signature):
        return dict(self.functions[signature].structured_input_signature[1])

    def check(self, signature, inputs, output_filter):
        _check(inputs, self.inputs(signature))
        known = set(self.functions[signature].structured_outputs)
        for name in output_filter:
            if name not in known:
                text = f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                raise ServingError("INVALID_ARGUMENT", text + "{" + ",".join(sorted(known)) + "}.")
            if output_filter.count(name) > 1:
                raise ServingError("INVALID_ARGUMENT", f"duplicate output tensor alias: {name}")

    def run(self, signature, inputs, output_filter):
        import tensorflow as tf

        specs, function = self.inputs(signature), self.functions[signature]
        try:
            given = {name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()}
            outputs = function(**given)
        except tf.errors.OpError as error:
            raise ServingError(_CODES.get(error.error_code, "INTERNAL"), _cause(error)) from error
        return {name: value.numpy() for name, value in outputs.items() if not output_filter or name in output_filter}


# Numbers of absl's status codes, which are those of TensorFlow and of gRPC.
CODE_NAMES = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
    "UNAUTHENTICATED"
).split()
_CODES: dict[Any, str] = dict(enumerate(CODE_NAMES))


def _cause(error):
    """What went wrong, of an error of a graph: without the words around it, and the places of its operations."""
    lines = [re.sub(r"^\(\d+\) [A-Z_]+: +", "", line.strip()) for line in (error.message or "").splitlines()]
    said = [line for line in lines if line and not _AROUND.match(line)]
    return (said[0] if said else type(error).__name__)[:500]


_AROUND = re.compile(r"Graph execution error|Detected at node|<stack traces|File \"|\d+ root error|\[\[|\(\d+\)")


def _check(inputs, specs):
    """Raises ServingError where inputs are missing, too many or of another type or shape."""
    if set(inputs) != set(specs):
        sent, wanted = sorted(inputs), sorted(specs)
        extra, missing = sorted(set(sent) - set(wanted)), sorted(set(wanted) - set(sent))
        text = (
            f"input size does not match signature: {len(sent)}!={len(wanted)} len({{{','.join(sent)}}}) != "
            f"len({{{','.join(wanted)}}}). Sent extra: {{{','.join(extra)}}}. Missing but required: "
            f"{{{','.join(missing)}}}."
        )
        raise ServingError("INVALID_ARGUMENT", text)
    sizes = set()
    for name, spec in specs.items():
        if unfit := misfit(name, spec, inputs[name].shape, inputs[name].dtype):
            raise unfit
        sizes.add(inputs[name].shape[0])
    if sizes == {0} or len(sizes) > 1:
        text = "the batch is empty." if sizes == {0} else f"the inputs hold different numbers of examples {sizes}."
        raise ServingError("INVALID_ARGUMENT", text)


def misfit(name: str, spec: Any, shape: tuple, dtype: np.dtype) -> ServingError | None:
    """The error of a tensor that is not what the input `name` of this tf.TensorSpec takes; None of one that is."""
    wanted, is_text = tuple(spec.shape), dtype.kind in "OSU"
    fits = len(shape) == len(wanted) and all(want in (None, have) for want, have in zip(wanted, shape, strict=True))
    if fits and is_text == (spec.dtype.name == "string") and (is_text or dtype == spec.dtype.name):
        return None
    shown = ", ".join("B" if side is None else str(side) for side in wanted)
    got = f"{'string' if is_text else dtype.name} [{', '.join(map(str, shape))}]"
    return ServingError("INVALID_ARGUMENT", f"{name} needs {spec.dtype.name} [{shown}], got {got}.")
