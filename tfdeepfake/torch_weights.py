"""Weights from PyTorch and safetensors files into Keras networks, strictly, without PyTorch and without running code.

A PyTorch file is a pickle, and a pickle can run anything. The reader here follows the published layout (the zip form
of torch >= 1.6 and the older stream form) and knows a handful of harmless names; anything else is refused.
"""

import functools
import io
import json
import math
import os
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
# Kept in checkpoints beside the tensors (arguments, counters, random states). They become objects that do nothing.
_IGNORED = {
    ("argparse", "Namespace"), ("collections", "defaultdict"), ("collections", "Counter"),
    ("builtins", "set"), ("__builtin__", "set"),
    ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy.core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"), ("_codecs", "encode"), ("torch", "Size"), ("torch", "device"),
    ("yacs.config", "CfgNode"), ("easydict", "EasyDict"),
}  # fmt: skip
_SHOWN = 20
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
        """The array, without a copy: a file of 400 MB takes 400 MB."""
        data = self.storage.data
        if data is None:
            raise ValueError("the bytes of a tensor are missing")
        if any(n < 0 for n in (self.offset, *self.size, *self.stride)) or len(self.size) != len(self.stride):
            raise ValueError("a tensor has negative or unequal sizes")
        if 0 in self.size:
            return np.empty(self.size, data.dtype)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if last >= len(data):
            raise ValueError("a tensor reaches beyond its storage")
        strides = [s * data.itemsize for s in self.stride]
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.size, strides, writeable=False)


class _Ignored:
    """What an ignored name becomes: takes any arguments, items and state, keeps nothing."""

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass


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
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _Tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module in ("torch", "torch.storage", "torch.cuda") and name in _DTYPES:
            return name
        if (module, name) in _IGNORED:
            return _Ignored
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, key):
        kind, storage_type, name, *rest = key
        if kind != "storage" or storage_type not in _DTYPES or (len(rest) > 2 and rest[2] is not None):
            raise pickle.UnpicklingError(f"it refers to {key!r}")
        return self.load_storage(str(name), _DTYPES[storage_type])


def _dtype(name):
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickled = next((n for n in names if n == "data.pkl" or n.endswith("/data.pkl")), None)
        if pickled is None:
            raise ValueError("a zip file without data.pkl; PyTorch files have one")
        # PyTorch stores without compression. Anything else could be small here and fill the memory when read.
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError("its parts are compressed; those of PyTorch files are not")
        root = pickled.removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")
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
        machine = _Reader(stream, load_storage).load()  # byte order and sizes of C types where it was written
        if isinstance(machine, dict) and machine.get("little_endian") is False:
            raise ValueError("it was written on a big-endian machine")
        value = _Reader(stream, load_storage).load()
        for name in _Reader(stream, load_storage).load():
            (count,) = struct.unpack("<q", stream.read(8))
            dtype = _dtype(storages[name].dtype)
            data = stream.read(max(count, 0) * dtype.itemsize)
            if len(data) != count * dtype.itemsize:
                raise ValueError("it ends within a tensor")
            storages[name].data = np.frombuffer(data, dtype)
    return value


def _read_safetensors(path):
    with open(path, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        left = os.path.getsize(path) - 8 - length
        if left < 0:
            raise ValueError("it ends within its header")
        header = json.loads(stream.read(length))
        data = stream.read(left)  # without a size, what is buffered is joined to the rest: twice the memory
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        dtype, count = _dtype(_SAFETENSORS[entry["dtype"]]), math.prod(entry["shape"])
        if not 0 <= start <= end <= len(data) or end - start != count * dtype.itemsize:
            raise ValueError(f"the bytes of {name} are missing or not of its shape")
        tensors[name] = np.frombuffer(data, dtype, count, start).reshape(entry["shape"])
    return tensors


def _tensors(value, path):
    """The state dict inside a checkpoint: itself, or below one of the usual names."""
    names = ("state_dict", "model_state_dict", "model", "net")
    while isinstance(value, dict):
        inner = [value[name] for name in names if isinstance(value.get(name), dict)]
        if not inner:
            break
        value = inner[0]
    if not isinstance(value, dict):
        raise InputError(path, f"holds a {type(value).__name__}, not a dict of tensors.", _TODO)
    found = {str(k): v.numpy() if isinstance(v, _Tensor) else v for k, v in value.items()}
    tensors = {k: v for k, v in found.items() if isinstance(v, np.ndarray)}
    if not tensors:
        raise InputError(path, "holds no tensors.", _TODO)
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): array for name, array in tensors.items()}
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
        with open(path, "rb") as stream:
            start = stream.read(9)
        if start.startswith(b"PK\3\4"):
            return _tensors(_read_zip(path), path)
        if start[8:9] == b"{":
            return _tensors(_read_safetensors(path), path)
        return _tensors(_read_stream(path), path)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror or error}).", _TODO) from None
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
    depthwise = keras_layers.DepthwiseConv1D, keras_layers.DepthwiseConv2D
    if isinstance(layer, depthwise) or variable == "depthwise_kernel":
        return np.moveaxis(array, (0, 1), (-2, -1))  # [C, 1, h, w] -> [h, w, C, 1]
    if isinstance(layer, keras_layers.Dense) and all(n == 1 for n in array.shape[2:]):
        array = array.reshape(array.shape[:2])  # a convolution over one cell is a dense layer
    return np.moveaxis(array, (0, 1), (-1, -2))  # [out, in, ...] -> [..., in, out]


