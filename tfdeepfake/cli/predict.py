"""`tfdeepfake predict`: verdicts on videos, images and folders of them."""

from tfdeepfake.quiet import load_tensorflow
from tfdeepfake.vocabulary import DETECTORS


def add(verbs):
    p = verbs.add_parser("predict", help="is a face in these videos faked, which, when, how sure")
    p.add_argument("paths", nargs="+", metavar="PATH", help="videos, images or folders of them")
    p.add_argument("--model", required=True, help="saved model folder (from train or convert)")
    p.add_argument("--out", help="folder for predictions.json, index.html, scores.csv and annotated frames")
    p.add_argument("--detector", choices=DETECTORS, help="face detector instead of the recipe's own")
    p.add_argument("--detector-weights", help="path of the BlazeFace file when it cannot be downloaded")
    p.add_argument("--num-samples", type=int, help="frames or clips of the video that are looked at")
    p.add_argument("--labels", help="CSV file,label: labels written into scores.csv")
    p.add_argument("--time-limit-s", type=float, help="give up on one file after this time")
    p.add_argument("--tta", choices=("none", "flip"), default="none", help="flip: mean over mirror images")
    p.add_argument("--debug", action="store_true", help="show the traceback of unexpected errors")
    return p


def run(args):
    load_tensorflow()
    from tfdeepfake.verdict.batch import predict

    return predict(
        args.paths,
        args.model,
        out_dir=args.out,
        detector=args.detector,
        detector_weights=args.detector_weights,
        num_samples=args.num_samples,
        labels=args.labels,
        time_limit_s=args.time_limit_s,
        debug=args.debug,
        tta=args.tta,
    )
