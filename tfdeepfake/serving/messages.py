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
_SCALARS = {"string": 9, "int32": 5, "int64": 3}


@functools.cache
def messages() -> SimpleNamespace:
    """The classes of the messages, each under its name."""
    from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
    from tensorflow.core.framework import tensor_pb2
    from tensorflow.core.protobuf import meta_graph_pb2

    pool, added = descriptor_pool.DescriptorPool(), set()

    def add(file):
        if file.name not in added:
            added.add(file.name)
            for other in file.dependencies:
                add(other)
            pool.AddSerializedFile(file.serialized_pb)

    needed = [module.DESCRIPTOR for module in (any_pb2, wrappers_pb2, tensor_pb2, meta_graph_pb2)]
    for file in needed:
        add(file)
    apis = descriptor_pb2.FileDescriptorProto(
        name="tfdeepfake/tensorflow_serving.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[file.name for file in needed],
    )
    for name, fields in _MESSAGES.items():
        _describe(apis.message_type.add(name=name), fields)
    pool.AddSerializedFile(apis.SerializeToString())
    return SimpleNamespace(
        **{
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))
            for name in _MESSAGES
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


def fill_tensor(tensor: Any, array: np.ndarray) -> None:
    """Writes an array into a TensorProto of these messages; texts and bytes as an array of objects."""
    import tensorflow as tf

    array = np.asarray(array)
    dtype = tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)
    tensor.dtype = dtype.as_datatype_enum
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if dtype == tf.string:
        tensor.string_val.extend(array.reshape(-1).tolist())
    else:
        tensor.tensor_content = np.ascontiguousarray(array).tobytes()
