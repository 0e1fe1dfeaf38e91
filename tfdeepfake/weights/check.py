"""Recognises files that are no files of weights before anything in them is read."""

import zipfile
from pathlib import Path

from tfdeepfake.errors import InputError

_SHOWN = 12


def check_weight_file(path: str | Path) -> None:
    """Refuses what cannot be a file of weights; a missing file passes, its reader has the better error.

    Raises:
      InputError: a folder, an empty file, a Keras archive or a SavedModel (both may hold code), a zip of several files.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "saved_model.pb").exists() or (path / "saved_model.pbtxt").exists():
            raise InputError(
                path, "is a SavedModel: a program, which is not run here.", "Give the file its weights came from."
            )
        raise InputError(path, "is a folder.", "Give the file of weights inside it.")
    if not path.is_file():
        return
    if not path.stat().st_size:
        raise InputError(path, "is empty.", "Get it again.")
    names = _zip_names(path)
    if "config.json" in names:
        raise InputError(
            path,
            "is a Keras archive: it may hold code, which is not run here.",
            "Where you trust it, load it with keras.saving.load_model and save its weights: model.save('weights.h5').",
        )
    files = [name for name in names if not name.endswith("/")]
    if names and not any(name.split("/")[-1] == "data.pkl" for name in files):
        more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
        raise InputError(
            path, f"is a zip of {', '.join(files[:_SHOWN]) or 'nothing'}{more}.", "Unpack it and give one file of it."
        )


def _zip_names(path):
    """Names inside, none where the file is no whole zip. PyTorch's files are zips too."""
    with open(path, "rb") as stream:
        if not stream.read(4).startswith(b"PK"):
            return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []
