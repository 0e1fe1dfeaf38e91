"""The detector that is meant by a folder, a name or a file of weights: fetched once, converted once, then used.

Names are looked up and fetched without Keras, so that a machine without a network says so at once.
"""

import contextlib
import dataclasses
import difflib
import gc
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfdeepfake.compiled.accelerator import has_accelerator
from tfdeepfake.counting import counting
from tfdeepfake.errors import InputError
from tfdeepfake.files import exclusive_lock, raise_if_full, sha256
from tfdeepfake.memory import give_back_memory
from tfdeepfake.model_folder import WEIGHTS_FILE, find_model_folder, load_recipe, member_folders
from tfdeepfake.published.fetch import fetch_all, remove_published
from tfdeepfake.published.sources import SOURCES, find_published
from tfdeepfake.quiet import load_backend
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.weights.cache import home

if TYPE_CHECKING:
    from tfdeepfake.published.entry import Published

# The best published accuracy across data sets among weights whose licence allows use.
DEFAULT = "gend_clip_l14"
_LIST = "`tfdeepfake detectors` lists the names."


@dataclass(frozen=True)
class Located:
    """A detector on this machine.

    Args:
      folder: its saved model folder, or where that will be.
      source: its published name; None for a folder of the user's own.
      file: published file that has still to be converted into `folder`, or of several networks that vote {name: file};
        None when the folder is there.
    """

    folder: Path
    source: str | None = None
    file: Path | dict | None = None

    def ready(self, log: Callable[[str], None] = lambda line: None) -> Path:
        """The saved model folder; converts the published file into it first, where that is missing.

        Raises:
          InputError: the file is not the published one or does not fit, or the folder cannot be written.
        """
        if self.file is None:
            return self.folder
        try:
            with exclusive_lock(self.folder.with_name(f".{self.folder.name}.lock"), log=log):
                # Another process may have converted it in the meantime.
                if not _is_current(self.folder, self.source):
                    several = isinstance(self.file, dict)
                    log(f"{self.source}: converting {f'{len(self.file)} files' if several else self.file.name}, once.")
                    with counting("loading and converting"):
                        load_backend()
                        self._convert(several)
                    # Networks are cycles: the converted one would stay beside the one that is loaded next.
                    gc.collect()
                    give_back_memory()
        except OSError as error:
            with contextlib.suppress(OSError):
                raise_if_full(error, self.folder)
            remedy = "Set TFDEEPFAKE_HOME to a folder that may be written to."
            raise InputError(self.folder, f"cannot be written ({error.strerror}).", remedy) from error
        return self.folder

    def _convert(self, several):
        from tfdeepfake.published.convert import convert, convert_members

        part = self.folder.with_name(f".{self.folder.name}.part")
        if several:  # what was converted before a stop is kept
            convert_members(self.source, self.file, part)
        else:
            shutil.rmtree(part, ignore_errors=True)
            convert(self.source, self.file, part)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.replace(part, self.folder)

    def affordable(
        self, settings: JudgeSettings | None = None, log: Callable[[str], None] = lambda line: None
    ) -> JudgeSettings:
        """`settings` with as many samples as this machine judges in seconds, where the user has not chosen."""
        settings = settings or JudgeSettings()
        known = SOURCES.get(self.source)
        if known is None or known.cpu_samples is None or settings.num_samples is not None or has_accelerator():
            return settings
        log(
            f"{self.source}: {known.cpu_samples} samples of each video on this CPU, {known.gmacs:.3g} GMACs each; its "
            f"authors take {known.data.num_frames} (--num-samples)."
        )
        return dataclasses.replace(settings, num_samples=known.cpu_samples)


