"""Tensors of PyTorch files (and, by `safetensors_file`, of safetensors), without PyTorch and without running code.

A PyTorch file is a pickle, and a pickle can run anything. The reader here follows the published layout (the zip form
of torch >= 1.6 and the older stream form), knows a handful of harmless names, and imports nothing that a file names.
Files of a whole network (`torch.save(model)`) name its classes: each becomes an empty class of ours that keeps the
state it is given and does nothing; from that the names of the tensors are put together as `state_dict()` would.
"""

import io
import math
import os
import pickle
import reprlib
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.weights import check, safetensors_file
from tfdeepfake.weights.safetensors_file import numpy_dtype

_DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?", "BFloat16Storage": "bfloat16",
}  # fmt: skip
REMEDY = "Give the checkpoint file exactly as its authors publish it."
# torch.save's older form begins with these two pickles.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
# Kept in checkpoints beside the tensors (arguments, counters, random states). They become objects that do nothing.
_IGNORED = {
    ("argparse", "Namespace"), ("collections", "defaultdict"), ("collections", "Counter"), ("functools", "partial"),
    ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy.core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"), ("_codecs", "encode"), ("torch", "Size"), ("torch", "device"),
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"),
    ("yacs.config", "CfgNode"), ("easydict", "EasyDict"),
}  # fmt: skip
# No class of a network comes from here, but what attacks use does: such a name ends the reading where it stands.
_REFUSED = {*sys.stdlib_module_names, "__builtin__", "copy_reg", "cPickle", "commands", "numpy", "torch"}
_PARTS, _MOST_MODULES = ("parameters", "buffers", "modules"), 10_000
_MOST_CHARACTERS = 1000  # of a module's name


class _Sealed(type):
    """Classes that a pickle cannot change: its BUILD could otherwise set attributes of a class as of an object."""

    def __setattr__(cls, name, value):
        raise pickle.UnpicklingError(f"it changes {cls.__name__}.{name}")


class _Storage:
    """Stands for the array behind one or more tensors; filled when its bytes are reached."""

    def __init__(self, dtype):
        self.dtype, self.data = dtype, None

    def __setstate__(self, state):
        pass


class _Tensor(metaclass=_Sealed):
    """A view of a storage, as `_rebuild_tensor_v2` describes it."""

    def __init__(self, storage, offset, size, stride, *_):
        self.storage, self.offset, self.size, self.stride = storage, offset, tuple(size), tuple(stride)

    def __setstate__(self, state):
        pass

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
        if math.prod(self.size) > len(data):
            raise ValueError("a tensor is larger than its storage")
        strides = [s * data.itemsize for s in self.stride]
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.size, strides, writeable=False)


class _Ignored(metaclass=_Sealed):
    """What an ignored name becomes: takes any arguments, items and state, keeps nothing."""

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass


class _Parameter(metaclass=_Sealed):
    """`Parameter(data, ...)` is its data."""

    def __new__(cls, data, *_):
        return data


def _checked_keys(keys):
    """Refuses tuples: a few bytes can nest one in itself so often that hashing it never ends."""
    for key in keys:
        if isinstance(key, tuple | frozenset):
            raise pickle.UnpicklingError("a key is a tuple")
    return keys


def _set(items=()):
    return set(_checked_keys(list(items)))


class _Dict(dict, metaclass=_Sealed):
    """An OrderedDict without attributes."""

    def __init__(self, pairs=()):
        pairs = [tuple(pair) for pair in pairs]
        _checked_keys([key for key, _ in pairs])
        super().__init__(pairs)

    def __setstate__(self, state):
        pass


class _Uncalled(_Sealed):
    """Classes that a pickle can make empty objects of, and can not call."""

    def __call__(cls, *args, **kwargs):
        raise pickle.UnpicklingError(f"it calls {cls.__name__}")


class _StandIn(metaclass=_Uncalled):
    """An object of a class of the file. `state` is what the file gives it; the class is neither imported nor known."""

    def __new__(cls, *_, **__):
        stand_in = object.__new__(cls)
        stand_in.state = {}
        return stand_in

    def __setstate__(self, state):
        self.state = state if isinstance(state, dict) else {}

    def __setitem__(self, key, value):
        pass


