"""Saved model folder -> a LiteRT file of fewer bits, with what that does to its scores on drawn videos."""

from collections.abc import Callable
from pathlib import Path

from tfdeepfake.compiled.convert import NotConverted, convert
from tfdeepfake.compiled.folder import COMPILED_FILE, FACTS_FILE, CompiledModel
from tfdeepfake.errors import InputError
from tfdeepfake.serving import reduced


def export_reduced(
    model_folder: Path | str,
    out_dir: Path | str,
    precision: str,
    log: Callable[[str], None] = lambda line: None,
    most: float | None = None,
) -> Path:
    """Writes model.tflite, what it was made of, and the recipe, as `litert.export_litert` does; needs TensorFlow.

    Args:
      model_folder: as written by `model_folder.save_model`, or a run folder, whose best/ is taken.
      out_dir: made when absent.
      precision: a key of `reduced.LIMITS`; "int8_full" is calibrated with faces of drawn videos.
      log, most: see `reduced.write_smaller_form`.
    Returns:
      Path of the .tflite file.
    Raises:
      InputError: the folder cannot be used, its network has no such form, it finds no face in the drawn videos, or a
        score moves by more than `most`.
    """

    def make(model, recipe, calibration):
        try:
            content = convert(model, precision, calibration)
            return content, CompiledModel(content, recipe.network)
        except (NotConverted, ValueError) as error:
            problem = f"has no form of {precision}: {error}."
            raise InputError(recipe.network, problem, "Try another --precision.") from error

    out_dir = Path(out_dir)
    paths = out_dir / COMPILED_FILE, out_dir / FACTS_FILE
    return reduced.write_smaller_form(model_folder, *paths, precision, make, log, most)
