"""`tfdeepfake presets`: the experiments of `train_scripts`, and what a run of one reads."""

import argparse
import difflib
import importlib
import pkgutil
from typing import TYPE_CHECKING

import train_scripts
from tfdeepfake.errors import InputError

if TYPE_CHECKING:
    from tfdeepfake.training.config import TrainConfig
    from tfdeepfake.training.preset import Preset


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("presets", help="the papers' experiments: which rows of which tables, and their commands")
    p.add_argument("names", nargs="*", help="presets whose commands are printed (default: a line for each of all)")
    return p


def run(args: argparse.Namespace) -> None:
    if not args.names:
        for name in presets():
            preset = load_preset(name)
            print(f"{name:<36} {'; '.join(preset.rows) or about(name)}  [{preset.measured}]")
        return
    for name in args.names:
        preset = load_preset(name)
        print(importlib.import_module(f"train_scripts.{name}").__doc__.strip())
        for number, (data_set, options) in enumerate(preset.evaluate):
            told = "".join(
                f" {key}={','.join(value) if isinstance(value, tuple) else value}" for key, value in options.items()
            )
            print(f"\nOn {data_set}{told}:\n\n    {preset.prepare_command(number, data_dir='data')}")
            print(f"    {preset.evaluate_command(name, data_of(preset, number))}")
        print()


def presets() -> list:
    """Names of the presets, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(train_scripts.__path__))


def load_preset(name: str) -> "Preset":
    """A preset.

    Raises:
      InputError: no such preset; names those of a like name.
    """
    known = presets()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise InputError("preset", f"there is none named {name!r}.{hint}", "`tfdeepfake presets` lists all.")
    return importlib.import_module(f"train_scripts.{name}").PRESET


def load_trained(name: str) -> "Preset":
    """A preset of one training run.

    Raises:
      InputError: no such preset, or it is an ensemble; says how it is made.
    """
    preset = load_preset(name)
    if preset.config is None:
        remedy = f"Train {', '.join(preset.stages)}; then: {preset.ensemble_command(name)}"
        raise InputError("preset", f"{name} is an ensemble of runs, which is not trained.", remedy)
    return preset


def about(name: str) -> str:
    """What the first lines of a preset's file say it is."""
    title = importlib.import_module(f"train_scripts.{name}").__doc__.strip().partition("\n\n")[0]
    return " ".join(title.split()).removesuffix(".")


def data_of(preset: "Preset", number: int | None = None) -> str:
    """ "builder/config" of the data that a preset reads; with `number`, of the data set `evaluate[number]`."""
    from tfds_builders.prepare import config_name

    name, options = (preset.data_set, preset.options()) if number is None else preset.evaluate[number]
    flags = {flag: value for flag, value in preset.prepare.items() if flag not in preset.options()}
    return f"{name}/{config_name(name, **(flags | options))}"


def check_data(preset: "Preset", name: str, config: "TrainConfig") -> None:
    """Refuses data that was prepared otherwise than a preset says.

    Raises:
      InputError: it is not prepared, or a field of its recipe, an option of its builder or the frames of a class are
        another; names the command that prepares it.
    """
    from tfdeepfake.data.batches.prepared import open_data
    from tfds_builders.prepare import default_options

    command = f"Run: {preset.prepare_command(data_dir=config.data_dir)}"
    try:
        prepared = open_data(config.data, config.data_dir)
    except InputError as error:
        raise InputError(config.data, error.problem, command) from None
    differ = preset.differing(prepared, default_options(preset.data_set))
    if differ:
        told = ", ".join(
            f"{field} is {there!r} there, {wanted!r} in {name}" for field, (there, wanted) in differ.items()
        )
        raise InputError(config.data, f"was prepared otherwise: {told}.", command)
