"""The presets of `train_scripts`: which there are, and their configs."""

import difflib
import importlib
import pkgutil
from typing import TYPE_CHECKING

import train_scripts
from tfdeepfake.errors import InputError

if TYPE_CHECKING:
    from tfdeepfake.training.config import TrainConfig


def presets() -> list:
    """Names of the presets, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(train_scripts.__path__))


def load_preset(name: str) -> "TrainConfig":
    """The TrainConfig of a preset.

    Raises:
      InputError: no such preset; names those there are.
    """
    known = presets()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError("preset", f"there is none named {name!r};", f"{hint}There are {', '.join(known)}.")
    return importlib.import_module(f"train_scripts.{name}").CONFIG
