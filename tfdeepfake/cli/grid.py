"""`tfdeepfake grid`: a preset at every combination of some fields of its config."""

import argparse
import dataclasses
import json

from tfdeepfake.cli.flags import READERS, need_above_zero, need_whole
from tfdeepfake.cli.presets import check_data, data_of, load_trained
from tfdeepfake.errors import InputError
from tfdeepfake.files import check_output_folder
from tfdeepfake.training.config import TrainConfig


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("grid", help="train a preset at every combination of some settings (P2 4.2.2)")
    p.add_argument("preset")
    p.add_argument(
        "run_dir", help="a run folder per cell, grid.csv and grid.md are written into it; started again, it resumes"
    )
    p.add_argument(
        "--try",
        dest="fields",
        action="append",
        default=[],
        metavar="FIELD=V,V",
        help="a field of `train` and its values, for example loss=bce,bce_f1, or as JSON: "
        'network_args=[{"dropout": 0.2}, {"dropout": 0.5}]; any number of times. Without one those of P2: '
        "batch_size=4,16,32 and learning_rate=0.01,1e-05",
    )
    p.add_argument("--batch-sizes", type=int, nargs="+", help="the same as --try batch_size=...")
    p.add_argument("--learning-rates", type=float, nargs="+", help="the same as --try learning_rate=...")
    p.add_argument(
        "--at-once", type=int, help="cells that train side by side [2 where memory allows and there is no GPU, else 1]"
    )
    p.add_argument("--data", help="another prepared data set than the preset's")
    p.add_argument("--data-dir", help="where prepared data sets are kept")
    p.add_argument("--epochs", type=int)
    return p


def run(args: argparse.Namespace) -> int:
    need_whole(args, batch_sizes=(1, None), epochs=(1, None), at_once=(1, None))
    need_above_zero(args, "learning_rates")
    check_output_folder(args.run_dir)
    preset = load_trained(args.preset)
    fields = read_fields(args, preset.config)
    from tfdeepfake.training.grid import best_cell, cells, grid

    changes = {name: getattr(args, name) for name in ("data_dir", "epochs") if getattr(args, name)}
    config = dataclasses.replace(preset.config, data=args.data or data_of(preset), **changes)
    cells(config, fields)
    if not args.data:
        check_data(preset, args.preset, config)
    rows = grid(config, fields, args.run_dir, at_once=args.at_once)
    if best := best_cell(rows):
        print("best: " + ", ".join(f"{name} {best[name]}" for name in fields))
    print(f"{args.run_dir}/grid.md, grid.csv")
    failed = sum(row["status"] != "finished" for row in rows)
    if failed:
        print(f"{failed} of {len(rows)} cells failed; the same command tries them again.")
    return int(failed > 0)


def read_fields(args: argparse.Namespace, config: TrainConfig) -> dict[str, list]:
    """{field: values} of the flags.

    Raises:
      InputError: no such field, or a value that is none of its type.
    """
    fields = {}
    for text in args.fields:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not values.strip():
            raise InputError("--try", f"needs FIELD=VALUE,VALUE, got {text!r}.", "For example: --try batch_size=4,16")
        fields[name] = _values(name, values.strip(), config)
    for name, values in (("batch_size", args.batch_sizes), ("learning_rate", args.learning_rates)):
        if values:
            fields[name] = values
    return fields or {"batch_size": [4, 16, 32], "learning_rate": [10e-3, 10e-6]}


def _values(name, text, config):
    types = {field.name: field.type for field in dataclasses.fields(TrainConfig)}
    if name not in types:
        raise InputError("--try", f"knows no field {name!r}.", f"There are {', '.join(sorted(types))}.")
    try:
        if text.startswith("["):
            values = json.loads(text)
        elif types[name] in (dict, list, "dict", "list"):
            raise ValueError("it needs a JSON list of values")
        else:
            reader = READERS.get(types[name], str)
            values = [reader(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InputError(
            "--try", f"{name}: {text!r} cannot be read ({error}).", 'JSON: \'methods=[["A"], ["B"]]\''
        ) from None
    if name == "network_args" and all(isinstance(value, dict) for value in values):
        values = [config.network_args | value for value in values]
    return values
