"""What turns a video into a network's input, and the folder a trained network is kept in.

A score is only right when detector, margin, crop size and sampling are those of training. `DataRecipe` is
that list; it travels from the data set's metadata into the run and into the saved model folder, and
prediction reads it from there.
"""

import dataclasses
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from tfdeepfake.files import InputError, atomic_path, read_json, write_json

KINDS = ("frame", "flow", "clip")


def _from_dict(cls, values, subject):
    """Builds a frozen dataclass from a dict, naming every unknown key."""
    names = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise InputError(subject, f"has unknown entries {unknown}; known are {sorted(names)}.")
    return cls(**values)


@dataclass(frozen=True)
class DataRecipe:
    """How a video becomes examples.

    Args:
      kind: `frame` (one face crop), `flow` (a crop and its flow map) or `clip` (`frames` crops, and their
        flow maps when `flow` is not "none").
      sampling: `spaced` takes `frames` equally spaced frames of the whole video; `consecutive` takes
        `clips` runs of `frames` frames, `stride_frames` apart inside a run, the runs equally spaced.
      frames: frames per video (`spaced`) or per clip (`consecutive`).
      clips: runs per video; 1 when `sampling` is `spaced`.
      stride_frames: distance of neighbouring frames inside a run.
      detector: `mtcnn`, `blazeface` or `none` (the whole frame is the input, as in P2).
      select: which face: `largest`, `most_confident` or `all` (each face track gives its own examples).
      margin_frac: what is added to the face box on each side, as a part of the box: 0.15 is P3's
        1.3x box, 0.30 is P4's, 0.25 to 0.35 is P1's margin of 0.5 to 0.7.
      height_px, width_px: size of the crop.
      steady: `clip` (one box per clip), `smooth` (boxes smoothed over time) or `frame` (each its own).
      flow: `dis`, `farneback` or `none`: optical flow stored beside the frames (kinds flow and clip).
    """

    kind: str = "clip"
    sampling: str = "spaced"
    frames: int = 16
    clips: int = 1
    stride_frames: int = 1
    detector: str = "mtcnn"
    select: str = "largest"
    margin_frac: float = 0.3
    height_px: int = 224
    width_px: int = 224
    steady: str = "clip"
    flow: str = "none"

    def __post_init__(self):
        choices = {
            "kind": KINDS,
            "sampling": ("spaced", "consecutive"),
            "detector": ("mtcnn", "blazeface", "none"),
            "select": ("largest", "most_confident", "all"),
            "steady": ("clip", "smooth", "frame"),
            "flow": ("dis", "farneback", "none"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} needs one of {allowed}, got {getattr(self, name)!r}.")
        for name in ("frames", "clips", "stride_frames", "height_px", "width_px"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} needs a positive integer, got {value!r}.")
        if not 0 <= self.margin_frac <= 3:
            raise ValueError(f"margin_frac needs 0..3 (part of the box, each side), got {self.margin_frac}.")
        if self.sampling == "spaced" and self.clips != 1:
            raise ValueError(f"sampling 'spaced' takes one set of frames per video: clips needs 1, got {self.clips}.")
        if self.kind == "flow" and self.flow == "none":
            raise ValueError("kind 'flow' needs flow='dis' or flow='farneback', got 'none'.")

    @property
    def clip_span_frames(self):
        """Frames of video that one clip covers; a shorter video has no clip."""
        return (self.frames - 1) * self.stride_frames + 1

    def to_dict(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values, subject="data recipe"):
        return _from_dict(cls, values, subject)


@dataclass(frozen=True)
class Recipe:
    """Everything inference needs beside the weights; `recipe.json` of a saved model folder.

    Args:
      network: name in `tfdeepfake.models.MODELS`.
      network_args: keyword arguments of that network.
      data: the `DataRecipe` of the training data.
      threshold: probability from which a video is called FAKE, chosen on validation data.
      share_threshold: share of frames from which a video is called FAKE under the share-of-frames rule
        (P2 4.2.2), or None when it was not chosen.
      temperature: the logit is divided by it before the sigmoid; 1 when it was not fitted.
      calibration: how threshold and temperature came about, for the report.
      classes: names of the K classes in the order of the outputs; None for one logit, or when they are not known.
      positive: what a logit above zero means. Only "fake" is accepted.
      data_version: data sets and versions the weights were trained on.
      parent: checkpoint the weights started from, or None.
      licence: licence of the weights.
      versions: of the software that wrote the folder.
      weights_sha256: of `model.weights.h5`.
    """

    network: str
    network_args: dict = field(default_factory=dict)
    data: DataRecipe = field(default_factory=DataRecipe)
    threshold: float = 0.5
    share_threshold: float | None = None
    temperature: float = 1.0
    calibration: str = "not calibrated"
    classes: list | None = None
    positive: str = "fake"
    data_version: str = "unknown"
    parent: str | None = None
    licence: str = "unknown"
    versions: dict = field(default_factory=dict)
    weights_sha256: str | None = None

    def __post_init__(self):
        if self.positive != "fake":
            raise ValueError(f"positive needs 'fake' (label 1 = fake everywhere), got {self.positive!r}.")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold needs a probability between 0 and 1, got {self.threshold}.")
        if not self.temperature > 0:
            raise ValueError(f"temperature needs to be above 0, got {self.temperature}.")
        names = self.classes
        if names is not None and (
            not isinstance(names, list)
            or not all(isinstance(name, str) for name in names)
            or len(set(names)) < len(names)
        ):
            raise ValueError(f"classes needs a list of different names, or null, got {names!r}.")

    def to_dict(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values, subject="recipe"):
        values = dict(values)
        if "data" in values:
            values["data"] = DataRecipe.from_dict(values["data"], subject)
        return _from_dict(cls, values, subject)


WEIGHTS_FILE = "model.weights.h5"
RECIPE_FILE = "recipe.json"


def sha256(path):
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def software_versions():
    """Versions that a run folder and a model folder record."""
    import platform

    import keras

    from tfdeepfake import __version__

    versions = {"tfdeepfake": __version__, "keras": keras.__version__, "backend": keras.backend.backend()}
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        versions["tensorflow"] = tensorflow.__version__
    return versions | {"python": platform.python_version()}


def save_model(folder, model, recipe):
    """Writes `model.weights.h5` and `recipe.json`; the folder is then all that inference needs.

    Args:
      folder: made when absent.
      model: keras.Model built by `build(recipe.network, **recipe.network_args)`.
      recipe: `Recipe`; its `versions` and `weights_sha256` are filled in here.
    Returns:
      The recipe as written.
    """
    folder = Path(folder)
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        _write_weights(model, temporary)
    recipe = dataclasses.replace(recipe, versions=software_versions(), weights_sha256=sha256(folder / WEIGHTS_FILE))
    write_json(folder / RECIPE_FILE, recipe.to_dict())
    return recipe


def load_recipe(folder):
    """Reads the recipe of a saved model folder.

    Raises:
      InputError: the folder or its recipe is missing or damaged.
    """
    folder = Path(folder)
    todo = "Give a folder written by `tfdeepfake train` or `tfdeepfake convert`."
    if not folder.is_dir():
        raise InputError(folder, "is not a saved model folder.", todo)
    if not (folder / RECIPE_FILE).exists():
        raise InputError(
            folder,
            f"has no {RECIPE_FILE}: without it detector, crop and sampling are unknown and scores would be wrong.",
            todo,
        )
    values = read_json(folder / RECIPE_FILE, todo)
    try:
        return Recipe.from_dict(values, folder / RECIPE_FILE)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(folder / RECIPE_FILE, f"is not a valid recipe: {error}", todo) from None


def _by_name(model):
    """{"layer/variable": variable} of all weights; counters of random draws and optimizer state are left out."""
    found = {variable.path: variable for variable in model.weights}
    if len(found) != len(model.weights):
        raise ValueError("layers of one network need different names.")
    return found


def _write_weights(model, path):
    """HDF5 with one array per weight under its layer's name: what a layer is called, not where it stands, counts."""
    import h5py

    with h5py.File(path, "w") as file:
        for name, variable in _by_name(model).items():
            file[name] = variable.numpy()


def _read_weights(model, path):
    """Assigns every array of the file to a weight of the network, or nothing at all.

    Raises:
      ValueError: names or shapes differ; lists them.
    """
    import h5py

    wanted = _by_name(model)
    with h5py.File(path, "r") as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        problems = [f"missing {name}" for name in sorted(set(wanted) - set(found))]
        problems += [f"left over {name}" for name in sorted(set(found) - set(wanted))]
        for name in sorted(set(wanted) & set(found)):
            if found[name].shape != tuple(wanted[name].shape):
                problems.append(f"{name} has shape {found[name].shape}, the network {tuple(wanted[name].shape)}")
        if problems:
            more = f" and {len(problems) - 6} more" if len(problems) > 6 else ""
            raise ValueError("; ".join(problems[:6]) + more)
        for name, variable in wanted.items():
            variable.assign(found[name][()])


def load_model(folder):
    """Builds the network of a saved model folder and loads its weights.

    Only weights are read, into a network of ours: a foreign file cannot bring code.

    Returns:
      (keras.Model whose output is the logit of FAKE, Recipe).
    Raises:
      InputError: a file is missing or damaged, or the weights are of another network.
    """
    recipe = load_recipe(folder)
    from tfdeepfake import models

    try:
        model = models.build(recipe.network, **recipe.network_args)
    except (TypeError, ValueError) as error:
        raise InputError(Path(folder) / RECIPE_FILE, f"describes no network that can be built: {error}") from error
    load_weights(model, folder, recipe)
    return model, recipe


def load_weights(model, folder, recipe):
    """Loads the weights of a saved model folder, whose recipe is given, into `model`: all of them or none.

    Raises:
      InputError: the file is missing or damaged, or its weights are of another network.
    """
    path = Path(folder) / WEIGHTS_FILE
    if not path.is_file():
        raise InputError(path, "this file is missing.", "Copy the whole folder, weights included.")
    if recipe.weights_sha256 and sha256(path) != recipe.weights_sha256:
        raise InputError(
            path,
            "does not match the checksum in recipe.json: the file is damaged or from another network.",
            "Copy the folder again from where it was written.",
        )
    try:
        _read_weights(model, path)
    except (OSError, ValueError, KeyError) as error:  # h5py's for a damaged file, ours for another network's
        raise InputError(
            path, f"holds no weights of {recipe.network} as recipe.json describes it ({error}).".replace("\n", " ")
        ) from error
