"""TF Serving's messages, as much of them as this package reads and writes, without the package that holds them.

`tensorflow-serving-api` wants the wheel called tensorflow, which may not stand beside tensorflow-cpu. The messages are
tensorflow_serving/apis/{model,predict,get_model_status,get_model_metadata,prediction_log}.proto, field by field, in a
pool of their own: both packages may be loaded in one process, and each reads what the other wrote.
"""

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np

# {message: {field: (number, type, label)}}: a type in capitals is a message or enum, MAP<V> is a map from text to V.
_MESSAGES = {
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, ".google.protobuf.Int64Value", "version_choice"),
        "version_label": (4, "string", "version_choice"),
        "signature_name": (3, "string"),
    },
    "PredictRequest": {
        "model_spec": (1, ".tensorflow.serving.ModelSpec"),
        "inputs": (2, "map", ".tensorflow.TensorProto"),
        "output_filter": (3, "string", "repeated"),
    },
    # Of these two as much as says whose signature is asked for.
    "ClassificationRequest": {"model_spec": (1, ".tensorflow.serving.ModelSpec")},
    "RegressionRequest": {"model_spec": (1, ".tensorflow.serving.ModelSpec")},
    "PredictResponse": {
        "outputs": (1, "map", ".tensorflow.TensorProto"),
        "model_spec": (2, ".tensorflow.serving.ModelSpec"),
    },
    "GetModelStatusRequest": {"model_spec": (1, ".tensorflow.serving.ModelSpec")},
    # Enums travel as whole numbers.
    "StatusProto": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "ModelVersionStatus": {
        "version": (1, "int64"),
        "state": (2, "int32"),
        "status": (3, ".tensorflow.serving.StatusProto"),
    },
    "GetModelStatusResponse": {"model_version_status": (1, ".tensorflow.serving.ModelVersionStatus", "repeated")},
    "SignatureDefMap": {"signature_def": (1, "map", ".tensorflow.SignatureDef")},
    "GetModelMetadataRequest": {
        "model_spec": (1, ".tensorflow.serving.ModelSpec"),
        "metadata_field": (2, "string", "repeated"),
    },
    "GetModelMetadataResponse": {
        "model_spec": (1, ".tensorflow.serving.ModelSpec"),
        "metadata": (2, "map", ".google.protobuf.Any"),
    },
    "PredictLog": {
        "request": (1, ".tensorflow.serving.PredictRequest"),
        "response": (2, ".tensorflow.serving.PredictResponse"),
    },
    "PredictionLog": {"predict_log": (6, ".tensorflow.serving.PredictLog", "log_type")},
}
# Of tensorflow/core/framework/tensor{,_shape}.proto what numbers and texts need.
_TENSORS = {
    "Dim": {"size": (1, "int64")},
    "TensorShapeProto": {"dim": (2, ".tensorflow.Dim", "repeated")},
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, ".tensorflow.TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float", "repeated"),
        "string_val": (8, "bytes", "repeated"),
    },
}
_SCALARS = {"string": 9, "bytes": 12, "int32": 5, "int64": 3, "float": 2}
# Of tensorflow/core/framework/types.proto, by the names of NumPy.
_STRING = 7
_NUMBERS = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9, "bool": 10, "uint16": 17,
    "float16": 19, "uint32": 22, "uint64": 23, "bfloat16": 14,
}  # fmt: skip


@functools.cache
def messages() -> SimpleNamespace:
    """The classes of the messages, each under its name."""
    from google.protobuf import any_pb2, wrappers_pb2
    from tensorflow.core.framework import tensor_pb2
    from tensorflow.core.protobuf import meta_graph_pb2

    return _classes([module.DESCRIPTOR for module in (any_pb2, wrappers_pb2, tensor_pb2, meta_graph_pb2)], _MESSAGES)


@functools.cache
def predict_messages() -> SimpleNamespace:
    """PredictRequest and PredictResponse for a client, made and read without loading TensorFlow."""
    from google.protobuf import descriptor_pb2, wrappers_pb2

    tensors = descriptor_pb2.FileDescriptorProto(name="tfdeepfake/tensor.proto", package="tensorflow", syntax="proto3")
    for name, fields in _TENSORS.items():
        _describe(tensors.message_type.add(name=name), fields)
    names = ("ModelSpec", "PredictRequest", "PredictResponse")
    return _classes([wrappers_pb2.DESCRIPTOR], {name: _MESSAGES[name] for name in names}, [tensors])


def _classes(needed, described, more=()):
    """Classes of `described` messages, in a pool of their own with the files that they need."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    pool, added = descriptor_pool.DescriptorPool(), set()

    def add(file):
        if file.name not in added:
            added.add(file.name)
            for other in file.dependencies:
                add(other)
            pool.AddSerializedFile(file.serialized_pb)

    for file in needed:
        add(file)
    apis = descriptor_pb2.FileDescriptorProto(
        name="tfdeepfake/tensorflow_serving.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[file.name for file in (*needed, *more)],
    )
    for name, fields in described.items():
        _describe(apis.message_type.add(name=name), fields)
    for file in (*more, apis):
        pool.AddSerializedFile(file.SerializeToString())
    return SimpleNamespace(
        **{
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))
            for name in described
        }
    )


def _describe(message, fields):
    """Fills a DescriptorProto."""
    for name, (number, kind, *more) in fields.items():
        if kind == "map":
            entry_name = "".join(part.capitalize() for part in name.split("_")) + "Entry"
            entry = message.nested_type.add(name=entry_name)
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, type=9, label=1)
            entry.field.add(name="value", number=2, type=11, label=1, type_name=more[0])
            of_entry = f".tensorflow.serving.{message.name}.{entry_name}"
            message.field.add(name=name, number=number, type=11, label=3, type_name=of_entry)
            continue
        field = message.field.add(name=name, number=number, type=_SCALARS.get(kind, 11), label=1)
        if kind not in _SCALARS:
            field.type_name = kind
        if more == ["repeated"]:
            field.label = 3
        elif more:
            if not message.oneof_decl:
                message.oneof_decl.add(name=more[0])
            field.oneof_index = 0


def fill_tensor(tensor: Any, array: np.ndarray, as_fields: bool = False) -> None:
    """Writes an array into a TensorProto of these messages; texts and bytes as an array of objects.

    Args:
      tensor: is empty.
      array: any shape.
      as_fields: float32 goes into `float_val`, where TF Serving's answers have it and clients read it.
    Raises:
      KeyError: numbers of a type that TensorFlow and NumPy do not share.
    """
    array = np.asarray(array)
    texts = array.dtype.kind in "OSU"
    tensor.dtype = _STRING if texts else _NUMBERS[array.dtype.name]
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if texts:
        tensor.string_val.extend(array.reshape(-1).tolist())
    elif as_fields and array.dtype == np.float32:
        tensor.float_val.extend(array.reshape(-1).tolist())
    else:
        tensor.tensor_content = np.ascontiguousarray(array).tobytes()


def scores_of(tensor: Any) -> np.ndarray:
    """The float32 array of a TensorProto that a server answered with.

    Raises:
      ValueError: it holds numbers of another type, or not as many as its shape says.
    """
    if tensor.dtype != _NUMBERS["float32"]:
        raise ValueError(f"numbers of type {tensor.dtype}, not float32")
    content = tensor.tensor_content
    values = np.frombuffer(content, "<f4") if content else np.array(tensor.float_val, np.float32)
    return values.reshape([dim.size for dim in tensor.tensor_shape.dim])
