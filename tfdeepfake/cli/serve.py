"""`tfdeepfake serve`: verdicts over HTTP, with a page, and TF Serving's API from the SavedModel."""

import argparse
import os

from tfdeepfake.cli.flags import SHORTER, add_fields, given_fields
from tfdeepfake.errors import InputError
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.vocabulary import DETECTORS, RUNTIMES


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("serve", help="a page for videos, their verdicts over HTTP, and TF Serving's API")
    where = "folder that `tfdeepfake export` wrote, saved model folder, run folder, or name of a published detector"
    p.add_argument("model", nargs="?", help=f"{where} (default: that of predict)")
    add_fields(p, ServeSettings)
    p.add_argument(
        "--no-tensors", action="store_true", help="videos alone: TF Serving's API and TensorFlow are left out"
    )
    p.add_argument("--num-samples", *SHORTER["num_samples"], type=int, help="as for predict")
    p.add_argument("--backend", metavar="URL", help="score at this server, grpc://HOST:8500 or http://HOST:8501")
    p.add_argument("--backend-name", metavar="NAME", help="of the model there (default: the folder's)")
    p.add_argument(
        "--label", action="append", default=[], metavar="LABEL=VERSION", help="for /v1/models/NAME/labels/LABEL"
    )
    p.add_argument("--detector", choices=DETECTORS, help="face detector instead of the recipe's own")
    p.add_argument("--detector-weights", help="path of the BlazeFace file when it cannot be downloaded")
    p.add_argument("--runtime", choices=RUNTIMES, default="auto", help="as for predict [auto]")
    return p


def run(args: argparse.Namespace) -> int:
    given = {"token": os.environ.get("TFDEEPFAKE_TOKEN")} | given_fields(args, ServeSettings)
    settings = ServeSettings(**{name: value for name, value in given.items() if value is not None})
    labels = {}
    for text in args.label:
        label, equals, version = text.partition("=")
        if not equals or not version.isdecimal():
            raise InputError("--label", f"needs LABEL=VERSION, got {text!r}.")
        labels[label] = int(version)
    try:
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        remedy = 'pip install "tfdeepfake[serve]"'
        raise InputError("serve", f"needs a package that is not installed ({error.name}).", remedy) from None
    from tfdeepfake.serving.run import serve

    return serve(
        args.model,
        settings,
        tensors=not args.no_tensors,
        labels=labels,
        num_samples=args.num_samples,
        backend=args.backend,
        backend_name=args.backend_name,
        detector=args.detector,
        detector_weights=args.detector_weights,
        runtime=args.runtime,
    )
