"""What flags of several verbs share: numbers within bounds, a dataclass's fields, a builder's own choices."""

import argparse
import dataclasses
import math
import os
from collections.abc import Collection
from typing import Any

from tfdeepfake.errors import InputError


def _listed(text):
    """ "a, b" -> ["a", "b"]; nothing between commas counts as nothing."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _truth(text):
    """ "true" or "false" as a bool."""
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"needs true or false, got {text!r}.") from None


READERS = {
    bool: _truth,
    int: int,
    float: float,
    "int": int,
    "float": float,
    int | None: int,
    float | None: float,
    list: _listed,
}


# What users type as well.
SHORTER = {"num_samples": ("--samples",)}


class Once(argparse.Action):
    """A flag that is refused when it is given again: of two values one would be dropped without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option_string}: takes one value, got {getattr(namespace, self.dest)} and {values}.")
        setattr(namespace, self.dest, values)


def need_whole(args: argparse.Namespace, **bounds: tuple[int, int | None]) -> None:
    """Refuses numbers that mean nothing, by their flags.

    Args:
      bounds: {flag's name: (least, most or None)}; flags that were not given are None.
    Raises:
      InputError: one is outside its bounds.
    """
    for name, (least, most) in bounds.items():
        for value in _values(args, name):
            if value < least or (most is not None and value > most):
                wanted = f"from {least} on" if most is None else f"{least}..{most}"
                raise InputError(_flag(name), f"needs a whole number {wanted}, got {value}.")


def check_fraction(flag: str, value: float | None) -> None:
    """Refuses what is no fraction 0..1; None is a flag that was not given."""
    if value is not None and not 0 <= value <= 1:
        raise InputError(flag, f"needs a fraction 0..1, got {value:g}.")


def need_above_zero(args: argparse.Namespace, *names: str) -> None:
    """As `need_whole`, for flags such as seconds or rates."""
    for name in names:
        for value in _values(args, name):
            if not 0 < value < math.inf:
                raise InputError(_flag(name), f"needs a number above 0, got {value:g}.")


def _values(args, name):
    value = getattr(args, name)
    return value if isinstance(value, list) else [] if value is None else [value]


def _flag(name):
    return f"--{name.replace('_', '-')}"


def need_folder(path: str | None) -> None:
    """Refuses a folder that is not there, before what would read it is loaded; a CSV file may stand for one."""
    if path is None or (path.lower().endswith(".csv") and os.path.isfile(os.path.expanduser(path))):
        return
    if not os.path.isdir(os.path.expanduser(path)):
        raise InputError(path, "is no folder.", "Check the path.")


def add_fields(parser: argparse.ArgumentParser, cls, leave_out: tuple = (), note: str = "[{default}]") -> None:
    """A flag for every field of a dataclass of `settings.setting`, named as the field; None when it is not given.

    Args:
      parser: argparse parser of a verb.
      cls: the dataclass.
      leave_out: names of fields that get no flag.
      note: what stands behind the help text, with the field's {default}, unless that is None.
    """
    for field in dataclasses.fields(cls):
        if field.name in leave_out:
            continue
        shown = "" if field.default in (None, dataclasses.MISSING) else " " + note.format(default=field.default)
        parser.add_argument(
            *_spellings(field.name),
            dest=field.name,
            type=READERS.get(field.type, str),
            **({"nargs": "?", "const": True} if field.type is bool else {}),
            help=(field.metadata["help"] + shown).replace("%", "%%"),
        )


def _spellings(name):
    return [f"--{name.replace('_', '-')}", *SHORTER.get(name, ())]


def given_fields(args: argparse.Namespace, cls) -> dict:
    """{field: value} of the flags of `add_fields` that were given."""
    values = {field.name: getattr(args, field.name, None) for field in dataclasses.fields(cls)}
    return {name: value for name, value in values.items() if value is not None}


def add_options(parser: argparse.ArgumentParser, text: str) -> None:
    """`--option NAME=VALUE`, any number of times."""
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help=text)


def read_options(args: argparse.Namespace, taken: Collection[str] = ()) -> dict:
    """{name: value} of `--option`.

    Raises:
      InputError: one is not of the form NAME=VALUE, or has a flag of its own (`taken`).
    """
    options = {}
    for option in args.option:
        name, equals, value = option.partition("=")
        if not equals or name in taken:
            raise InputError("--option", f"needs NAME=VALUE of a builder's own choices, got {option!r}.")
        options[name] = value
    return options
