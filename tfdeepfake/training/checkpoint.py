"""The whole state of a training run in one file: old or new after a crash, never a part of each."""

import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path

if TYPE_CHECKING:
    import keras


def _variables(model):
    """Weights, batch statistics and dropout seeds of the model, then everything of its optimizer."""
    return [*model.variables, *model.optimizer.variables]


def save_state(path: str | Path, model: "keras.Model", progress: dict) -> None:
    """Writes the state atomically.

    Args:
      path: an .npz file.
      model: compiled keras.Model whose optimizer is built.
      progress: JSON object with what else the run has to remember.
    """
    arrays = {f"v{i:05d}": np.asarray(v) for i, v in enumerate(_variables(model))}
    with atomic_path(path) as temporary:
        np.savez(temporary, progress=np.array(json.dumps(progress)), **arrays)


def load_state(path: str | Path, model: "keras.Model") -> dict:
    """Puts a saved state into a model built by the same code and config. Returns `progress`.

    Raises:
      InputError: the file is damaged or of another network.
    """
    remedy = "Start again in a new run folder."
    variables = _variables(model)
    try:
        with np.load(path, allow_pickle=False) as saved:
            arrays = [saved[name] for name in sorted(saved.files) if name != "progress"]
            progress = json.loads(str(saved["progress"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(path, f"is not a readable training state ({error}).", remedy) from None
    shapes, needed = [a.shape for a in arrays], [tuple(v.shape) for v in variables]
    if shapes != needed:
        raise InputError(
            path,
            f"holds {len(shapes)} arrays, the network and optimizer need {len(needed)}; "
            f"shapes that differ: {[(a, b) for a, b in zip(shapes, needed, strict=False) if a != b][:5]}.",
            remedy,
        )
    for variable, value in zip(variables, arrays, strict=True):
        variable.assign(value)
    return progress


def remove_leftovers(folder: str | Path) -> None:
    """Deletes the temporary files of writes that a kill cut off; call only while nobody else writes here."""
    for path in Path(folder).rglob(".tmp-*"):
        if path.is_file():
            os.unlink(path)
