"""`tfdeepfake train`: a network on a prepared data set, or a preset."""

import argparse
import dataclasses
import json
import os
from importlib.util import find_spec
from pathlib import Path

from tfdeepfake.cli.flags import add_fields, given_fields
from tfdeepfake.cli.presets import check_data, data_of, load_trained
from tfdeepfake.errors import InputError
from tfdeepfake.files import check_output_folder
from tfdeepfake.quiet import load_tensorflow
from tfdeepfake.training.config import TrainConfig


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("train", help="train a network on a prepared data set; started again, it resumes")
    p.add_argument("network", nargs="?", help="baseline, two_stream_frame, two_stream_video, cnn_rnn, ...")
    p.add_argument("--preset", help="experiment that `tfdeepfake presets` lists, for example demo")
    p.add_argument("--run-dir", help="folder of the run (default: runs/<preset or network-data>)")
    p.add_argument("--save-model", help="copy the best model folder here at the end")
    add_fields(p, TrainConfig, leave_out=("network",))
    return p


def read_config(args: argparse.Namespace) -> TrainConfig:
    """The TrainConfig that the flags describe.

    Raises:
      InputError: neither a network nor a preset is given, or a flag's value is wrong.
    """
    if not args.preset and not args.network:
        raise InputError("train", "needs a network or --preset.", "For example: tfdeepfake train two_stream_video")
    config = load_trained(args.preset).config if args.preset else TrainConfig()
    changes = given_fields(args, TrainConfig)
    for name, sample in (("network_args", '{"backbone": "small"}'), ("limits", '{"flicker": 9}')):
        if name not in changes:
            continue
        try:
            changes[name] = {**getattr(config, name), **json.loads(changes[name])}
        except (ValueError, TypeError) as error:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(flag, f"needs a JSON object ({error}).", f"For example: '{sample}'") from None
    return dataclasses.replace(config, **changes)


def use_backend(backend: str) -> None:
    """Chooses Keras's backend for this process, before Keras is loaded.

    Raises:
      InputError: the user's KERAS_BACKEND says another, or JAX is not installed.
    """
    there = os.environ.setdefault("KERAS_BACKEND", backend)
    if there != backend:
        raise InputError(
            "KERAS_BACKEND", f"is {there}; this run is on {backend}.", f"Say --backend {there}, or unset it."
        )
    if backend == "jax" and find_spec("jax") is None:
        raise InputError(
            "--backend jax", "needs a package that is not installed (jax).", 'pip install "tfdeepfake[jax]"'
        )


def run(args: argparse.Namespace) -> None:
    from tfdeepfake.profiling.table import refuse_unknown

    config = read_config(args)
    default = args.preset or f"{config.network}-{config.data.split('/')[0].split(':')[0]}"
    run_dir = Path(args.run_dir or Path("runs") / default)
    use_backend(config.backend)
    check_output_folder(run_dir)
    refuse_unknown(config.network)
    if args.save_model:
        check_output_folder(args.save_model)
    load_tensorflow()
    if args.preset:
        preset = load_trained(args.preset)
        if not args.data:
            config = dataclasses.replace(config, data=data_of(preset))
        check_data(preset, args.preset, config)
    from tfdeepfake.compiled.choice import compile_ahead
    from tfdeepfake.model_folder import copy_model
    from tfdeepfake.training.train import train

    run_dir = train(config, run_dir)
    if args.save_model:
        copy_model(Path(run_dir) / "best", args.save_model)
        print(f"saved model: {args.save_model}")
        compile_ahead(args.save_model, print)
