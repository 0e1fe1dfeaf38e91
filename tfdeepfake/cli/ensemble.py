"""`tfdeepfake ensemble`: finished runs that vote, as one saved model folder."""

import argparse

from tfdeepfake.files import check_output_folder
from tfdeepfake.quiet import load_tensorflow


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("ensemble", help="finished runs that vote, as one saved model folder (P0 III-C)")
    p.add_argument("runs", nargs="+", help="run folders, frame networks and clip networks, trained on the same faces")
    p.add_argument("--out", required=True, help="saved model folder to write; predict, evaluate and export take it")
    p.add_argument(
        "--vote",
        choices=("soft", "hard", "adaptive"),
        default="adaptive",
        help="mean of probabilities, majority, or a weighted mean whose weights are fitted on the runs' validation "
        "scores, 3D networks heavier at the start [adaptive]",
    )
    return p


def run(args: argparse.Namespace) -> None:
    check_output_folder(args.out)
    load_tensorflow()
    from tfdeepfake.training.ensemble import ensemble

    ensemble(args.runs, args.out, args.vote)
