"""`tfdeepfake evaluate`: metrics of a run on a split."""

from pathlib import Path

from tfdeepfake.cli.flags import whole
from tfdeepfake.files import check_output_folder
from tfdeepfake.quiet import load_tensorflow
from tfdeepfake.vocabulary import TTA


def add(verbs):
    p = verbs.add_parser("evaluate", help="metrics with intervals and images of a run on a split")
    p.add_argument("run_dir", metavar="RUN", help="run folder")
    p.add_argument("--split", default="test")
    p.add_argument("--data", help="another prepared data set than the run's own")
    p.add_argument("--data-dir")
    p.add_argument("--out", help="folder (default: RUN/evaluation/SPLIT)")
    p.add_argument("--batch-size", type=whole(1), default=16)
    p.add_argument("--exclude", help="CSV file of videos to leave out, as `audit --exclude-out` writes it")
    p.add_argument("--tta", choices=TTA, default="none", help="flip: mean over mirror images")
    return p


def run(args):
    check_output_folder(args.out or Path(args.run_dir) / "evaluation")
    load_tensorflow()
    from tfdeepfake.evaluation.run import evaluate_run

    evaluate_run(
        args.run_dir,
        split=args.split,
        data=args.data,
        data_dir=args.data_dir,
        out=args.out,
        batch_size=args.batch_size,
        exclude=args.exclude,
        tta=args.tta,
    )
