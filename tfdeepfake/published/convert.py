"""The one way from a published file to a saved model folder.

A file is taken whole or not at all: its checksum must be the published one where that is known, every
array in it is used once, and every shape is equal. PyTorch is not needed and nothing in the file is run.
"""

import dataclasses
import inspect
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.files import sha256
from tfdeepfake.layers.initializers import undrawn
from tfdeepfake.model_folder import MEMBERS, WEIGHTS_FILE, load_recipe, save_model, write_recipe
from tfdeepfake.published.fetch import files_of
from tfdeepfake.published.sources import find_published
from tfdeepfake.recipe import Recipe
from tfdeepfake.weights import torch_assign
from tfdeepfake.weights.check import check_weight_file

if TYPE_CHECKING:
    from tfdeepfake.published.entry import Published


# Arguments that a file depends on beside its weights.
_EXPLICIT = ("input_size", "num_frames", "mean", "std")


def convert(
    source: str, file: str | Path, out_dir: str | Path, fresh_head: bool = False, any_file: bool = False
) -> Path:
    """Writes a saved model folder with the weights of a published checkpoint.

    Args:
      source: a key of `sources.SOURCES`.
      file: the checkpoint as its authors publish it, fetched by the user; of several that vote, the folder they lie in.
      out_dir: the folder to write, see `model_folder.save_model`.
      fresh_head: leaves the file's last layer out; the network gets a new one with one output, the logit of FAKE,
        which has to be trained. PyTorch files only.
      any_file: takes a file with another checksum too, for weights someone trained further in the same layout. Its
        names and shapes must still fit; the recipe then calls its data and licence unknown.
    Returns:
      Path of the folder.
    Raises:
      InputError: unknown source; the file is missing, unreadable, not the published one or does not fit the network.
    """
    known = find_published(source)
    if known.members:
        if fresh_head:
            raise InputError(source, "is several networks that vote.", f"Take one: {known.members[0]}.")
        return convert_members(source, files_of(source, file), out_dir, any_file)
    if fresh_head and known.load_keras:
        raise InputError(source, "is a detector already: its head is used as it is.", "Leave --fresh-head out.")
    check_weight_file(file)
    try:
        digest = sha256(file)
    except OSError as error:
        raise InputError(file, f"cannot be read ({error.strerror}).", f"Get it first: {known.whereabouts}") from None
    published = known.sha256 is None or digest.startswith(known.sha256)
    if not published and not any_file:
        raise InputError(
            file,
            f"is not the published file of {source}: its sha256 is {digest}, expected {known.sha256}.",
            f"Get it again ({known.whereabouts}), or convert it with --any-file if these are other weights of the same "
            "layout.",
        )
    if known.load_keras:
        network_args = dict(known.network_args)
        model = models.build(known.network, **network_args)
        known.load_keras(model, file)
    else:
        model, network_args = load_published(known, torch_assign.read(file), file, fresh_head)
    name = known.address if published else Path(file).name
    if known.sha256 is None:
        name += "; no checksum of it is known"
    recipe = Recipe(
        network=known.network,
        network_args=network_args,
        data=known.data,
        video_rule=known.video_rule,
        faces_rule=known.faces_rule,
        calibration=_calibration(known, network_args.get("num_classes", 1), fresh_head),
        data_version=known.trained_on if published else "unknown",
        parent=f"{source} ({name}) sha256:{digest}",
        licence=known.licence if published else "unknown",
        data_terms=known.data_terms if published else "unknown",
        accuracy=known.accuracy if published and not fresh_head else "",
        gmacs=known.gmacs,
    )
    save_model(out_dir, model, recipe)
    return Path(out_dir)


