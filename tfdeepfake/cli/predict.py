"""`tfdeepfake predict`: verdicts on videos, images and folders of them."""

import time

from tfdeepfake.cli.flags import Once, add_fields, given_fields
from tfdeepfake.cli.process_age import process_age_s
from tfdeepfake.files import check_output_folder
from tfdeepfake.quiet import load_tensorflow
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.vocabulary import DETECTORS


def add(verbs):
    p = verbs.add_parser("predict", help="is a face in these videos faked, which, when, how sure")
    p.add_argument("paths", nargs="+", metavar="PATH", help="videos, images or folders of them")
    where = "saved model folder (from train or convert), or a run folder: its best/"
    p.add_argument("--model", required=True, action=Once, help=where)
    p.add_argument("--out", help="folder for predictions.json, index.html, scores.csv and annotated frames")
    p.add_argument("--detector", choices=DETECTORS, help="face detector instead of the recipe's own")
    p.add_argument("--detector-weights", help="path of the BlazeFace file when it cannot be downloaded")
    p.add_argument("--labels", help="CSV file,label: written into scores.csv, the page shows what is right and wrong")
    add_fields(p, JudgeSettings, leave_out=("debug",))
    p.add_argument("--debug", action="store_true", help=JudgeSettings.__dataclass_fields__["debug"].metadata["help"])
    return p


def run(args):
    start = time.perf_counter() - process_age_s()
    settings = JudgeSettings(**given_fields(args, JudgeSettings))
    if args.out:
        check_output_folder(args.out)
    load_tensorflow()
    from tfdeepfake.verdict.batch import predict

    return predict(
        args.paths,
        args.model,
        out_dir=args.out,
        settings=settings,
        detector=args.detector,
        detector_weights=args.detector_weights,
        labels=args.labels,
        start=start,
    )
