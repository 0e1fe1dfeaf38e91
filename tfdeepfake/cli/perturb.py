"""`tfdeepfake perturb`: perturbed copies of videos for tests."""

import argparse

from tfdeepfake.cli.flags import need_above_zero, need_whole


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("perturb", help="a copy of a video or folder as a worse channel would show it (P4 4.5)")
    p.add_argument("path", help="video, image or folder")
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
    return p


def run(args: argparse.Namespace) -> int:
    need_whole(args, seed=(0, None), crf=(0, 51))
    need_above_zero(args, "time_limit_s")
    from tfdeepfake.data.perturb import files

    summary = files.perturb_files(
        args.path, args.out, args.name, args.severity, seed=args.seed, crf=args.crf, time_limit_s=args.time_limit_s
    )
    print("\n".join(files.lines(summary, args.name)))
    return 1 if summary["failed"] else 0
