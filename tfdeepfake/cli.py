"""`tfdeepfake VERB`: one line of work per verb. Everything heavy is imported inside the verb, so --help is instant."""

import argparse
import inspect
import json
import re
import sys
from pathlib import Path

from tfdeepfake import __version__
from tfdeepfake.errors import InputError
from tfdeepfake.quiet import load_tensorflow
from tfdeepfake.recipe import KINDS, DataRecipe
from tfdeepfake.training.config import TrainConfig


def predict(args):
    from tfdeepfake.verdict.batch import predict

    return predict(
        args.paths,
        args.model,
        out_dir=args.out,
        detector=args.detector,
        detector_weights=args.detector_weights,
        clips=args.clips,
        labels=args.labels,
        time_limit_s=args.time_limit_s,
        debug=args.debug,
        tta=args.tta,
    )


RECIPE_FLAGS = [f for f in DataRecipe.__dataclass_fields__ if f != "kind"]


def prepare(args):
    from tfds_builders.prepare import prepare as run

    recipe = {name: getattr(args, name) for name in RECIPE_FLAGS if getattr(args, name) is not None}
    for option in args.option:
        name, equals, value = option.partition("=")
        if not equals or name in recipe:
            raise InputError("--option", f"needs NAME=VALUE of the builder's own choices, got {option!r}.")
        recipe[name] = value
    summary = run(
        args.name,
        kind=args.kind,
        dir=args.dir,
        data_dir=args.data_dir,
        workers=args.workers,
        beam_options=args.beam_options,
        overwrite=args.overwrite,
        frames_real=args.frames_real,
        frames_fake=args.frames_fake,
        image_format=args.image_format,
        **recipe,
    )
    print(json.dumps(summary, indent=2, ensure_ascii=False))


CONFIG_FLAGS = {name: f for name, f in TrainConfig.__dataclass_fields__.items() if name not in ("network",)}


def train(args):
    import dataclasses

    if args.preset:
        from tfdeepfake.training.presets import load_preset

        config = load_preset(args.preset)
        if args.network:
            config = dataclasses.replace(config, network=args.network)
    elif args.network:
        config = TrainConfig(network=args.network)
    else:
        raise InputError("train", "needs a network or --preset.", "For example: tfdeepfake train two_stream_video")
    changes = {name: getattr(args, name) for name in CONFIG_FLAGS if getattr(args, name) is not None}
    if "network_args" in changes:
        try:
            changes["network_args"] = {**config.network_args, **json.loads(changes["network_args"])}
        except (ValueError, TypeError) as error:
            raise InputError(
                "--network_args", f"needs a JSON object ({error}).", """For example: '{"backbone": "small"}'"""
            ) from None
    config = dataclasses.replace(config, **changes)
    from tfdeepfake.training.train import train

    default = args.preset or f"{config.network}-{config.data.split('/')[0].split(':')[0]}"
    run_dir = train(config, args.run_dir or Path("runs") / default)
    if args.save_model:
        import shutil

        from tfdeepfake.model_folder import load_recipe

        source = Path(run_dir) / "best"
        load_recipe(source)
        shutil.copytree(source, args.save_model, dirs_exist_ok=True)
        print(f"saved model: {args.save_model}")


def evaluate(args):
    from tfdeepfake.evaluation.run import evaluate_run

    evaluate_run(
        args.run,
        split=args.split,
        data=args.data,
        data_dir=args.data_dir,
        out=args.out,
        batch_size=args.batch_size,
        exclude=args.exclude,
        tta=args.tta,
    )


def audit(args):
    from tfds_builders.audit.compare import audit as run

    options = {}
    for option in args.option:
        name, equals, options[name] = option.partition("=")
        if not equals:
            raise InputError("--option", f"needs NAME=VALUE of a builder's choices, got {option!r}.")
    leaks = run(args.data, args.data_dir, args.frames, args.distance, options, args.out, args.exclude_out)
    return 1 if leaks else 0


def faces(args):
    from tfdeepfake.data import faces as module

    module.write_contact_sheet(
        args.path, args.out, detector=args.detector, weights=args.detector_weights, frames=args.frames
    )


def perturb(args):
    from tfdeepfake.data.perturb import files as module

    summary = module.perturb_files(
        args.path, args.out, args.name, args.severity, seed=args.seed, crf=args.crf, time_limit_s=args.time_limit_s
    )
    print("\n".join(module.lines(summary, args.name)))
    return 1 if summary["failed"] else 0


def export(args):
    from tfdeepfake.serving.export import export as run

    print(run(args.model, args.out, version=args.version))


