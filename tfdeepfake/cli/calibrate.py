"""`tfdeepfake calibrate`: threshold and temperature for one's own labelled videos, into a copy of a model folder."""

import argparse
import os
from pathlib import Path

from tfdeepfake.cli.flags import add_fields, given_fields
from tfdeepfake.cli.named_model import check_before, is_name
from tfdeepfake.cli.predict import print_line
from tfdeepfake.errors import InputError
from tfdeepfake.files import check_output_folder
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.vocabulary import RUNTIMES

# What belongs to the recipe, or to verdicts alone.
_NO_FLAGS = ("video_rule", "faces_rule", "tta", "max_faces", "stream", "debug")


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("calibrate", help="threshold and temperature for your own labelled videos")
    p.add_argument("model", help="saved model folder, run folder, or the name of a published detector")
    p.add_argument(
        "--data",
        required=True,
        help="folder with the subfolders real/ and fake/, CSV file file,label, or the name of a prepared data set",
    )
    p.add_argument("--out", required=True, help="copy of the model folder to write")
    p.add_argument("--data-dir", help="where the prepared data set lies")
    p.add_argument("--split", default="validation", help="of the prepared data set [validation]")
    p.add_argument("--runtime", choices=RUNTIMES, default="auto", help="as of predict [auto]")
    add_fields(p, JudgeSettings, leave_out=_NO_FLAGS)
    return p


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 done; 1 done, but some videos could not be read or failed."""
    settings = JudgeSettings(**given_fields(args, JudgeSettings))
    check_output_folder(args.out)
    is_files = os.path.exists(args.data) and args.data_dir is None
    if not is_files and (args.data.startswith(("/", ".")) or args.data.endswith((".csv", "/"))):
        raise InputError(args.data, "does not exist.", "Give a folder with real/ and fake/, or a CSV file file,label.")
    from tfdeepfake.verdict import calibrate, named

    calibrate.check_out(Path(args.out))
    if is_files:  # a slip there should not cost a download
        calibrate.enough_labelled(args.data, settings.frame_rate)
    elif is_name(args.model):
        check_before(args.model, args.data, args.data_dir, args.split)
    located = named.locate(args.model, log=print_line)
    folder = located.ready(print_line)
    if is_files:
        settings = located.affordable(settings, print_line)
        options = {"settings": settings, "runtime": args.runtime, "log": print_line, "guarded": True}
        report = calibrate.calibrate_videos(folder, args.data, args.out, **options)
    else:
        report = calibrate_prepared(folder, args)
    from tfdeepfake.model_folder import load_recipe

    before = load_recipe(folder)
    print(f"{args.out}: {report['calibration']}")
    print(f"before: temperature {before.temperature:.3g}, threshold {before.threshold:.3g} ({before.calibration})")
    print(f"UNSURE: {report['limits_text']}{limits_shown(report['limits'])}")
    right = report["intervals"]["balanced_accuracy"]
    if right:
        print(
            f"balanced accuracy on videos that were not drawn to choose them: {right['mean']:.3f} "
            f"({right['interval'][0]:.3f} to {right['interval'][1]:.3f})"
        )
    return 1 if report["counts"]["unreadable"] or report["counts"]["error"] else 0


def limits_shown(limits: dict[str, float]) -> str:
    """Such as ". The recipe's: samples 2, side_px 40"."""
    return f". The recipe's: {', '.join(f'{name} {limit:g}' for name, limit in limits.items())}" if limits else ""


def calibrate_prepared(folder: Path, args: argparse.Namespace) -> dict:
    """Calibrates on a split of a prepared data set."""
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    from tfdeepfake.evaluation.run import score_folder
    from tfdeepfake.verdict import calibrate

    rows, data = score_folder(folder, args.data, args.data_dir, args.split)
    return calibrate.calibrate_table(folder, rows, data, args.out)
