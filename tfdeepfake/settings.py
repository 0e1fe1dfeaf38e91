"""Fields of a frozen dataclass that say what they are: one text for --help and documentation, choices checked once."""

import dataclasses
import reprlib
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from tfdeepfake.errors import InputError


def setting(default: Any, text: str, choices: Sequence | None = None) -> Any:
    """A dataclass field.

    Args:
      default: of the field; a dict or list is copied for each object.
      text: what the field is, shown by `--help` of every verb that has it as a flag.
      choices: values it may have, checked by `check_choices`.
    """
    metadata = {"help": text, "choices": choices}
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def check_choices(settings: Any, error: Callable | None = None) -> None:
    """Checks every field that has choices.

    Args:
      settings: object of a dataclass.
      error: function of (field, problem) that gives the exception to raise; ValueError when not given.
    Raises:
      error: a field has another value than its choices; names them.
    """
    error = error or (lambda name, problem: ValueError(f"{name} {problem}"))
    for field in dataclasses.fields(settings):
        choices, value = field.metadata.get("choices"), getattr(settings, field.name)
        if choices is not None and value not in choices:
            raise error(field.name, f"needs one of {choices}, got {value!r}.")


def from_dict(cls, values: dict, subject: str) -> Any:
    """An object of a dataclass from a JSON object.

    Args:
      cls: the dataclass.
      values: dict.
      subject: the file, for errors.
    Raises:
      InputError: names every key that is no field, or a field with a value of another type.
    """
    if not isinstance(values, dict):
        raise InputError(subject, f"needs a JSON object of {cls.__name__}, got {_shown(values)}.")
    names = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise InputError(subject, f"has unknown entries {unknown}; known are {sorted(names)}.")
    hints = typing.get_type_hints(cls)
    for name, value in values.items():
        if not _fits(value, hints[name]):
            wanted = (
                getattr(hints[name], "__name__", str(hints[name])) if isinstance(hints[name], type) else hints[name]
            )
            raise InputError(subject, f"needs {wanted} in {name!r}, got {_shown(value)}.")
    return cls(**values)


def _fits(value, annotation):
    """Whether a value of JSON is of a type; a whole number is a float, too, and a list may stand for a tuple."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return any(_fits(value, one) for one in typing.get_args(annotation))
    kind = typing.get_origin(annotation) or annotation
    if not isinstance(kind, type) or kind is object or dataclasses.is_dataclass(kind):
        return True
    if kind is float:
        return type(value) in (int, float) and abs(value) < 1e300
    if kind is int:
        return type(value) is int
    return isinstance(value, (tuple, list) if kind in (tuple, list) else kind)


def _shown(value):
    text = reprlib.repr(value)
    return f"{type(value).__name__} {text}"
