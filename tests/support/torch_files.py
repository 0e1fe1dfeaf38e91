"""Writes checkpoint files in PyTorch's two formats, without PyTorch, as its documentation of them describes."""

import contextlib
import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

STORAGES = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<f2": "HalfStorage", "<i8": "LongStorage"}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def _module(name, **members):
    module = types.ModuleType(name)
    for key, member in members.items():
        member.__module__ = name
        member.__qualname__ = key
        setattr(module, key, member)
    return module


def _rebuild_tensor_v2():
    """Stands for the function of that name: pickles hold names only."""


def _get_thnn_function_backend():
    """The same; what a network of before PyTorch 1.2 has as `_backend`."""


class _Backend:
    def __reduce__(self):
        return _get_thnn_function_backend, ()


class TransferModel:
    """Some network's class: its attributes are pickled, nothing else is."""


class Sequential(TransferModel):
    pass


_MODULES = {
    "network": _module("network"),
    "network.models": _module("network.models", TransferModel=TransferModel),
    "torch.nn.modules.container": _module("torch.nn.modules.container", Sequential=Sequential),
    "torch.nn.backends.thnn": _module("torch.nn.backends.thnn", _get_thnn_function_backend=_get_thnn_function_backend),
    "torch": _module("torch", **{n: type(n, (), {}) for n in (*STORAGES.values(), "BFloat16Storage")}),
    "torch._utils": _module("torch._utils", _rebuild_tensor_v2=_rebuild_tensor_v2),
}


@contextlib.contextmanager
def _torch():
    """The names of PyTorch that pickling looks up."""
    before = {name: sys.modules.get(name) for name in _MODULES}
    sys.modules.update(_MODULES)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class Storage:
    def __init__(self, data, kind):
        self.data, self.kind = data, kind


class Tensor:
    """A view of a storage.

    Args:
      storage: 1-D array, or a `Storage` that several tensors share.
      size, stride: in elements; those of a contiguous [size] when no stride is given.
    """

    def __init__(self, storage, size, stride=None, offset=0, kind=None):
        if not isinstance(storage, Storage):
            storage = Storage(storage, kind or STORAGES[storage.dtype.str])
        self.storage, self.size, self.offset = storage, tuple(size), offset
        if stride is None:
            stride = [int(np.prod(self.size[i + 1 :])) for i in range(len(self.size))]
        self.stride = tuple(stride)

    def __reduce__(self):
        return _rebuild_tensor_v2, (self.storage, self.offset, self.size, self.stride, False, OrderedDict())


def tensors(arrays):
    """dict name -> array as contiguous tensors."""
    return OrderedDict(
        (name, Tensor(np.ascontiguousarray(array).reshape(-1), np.shape(array))) for name, array in arrays.items()
    )


def network(arrays, buffers=(), kind=TransferModel):
    """A whole network as `torch.save(model)` pickles it.

    Args:
      arrays: dict dotted name -> array; an array of None is a parameter that the module goes without.
      buffers: endings of the names that are buffers and not parameters.
      kind: class of the outermost module.
    """
    module = kind()
    module.training, module._backend, module._backward_hooks = False, _Backend(), OrderedDict()
    module._parameters, module._buffers, module._modules = OrderedDict(), OrderedDict(), OrderedDict()
    inner = {}
    for name, array in arrays.items():
        first, dot, rest = name.partition(".")
        if dot:
            inner.setdefault(first, {})[rest] = array
        else:
            part = module._buffers if name.endswith(tuple(buffers)) else module._parameters
            part[name] = None if array is None else tensors({name: array})[name]
    for name, part in inner.items():
        module._modules[name] = network(part, buffers, Sequential)
    return module


def _dump(value, stream, more=()):
    storages, classes = {}, [TransferModel, Sequential]

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if more and item in classes:  # the stream form keeps the source of a class, once
                classes.remove(item)
                return "module", item, "/home/someone/models.py", "class TransferModel: ..."
            if not isinstance(item, Storage):
                return None
            key = next((k for k, s in storages.items() if s is item), str(len(storages)))
            storages[key] = item
            return "storage", getattr(_MODULES["torch"], item.kind), key, "cpu", len(item.data), *more

    with _torch():
        Pickler(stream, protocol=2).dump(value)
    return storages


def write_zip(path, value, byteorder=b"little", compression=zipfile.ZIP_STORED):
    """The zip form of torch.save."""
    stream = io.BytesIO()
    storages = _dump(value, stream)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", byteorder)
        for key, storage in storages.items():
            archive.writestr(f"archive/data/{key}", storage.data.tobytes())
        archive.writestr("archive/version", "3\n")


def write_stream(path, value):
    """The form of torch.save before 1.6."""
    with open(path, "wb") as file:
        for head in (MAGIC, PROTOCOL, {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}):
            pickle.dump(head, file, protocol=2)
        storages = _dump(value, file, more=(None,))
        pickle.dump(list(storages), file, protocol=2)
        for storage in storages.values():
            file.write(struct.pack("<q", len(storage.data)))
            file.write(storage.data.tobytes())
