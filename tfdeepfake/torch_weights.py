"""Weights from PyTorch and safetensors files into Keras networks, strictly, without PyTorch and without running code.

A PyTorch file is a pickle, and a pickle can run anything. The reader here follows the published layout (the zip form
of torch >= 1.6 and the older stream form) and knows a handful of harmless names; anything else is refused.
"""

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
from keras import layers as keras_layers

from tfdeepfake.files import InputError

_DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?", "BFloat16Storage": "bfloat16",
}  # fmt: skip
_SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bfloat16", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U8": "u1", "BOOL": "?",
}  # fmt: skip
_TODO = "Give the checkpoint file exactly as its authors publish it."
# torch.save's older form begins with these two pickles.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_SUFFIXES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


class _Storage:
    """Stands for the array behind one or more tensors; filled when its bytes are reached."""

    def __init__(self, dtype):
        self.dtype, self.data = dtype, None


class _Tensor:
    """A view of a storage, as `_rebuild_tensor_v2` describes it."""

    def __init__(self, storage, offset, size, stride, *_):
        self.storage, self.offset, self.size, self.stride = storage, offset, tuple(size), tuple(stride)

    def numpy(self):
        data = self.storage.data
        if not self.size:
            return data[self.offset : self.offset + 1].reshape(())
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if min(self.size) > 0 and (min(self.stride) < 0 or self.offset < 0 or last >= len(data)):
            raise ValueError("a tensor reaches beyond its storage")
        strides = [s * data.itemsize for s in self.stride]
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.size, strides).copy()


def _parameter(data, *_):
    return data


class _Reader(pickle.Unpickler):
    """Unpickles tensors and plain containers; every other name is an error."""

    def __init__(self, stream, load_storage):
        super().__init__(stream)
        self.load_storage = load_storage

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module in ("torch", "torch.storage") and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, key):
        kind, storage_type, name, *_ = key
        if kind != "storage" or storage_type not in _DTYPES:
            raise pickle.UnpicklingError(f"it refers to {key!r}")
        return self.load_storage(str(name), _DTYPES[storage_type])


def _dtype(name):
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        (pickled,) = [n for n in archive.namelist() if n.endswith("/data.pkl") or n == "data.pkl"]
        root = pickled.removesuffix("data.pkl")
        storages = {}

        def load_storage(name, dtype):
            if name not in storages:
                storages[name] = _Storage(dtype)
                storages[name].data = np.frombuffer(archive.read(f"{root}data/{name}"), _dtype(dtype))
            return storages[name]

        return _Reader(io.BytesIO(archive.read(pickled)), load_storage).load()


def _read_stream(path):
    storages = {}

    def load_storage(name, dtype):
        return storages.setdefault(name, _Storage(dtype))

    with open(path, "rb") as stream:
        if _Reader(stream, load_storage).load() != _MAGIC or _Reader(stream, load_storage).load() != _PROTOCOL:
            raise ValueError("it does not begin like a PyTorch file")
        _Reader(stream, load_storage).load()  # sizes of C types on the machine that wrote it
        value = _Reader(stream, load_storage).load()
        for name in _Reader(stream, load_storage).load():
            (count,) = struct.unpack("<q", stream.read(8))
            dtype = _dtype(storages[name].dtype)
            storages[name].data = np.frombuffer(stream.read(count * dtype.itemsize), dtype)
    return value


def _read_safetensors(path):
    with open(path, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
        data = stream.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start:end], _dtype(_SAFETENSORS[entry["dtype"]])).reshape(entry["shape"])
    return tensors


def _tensors(value, path):
    """The state dict inside a checkpoint: itself, or below one of the usual names."""
    for name in ("state_dict", "model_state_dict", "model", "net"):
        if isinstance(value, dict) and isinstance(value.get(name), dict):
            value = value[name]
    if not isinstance(value, dict):
        raise InputError(path, f"holds a {type(value).__name__}, not a dict of tensors.", _TODO)
    found = {k: v.numpy() if isinstance(v, _Tensor) else v for k, v in value.items()}
    tensors = {str(k).removeprefix("module."): v for k, v in found.items() if isinstance(v, np.ndarray)}
    if not tensors:
        raise InputError(path, "holds no tensors.", _TODO)
    return tensors


