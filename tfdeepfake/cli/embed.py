"""`tfdeepfake embed`: a network's embeddings of a data set in space, in clusters, with contact sheets."""

import argparse

from tfdeepfake.cli.flags import need_above_zero, need_whole
from tfdeepfake.cli.named_model import model_folder
from tfdeepfake.files import check_output_folder


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("embed", help="a network's embeddings in space and in clusters, with contact sheets")
    p.add_argument("folder", metavar="MODEL", help="saved model folder, a detector's name, or a run folder: its best/")
    p.add_argument("--data", help="prepared data set (default: the run's own)")
    p.add_argument("--data-dir", help="where prepared data sets lie")
    p.add_argument("--split", default="test", help="[test]")
    p.add_argument("--out", required=True, help="folder for index.html, embeddings.npz, clusters.csv and clusters/")
    p.add_argument("--components", type=int, default=50, help="numbers that PCA leaves of an embedding [50]")
    p.add_argument("--perplexity", type=float, default=50.0, help="of t-SNE, about how many neighbours count [50]")
    p.add_argument("--num-points", type=int, help="so many examples at random (default: all)")
    p.add_argument("--landmarks", type=int, default=5000, help="t-SNE places so many, the others lie among them [5000]")
    p.add_argument("--least", type=int, default=5, help="points of a cluster at least [5]")
    p.add_argument("--seed", type=int, default=0, help="of PCA, t-SNE, k-means and random choices [0]")
    p.add_argument("--batch-size", type=int, default=16, help="examples at a time [16]")
    return p


def run(args: argparse.Namespace) -> None:
    need_whole(
        args,
        components=(1, None),
        num_points=(5, None),
        landmarks=(5, None),
        least=(2, None),
        batch_size=(1, None),
        seed=(0, 2**32 - 1),
    )
    need_above_zero(args, "perplexity")
    check_output_folder(args.out)
    folder = model_folder(args.folder, args.data, args.data_dir, args.split)
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    from tfdeepfake.embeddings.embed import embed

    embed(
        folder,
        args.data,
        args.split,
        args.data_dir,
        args.out,
        components=args.components,
        perplexity=args.perplexity,
        num_points=args.num_points,
        landmarks=args.landmarks,
        least=args.least,
        seed=args.seed,
        batch_size=args.batch_size,
    )
