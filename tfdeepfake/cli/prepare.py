"""`tfdeepfake prepare`: a data set's videos to TFRecords."""

import argparse
import json
from pathlib import Path

from tfdeepfake.cli.flags import (
    add_fields,
    add_options,
    given_fields,
    need_above_zero,
    need_folder,
    need_whole,
    read_options,
)
from tfdeepfake.cli.named_model import is_name
from tfdeepfake.data.builder_names import need_builder
from tfdeepfake.files import check_output_folder
from tfdeepfake.quiet import load_tensorflow
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.vocabulary import INPUT_TYPES, SPLITS


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("prepare", help="videos to TFRecords: detect, track, crop, flow")
    p.add_argument("name", help="builder: synthetic_faces, video_folder, face_forensics, celeb_df, dfdc, ...")
    p.add_argument(
        "--like",
        metavar="MODEL",
        help="saved model folder, detector's name or run folder whose recipe makes the examples; flags that are "
        "given go before it",
    )
    p.add_argument("--input-type", choices=INPUT_TYPES, help="of the examples [clip, or that of --like]")
    p.add_argument("--dir", help="folder of the data set as it is distributed (video_folder: real/ and fake/, or CSV)")
    add_options(p, "a choice of the builder's own, for example compression=c40 or methods=Deepfakes,FaceSwap")
    p.add_argument("--data-dir", help="where prepared data sets are kept (default: that of TFDS)")
    p.add_argument("--workers", type=int, help="processes (default: one per core)")
    p.add_argument(
        "--beam-options",
        metavar="NAME=VALUE,...",
        help="work on Apache Beam: runner=..., direct_num_workers=..., see docs/scale.md",
    )
    p.add_argument("--overwrite", action="store_true", help="build again")
    p.add_argument("--num-frames-real", type=int, help="frames of a real video, for balance (P1 2.2.2)")
    p.add_argument("--num-frames-fake", type=int, help="frames of a fake video")
    p.add_argument("--num-clips-real", type=int, help="runs of a real video, for balance of clips")
    p.add_argument("--num-clips-fake", type=int, help="runs of a fake video")
    p.add_argument("--image-format", default="jpeg95", help="of the stored frames: png, or jpeg with a quality")
    p.add_argument("--frame-rate", type=float, help="frames/s of videos that are folders of images (video_folder) [25]")
    p.add_argument("--json", action="store_true", help="print all that is known of the set, not three lines")
    add_fields(p, DataRecipe, leave_out=("input_type",), note="[the builder's; in general {default}]")
    return p


def run(args: argparse.Namespace) -> None:
    by_class = ("num_frames_real", "num_frames_fake", "num_clips_real", "num_clips_fake")
    need_whole(args, workers=(0, None), **dict.fromkeys(by_class, (1, None)))
    need_above_zero(args, "frame_rate")
    need_folder(args.dir)
    if args.data_dir:
        check_output_folder(Path(args.data_dir).expanduser())
    recipe = ({} if args.like is None else fields_like(args.like)) | given_fields(args, DataRecipe)
    input_type = recipe.pop("input_type", "clip")
    need_builder(args.name, args.dir)
    load_tensorflow()
    from tfds_builders.prepare import prepare

    rate = {} if args.frame_rate is None else {"frame_rate": args.frame_rate}
    summary = prepare(
        args.name,
        input_type=input_type,
        dir=args.dir,
        data_dir=args.data_dir,
        workers=args.workers,
        beam_options=args.beam_options,
        overwrite=args.overwrite,
        **{name: getattr(args, name) for name in by_class},
        image_format=args.image_format,
        **recipe,
        **read_options(args, taken={*recipe, *rate}),
        **rate,
    )
    print(json.dumps(summary, indent=2, ensure_ascii=False) if args.json else "\n".join(summary_lines(summary)))


def fields_like(model: str) -> dict:
    """Fields of DataRecipe by which a network's data were prepared, and are judged.

    Raises:
      InputError: there is no such model.
    """
    from tfdeepfake.model_folder import load_recipe  # which loads numpy
    from tfdeepfake.verdict.named import check_detector

    fields = (check_detector(model) if is_name(model) else load_recipe(model)).data.to_dict()
    if fields["sampling"] != "consecutive":  # the rate is one of runs
        del fields["runs_fps"]
    return {name: value for name, value in fields.items() if value is not None}


def summary_lines(summary: dict) -> list[str]:
    """What `tfds_builders.prepare.prepare` returns, as three lines: examples, videos, folder."""
    splits = sorted(summary["splits"], key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS))
    examples = ", ".join(f"{name} {summary['splits'][name]}" for name in splits)
    there = " (was there already)" if summary["already_prepared"] else ""
    total, reasons = {"videos": 0, "scored": 0}, {}
    for counted in summary["coverage"].values():
        for name in total:
            total[name] += counted[name]
        for reason, entries in counted.items():
            if reason not in total and entries:
                reasons[reason] = reasons.get(reason, 0) + len(entries)
    lost = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in reasons.items())
    left = sum(summary.get("left_out", {}).values())
    return [
        f"{summary['version']}: {examples} examples{there}",
        f"{total['scored']} of {total['videos']} videos gave examples"
        + (f" ({lost})" if lost else "")
        + (f"; {left} more are left out by the set's rules" if left else "")
        + ".",
        f"In {summary['path']}" + (f"; the videos in {summary['videos']}" if "videos" in summary else ""),
    ]
