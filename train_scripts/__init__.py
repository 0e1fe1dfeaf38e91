"""One preset per experiment: a module with a `CONFIG`. `tfdeepfake train --preset NAME` runs it."""

import difflib
import importlib
import pkgutil

from tfdeepfake.files import InputError

NOT_PRESETS = ("grid",)


def presets():
    """Names of the presets, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in NOT_PRESETS)


def load_preset(name):
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


def run(name):
    """What `python -m train_scripts.NAME ARGUMENTS` does: `tfdeepfake train --preset NAME ARGUMENTS`."""
    import sys

    from tfdeepfake.cli import main

    return main(["train", "--preset", name, *sys.argv[1:]])