def _wanted(model, module_name, extra, keep):
    """Which tensor goes where: dict tensor name -> list of (variable, function on the array)."""
    wanted, left = {}, dict(extra)
    for layer in model.layers:
        if layer.name in keep:
            continue
        for variable in layer.weights:
            if "seed_generator" in variable.path:
                continue
            short = variable.path.rsplit("/", 1)[-1]
            name, change = left.pop(f"{layer.name}/{short}", (None, None))
            if name is None:
                name = f"{module_name(layer.name)}.{_SUFFIXES.get(short, 'bias' if short == 'bias' else 'weight')}"
                if name in wanted:
                    raise ValueError(f"module_name needs another name for each layer, got {name} twice.")
                change = functools.partial(_from_torch, layer, short)
            wanted.setdefault(name, []).append((variable, change))
    if left:
        raise ValueError(f"extra needs names of the network's variables, got {', '.join(left)}.")
    return wanted


def _listed(words, names):
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{words} {', '.join(names[:_SHOWN])}{more}"


def assign(model, tensors, module_name, subject, extra=None, unused=("num_batches_tracked",), keep=()):
    """Assigns every tensor to the network's variables, or nothing at all.

    Args:
      model: keras.Model.
      tensors: dict name -> array, from `read`.
      module_name: function: Keras layer name -> name of the PyTorch module, for example "layer1_0_conv1" ->
        "layer1.0.conv1"; its tensors are that name + ".weight", ".bias", ".running_mean", ".running_var". Kernels are
        brought into Keras order; a 1 x 1 convolution may go into a Dense layer.
      subject: the file, for errors.
      extra: dict Keras "layer/variable" -> (tensor name, function on the array) for what does not follow that rule.
        Several variables may take parts of one tensor this way.
      unused: endings of tensor names that no network uses.
      keep: layers that keep their weights, for example a fresh head.
    Raises:
      InputError: lists missing, left-over and misshapen tensors.
      ValueError: two layers of one PyTorch name, or `extra` for a variable that does not exist.
    """
    wanted = _wanted(model, module_name, extra or {}, keep)
    found = {k: v for k, v in tensors.items() if not k.endswith(tuple(unused))}
    problems = []
    if missing := sorted(set(wanted) - set(found)):
        problems.append(_listed("missing", missing))
    if left_over := sorted(set(found) - set(wanted)):
        problems.append(_listed("left over", left_over))
    arrays, misfits = [], []
    for name in sorted(set(wanted) & set(found)):
        for variable, change in wanted[name]:
            try:
                array = change(found[name])
            except (ValueError, IndexError):  # `change` may reshape or cut, which a tensor of another rank refuses
                array = None
            if array is None or array.shape != tuple(variable.shape):
                turned = "none" if array is None else array.shape
                misfits.append(
                    f"{name} of shape {found[name].shape} ({turned} in Keras order; {variable.path} needs "
                    f"{tuple(variable.shape)})"
                )
            elif not np.isfinite(array.astype("float32")).all():
                misfits.append(f"{name} with NaN or infinite values")
            else:
                arrays.append((variable, array))
    if misfits:
        problems.append(_listed("wrong:", misfits))
    if problems:
        raise InputError(subject, f"does not fit the network: {'; '.join(problems)}.", _TODO)
    for variable, array in arrays:
        variable.assign(array.astype("float32"))
