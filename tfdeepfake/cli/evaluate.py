"""`tfdeepfake evaluate`: metrics of a run, or of a saved model folder, on a split."""

import argparse
from pathlib import Path

from tfdeepfake.cli.flags import need_whole
from tfdeepfake.files import check_output_folder
from tfdeepfake.model_folder import RECIPE_FILE
from tfdeepfake.quiet import load_tensorflow
from tfdeepfake.vocabulary import TTA


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("evaluate", help="metrics with intervals and images of a network on a split")
    p.add_argument("folder", metavar="RUN", help="run folder, or a saved model folder together with --data")
    p.add_argument("--split", default="test")
    p.add_argument("--data", help="another prepared data set than the run's own")
    p.add_argument("--data-dir")
    p.add_argument(
        "--out",
        help="folder to write to (default: RUN/evaluation/SPLIT; with --data RUN/evaluation/DATA-SPLIT; of a saved "
        "model folder evaluation/MODEL-DATA-SPLIT in the working directory)",
    )
    p.add_argument("--batch-size", type=int, default=16)
    p.add_argument("--exclude", help="CSV file of videos to leave out, as `audit --exclude-out` writes it")
    p.add_argument("--tta", choices=TTA, default="none", help="flip: mean over mirror images")
    return p


def run(args: argparse.Namespace) -> None:
    need_whole(args, batch_size=(1, None))
    is_run = not (Path(args.folder) / RECIPE_FILE).exists()
    check_output_folder(args.out or (Path(args.folder) if is_run else Path()) / "evaluation")
    load_tensorflow()
    from tfdeepfake.evaluation.run import evaluate_run

    evaluate_run(
        args.folder,
        split=args.split,
        data=args.data,
        data_dir=args.data_dir,
        out=args.out,
        batch_size=args.batch_size,
        exclude=args.exclude,
        tta=args.tta,
    )
