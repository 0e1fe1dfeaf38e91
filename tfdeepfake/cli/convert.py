"""`tfdeepfake convert`: a published checkpoint to a saved model folder."""

import argparse
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.files import check_output_folder
from tfdeepfake.quiet import load_tensorflow


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("convert", help="published checkpoint to a saved model folder")
    p.add_argument("source", help="for example meso4_df; an unknown one lists them all")
    p.add_argument("file", help="the checkpoint file as its authors publish it; of dfdc_winner the folder of its files")
    p.add_argument("--out", required=True, help="saved model folder to write")
    p.add_argument("--fresh-head", action="store_true", help="replace the last layer by a new logit, to be trained")
    p.add_argument("--any-file", action="store_true", help="take a file with another checksum (same layout)")
    return p


def run(args: argparse.Namespace) -> None:
    from tfdeepfake.published.sources import find_published

    check_output_folder(args.out)
    known = find_published(args.source)
    if not Path(args.file).exists():
        raise InputError(args.file, "does not exist.", f"Get it first: {known.whereabouts}")
    load_tensorflow()
    from tfdeepfake.compiled.choice import compile_ahead
    from tfdeepfake.model_folder import load_recipe
    from tfdeepfake.published.convert import convert

    folder = convert(args.source, args.file, args.out, fresh_head=args.fresh_head, any_file=args.any_file)
    recipe = load_recipe(folder)
    print(f"{folder}: {recipe.network}; {recipe.calibration}; licence of the weights: {recipe.licence}")
    compile_ahead(folder, print)
