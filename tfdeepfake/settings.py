"""Fields of a frozen dataclass that say what they are: one text for --help and documentation, choices checked once."""

import dataclasses
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
      InputError: names every key that is no field.
    """
    names = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise InputError(subject, f"has unknown entries {unknown}; known are {sorted(names)}.")
    return cls(**values)
