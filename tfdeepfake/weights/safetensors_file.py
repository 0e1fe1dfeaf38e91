"""Tensors of safetensors files (a header of JSON, then the bytes), mapped and not copied.

The format is that of https://huggingface.co/docs/safetensors. Reading runs no code and reserves no more memory than the
header, whatever the file states.
"""

import json
import math
import os
import struct
from pathlib import Path

import numpy as np

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bfloat16", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
# The header of a network of 300 M parameters takes 55 kB; Python makes about ten times as much of it.
MOST_HEADER_BYTES = 16 << 20


def read(path: str | Path) -> dict:
    """dict name -> read-only numpy array of a file.

    The arrays are views of the mapped file: what is not looked at is not read, and the file must stay as it is while
    they are in use.

    Raises:
      ValueError: the header is too long, or is not what the format asks for; bytes are missing, left over, or belong
        to two tensors; a type that numpy has not.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > size - 8:
            raise ValueError("it ends within its header")
        if length > MOST_HEADER_BYTES:
            raise ValueError(f"its header of {length} bytes is longer than {MOST_HEADER_BYTES}")
        header = json.loads(stream.read(length), object_pairs_hook=_once)
    header.pop("__metadata__", None)
    data = np.asarray(np.memmap(path, "u1", "r", 8 + length)) if size > 8 + length else np.empty(0, "u1")
    entries = {name: _entry(name, entry, len(data)) for name, entry in header.items()}
    reached = 0
    for start, end, name in sorted((start, end, name) for name, (_, _, start, end) in entries.items()):
        if start != reached:
            raise ValueError(f"the bytes of {name} do not follow those of the tensor before")
        reached = end
    if reached != len(data):
        raise ValueError(f"{len(data) - reached} bytes belong to no tensor")
    return {name: data[start:end].view(dtype).reshape(shape) for name, (dtype, shape, start, end) in entries.items()}


def _entry(name, entry, size):
    """(dtype, shape, first byte, byte behind the last) of a tensor."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} is not described by dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _DTYPES:
        raise ValueError(f"{name} has the type {kind!r}; known are {', '.join(_DTYPES)}")
    whole = all(isinstance(numbers, list) and all(type(n) is int for n in numbers) for numbers in (shape, offsets))
    if not whole or len(offsets) != 2 or any(n < 0 for n in shape):
        raise ValueError(f"shape and data_offsets of {name} are not lists of whole numbers")
    dtype, (start, end) = numpy_dtype(_DTYPES[kind]), offsets
    if not 0 <= start <= end <= size or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"the bytes of {name} are missing or not of its shape")
    return dtype, shape, start, end


def _once(pairs):
    """A JSON object, refused where it gives a name twice: readers would differ in which one counts."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("its header gives a name twice")
    return value


def numpy_dtype(name: str) -> np.dtype:
    """numpy's type of that name, bfloat16 included."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)
