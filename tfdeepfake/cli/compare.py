"""`tfdeepfake compare`: detectors on the same videos, from their score files."""

import argparse

from tfdeepfake.cli.flags import need_whole
from tfdeepfake.errors import InputError
from tfdeepfake.files import check_output_folder


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("compare", help="detectors on the same videos: differences, intervals, tests, ROC curves")
    p.add_argument(
        "members",
        nargs="+",
        metavar="SCORES",
        help="score files or run folders; NAME=PATH gives a name, NAME=PATH,PATH,... takes several seeds as one",
    )
    p.add_argument(
        "--columns",
        metavar="NAME=COLUMN,...",
        help="what columns of other people's files are called: video=name,label=truth,score=p; also data_set, method, "
        "source",
    )
    p.add_argument("--split", default="test", help="whose evaluation is taken of run folders [test]")
    p.add_argument("--out", default="comparison", help="folder for the tables and the ROC curves [comparison]")
    p.add_argument("--resamples", type=int, default=1000, help="of the bootstrap that draws sources [1000]")
    p.add_argument("--seed", type=int, default=0, help="of the bootstrap [0]")
    return p


def run(args: argparse.Namespace) -> None:
    need_whole(args, resamples=(0, None), seed=(0, None))
    check_output_folder(args.out)
    from tfdeepfake.evaluation.compare import compare
    from tfdeepfake.evaluation.compare_text import format_comparison

    report = compare(args.members, read_columns(args.columns), args.split, args.out, args.resamples, args.seed)
    print(format_comparison(report))
    print(f"Written to {args.out}/: comparison.csv, comparison.json, comparison.md, comparison.tex, roc.png")


def read_columns(text: str | None) -> dict[str, str]:
    """{what: column} of "video=name,score=p".

    Raises:
      InputError: it is not of that form.
    """
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    if not all(equals and name.strip() and column.strip() for name, equals, column in pairs):
        raise InputError("--columns", f"needs NAME=COLUMN,..., got {text!r}.", "Such as video=name,label=truth,score=p")
    return {name.strip(): column.strip() for name, _, column in pairs}
