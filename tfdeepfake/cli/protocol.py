"""`tfdeepfake protocol`: the papers' tables, each a resumable folder of scores with a page."""

import argparse
import sys

from tfdeepfake.cli.flags import need_whole
from tfdeepfake.errors import InputError
from tfdeepfake.protocols.names import PROTOCOLS

OPTIONS = ("data_dir", "split", "allow", "perturbations", "severities", "keep_copies")


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser(
        "protocol",
        help="tables of models across data sets, by manipulation, under perturbations",
        epilog="\n".join(f"{name}: {one.about}" for name, one in PROTOCOLS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("name", metavar="NAME", choices=tuple(PROTOCOLS), help=", ".join(PROTOCOLS))
    where = "run folders or saved model folders; NAME=FOLDER gives a name; reproduce: names of published detectors too"
    p.add_argument("--models", nargs="+", required=True, metavar="RUN", help=where)
    p.add_argument(
        "--data",
        nargs="+",
        required=True,
        help="prepared data sets (manipulations: one); robustness: a folder with real/ and fake/, or a CSV file,label",
    )
    p.add_argument("--run-dir", required=True, help="folder of scores and tables; the same command again resumes")
    p.add_argument("--plan", action="store_true", help="print what would be scored and how long, and do nothing")
    p.add_argument("--data-dir", help="where prepared data sets are kept")
    p.add_argument("--split", help="of prepared data sets [test]")
    p.add_argument("--allow", nargs="+", metavar="FIELD", help="of the recipe in which prepared data may differ")
    p.add_argument("--perturbations", nargs="+", metavar="NAME", help="robustness: fewer than all seven")
    p.add_argument("--severities", nargs="+", type=int, metavar="N", help="robustness: fewer than 1 2 3 4 5")
    p.add_argument("--keep-copies", action="store_true", help="robustness: perturbed copies stay in the run folder")
    p.add_argument("--resamples", type=int, default=1000, help="of the bootstrap; 0 for no intervals [1000]")
    return p


def run(args: argparse.Namespace) -> int:
    need_whole(args, resamples=(0, None), severities=(1, 5))
    protocol = PROTOCOLS[args.name]
    given = {name: value for name in OPTIONS if (value := getattr(args, name))}
    for name in given:
        if name not in protocol.options:
            raise InputError(f"--{name.replace('_', '-')}", f"is not used with {args.name}.", "Leave it out.")
    if not protocol.several_data and len(args.data) > 1:
        raise InputError("--data", f"{args.name} takes one, got {len(args.data)}.", "Give each a folder of its own.")
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    from tfdeepfake.protocols.protocol import run as run_protocol

    return run_protocol(
        args.name,
        args.models,
        args.data,
        args.run_dir,
        plan=args.plan,
        resamples=args.resamples,
        command=args.command_line,
        log=lambda line: print(line, file=sys.stderr, flush=True),
        **given,
    )