def convert(args):
    from tfdeepfake.model_folder import load_recipe
    from tfdeepfake.published.mesonet import convert as run

    folder = run(args.source, args.file, args.out, fresh_head=args.fresh_head, any_file=args.any_file)
    recipe = load_recipe(folder)
    print(f"{folder}: {recipe.network}; {recipe.calibration}; licence of the weights: {recipe.licence}")


def models(args):
    from tfdeepfake.profiling.table import models_table

    models_table(args.names or None, latency=args.latency, batch_size=args.batch_size, out=args.out)


def _add_predict(verbs):
    p = verbs.add_parser("predict", help="is a face in these videos faked, which, when, how sure")
    p.add_argument("paths", nargs="+", metavar="PATH", help="videos, pictures or folders of them")
    p.add_argument("--model", required=True, help="saved model folder (from train or convert)")
    p.add_argument("--out", help="folder for predictions.json, index.html, scores.csv and annotated frames")
    p.add_argument("--detector", choices=("mtcnn", "blazeface"), help="face detector instead of the recipe's own")
    p.add_argument("--detector-weights", help="path of the BlazeFace file when it cannot be downloaded")
    p.add_argument("--clips", type=int, help="moments of the video that are looked at")
    p.add_argument("--labels", help="CSV file,label: labels written into scores.csv")
    p.add_argument("--time-limit-s", type=float, help="give up on one file after this time")
    p.add_argument("--tta", choices=("none", "flip"), default="none", help="flip: mean over mirror images")
    p.add_argument("--debug", action="store_true", help="show the traceback of unexpected errors")
    p.set_defaults(verb=predict)


def _described(cls):
    """{argument: sentence} from the `Args` of a docstring."""
    # Python 3.13 takes the indentation of a docstring away by itself; -OO leaves none at all.
    entries = inspect.cleandoc(cls.__doc__ or "").partition("Args:\n")[2].partition("\n\n")[0]
    found = dict.fromkeys(cls.__dataclass_fields__, "")
    for names, text in re.findall(r"^ {2}(\w[\w, ]*): (.*(?:\n {4}.*)*)", entries, re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), " ".join(text.split()).replace("%", "%%"))
    return found


def _add_prepare(verbs):
    p = verbs.add_parser("prepare", help="videos to TFRecords: detect, track, crop, flow")
    p.add_argument("name", help="builder: synthetic_faces, video_folder, face_forensics, celeb_df, dfdc, ...")
    p.add_argument("--kind", choices=KINDS, default="clip")
    p.add_argument("--dir", help="folder of the data set as it is distributed (video_folder: real/ and fake/, or CSV)")
    p.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a choice of the builder's own, for example compression=c40 or methods=Deepfakes,FaceSwap",
    )
    p.add_argument("--data-dir", help="where prepared data sets are kept (default: that of TFDS)")
    p.add_argument("--workers", type=int, help="processes (default: one per core)")
    p.add_argument(
        "--beam-options",
        metavar="NAME=VALUE,...",
        help="work on Apache Beam: runner=..., direct_num_workers=..., see docs/scale.md",
    )
    p.add_argument("--overwrite", action="store_true", help="build again")
    p.add_argument("--frames-real", type=int, help="frames of a real video, for balance (P1 2.2.2)")
    p.add_argument("--frames-fake", type=int, help="frames of a fake video")
    p.add_argument("--image-format", default="jpeg95", help="of the stored frames: png, or jpeg with a quality")
    described = _described(DataRecipe)
    for name in RECIPE_FLAGS:
        kind = DataRecipe.__dataclass_fields__[name].type
        p.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind if callable(kind) else str,
            dest=name,
            help=described[name] + f" [the builder's; in general {getattr(DataRecipe, name)}]",
        )
    p.set_defaults(verb=prepare)


def _add_train(verbs):
    p = verbs.add_parser("train", help="train a network on a prepared data set; started again, it resumes")
    p.add_argument("network", nargs="?", help="baseline, two_stream_frame, two_stream_video, cnn_rnn, ...")
    p.add_argument("--preset", help="experiment of train_scripts/, for example baseline or demo")
    p.add_argument("--run-dir", help="folder of the run (default: runs/<preset or network-data>)")
    p.add_argument("--save-model", help="copy the best model folder here at the end")
    described = _described(TrainConfig)
    for name, f in CONFIG_FLAGS.items():
        kind = {int: int, float: float}.get(f.type, str)
        p.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            dest=name,
            help=described[name] + ("" if f.type is dict else f" [{f.default}]").replace("%", "%%"),
        )
    p.set_defaults(verb=train)


