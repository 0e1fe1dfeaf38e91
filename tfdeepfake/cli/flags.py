"""What flags of several verbs share: numbers within bounds, a dataclass's fields, a builder's own choices."""

import argparse
import dataclasses
import math
from collections.abc import Callable

from tfdeepfake.errors import InputError

NUMBERS = {int: int, float: float, "int": int, "float": float, int | None: int}


class Once(argparse.Action):
    """A flag that is refused when it is given again: of two values one would be dropped without a word."""

    def __call__(self, parser, namespace, values, option_string=None):
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option_string}: takes one value, got {getattr(namespace, self.dest)} and {values}.")
        setattr(namespace, self.dest, values)


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of a flag that takes a whole number from `least` to `most`."""
    bounds = f"a whole number from {least} on" if most is None else f"a whole number from {least} to {most}"

    def parse(text):
        if not text.strip().lstrip("+-").isdecimal() or not least <= int(text) <= (math.inf if most is None else most):
            raise argparse.ArgumentTypeError(f"needs {bounds}, got {text}.")
        return int(text)

    return parse


def above_zero(text: str) -> float:
    """The type of a flag that takes a number above 0, such as seconds or a rate."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"needs a number above 0, got {text}.")
    return number


def add_fields(parser, cls, leave_out=(), note="[{default}]"):
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
            f"--{field.name.replace('_', '-')}",
            dest=field.name,
            type=NUMBERS.get(field.type, str),
            help=(field.metadata["help"] + shown).replace("%", "%%"),
        )


def given_fields(args, cls):
    """{field: value} of the flags of `add_fields` that were given."""
    values = {field.name: getattr(args, field.name, None) for field in dataclasses.fields(cls)}
    return {name: value for name, value in values.items() if value is not None}


def add_options(parser, text):
    """`--option NAME=VALUE`, any number of times."""
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help=text)


def read_options(args, taken=()):
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