def read(path):
    """Reads the tensors of a checkpoint.

    Args:
      path: a file of torch.save (either form) or safetensors.
    Returns:
      dict name -> numpy array; "module." of data-parallel training is cut off.
    Raises:
      InputError: missing, damaged, no checkpoint, or a pickle that asks for more than tensors.
    """
    try:
        if zipfile.is_zipfile(path):
            return _tensors(_read_zip(path), path)
        with open(path, "rb") as stream:
            start = stream.read(9)
        if start[8:9] == b"{":
            return _tensors(_read_safetensors(path), path)
        return _tensors(_read_stream(path), path)
    except FileNotFoundError:
        raise InputError(path, "this file is missing.", _TODO) from None
    except pickle.UnpicklingError as error:
        raise InputError(path, f"is a pickle that is no plain checkpoint: {error}; nothing was run.", _TODO) from None
    except InputError:
        raise
    except Exception as error:  # a damaged file fails in pickle, zip, json or numpy, in many ways
        raise InputError(path, f"is not a readable checkpoint ({error}).", _TODO) from None


def _from_torch(layer, variable, array):
    """A tensor in the axis order of Keras."""
    if array.ndim < 2 or variable not in ("kernel", "depthwise_kernel", "pointwise_kernel"):
        return array
    if isinstance(layer, (keras_layers.DepthwiseConv1D, keras_layers.DepthwiseConv2D)):
        return np.moveaxis(array, (0, 1), (-2, -1))  # [C, 1, h, w] -> [h, w, C, 1]
    return np.moveaxis(array, (0, 1), (-1, -2))  # [out, in, ...] -> [..., in, out]


def assign(model, tensors, module_name, subject, extra=None, unused=("num_batches_tracked",)):
    """Assigns every tensor to exactly one variable of the network, or nothing at all.

    Args:
      model: keras.Model.
      tensors: dict name -> array, from `read`.
      module_name: function: Keras layer name -> name of the PyTorch module, for example "layer1_0_conv1" ->
        "layer1.0.conv1"; its tensors are that name + ".weight", ".bias", ".running_mean", ".running_var".
      subject: the file, for errors.
      extra: dict Keras "layer/variable" -> (tensor name, function on the array) for what does not follow that rule.
      unused: endings of tensor names that no network uses.
    Raises:
      InputError: lists missing, left-over and misshapen tensors.
    """
    extra = extra or {}
    wanted = {}
    for layer in model.layers:
        for variable in layer.weights:
            if "seed_generator" in variable.path:
                continue
            short = variable.path.rsplit("/", 1)[-1]
            key = f"{layer.name}/{short}"
            if key in extra:
                name, change = extra[key]
            else:
                suffix = _SUFFIXES.get(short, "bias" if short == "bias" else "weight")
                name = f"{module_name(layer.name)}.{suffix}"
                change = lambda a, layer=layer, short=short: _from_torch(layer, short, a)  # noqa: E731
            wanted[name] = (variable, change)
    found = {k: v for k, v in tensors.items() if not k.endswith(tuple(unused))}
    problems = []
    if missing := sorted(set(wanted) - set(found)):
        problems.append(f"missing {', '.join(missing)}")
    if extra_names := sorted(set(found) - set(wanted)):
        problems.append(f"left over {', '.join(extra_names)}")
    arrays = {}
    for name in sorted(set(wanted) & set(found)):
        variable, change = wanted[name]
        arrays[name] = change(found[name])
        if arrays[name].shape != tuple(variable.shape):
            problems.append(f"{name} has shape {found[name].shape}, the network {tuple(variable.shape)} (Keras order)")
        elif not np.isfinite(arrays[name].astype("float32")).all():
            problems.append(f"{name} holds NaN or infinite values")
    if problems:
        raise InputError(subject, f"does not fit the network: {'; '.join(problems)}.", _TODO)
    for name, array in arrays.items():
        wanted[name][0].assign(array.astype("float32"))