def _add_audit(verbs):
    p = verbs.add_parser("audit", help="persons, videos and near-duplicate frames that leak from training into tests")
    p.add_argument("data", nargs="+", metavar="DATA", help="prepared data set, or builder=FOLDER of one that is not")
    p.add_argument("--data-dir", help="where prepared data sets are kept (default: that of TFDS)")
    p.add_argument("--frames", type=int, default=4, help="frames of a video that are compared; 0: names only")
    p.add_argument("--distance", type=int, default=48, help="bits of 256 in which near-duplicates differ at most")
    p.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a choice of the builder whose FOLDER is given, for example training=unshared",
    )
    p.add_argument("--out", help=".json or .csv file of all leaks")
    p.add_argument("--exclude-out", help="CSV file of the last set's test videos that leak, for evaluate --exclude")
    p.set_defaults(verb=audit)


def main(argv=None):
    """Runs one verb. Returns the exit code: 0 done, 1 done, but files failed or data leak, 2 nothing could be done."""
    about = "Finds faked faces in videos, and trains the networks that do."
    parser = argparse.ArgumentParser(prog="tfdeepfake", description=about)
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_predict(verbs)
    _add_prepare(verbs)
    _add_train(verbs)
    _add_audit(verbs)

    p = verbs.add_parser("evaluate", help="metrics with intervals and pictures of a run on a split")
    p.add_argument("run", help="run folder")
    p.add_argument("--split", default="test")
    p.add_argument("--data", help="another prepared data set than the run's own")
    p.add_argument("--data-dir")
    p.add_argument("--out", help="folder (default: RUN/evaluation/SPLIT)")
    p.add_argument("--batch-size", type=int, default=16)
    p.add_argument("--exclude", help="CSV file of videos to leave out, as `audit --exclude-out` writes it")
    p.add_argument("--tta", choices=("none", "flip"), default="none", help="flip: mean over mirror images")
    p.set_defaults(verb=evaluate)

    p = verbs.add_parser("faces", help="contact sheet of face tracks and crops, to look at")
    p.add_argument("path")
    p.add_argument("--out", default="faces.png")
    p.add_argument("--detector", choices=("mtcnn", "blazeface"), default="mtcnn")
    p.add_argument("--detector-weights")
    p.add_argument("--frames", type=int, default=16)
    p.set_defaults(verb=faces)

    p = verbs.add_parser("perturb", help="a copy of a video or folder as a worse channel would show it (P4 4.5)")
    p.add_argument("path", help="video, picture or folder")
    p.add_argument("out", help="file, or folder of the same layout")
    p.add_argument(
        "--name",
        required=True,
        help="saturation, contrast, block_wise, gaussian_noise, gaussian_blur, pixelation or compression",
    )
    p.add_argument("--severity", type=int, required=True, help="1 to 5")
    p.add_argument("--seed", type=int, default=0, help="of noise and blocks")
    p.add_argument("--crf", type=int, default=0, help="0 writes without loss, more makes smaller files")
    p.add_argument("--time-limit-s", type=float, help="give up on one file after this time")
    p.set_defaults(verb=perturb)

    p = verbs.add_parser("export", help="SavedModel for TF Serving")
    p.add_argument("model", help="saved model folder")
    p.add_argument("out", help="folder of the served model; a version folder is made inside")
    p.add_argument("--version", type=int, default=1)
    p.set_defaults(verb=export)

    p = verbs.add_parser("convert", help="published checkpoint to a saved model folder")
    p.add_argument("source", help="for example meso4_df; an unknown one lists them all")
    p.add_argument("file", help="the checkpoint file as its authors publish it")
    p.add_argument("--out", required=True)
    p.add_argument("--fresh-head", action="store_true", help="replace the last layer by a new logit, to be trained")
    p.add_argument("--any-file", action="store_true", help="take a file with another checksum (same layout)")
    p.set_defaults(verb=convert)

    p = verbs.add_parser("models", help="table of the networks: input, parameters, FLOPs, latency")
    p.add_argument("names", nargs="*", help="networks (default: all)")
    p.add_argument("--latency", action=argparse.BooleanOptionalAction, default=True, help="measure it on this machine")
    p.add_argument("--batch-size", type=int, default=1)
    p.add_argument("--out", help="CSV file")
    p.set_defaults(verb=models)

    args = parser.parse_args(argv)
    try:
        load_tensorflow()
        return args.verb(args) or 0
    except InputError as error:
        print(f"tfdeepfake: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tfdeepfake: interrupted; what was finished is kept.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
