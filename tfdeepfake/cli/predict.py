"""`tfdeepfake predict`: verdicts on videos, images and folders of them."""

from tfdeepfake.cli.flags import add_fields, given_fields
from tfdeepfake.quiet import load_tensorflow
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.vocabulary import DETECTORS


def add(verbs):
    p = verbs.add_parser("predict", help="is a face in these videos faked, which, when, how sure")
    p.add_argument("paths", nargs="+", metavar="PATH", help="videos, images or folders of them")
    p.add_argument("--model", required=True, help="saved model folder (from train or convert)")
    p.add_argument("--out", help="folder for predictions.json, index.html, scores.csv and annotated frames")
    p.add_argument("--detector", choices=DETECTORS, help="face detector instead of the recipe's own")
    p.add_argument("--detector-weights", help="path of the BlazeFace file when it cannot be downloaded")
    p.add_argument("--labels", help="CSV file,label: written into scores.csv, the page shows what is right and wrong")
    add_fields(p, JudgeSettings, leave_out=("debug",))
    p.add_argument("--debug", action="store_true", help=JudgeSettings.__dataclass_fields__["debug"].metadata["help"])
    return p


def run(args):
    settings = JudgeSettings(**given_fields(args, JudgeSettings))
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
    )
