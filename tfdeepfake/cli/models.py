"""`tfdeepfake models`: the table of the networks."""

import argparse

from tfdeepfake.cli.flags import need_whole
from tfdeepfake.files import check_output_file
from tfdeepfake.quiet import load_tensorflow


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("models", help="table of the networks: input, parameters, FLOPs; latency on request")
    p.add_argument("names", nargs="*", help="networks (default: all)")
    p.add_argument(
        "--latency", action=argparse.BooleanOptionalAction, default=False, help="build each and time it on this machine"
    )
    p.add_argument("--batch-size", type=int, default=1)
    p.add_argument("--out", help="CSV file")
    return p


def run(args: argparse.Namespace) -> None:
    need_whole(args, batch_size=(1, None))
    if args.out:
        check_output_file(args.out)
    if args.latency:
        load_tensorflow()
    from tfdeepfake.profiling.table import models_table

    models_table(args.names or None, latency=args.latency, batch_size=args.batch_size, out=args.out)
