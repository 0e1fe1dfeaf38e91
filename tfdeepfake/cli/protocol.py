"""`tfdeepfake protocol`: tables of many models: across data sets, by manipulation, under perturbations."""

import argparse
import sys

from tfdeepfake.cli.flags import need_whole
from tfdeepfake.errors import InputError

NAMES = ("cross_data", "manipulations", "robustness")


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("protocol", help="tables of models across data sets, by manipulation, under perturbations")
    p.add_argument("name", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    where = "run folders or saved model folders; NAME=FOLDER gives a name"
    p.add_argument("--models", nargs="+", required=True, metavar="RUN", help=where)
    p.add_argument(
        "--data",
        nargs="+",
        required=True,
        help="prepared data sets (manipulations: one); robustness: a folder with real/ and fake/, or a CSV file,label",
    )
    p.add_argument("--run-dir", required=True, help="folder of scores and tables; the same command again resumes")
    p.add_argument("--plan", action="store_true", help="print what would be scored, and do nothing")
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
    is_robustness = args.name == "robustness"
    for name in ("perturbations", "severities", "keep_copies") if not is_robustness else ("allow", "split", "data_dir"):
        if getattr(args, name):
            raise InputError(f"--{name.replace('_', '-')}", f"is not used with {args.name}.", "Leave it out.")
    if args.name != "cross_data" and len(args.data) > 1:
        raise InputError("--data", f"{args.name} takes one, got {len(args.data)}.", "Give each a folder of its own.")
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    from tfdeepfake.protocols import protocol

    return protocol.run(
        args.name,
        args.models,
        args.data,
        args.run_dir,
        plan=args.plan,
        data_dir=args.data_dir,
        split=args.split or "test",
        allow=args.allow or (),
        perturbations=args.perturbations,
        severities=args.severities,
        keep_copies=args.keep_copies,
        resamples=args.resamples,
        log=lambda line: print(line, file=sys.stderr, flush=True),
    )