def convert_members(source: str, files: dict, out_dir: str | Path, any_file: bool = False) -> Path:
    """Writes the saved model folder of published networks that vote, each with a folder of its own in `members/`.

    Args:
      source: a key of `sources.SOURCES` with `members`.
      files: {name of the member: path of its file}.
      out_dir: the folder to write; members that are there already, of the same file, are kept.
      any_file: see `convert`.
    Returns:
      Path of the folder.
    Raises:
      InputError: as `convert`.
    """
    known, out_dir = find_published(source), Path(out_dir)
    recipes = []
    for name in known.members:
        folder = out_dir / MEMBERS / name
        if not _is_of(folder, files[name]):
            shutil.rmtree(folder, ignore_errors=True)
            convert(name, files[name], folder, any_file=any_file)
        recipes.append(load_recipe(folder))
    one = recipes[0]
    recipe = dataclasses.replace(
        one,
        network=known.network,
        network_args={"members": [[recipe.network, recipe.network_args] for recipe in recipes]},
        members=list(known.members),
        data=known.data,
        video_rule=known.video_rule,
        faces_rule=known.faces_rule,
        calibration=f"{one.calibration}; each of {len(recipes)} networks is summed up alone, then their mean is taken",
        parent="; ".join(str(recipe.parent) for recipe in recipes),
        accuracy=known.accuracy if one.accuracy else "",
        gmacs=known.gmacs,
        weights_sha256=None,
    )
    write_recipe(out_dir, recipe)
    return out_dir


def _is_of(folder, file):
    """Whether a folder was converted of this file, and whole."""
    try:
        recipe = load_recipe(folder)
        return (folder / WEIGHTS_FILE).is_file() and str(recipe.parent).endswith(f"sha256:{sha256(file)}")
    except (InputError, OSError):
        return False


def load_published(known: "Published", tensors: dict, subject: str, fresh_head: bool = False) -> tuple:
    """Builds the network of a checkpoint and gives it the checkpoint's weights.

    Args:
      known: `Published`.
      tensors: dict name -> array, from `torch_assign.read`.
      subject: the file, for errors.
      fresh_head: see `convert`.
    Returns:
      (keras.Model, its arguments).
    Raises:
      InputError: the tensors do not fit.
    """
    tensors = dict(tensors)
    head = known.module_name("logits")
    names = [name for name in (f"{head}.weight", f"{head}.bias") if name in tensors]
    if fresh_head:
        for name in names:
            del tensors[name]
        classes = 1
    else:
        for name in names:
            tensors[name] = _fake_logit(known.positive, tensors[name], subject, name)
        # Without a head the strict map below says what is missing.
        classes = len(tensors[names[0]]) if names and tensors[names[0]].ndim else 1
    # Written out, so that the folder means the same should a default change.
    defaults = inspect.signature(models.MODELS[known.network]).parameters
    explicit = {name: defaults[name].default for name in _EXPLICIT if name in defaults}
    network_args = {**explicit, **known.network_args, "num_classes": classes}
    with undrawn():  # a fresh head is drawn all the same: it starts in a way of its own
        model = models.build(known.network, **network_args)
    torch_assign.assign(
        model,
        tensors,
        known.module_name,
        subject,
        extra=known.extra(model),
        unused=known.unused,
        keep=("logits",) if fresh_head else (),
    )
    return model, network_args


def _fake_logit(positive, array, subject, name):
    """The head's weight or bias [K, ...], turned into that of one logit of FAKE where its outputs mean that."""
    if positive is None:
        return array
    wanted = 1 if isinstance(positive, str) else 2
    if array.ndim == 0 or len(array) != wanted:
        raise InputError(
            subject,
            f"has a head {name} of shape {array.shape}; {wanted} outputs were expected.",
            "Give --fresh-head to leave the head out.",
        )
    if positive == "fake":
        return array
    # float64: the difference of close weights keeps its digits.
    array = np.asarray(array, "float64")
    return -array if positive == "real" else array[positive : positive + 1] - array[1 - positive : 2 - positive]


def _calibration(known, classes, fresh_head):
    """How the outputs were calibrated, and what they are in the file, in words."""
    if fresh_head:
        return "not calibrated: the head is new and has to be trained before any score means something"
    if known.positive is None:
        return f"not a detector: its {classes} outputs are classes of {known.trained_on}"
    polarity = {
        "fake": "its output is the logit of fake",
        "real": "its output, the logit of real, is negated",
        0: "its two outputs, fake and real, are folded into one",
        1: "its two outputs, real and fake, are folded into one",
    }
    return f"threshold 0.5 as published; {polarity[known.positive]}"
