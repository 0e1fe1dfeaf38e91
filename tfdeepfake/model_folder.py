"""The folder of a trained network: its weights and its recipe, saved and loaded."""

import contextlib
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tfdeepfake.counting import moving
from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path, read_json, sha256, write_json
from tfdeepfake.recipe import Recipe

if TYPE_CHECKING:
    import keras
    import numpy as np


WEIGHTS_FILE = "model.weights.h5"
RECIPE_FILE = "recipe.json"
MEMBERS = "members"  # of a folder of networks that vote: their saved model folders
SHOWN_BYTES = 100_000_000  # of weights, from which on loading them is shown
BEST = "best"  # of a run folder: the saved model folder of its best epoch
# Of recipe.json. It goes up when an older version would read a recipe wrongly, or this one an older recipe.
SCHEMA = 1


def software_versions() -> dict[str, str]:
    """Versions that a run folder and a model folder record."""
    import platform

    import keras

    from tfdeepfake import __version__

    versions = {"tfdeepfake": __version__, "keras": keras.__version__, "backend": keras.backend.backend()}
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        versions["tensorflow"] = tensorflow.__version__
    elif keras.backend.backend() == "jax":
        import jax

        versions["jax"] = jax.__version__
    return versions | {"python": platform.python_version()}


def write_recipe(folder: Path, recipe: Recipe) -> None:
    """Writes `recipe.json` with the number of its schema, and with all that a verdict does."""
    recipe = dataclasses.replace(recipe, verdict=recipe.verdict.stated(recipe.data))
    write_json(folder / RECIPE_FILE, {"schema": SCHEMA} | recipe.to_dict())


def save_model(folder: str | Path, model: "keras.Model", recipe: Recipe) -> Recipe:
    """Writes `model.weights.h5` and `recipe.json`; the folder is then all that inference needs.

    Args:
      folder: created when absent.
      model: keras.Model built by `build(recipe.network, **recipe.network_args)`.
      recipe: `Recipe`; its `versions` and `weights_sha256` are filled in here.
    Returns:
      The recipe as written.
    """
    folder = Path(folder)
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        _write_weights(model, temporary)
    recipe = dataclasses.replace(recipe, versions=software_versions(), weights_sha256=sha256(folder / WEIGHTS_FILE))
    write_recipe(folder, recipe)
    return recipe


def find_model_folder(folder: Path | str) -> Path:
    """The saved model folder that is meant: the folder itself, or best/ of a run folder.

    Raises:
      InputError: it is neither; says what is missing.
    """
    folder = Path(folder)
    remedy = "Give a folder written by `tfdeepfake train` or `tfdeepfake convert`."
    if not folder.is_dir():
        if folder.name == "demo":
            remedy = "`make demo` in a checkout of tfdeepfake trains the demo network; give the folder's whole path."
        raise InputError(folder, "is not a saved model folder.", remedy)
    if not (folder / RECIPE_FILE).exists():
        if (folder / BEST / RECIPE_FILE).exists():
            return folder / BEST
        if (folder / "config.json").exists():
            raise InputError(
                folder, f"is a run folder without {BEST}/: its training has not ended an epoch.", "Resume the training."
            )
        raise InputError(
            folder,
            f"has no {RECIPE_FILE}: without it detector, crop and sampling are unknown and scores would be wrong.",
            remedy,
        )
    return folder


def load_recipe(folder: Path | str) -> Recipe:
    """Reads the recipe of a saved model folder or of a run folder's best network.

    Raises:
      InputError: the folder or its recipe is missing, damaged or of another schema.
    """
    folder = find_model_folder(folder)
    remedy = "Copy the folder again from where it was written."
    values = read_json(folder / RECIPE_FILE, remedy)
    _check_schema(values.pop("schema", None), folder / RECIPE_FILE)
    try:
        return Recipe.from_dict(values, folder / RECIPE_FILE)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(folder / RECIPE_FILE, f"is not a valid recipe: {error}", remedy) from None


