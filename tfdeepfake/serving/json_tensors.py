"""Tensors in the JSON of TF Serving's REST API, both ways: row form (`instances`) and columnar form (`inputs`).

Rules and texts of errors are those of tensorflow_serving/util/json_tensor.cc (Apache-2.0) and of its documentation
(https://www.tensorflow.org/tfx/serving/api_rest).
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from itertools import chain

import numpy as np

from tfdeepfake.serving.servable import ServingError, misfit

_DEBUG_CHARS = 256
# Only such digits can be more than a float64 holds, which Python reads as Infinity.
_VAST = re.compile(rb"[0-9][eE]\+?[0-9]{3}|[0-9]{300}")
# No tensor of a signature has so many axes; NumPy's arrays have 64.
_MOST_LEVELS = 32


def parse(body: bytes) -> dict:
    """The JSON object of a request.

    Raises:
      ServingError: INVALID_ARGUMENT, it is none.
    """
    if not body.strip():
        raise _invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body, parse_float=_within_float64) if _VAST.search(body) else json.loads(body)
    except json.JSONDecodeError as error:
        raise _invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        # Bytes that are no UTF-8, lists in lists without end, numbers of thousands of digits.
        raise _invalid(f"JSON Parse error: {type(error).__name__}") from None
    if not isinstance(document, dict):
        raise _invalid(f"JSON Value: {_shown(document)} Is not object")
    return document


def _within_float64(digits):
    value = float(digits)
    if math.isinf(value):
        raise _invalid(f"JSON Parse error: Number too big to be stored in double: {digits[:_DEBUG_CHARS]}")
    return value


def signature_name(document: dict) -> str:
    """`signature_name` of a request; empty when it names none.

    Raises:
      ServingError: INVALID_ARGUMENT, it is no text.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise _invalid(
            f"JSON Value: {_shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def read_tensors(document: dict, specs: Mapping) -> tuple[dict[str, np.ndarray], bool]:
    """The tensors of a request.

    Args:
      document: JSON object with either `instances` or `inputs`.
      specs: {input: tf.TensorSpec} of the signature.
    Returns:
      ({input: array}, whether it was in row form).
    Raises:
      ServingError: INVALID_ARGUMENT, with TF Serving's text.
    """
    if "instances" in document and "inputs" in document:
        raise _invalid(
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if "inputs" in document:
        return _columns(document["inputs"], specs), False
    if "instances" not in document:
        raise _invalid("Missing 'inputs' or 'instances' key")
    rows = document["instances"]
    if not isinstance(rows, list):
        raise _invalid(f"JSON Value: {_shown(document)} Expecting 'instances' to be an list/array")
    if not rows:
        raise _invalid(f"JSON Value: {_shown(document)} No values in 'instances' array")
    return _rows(rows, specs), True


def _columns(values, specs):
    if not isinstance(values, dict) or _is_base64(values):
        if len(specs) > 1:
            raise _invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        ((name, spec),) = specs.items()
        return {name: _array(values, spec)}
    if missing := sorted(set(specs) - set(values)):
        raise _invalid(f"Missing named input: {missing[0]} in 'inputs' object.")
    return {name: _array(values[name], spec) for name, spec in specs.items()}


def _rows(rows, specs):
    if not isinstance(rows[0], dict) and len(specs) > 1:
        raise _invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    are_objects = _is_object(rows[0])
    arrays = {name: [] for name in specs}
    for number, row in enumerate(rows):
        if _is_object(row) != are_objects:
            said = "object but got list" if are_objects else "value/list but got object"
            raise _invalid(f"Expecting {said} at item {number} of input list")
        if are_objects:
            values, key_text = row, " key: {}"
        else:
            values, key_text = {next(iter(specs)): row}, ""
        for name, value in values.items():
            failed = f"Failed to process element: {number}{key_text.format(name)} of 'instances' list. Error: "
            if name not in specs:
                raise _invalid(f"{failed}INVALID_ARGUMENT: JSON object: does not have named input: {name}")
            try:
                array = _array(value, specs[name])
                # The others cannot mend a first one: millions of empty lists are not looked at one by one.
                unfit = None if arrays[name] else misfit(name, specs[name], (len(rows), *array.shape), array.dtype)
                if arrays[name] and arrays[name][0].shape != array.shape:
                    first = arrays[name][0]
                    if first.size != array.size:
                        raise _invalid(f"Expecting tensor size: {first.size} but got: {array.size}")
                    raise _invalid(f"Expecting shape {_shape(first)} but got: {_shape(array)}")
            except ServingError as error:
                raise ServingError(error.code, f"{failed}{error.code}: {error.text}") from None
            if unfit:
                raise unfit
            arrays[name].append(array)
        if are_objects and set(values) != set(specs):
            raise _invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: {_shown(row)} keys must be "
                f"equal to: {','.join(sorted(specs))}"
            )
    return {name: np.stack(parts) for name, parts in arrays.items()}


def _array(value, spec):
    """An array of a JSON value, of the type of the tensor; its shape is the nesting of the lists."""
    kind = spec.dtype.name
    if kind != "string":
        try:
            array = np.asarray(value)
        except (ValueError, OverflowError):
            array = None  # lists of different lengths: the walk below says where
        if array is not None and _fits(array, kind) and not _holds_booleans(value, array.ndim):
            return array.astype(kind)
    shape, inner = [], value
    while isinstance(inner, list):
        shape.append(len(inner))
        if len(shape) > _MOST_LEVELS:
            raise _invalid(f"Encountered list at unexpected level: {_MOST_LEVELS} expected < {_MOST_LEVELS}")
        inner = inner[0] if inner else None
    flat = []
    _walk(value, 0, shape, kind, flat)
    array = np.empty(len(flat), object if kind == "string" else kind)
    array[:] = flat
    return array.reshape(shape)


def _fits(array, kind):
    """Whether all numbers of an array have a place in a type, as TF Serving sees it."""
    if array.dtype.kind not in ("iu" if "int" in kind else "iuf"):
        return False
    if not array.size:
        return True
    finite = array[np.isfinite(array)]
    least, most = _limits(kind)
    return not finite.size or (least <= finite.min() and finite.max() <= most)


def _limits(kind):
    """The least and the largest number of a type."""
    if "int" in kind:
        return int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    return float(np.finfo(kind).min), float(np.finfo(kind).max)


def _holds_booleans(value, levels):
    """Whether lists of lists hold true or false, which NumPy takes for numbers among numbers."""
    for _ in range(levels - 1):
        value = chain.from_iterable(value)
    return levels > 0 and bool in set(map(type, value))


def _walk(value, level, shape, kind, flat):
    if not isinstance(value, list):
        if level != len(shape):
            raise _invalid(
                f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at "
                f"level: {len(shape)}"
            )
        flat.append(_scalar(value, kind))
        return
    if level >= len(shape):
        raise _invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise _invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _walk(item, level + 1, shape, kind, flat)


def _scalar(value, kind):
    if isinstance(value, dict):
        if not _is_base64(value):
            raise _invalid(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
        if kind == "string":
            return _decoded(value["b64"])
        raise _of_type(value, kind)
    is_number = kind != "string" and isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "string" and isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if is_number:
        least, most = _limits(kind)
        inside = least <= value <= most or (isinstance(value, float) and not math.isfinite(value))
        if "float" in kind and not inside:
            named = {"float32": "float", "float64": "double"}.get(kind, kind)
            raise _invalid(f"Cannot convert JSON value: {_shown(value)} to {named} without loss of precision.")
        if inside and ("float" in kind or isinstance(value, int)):
            return value
    raise _of_type(value, kind)


def _decoded(text):
    """Bytes of base64, also of the form for addresses, with or without the padding at its end."""
    try:
        plain = text.replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("Unable to base64 decode") from None


def _is_base64(value):
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _is_object(value):
    return isinstance(value, dict) and not _is_base64(value)


def _invalid(text):
    return ServingError("INVALID_ARGUMENT", text)


def _of_type(value, kind):
    names = {bool: str(value), type(None): "Null", dict: "Object", list: "Array", str: "String"}
    named = names.get(type(value), "Number")
    return _invalid(f"JSON Value: {_shown(value)} Type: {named} is not of expected type: {kind}")


def _shape(array):
    return f"[{','.join(map(str, array.shape))}]"


def _shown(value):
    """The beginning of a JSON value, for errors: only as much of it is written as is shown."""
    pieces, length = [], 0
    for piece in json.JSONEncoder().iterencode(value):
        pieces.append(piece)
        length += len(piece)
        if length > _DEBUG_CHARS:
            break
    return "".join(pieces)[:_DEBUG_CHARS]


def write_tensors(outputs: Mapping[str, np.ndarray], in_rows: bool) -> bytes:
    """The answer to a request: `predictions`, an item a row, or `outputs`; one tensor stands without its name.

    Numbers are the shortest that read back as the same float32; NaN, Infinity and -Infinity are written so. Bytes of
    tensors whose name ends in `_bytes` are {"b64": ...}.

    Raises:
      ServingError: INVALID_ARGUMENT, row form and tensors of different lengths.
    """
    values = {name: _listed(name, array) for name, array in sorted(outputs.items())}
    if in_rows:
        sizes = {name: array.shape[0] for name, array in outputs.items() if array.ndim}
        if len(sizes) < len(outputs) or len(set(sizes.values())) > 1:
            raise _invalid(f"Tensor name: {min(outputs)} has inconsistent batch size: {sizes}")
        rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        answer = {"predictions": rows if len(values) > 1 else next(iter(values.values()))}
    else:
        answer = {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    return (json.dumps(answer, indent=1) if len(str(answer)) < 2000 else json.dumps(answer)).encode()


def _listed(name, array):
    array = np.asarray(array)
    if array.dtype.kind in "OSU":
        return _mapped(array.tolist(), _as_base64 if name.endswith("_bytes") else _as_text)
    if array.dtype.kind == "f":
        # By way of text: the shortest decimal of a float32 is not that of the same number as a float64.
        return array.astype(str).astype(np.float64).tolist() if array.dtype == np.float32 else array.tolist()
    return array.tolist()


def _as_base64(item):
    return {"b64": base64.b64encode(item).decode()}


def _as_text(item):
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else item


def _mapped(value, function: Callable):
    return [_mapped(item, function) for item in value] if isinstance(value, list) else function(value)
