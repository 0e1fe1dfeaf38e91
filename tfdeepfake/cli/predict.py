"""`tfdeepfake predict`: verdicts on videos, images and folders of them."""

import argparse
import os
import sys
import time

from tfdeepfake.cli.flags import Once, add_fields, given_fields, need_above_zero
from tfdeepfake.cli.process_age import process_age_s
from tfdeepfake.errors import InputError, remedy_where_missing
from tfdeepfake.files import check_output_folder
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.vocabulary import DETECTORS, RUNTIMES


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("predict", help="is a face in these videos faked, which, when, how sure")
    p.add_argument("paths", nargs="+", metavar="PATH", help="videos, images or folders of them")
    where = (
        "saved model folder (from train or convert), or a run folder: its best/; or the name of a published detector, "
        "which is fetched once (default: gend_clip_l14, 1.2 GB)"
    )
    p.add_argument("--model", action=Once, help=where)
    p.add_argument("--source", metavar="NAME", help="--model is a file of weights of this published detector")
    p.add_argument("--out", help="folder for predictions.json, index.html, scores.csv and annotated frames")
    p.add_argument("--detector", choices=DETECTORS, help="face detector instead of the recipe's own")
    p.add_argument("--detector-weights", help="path of the BlazeFace file when it cannot be downloaded")
    p.add_argument("--labels", help="CSV file,label: written into scores.csv, the page shows what is right and wrong")
    add_fields(p, JudgeSettings, leave_out=("debug", "isolate"))
    p.add_argument("--budget-s", type=float, help="seconds for all files, start included; the rest is named, and left")
    p.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default="auto",
        help="litert: the network compiled for CPUs, without TensorFlow; auto: what was measured faster [auto]",
    )
    p.add_argument(
        "--explain",
        action="store_true",
        help="with --out: the page shows where, in the most suspicious sample of each face, the network looks (Keras)",
    )
    for name in ("isolate", "debug"):
        text = JudgeSettings.__dataclass_fields__[name].metadata["help"]
        p.add_argument(f"--{name}", action="store_true", help=text)
    return p


def print_line(line: str) -> None:
    """What the user is told on the way; verdicts alone are written to the standard output."""
    print(line, file=sys.stderr, flush=True)


def run(args: argparse.Namespace) -> int:
    start = time.perf_counter() - process_age_s()
    settings = JudgeSettings(**given_fields(args, JudgeSettings))
    need_above_zero(args, "budget_s")
    if args.out:
        check_output_folder(args.out)
    if args.explain and not args.out:
        raise InputError("--explain", "draws into the page.", "Add --out FOLDER.")
    if args.explain and args.runtime == "litert":
        raise InputError("--explain", "needs gradients, which LiteRT does not have.", "Leave --runtime out.")
    from tfdeepfake.verdict import named

    # A slip in the name of a video should not cost a download, nor the making of a compiled network.
    if not any(map(os.path.lexists, args.paths)):
        remedy = remedy_where_missing(args.paths[0], "Give a video, an image or a folder of them.")
        raise InputError(args.paths[0], "does not exist.", remedy)
    located = named.locate(args.model, args.source, log=print_line)
    folder, settings = located.ready(print_line), located.affordable(settings, print_line)
    from tfdeepfake.verdict.batch import predict

    explain = None
    if args.explain:
        from tfdeepfake.quiet import load_backend

        load_backend()
        from tfdeepfake.explain.overlays import overlays as explain
    return predict(
        args.paths,
        folder,
        out_dir=args.out,
        settings=settings,
        detector=args.detector,
        detector_weights=args.detector_weights,
        labels=args.labels,
        runtime=args.runtime,
        notice=print_line,
        start=start,
        explain=explain,
        budget_s=args.budget_s,
    )
