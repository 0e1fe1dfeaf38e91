"""`tfdeepfake export`: a SavedModel for TF Serving, an ONNX file, or the network compiled for LiteRT."""

import argparse

from tfdeepfake.cli.flags import need_whole
from tfdeepfake.cli.named_model import model_folder
from tfdeepfake.errors import InputError
from tfdeepfake.files import check_output_folder
from tfdeepfake.quiet import load_tensorflow


def add(verbs: argparse._SubParsersAction) -> argparse.ArgumentParser:
    p = verbs.add_parser("export", help="SavedModel for TF Serving, ONNX or LiteRT file")
    p.add_argument("model", help="saved model folder, a detector's name, or a run folder: its best/")
    p.add_argument("--out", required=True, help="folder to write; of a SavedModel, a version folder is made inside")
    p.add_argument("--format", choices=("saved_model", "litert", "onnx"), default="saved_model", help="[saved_model]")
    p.add_argument(
        "--precision",
        choices=("float32", "float16", "int8", "int8_full"),
        default="float32",
        help="of a LiteRT or ONNX file: int8 has weights of 8 bits, int8_full computes with them, calibrated on drawn "
        "faces; refused where scores of drawn videos move by more than 0.01, or 0.05 [float32]",
    )
    p.add_argument("--version", type=int, default=1, help="of a SavedModel [1]")
    return p


def run(args: argparse.Namespace) -> None:
    need_whole(args, version=(1, None))
    if args.precision != "float32" and args.format == "saved_model":
        raise InputError("--precision", "is of LiteRT and ONNX files.", "Add --format litert or onnx.")
    check_output_folder(args.out)
    model = model_folder(args.model)
    if args.precision != "float32":
        load_tensorflow()
        if args.format == "onnx":
            from tfdeepfake.serving.onnx_reduced import export_reduced
        else:
            from tfdeepfake.serving.litert_reduced import export_reduced

        print(export_reduced(model, args.out, args.precision, print))
        return
    if args.format == "litert":
        from tfdeepfake.serving.litert import export_litert

        print(export_litert(model, args.out, print))
        return
    from tfdeepfake.cli.predict import print_line
    from tfdeepfake.model_folder import load_recipe  # which loads numpy

    load_recipe(model)  # what is wrong with it is said before TensorFlow is loaded
    load_tensorflow()
    if args.format == "onnx":
        from tfdeepfake.serving.onnx import export_onnx

        print(export_onnx(model, args.out))
        return
    from tfdeepfake.serving.export import export

    print(export(model, args.out, version=args.version, log=print_line))
