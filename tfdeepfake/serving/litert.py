"""Saved model folder -> a folder that gives verdicts without its weights file and without TensorFlow."""

import shutil
from pathlib import Path

from tfdeepfake.compiled.folder import COMPILED_FILE, FACTS_FILE, compile_folder
from tfdeepfake.files import atomic_path
from tfdeepfake.model_folder import RECIPE_FILE


def export_litert(model_folder: str | Path, out_dir: str | Path, log=lambda text: None) -> Path:
    """Writes model.tflite, what it was made of, and the recipe; `predict --model out_dir` takes the folder as it is.

    The network takes one example: `frames` uint8 [1, (T,) H, W, 3] (RGB crops as the recipe makes them) and, where it
    reads it, `flow` float32 [1, (T,) H, W, 2] (px/frame). It returns logits float32 [1, K]: one is the logit of FAKE,
    whose probability is sigmoid(logit / temperature).

    Args:
      model_folder: as written by `model_folder.save_model`.
      out_dir: made when absent.
      log: called with a line when the network is compiled.
    Returns:
      Path of the .tflite file.
    Raises:
      InputError: the model folder cannot be used, or the disk is full. NoCompiledForm: LiteRT cannot run the network.
    """
    path, _ = compile_folder(model_folder, log)
    out_dir = Path(out_dir)
    for source in (path, path.parent / FACTS_FILE, Path(model_folder) / RECIPE_FILE):
        with atomic_path(out_dir / source.name) as temporary:
            shutil.copyfile(source, temporary)
    return out_dir / COMPILED_FILE