def _check_schema(schema, path):
    """Refuses a recipe of another schema: its fields may mean something else."""
    if schema == SCHEMA:
        return
    if isinstance(schema, int) and schema > SCHEMA:
        remedy = "Update tfdeepfake: a newer version wrote it."
    else:
        remedy = "Write the folder again: `tfdeepfake convert` for a published file, `tfdeepfake train` for a run."
    named = "names no schema" if schema is None else f"is of schema {schema}"
    raise InputError(path, f"{named}; this version reads schema {SCHEMA}.", remedy)


def by_name(model: "keras.Model") -> dict[str, "keras.Variable"]:
    """{"layer/variable": variable} of all weights; counters of random draws and optimizer state are left out."""
    variables = {variable.path: variable for variable in model.weights}
    if len(variables) != len(model.weights):
        raise ValueError("layers of one network need different names.")
    return variables


def _write_weights(model, path):
    """HDF5 with one array per weight under its layer's name: what a layer is called, not where it stands, counts."""
    import h5py

    with h5py.File(path, "w") as file:
        for name, variable in by_name(model).items():
            file[name] = variable.numpy()


def _read_weights(model, path, step, take):
    """Calls `take` with every weight of the network and its array in the file, or with nothing at all.

    Raises:
      ValueError: names or shapes differ; lists them.
    """
    import h5py
    import numpy as np

    from tfdeepfake.weights import keras_h5

    wanted = by_name(model)
    with h5py.File(path, "r") as file:
        arrays = keras_h5.own_datasets(file)
        problems = [f"missing {name}" for name in sorted(set(wanted) - set(arrays))]
        problems += [f"left over {name}" for name in sorted(set(arrays) - set(wanted))]
        for name in sorted(set(wanted) & set(arrays)):
            if arrays[name].shape != tuple(wanted[name].shape):
                problems.append(f"{name} has shape {arrays[name].shape}, the network {tuple(wanted[name].shape)}")
        if problems:
            more = f" and {len(problems) - 6} more" if len(problems) > 6 else ""
            raise ValueError("; ".join(problems[:6]) + more)
        # One at a time, and twice: files of gigabytes are in memory once, as the network's variables.
        if broken := [name for name in wanted if not np.isfinite(arrays[name][()]).all()]:
            raise ValueError(f"NaN or infinite weights in {', '.join(broken[:6])}")
        for name, variable in wanted.items():
            take(variable, arrays[name][()])
            step(arrays[name].nbytes)


class Members:
    """Networks that each vote, in the place of one where scores are made; they read the same inputs.

    Attributes:
      votes: True: `predict_on_batch` gives the logits [B, M] of all, whose vote is `scoring.rules.vote`.
      inputs: of the first; outputs: of the first, one logit of FAKE.
      one_by_one: see `compiled.folder.CompiledModel`.
    """

    votes = True

    def __init__(self, models: list):
        """Takes keras.Models or compiled ones, each with one output [B, 1]."""
        self.models, self.inputs, self.outputs = models, models[0].inputs, models[0].outputs
        self.one_by_one = all(getattr(model, "one_by_one", False) for model in models)

    def predict_on_batch(self, batch: dict) -> "np.ndarray":
        """Logits float32 [B, M] of {"frames": [B, ...], ...}."""
        import numpy as np

        return np.concatenate([np.asarray(model.predict_on_batch(batch)) for model in self.models], axis=1)


def member_folders(folder: str | Path, recipe: Recipe) -> list[Path]:
    """Saved model folders of the networks that vote; none where the recipe is of one network."""
    return [Path(folder) / MEMBERS / name for name in recipe.members or ()]


def load_voting(folder: str | Path) -> tuple:
    """As `load_model`, and where the folder is of networks that vote: (`Members`, Recipe).

    Raises:
      InputError: see `load_model`.
    """
    folder = find_model_folder(folder)
    recipe = load_recipe(folder)
    if not recipe.members:
        return load_model(folder)
    return Members([load_model(member)[0] for member in member_folders(folder, recipe)]), recipe


def load_model(folder: str | Path) -> tuple:
    """Builds the network of a saved model folder, or of a run folder's best/, and loads its weights.

    Only weights are read, into a network of ours: a foreign file cannot bring code.

    Returns:
      (keras.Model whose output is the logit of FAKE, Recipe).
    Raises:
      InputError: a file is missing or damaged, or the weights are of another network.
    """
    return _load(folder, contextlib.nullcontext(), _assign)