# Python's own reader and not C's, which reserves as much memory as the largest index that a damaged file states.
class _Reader(pickle._Unpickler):
    """Unpickles tensors, plain containers and stand-ins; nothing that a file names is imported or called."""

    def __init__(self, stream, load_storage):
        super().__init__(stream)
        self.load_storage = load_storage
        self.stand_ins = {}

    def _setitem(self):
        _checked_keys(self.stack[-2:-1])
        pickle._Unpickler.load_setitem(self)

    def _setitems(self):
        _checked_keys(self.stack[::2])
        pickle._Unpickler.load_setitems(self)

    def _dict(self):
        _checked_keys(self.stack[::2])
        pickle._Unpickler.load_dict(self)

    def _additems(self):
        _checked_keys(self.stack)
        pickle._Unpickler.load_additems(self)

    def _frozenset(self):
        _checked_keys(self.stack)
        pickle._Unpickler.load_frozenset(self)

    # Between a mark and its opcode, `stack` holds what stands behind the mark.
    dispatch = pickle._Unpickler.dispatch | {
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: _setitems,
        pickle.DICT[0]: _dict,
        pickle.ADDITEMS[0]: _additems,
        pickle.FROZENSET[0]: _frozenset,
    }

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return _Dict
        if module in ("builtins", "__builtin__") and name == "set":
            return _set
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _Tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _Parameter
        if module in ("torch", "torch.storage", "torch.cuda") and name in _DTYPES:
            return name
        if (module, name) in _IGNORED:
            return _Ignored
        full = f"{module}.{name}"
        if module.split(".")[0] in _REFUSED and not module.startswith("torch.nn."):
            raise pickle.UnpicklingError(f"it asks for {full}")
        if full not in self.stand_ins:
            self.stand_ins[full] = _Uncalled(full, (_StandIn,), {})
        return self.stand_ins[full]

    def persistent_load(self, key):
        if len(key) == 4 and key[0] == "module" and isinstance(key[1], _Uncalled):
            return key[1]  # the stream form names a class with its source code, which is left unread
        kind, storage_type, name, *rest = key
        if kind != "storage" or storage_type not in _DTYPES or (len(rest) > 2 and rest[2] is not None):
            raise pickle.UnpicklingError(f"it refers to {reprlib.repr(key)}")
        return self.load_storage(str(name), _DTYPES[storage_type])


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickled = next(n for n in names if n == "data.pkl" or n.endswith("/data.pkl"))
        # PyTorch stores without compression. Anything else could be small here and fill the memory when read.
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError("its parts are compressed; those of PyTorch files are not")
        if sum(info.file_size for info in archive.infolist()) > os.path.getsize(path):
            raise ValueError("its parts lie in the same bytes")
        root = pickled.removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")
        storages = {}

        def load_storage(name, dtype):
            if name not in storages:
                storages[name] = _Storage(dtype)
                storages[name].data = np.frombuffer(archive.read(f"{root}data/{name}"), numpy_dtype(dtype))
            return storages[name]

        return _Reader(io.BytesIO(archive.read(pickled)), load_storage).load()


def _read_stream(path):
    storages, size = {}, os.path.getsize(path)

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
            dtype = numpy_dtype(storages[name].dtype)
            if not 0 <= count * dtype.itemsize <= size - stream.tell():
                raise ValueError("it ends within a tensor")
            data = stream.read(count * dtype.itemsize)
            if len(data) != count * dtype.itemsize:
                raise ValueError("it ends within a tensor")
            storages[name].data = np.frombuffer(data, dtype)
    return value


def _state_dict(network):
    """dict name -> `_Tensor` of a whole network, named as PyTorch's `state_dict()` names them."""
    tensors, ahead, seen = {}, [("", network)], 0
    while ahead:
        prefix, module = ahead.pop()
        parts = [module.state.get(f"_{part}") if isinstance(module, _StandIn) else None for part in _PARTS]
        if not all(isinstance(part, dict) for part in parts):
            raise ValueError(f"{prefix.rstrip('.') or 'it'} is an object, but no network of PyTorch's kind")
        if (seen := seen + 1) > _MOST_MODULES or len(prefix) > _MOST_CHARACTERS:
            raise ValueError("a module of the network contains itself, or there are too many of them")
        parameters, buffers, modules = parts
        spare = module.state.get("_non_persistent_buffers_set")
        spare = spare if isinstance(spare, set) else ()
        for name, value in [*parameters.items(), *((k, v) for k, v in buffers.items() if k not in spare)]:
            if value is not None:
                tensors[f"{prefix}{name}"] = value
        ahead += [(f"{prefix}{name}.", child) for name, child in modules.items() if child is not None]
    return tensors


def _may_hold_tensors(value):
    return isinstance(value, dict) or (isinstance(value, _StandIn) and "_modules" in value.state)


def _tensors(value, path):
    """The state dict inside a checkpoint: itself, a whole network's, or below one of the usual names."""
    names = ("state_dict", "model_state_dict", "model", "net")
    while isinstance(value, dict):
        inner = [value[name] for name in names if _may_hold_tensors(value.get(name))]
        if not inner:
            break
        value = inner[0]
    if isinstance(value, _StandIn):
        value = _state_dict(value)
    if not isinstance(value, dict):
        raise InputError(path, f"holds a {type(value).__name__}, not a dict of tensors.", REMEDY)
    entries = {k: v.numpy() if isinstance(v, _Tensor) else v for k, v in value.items() if isinstance(k, str)}
    tensors = {k: v for k, v in entries.items() if isinstance(v, np.ndarray)}
    if not tensors:
        raise InputError(path, "holds no tensors.", REMEDY)
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): array for name, array in tensors.items()}
    return tensors


def read(path: str | Path) -> dict:
    """Reads the tensors of a checkpoint.

    Args:
      path: a file of torch.save (either form; of a state dict, a training checkpoint or a whole network) or
        safetensors.
    Returns:
      dict name -> numpy array; "module." of data-parallel training is cut off.
    Raises:
      InputError: missing, damaged, no checkpoint, or a pickle that asks for more than tensors.
    """
    check.check_weight_file(path)
    try:
        with open(path, "rb") as stream:
            start = stream.read(9)
        if start.startswith(b"PK\3\4"):
            return _tensors(_read_zip(path), path)
        if start[8:9] == b"{":
            return _tensors(safetensors_file.read(path), path)
        return _tensors(_read_stream(path), path)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror or error}).", REMEDY) from None
    except pickle.UnpicklingError as error:
        problem = f"is a pickle that is no plain checkpoint: {error}; nothing was run."
        raise InputError(path, problem, "Where you trust it, load it in PyTorch and save its state_dict().") from None
    except InputError:
        raise
    except Exception as error:  # a damaged file fails in pickle, zip, json or numpy, in many ways
        raise InputError(path, f"is not a readable checkpoint ({error}).", REMEDY) from None
