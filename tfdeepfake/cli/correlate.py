"""`tfdeepfake correlate`: how alike the channels of networks are, side by side."""

import argparse

from tfdeepfake.cli.flags import need_whole
from tfdeepfake.cli.named_model import model_folder
from tfdeepfake.files import check_output_folder


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("correlate", help="correlation matrices of the features of networks, side by side")
    p.add_argument("folders", nargs="+", metavar="MODEL", help="saved model folders, detectors' names, run folders")
    p.add_argument("--data", required=True, help="prepared data set, of the networks' recipe")
    p.add_argument("--data-dir", help="where prepared data sets lie")
    p.add_argument("--split", default="test", help="[test]")
    p.add_argument("--layer", default="features", help="whose channels are compared [features]")
    p.add_argument("--out", required=True, help="folder for correlation.png, .npz and .json")
    p.add_argument("--batch-size", type=int, default=8, help="examples at a time [8]")
    return p


def run(args: argparse.Namespace) -> None:
    need_whole(args, batch_size=(1, None))
    check_output_folder(args.out)
    folders = [model_folder(folder, args.data, args.data_dir, args.split) for folder in args.folders]
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    from tfdeepfake.explain.correlation import correlate

    correlate(folders, args.data, args.split, args.data_dir, args.out, args.layer, args.batch_size)
