"""`tfdeepfake prepare`: a data set's videos to TFRecords."""

import argparse
import json
from pathlib import Path

from tfdeepfake.cli.flags import add_fields, add_options, given_fields, need_above_zero, need_whole, read_options
from tfdeepfake.files import check_output_folder
from tfdeepfake.quiet import load_tensorflow
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.vocabulary import INPUT_TYPES


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("prepare", help="videos to TFRecords: detect, track, crop, flow")
    p.add_argument("name", help="builder: synthetic_faces, video_folder, face_forensics, celeb_df, dfdc, ...")
    p.add_argument("--input-type", choices=INPUT_TYPES, default="clip", help="of the examples [clip]")
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
    p.add_argument("--image-format", default="jpeg95", help="of the stored frames: png, or jpeg with a quality")
    p.add_argument("--frame-rate", type=float, help="frames/s of videos that are folders of images (video_folder) [25]")
    add_fields(p, DataRecipe, leave_out=("input_type",), note="[the builder's; in general {default}]")
    return p


def run(args: argparse.Namespace) -> None:
    need_whole(args, workers=(0, None), num_frames_real=(1, None), num_frames_fake=(1, None))
    need_above_zero(args, "frame_rate")
    if args.data_dir:
        check_output_folder(Path(args.data_dir).expanduser())
    load_tensorflow()
    from tfds_builders.prepare import prepare

    recipe = {name: value for name, value in given_fields(args, DataRecipe).items() if name != "input_type"}
    rate = {} if args.frame_rate is None else {"frame_rate": args.frame_rate}
    summary = prepare(
        args.name,
        input_type=args.input_type,
        dir=args.dir,
        data_dir=args.data_dir,
        workers=args.workers,
        beam_options=args.beam_options,
        overwrite=args.overwrite,
        num_frames_real=args.num_frames_real,
        num_frames_fake=args.num_frames_fake,
        image_format=args.image_format,
        **recipe,
        **read_options(args, taken={*recipe, *rate}),
        **rate,
    )
    print(json.dumps(summary, indent=2, ensure_ascii=False))
