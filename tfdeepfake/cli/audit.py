"""`tfdeepfake audit`: what leaks from training into tests."""

import argparse

from tfdeepfake.cli.flags import add_options, need_folder, need_whole, read_options
from tfdeepfake.files import check_output_file
from tfdeepfake.quiet import load_tensorflow


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("audit", help="persons, videos and near-duplicate frames that leak from training into tests")
    p.add_argument("data", nargs="+", metavar="DATA", help="prepared data set, or builder=FOLDER of one that is not")
    p.add_argument("--data-dir", help="where prepared data sets are kept (default: that of TFDS)")
    p.add_argument("--num-frames", type=int, default=4, help="frames of a video that are compared; 0: names only")
    p.add_argument("--distance", type=int, default=48, help="bits of 256 by which near-duplicates may differ")
    add_options(p, "a choice of the builder whose FOLDER is given, for example training=unshared")
    p.add_argument("--out", help=".json or .csv file of all leaks")
    p.add_argument("--exclude-out", help="CSV file of the last set's test videos that leak, for evaluate --exclude")
    return p


def run(args: argparse.Namespace) -> int:
    need_whole(args, num_frames=(0, None), distance=(0, 64))
    options = read_options(args)
    for name in args.data:
        need_folder(name.partition("=")[2] if "=" in name else None)
    if args.out:
        check_output_file(args.out, (".json", ".csv"))
    if args.exclude_out:
        check_output_file(args.exclude_out)
    load_tensorflow()
    from tfds_builders.audit.compare import audit

    leaks = audit(args.data, args.data_dir, args.num_frames, args.distance, options, args.out, args.exclude_out)
    return 1 if leaks else 0
