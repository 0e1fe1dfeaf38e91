"""`tfdeepfake grid`: a preset at every combination of some fields of its config."""

import argparse
import dataclasses
import difflib
import json
import typing

from tfdeepfake.cli.flags import READERS, need_above_zero, need_whole
from tfdeepfake.cli.presets import check_data, data_of, load_trained
from tfdeepfake.errors import InputError
from tfdeepfake.files import check_output_folder
from tfdeepfake.quiet import load_tensorflow
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
    from tfdeepfake.profiling.table import refuse_unknown
    from tfdeepfake.training.grid import best_cell, cells, check_folder, grid

    changes = {name: getattr(args, name) for name in ("data", "data_dir", "epochs") if getattr(args, name)}
    config = dataclasses.replace(preset.config, **changes)
    for _, _, cell in cells(config, fields):
        refuse_unknown(cell.network)
    load_tensorflow()
    if not args.data:
        config = dataclasses.replace(config, data=data_of(preset))
    every = cells(config, fields)
    check_folder(args.run_dir, every)
    _check_data(every, preset, args)
    rows = grid(config, fields, args.run_dir, at_once=args.at_once)
    if best := best_cell(rows):
        print("best: " + ", ".join(f"{name} {best[name]}" for name in fields))
    print(f"{args.run_dir}/grid.md, grid.csv")
    failed = sum(row["status"] != "finished" for row in rows)
    if failed:
        print(f"{failed} of {len(rows)} cells failed; the same command tries them again.")
    return int(failed > 0)


def _check_data(every, preset, args):
    """Refuses data of the cells that is not there, or is not what the preset says, before anything is trained."""
    from tfdeepfake.data.batches.prepared import open_data

    for data, data_dir in dict.fromkeys((cell.data, cell.data_dir) for _, _, cell in every):
        config = dataclasses.replace(preset.config, data=data, data_dir=data_dir)
        if data == data_of(preset):
            check_data(preset, args.preset, config)
        else:
            open_data(data, data_dir)


def read_fields(args: argparse.Namespace, config: TrainConfig) -> dict[str, list]:
    """{field: values} of the flags.

    Raises:
      InputError: no such field, or a value that is none of its type.
    """
    given = []
    for text in args.fields:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not values.strip():
            raise InputError("--try", f"needs FIELD=VALUE,VALUE, got {text!r}.", "For example: --try batch_size=4,16")
        given.append((name, _values(name, values.strip(), config)))
    for name, values in (("batch_size", args.batch_sizes), ("learning_rate", args.learning_rates)):
        if values:
            given.append((name, values))
    names = [name for name, _ in given]
    for name in names:
        if names.count(name) > 1:
            raise InputError("--try", f"has {name} twice.", f"Give all its values at once: --try {name}=VALUE,VALUE")
    return dict(given) or {"batch_size": [4, 16, 32], "learning_rate": [10e-3, 10e-6]}


# By the type of a field: what `--try` needs, and an example.
_WANTED = {
    bool: ("true or false", "true,false"),
    int: ("whole numbers joined by commas", "4,16"),
    float: ("numbers joined by commas", "1e-3,1e-4"),
    str: ("values joined by commas", "A,B"),
    list: ("a JSON list of lists", '\'[["A"], ["B", "C"]]\''),
    dict: ("a JSON list of objects", '\'[{"dropout": 0.2}, {"dropout": 0.5}]\''),
}


def _values(name, text, config):
    types = {field.name: field.type for field in dataclasses.fields(TrainConfig)}
    if name not in types:
        near = difflib.get_close_matches(name, types, n=3) or [field for field in types if name in field]
        hint = f" Did you mean {' or '.join(near)}?" if name and near else ""
        raise InputError("--try", f"knows no field {name!r}.{hint}", "`tfdeepfake train --help` has all.")
    kind = next((one for one in typing.get_args(types[name]) if one is not type(None)), types[name])
    wanted, example = _WANTED[kind]
    try:
        if text.startswith("[") or kind in (dict, list):
            values = json.loads(text)
            if not isinstance(values, list) or kind in (dict, list) and not all(isinstance(v, kind) for v in values):
                raise ValueError
        else:
            values = [READERS.get(kind, str)(part.strip()) for part in text.split(",") if part.strip()]
    except (ValueError, argparse.ArgumentTypeError):
        values = []
    if not values:
        raise InputError("--try", f"{name} needs {wanted}, got {text!r}.", f"For example: --try {name}={example}")
    if name == "network_args":
        values = [config.network_args | value for value in values]
    return values
