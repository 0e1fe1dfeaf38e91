"""`tfdeepfake evaluate`: metrics of a run, or of a saved model folder, on a split; or of scores that are there."""

import argparse
import sys
from pathlib import Path

from tfdeepfake.cli.flags import check_fraction, need_whole
from tfdeepfake.cli.named_model import is_name, model_folder
from tfdeepfake.errors import InputError
from tfdeepfake.files import check_output_folder
from tfdeepfake.quiet import load_tensorflow
from tfdeepfake.vocabulary import TTA


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("evaluate", help="metrics with intervals and images of a network on a split")
    p.add_argument(
        "folder", metavar="RUN", help="run folder, scores.csv, or with --data a saved model folder or a detector's name"
    )
    p.add_argument("--split", default="test")
    p.add_argument("--data", help="another prepared data set than the run's own")
    p.add_argument("--data-dir")
    p.add_argument(
        "--out",
        help="folder to write to (default: RUN/evaluation/SPLIT; with --data RUN/evaluation/DATA-SPLIT; of a saved "
        "model folder evaluation/MODEL-DATA-SPLIT in the working directory; of scores.csv evaluation beside it)",
    )
    p.add_argument("--batch-size", type=int, default=16)
    p.add_argument("--exclude", help="CSV file of videos to leave out, as `audit --exclude-out` writes it")
    p.add_argument(
        "--min-coverage",
        type=float,
        metavar="FRACTION",
        help="end with code 3, and list the videos without a score, where fewer than this fraction have one",
    )
    p.add_argument("--subgroups", metavar="COLUMN,...", help="of the scores, such as gender (default: all there are)")
    p.add_argument("--tta", choices=TTA, default="none", help="flip: mean over mirror images; p1: over P1's views")
    return p


def run(args: argparse.Namespace) -> int:
    need_whole(args, batch_size=(1, None))
    check_fraction("--min-coverage", args.min_coverage)
    subgroups = None if args.subgroups is None else [name for name in args.subgroups.split(",") if name]
    common = {"out": args.out, "exclude": args.exclude, "subgroups": subgroups}
    if is_name(args.folder) and args.data is None:  # before gigabytes are fetched
        raise InputError(args.folder, "was trained on no data set that is here.", "Name one by --data.")
    path = model_folder(args.folder, args.data, args.data_dir, args.split)
    if path.suffix.lower() == ".csv" or path.is_file():
        for flag, default in (("data", None), ("data_dir", None), ("tta", "none")):
            if getattr(args, flag) != default:
                raise InputError(
                    f"--{flag.replace('_', '-')}", "is not used with scores that are there.", "Leave it out."
                )
        check_output_folder(args.out or path.parent / "evaluation")
        from tfdeepfake.evaluation.score_file import evaluate_file

        return covered(evaluate_file(path, **common), args.min_coverage)
    if not path.is_dir():
        raise InputError(
            path,
            "is not a run folder.",
            "Give a folder written by `tfdeepfake train`, a saved model folder, or a name of `tfdeepfake detectors`.",
        )
    from tfdeepfake.model_folder import RECIPE_FILE  # which loads numpy

    is_run = not (path / RECIPE_FILE).exists()
    if not is_run and args.data is None:
        raise InputError(path, "is a saved model folder and names no data set.", "Add --data NAME.")
    check_output_folder(args.out or (path if is_run else Path()) / "evaluation")
    load_tensorflow()
    from tfdeepfake.evaluation.run import evaluate_run

    data = {"split": args.split, "data": args.data, "data_dir": args.data_dir}
    return covered(evaluate_run(path, **data, **common, batch_size=args.batch_size, tta=args.tta), args.min_coverage)


def covered(report: dict, least: float | None) -> int:
    """The exit code: 3, with the videos without a score printed, where fewer than the fraction `least` have one."""
    from tfdeepfake.evaluation.text import coverage_lines

    lines = coverage_lines(report, least)
    for line in lines:
        print(line, file=sys.stderr)
    return 3 if lines else 0
