"""The whole state of a training run in one file: old or new after a crash, never a part of each."""

import json
import os
import zipfile
from collections.abc import Sequence
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


def save_state(path: str | Path, model: "keras.Model", progress: dict, metrics: Sequence = ()) -> None:
    """Writes the state atomically.

    Args:
      path: an .npz file.
      model: compiled keras.Model whose optimizer is built.
      progress: JSON object with what else the run has to remember.
      metrics: variables that the metrics of the epoch so far are computed from, inside an epoch.
    """
    arrays = {f"v{i:05d}": np.asarray(v) for i, v in enumerate(_variables(model))}
    arrays |= {f"m{i:05d}": np.asarray(v) for i, v in enumerate(metrics)}
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
            arrays = [saved[name] for name in sorted(saved.files) if name.startswith("v")]
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


def load_metrics(path: str | Path, model: "keras.Model") -> None:
    """Puts the metrics of a state that was saved inside an epoch into a compiled model."""
    with np.load(path, allow_pickle=False) as saved:
        arrays = [saved[name] for name in sorted(saved.files) if name.startswith("m")]
    if len(model.metrics_variables) < len(arrays):
        # Keras builds them with the first batch that they see; one of three is a triplet, too.
        model.compute_metrics(None, np.zeros((3, 1), "float32"), np.zeros((3, *model.output_shape[1:]), "float32"))
    for variable, value in zip(model.metrics_variables, arrays, strict=True):
        variable.assign(value)


def remove_leftovers(folder: str | Path) -> None:
    """Deletes the temporary files of writes that a kill cut off; call only while nobody else writes here."""
    for path in Path(folder).rglob(".tmp-*"):
        if path.is_file():
            os.unlink(path)