def load_values(folder: str | Path, take: Callable[["keras.Variable", "np.ndarray"], None]) -> tuple:
    """As `load_model`, of a network whose weights have no values: `take` is called with each of them and its value.

    Such a network runs where a `keras.StatelessScope` gives it values. An EfficientNet-B7 loads in half the time
    without its 1,086 TensorFlow variables.
    """
    import keras

    return _load(folder, keras.StatelessScope(initialize_variables=False), take)


def _assign(variable, value):
    variable.assign(value)


def _load(folder, scope, take):
    """(network built inside `scope`, Recipe); `take` gets each of its weights and the value."""
    folder = find_model_folder(folder)
    recipe = load_recipe(folder)
    if recipe.members:
        remedy = f"Give one of them: {folder / MEMBERS / recipe.members[0]}."
        raise InputError(folder, f"holds {len(recipe.members)} networks that vote; this takes one network.", remedy)
    from tfdeepfake import models
    from tfdeepfake.layers.initializers import no_larger_than, undrawn

    weights = folder / WEIGHTS_FILE
    num_bytes = weights.stat().st_size if weights.is_file() else None
    with _bar(f"loading {recipe.network}", num_bytes or 0) as bar, moving(bar):
        try:
            with scope, undrawn(), no_larger_than(num_bytes):
                model = models.build(recipe.network, **recipe.network_args)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(folder / RECIPE_FILE, f"describes no network that can be built: {error}") from error
        load_weights(model, folder, recipe, bar.update, take)
    return model, recipe


def _bar(what, num_bytes):
    """A bar of bytes on a terminal, where there are enough of them to wait for."""
    from tqdm import tqdm

    shown = {"leave": False, "disable": None if num_bytes > SHOWN_BYTES else True}
    return tqdm(total=num_bytes, desc=what, unit="B", unit_scale=True, **shown)


def load_weights(
    model: "keras.Model",
    folder: str | Path,
    recipe: Recipe,
    step: Callable[[int], object] = lambda count: None,
    take: Callable[["keras.Variable", "np.ndarray"], None] = _assign,
) -> None:
    """Loads the weights of a saved model folder, whose recipe is given, into `model`: all of them or none.

    `take` is called with each weight and its value, `step` with the bytes of each behind it.

    Raises:
      InputError: the file is missing or damaged, or its weights are of another network.
    """
    path = _checked_weights(folder, recipe)
    try:
        _read_weights(model, path, step, take)
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
    ) as error:  # h5py's for a damaged file, ours for another network's
        raise InputError(
            path, f"holds no weights of {recipe.network} as recipe.json describes it ({error}).".replace("\n", " ")
        ) from error


def read_weights(folder: str | Path, recipe: Recipe) -> dict[str, "np.ndarray"]:
    """{"layer/variable": array} of a saved model folder, whose recipe is given.

    Raises:
      InputError: the file is missing or damaged.
    """
    import h5py

    from tfdeepfake.weights import keras_h5

    path = _checked_weights(folder, recipe)
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: item[()] for name, item in keras_h5.own_datasets(file).items()}
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(path, f"is not a readable file of weights ({error}).") from error
    return arrays


def _checked_weights(folder, recipe):
    """Path of a folder's weights, held against the checksum of its recipe."""
    path = find_model_folder(folder) / WEIGHTS_FILE
    if not path.is_file():
        raise InputError(path, "this file is missing.", "Copy the whole folder, weights included.")
    if recipe.weights_sha256 and sha256(path) != recipe.weights_sha256:
        raise InputError(
            path,
            "does not match the checksum in recipe.json: the file is damaged or from another network.",
            "Copy the folder again from where it was written.",
        )
    return path


def copy_model(folder: str | Path, into: str | Path) -> None:
    """Copies a saved model folder over `into`, which is created when absent.

    Raises:
      InputError: `folder` is no saved model folder, or `into` cannot be written to.
    """
    folder = find_model_folder(folder)
    load_recipe(folder)
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            with atomic_path(Path(into) / path.relative_to(folder)) as temporary:
                shutil.copyfile(path, temporary)
