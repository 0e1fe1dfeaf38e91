"""Saved model folder -> a folder that gives verdicts without its weights file and without TensorFlow."""

import shutil
from collections.abc import Callable
from pathlib import Path

from tfdeepfake.compiled.folder import COMPILED_FILE, FACTS_FILE, compile_folder
from tfdeepfake.files import atomic_path
from tfdeepfake.model_folder import MEMBERS, RECIPE_FILE, find_model_folder, load_recipe, member_folders


def export_litert(
    model_folder: Path | str, out_dir: Path | str, log: Callable[[str], None] = lambda line: None
) -> Path:
    """Writes model.tflite, what it was made of, and the recipe; `predict --model out_dir` takes the folder as it is.

    The network takes one example: `frames` uint8 [1, (T,) H, W, 3] (RGB crops as the recipe makes them) and, where it
    reads it, `flow` float32 [1, (T,) H, W, 2] (px/frame). It returns logits float32 [1, K]: one is the logit of FAKE,
    whose probability is sigmoid(logit / temperature).

    Args:
      model_folder: as written by `model_folder.save_model`, or a run folder, whose best/ is taken.
      out_dir: made when absent.
      log: called with a line when the network is compiled.
    Returns:
      Path of the .tflite file; of networks that vote, each in a folder of its own in members/, that of the last.
    Raises:
      InputError: the model folder cannot be used, or the disk is full. NoCompiledForm: LiteRT cannot run the network.
    """
    model_folder, out_dir = find_model_folder(model_folder), Path(out_dir)
    recipe = load_recipe(model_folder)
    if recipe.members:
        for member in member_folders(model_folder, recipe):
            path = export_litert(member, out_dir / MEMBERS / member.name, log)
        with atomic_path(out_dir / RECIPE_FILE) as temporary:
            shutil.copyfile(model_folder / RECIPE_FILE, temporary)
        return path
    path, _ = compile_folder(model_folder, log)
    for source in (path, path.parent / FACTS_FILE, model_folder / RECIPE_FILE):
        with atomic_path(out_dir / source.name) as temporary:
            shutil.copyfile(source, temporary)
    return out_dir / COMPILED_FILE