def locate(
    model: Path | str | None = None,
    source: str | None = None,
    log: Callable[[str], None] = lambda line: None,
    progress: bool | None = None,
) -> Located:
    """Finds a detector; a published one that is not here is fetched, its size, licence and training data said first.

    Args:
      model: a saved model folder, a run folder, a name of `published.sources.SOURCES`, or with `source` a file of
        weights. A folder of that name goes before the published name. None: `DEFAULT`.
      source: the published name whose layout the file `model` has.
      log: called with lines for the user.
      progress: bar of the download; None shows it on a terminal and in a notebook.
    Raises:
      InputError: there is no such folder or name, it is no detector, or it cannot be fetched.
    """
    if source is not None:
        return _located_file(model, source)
    if model is None:
        if not Path(DEFAULT).is_dir() and not _is_current(_home_of(DEFAULT), DEFAULT):
            log(f"No --model is given: the default detector is {DEFAULT}. {_LIST} Smaller ones are among them.")
        model = DEFAULT
    elif model == "":
        raise InputError("--model", "is empty.", f"Give a folder or a name, or leave it out. {_LIST}")
    elif Path(model).is_file():
        remedy = f"If it holds weights of a published detector, say of which: --source NAME. {_LIST}"
        raise InputError(model, "is a file, not a saved model folder.", remedy)
    elif Path(model).exists() or str(model) not in SOURCES:
        return Located(_folder(model))
    check_detector(str(model))
    return published(str(model), log, progress)


def published(name: str, log: Callable[[str], None] = lambda line: None, progress: bool | None = None) -> Located:
    """A published checkpoint, detector or not; fetched as `locate` does, where it is not here.

    Raises:
      InputError: there is no such name, or it cannot be fetched.
    """
    find_published(name)
    folder = _home_of(name)
    if _is_current(folder, name):
        return Located(folder, name)
    files = fetch_all(name, progress=progress, log=log)
    return Located(folder, name, files if SOURCES[name].members else files[name])


def _located_file(model, source):
    check_detector(source)
    if SOURCES[source].members:
        remedy = f"Convert the folder of them: `tfdeepfake convert {source} FOLDER --out DIR`."
        raise InputError(source, f"is {len(SOURCES[source].members)} files.", remedy)
    if model is None or not Path(model).is_file():
        raise InputError(
            model or "--source",
            f"is no file of weights, which --source {source} needs.",
            f"Give one as --model, or leave --source out: --model {source} fetches the published file.",
        )
    try:
        folder = _home_of(f"{source}-{sha256(model)[:16]}")
    except OSError as error:
        raise InputError(model, f"cannot be read ({error.strerror}).") from error
    return Located(folder, source, None if _is_current(folder, source) else Path(model))


def _folder(model):
    """`find_model_folder`, whose error names detectors too."""
    try:
        return find_model_folder(model)
    except InputError as error:
        near = difflib.get_close_matches(str(model), SOURCES, 3)
        hint = f" Or did you mean the detector {' or '.join(near)}?" if near else f" Or name a detector: {_LIST}"
        raise InputError(error.subject, error.problem, error.remedy + hint) from None


def check_detector(name: str) -> "Published":
    """What is known of a published detector.

    Raises:
      InputError: there is no such name, or it is a network to train from.
    """
    known = find_published(name)
    if not known.is_detector:
        raise InputError(
            name,
            f"is no detector: its outputs are classes of {known.trained_on}.",
            f"Train one from it: tfdeepfake train {known.network} --start-from {name}",
        )
    return known


def _home_of(name):
    return home() / "models" / name


def _is_current(folder, source):
    """Whether a folder of the cache was made of a source as it is described now."""
    known = SOURCES[source]
    try:
        recipe = load_recipe(folder)
    except InputError:
        return False
    names = ("network", "data", "video_rule", "faces_rule", "licence", "data_terms", "accuracy")
    is_same = all(getattr(recipe, name) == getattr(known, name) for name in names)
    weights = [place / WEIGHTS_FILE for place in member_folders(folder, recipe) or [folder]]
    return all(path.is_file() for path in weights) and is_same and (recipe.members or []) == list(known.members)


def is_ready(name: str) -> bool:
    """Whether a published detector has been fetched and converted on this machine."""
    return _is_current(_home_of(name), name)


def remove(name: str) -> int:
    """Removes a published detector from this machine, its file and what was made of it: bytes that were freed.

    Raises:
      InputError: unknown name, or a process fetches it now, or the folder cannot be removed.
    """
    freed = remove_published(name)
    models = home() / "models"
    for folder in [models / name, *models.glob(f"{name}-*")]:
        # What another name begins with is not this one's.
        if folder.is_dir() and (folder.name == name or folder.name.removeprefix(f"{name}-").isalnum()):
            freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise InputError(folder, f"cannot be removed ({error.strerror}).") from error
    return freed
