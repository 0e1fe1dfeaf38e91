"""Starting a run from other weights: a saved model folder, a run, a published checkpoint, `imagenet` or `kinetics`.

Layers go by their names. Layers that the network has and the weights lack are new, if their names are among `NEW` or
among the config's `new_layers`; so is a head of another shape. Everything else fits, or nothing is taken.
"""

import inspect
import json
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.files import sha256
from tfdeepfake.model_folder import by_name, find_model_folder, load_recipe, read_weights
from tfdeepfake.published.fetch import fetch_published
from tfdeepfake.published.pretrained import KINDS, OwnWay, pretrained
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.verdict import named

if TYPE_CHECKING:
    import keras

# New in a network that the weights are not of: P3's attention, P0's, P4's.
NEW = ("nonlocal*", "*_se_*", "attconv*", "graph_*", "frame_pos_embed")
# A head is taken whole, where the network has one of the same layers and shapes, or it is new.
HEADS = ("logits", "classifier_0", "feat_ext_classifier")
# Arguments of a network that may be others than those of the weights: sizes come from the data; the rest has no
# weights, or adds layers that are new.
_SIZES = ("input_size", "num_frames")
_FREE = (
    *_SIZES, "num_classes", "weights", "seed", "dropout", "drop_path", "drop_connect", "mask_px", "consistency",
    "head_bias", "head_only", "spare_head", "nonlocal_after", "nonlocal_inner", "se_reduction", "se_stages",
    "attention_stage", "graph", "graph_inner", "frame_position",
)  # fmt: skip
# A transformer's tables are enlarged for the thumbnail by the network itself.
_THROUGH_WEIGHTS = {"swin_b": ("tall_swin", "tall_plus_plus"), "vit_b": ("tall_vit",)}
_SHOWN = 8


def read(start_from: str, network: str, network_args: dict, log: Callable[[str], None] = lambda line: None) -> dict:
    """What a run starts from; published files are fetched and converted.

    Args:
      start_from: saved model folder, run folder, name in `published.sources.SOURCES`, "imagenet" or "kinetics"; a
        folder goes before a name.
      network: of the run.
      network_args: as the run's config has them.
      log: function that gets lines about what is fetched.
    Returns:
      JSON object for versions.json: "name", "folder" (None where the network loads the file itself), "weights_sha256",
      "network_args" that hold for the run, "parent", "licence", "data_terms".
    Raises:
      InputError: no such folder or name, or the network's arguments contradict the weights.
    """
    if network_args.get("weights") is not None:
        raise InputError("network_args", "has weights, and start_from has every weight.", "Leave one of them out.")
    if Path(start_from).exists():
        return _of_folder(find_model_folder(start_from), Path(start_from).resolve().name, network, network_args)
    source = start_from
    if start_from in KINDS:
        source = pretrained(start_from, network, network_args)
        if isinstance(source, OwnWay):
            known = source.known
            parent = f"{start_from} ({known.address})"
            return _of_file("imagenet", parent, known)
    if source not in SOURCES:
        # Names what is missing, and published names near it.
        named.locate(source)
    known = SOURCES[source]
    if network in _THROUGH_WEIGHTS.get(known.network, ()):
        path = fetch_published(source, log=log)
        return _of_file(str(path), f"{source} ({known.address}) sha256:{sha256(path)}", known)
    return _of_folder(named.published(source, log=log).ready(log), source, network, network_args)


def _of_file(weights, parent, known):
    """Of a file that the network loads itself, by its argument `weights`."""
    return {
        "name": None,
        "folder": None,
        "weights_sha256": None,
        "network_args": {"weights": weights},
        "parent": parent,
        "licence": known.licence,
        "data_terms": known.data_terms,
    }


def _of_folder(folder, name, network, network_args):
    recipe = load_recipe(folder)
    return {
        "name": name,
        "folder": str(folder),
        "weights_sha256": recipe.weights_sha256,
        "network_args": _inherited(folder, recipe, network, network_args),
        "parent": recipe.parent,
        "licence": recipe.licence,
        "data_terms": recipe.data_terms,
    }


def _inherited(folder, recipe, network, network_args):
    """Arguments of the weights' network that hold for the run's.

    Raises:
      InputError: the run's config gives others.
    """
    parameters = inspect.signature(models.MODELS[network]).parameters
    if recipe.network == network:
        values = {name: p.default for name, p in parameters.items()} | recipe.network_args
        inherited = {n: v for n, v in recipe.network_args.items() if n not in ("num_classes", "weights")}
    else:
        inherited = {n: v for n, v in recipe.network_args.items() if n in parameters and n not in _FREE}
        values = inherited
    # Both as JSON has them: a tuple and a list are one.
    there, here = (json.loads(json.dumps(args, default=str)) for args in (values, network_args))
    shared = [name for name in here if name in there and name not in _FREE]
    differ = [f"{n} {there[n]!r} there, {here[n]!r} here" for n in shared if there[n] != here[n]]
    if differ:
        raise InputError(
            folder, f"has other network_args: {', '.join(differ)}.", "Leave them out: they come from the folder."
        )
    return inherited


def load(model: "keras.Model", start: dict, new_layers: Sequence[str] = ()) -> list[str]:
    """Gives a network the weights it starts from.

    Args:
      model: keras.Model of the run.
      start: what `read` gave.
      new_layers: patterns (`fnmatch`) of layers that begin as they are drawn, whatever the weights have.
    Returns:
      Names of the layers that are new.
    Raises:
      InputError: a pattern matches no layer; or layers miss, are left over, or have other shapes: lists them.
    """
    if start["folder"] is None:
        return []
    folder = Path(start["folder"])
    recipe = load_recipe(folder)
    arrays, wanted = read_weights(folder, recipe), by_name(model)
    ours = list(dict.fromkeys(name.partition("/")[0] for name in wanted))
    for pattern in new_layers:
        if not any(fnmatchcase(layer, pattern) for layer in ours):
            raise InputError("new_layers", f"{pattern!r} matches no layer with weights of {model.name}.")
    chosen = {layer for layer in ours if any(fnmatchcase(layer, pattern) for pattern in new_layers)}
    if not _same_head(arrays, wanted):
        chosen |= {layer for layer in ours if layer in HEADS}
    theirs = {name.partition("/")[0] for name in arrays}
    chosen |= {layer for layer in ours if layer not in theirs and any(fnmatchcase(layer, p) for p in NEW)}
    needed = {name: variable for name, variable in wanted.items() if name.partition("/")[0] not in chosen}
    problems = _problems(arrays, needed, chosen)
    if problems:
        raise InputError(
            folder,
            f"holds a {recipe.network} that does not fit this {model.name}: {'; '.join(problems)}.",
            "Name layers that are to be new with --new-layers, or start from weights of this network.",
        )
    for name, variable in needed.items():
        variable.assign(arrays[name])
    return [layer for layer in ours if layer in chosen]


def _same_head(arrays, wanted):
    """Whether the heads have the same layers and shapes."""
    there, here = (
        {name: tuple(value.shape) for name, value in weights.items() if name.partition("/")[0] in HEADS}
        for weights in (arrays, wanted)
    )
    return there == here


def _problems(arrays, needed, chosen):
    """What keeps weights from fitting, in words; heads that are not taken are left over on purpose."""
    left = {n for n in set(arrays) - set(needed) if n.partition("/")[0] not in (*HEADS, *chosen)}
    shapes = [
        f"{name} of {arrays[name].shape}, here {tuple(needed[name].shape)}"
        for name in sorted(set(needed) & set(arrays))
        if arrays[name].shape != tuple(needed[name].shape)
    ]
    listed = [("missing", sorted(set(needed) - set(arrays))), ("left over", sorted(left)), ("another shape:", shapes)]
    return [f"{words} {_some(names)}" for words, names in listed if names]


def _some(names):
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def parent(start: dict) -> str:
    """How a recipe names the weights that a run started from: a chain back to the published file."""
    if start["name"] is None:
        return start["parent"]
    before = f", from {start['parent']}" if start["parent"] else ""
    return f"{start['name']} sha256:{start['weights_sha256']}{before}"


def line(start: dict) -> str:
    """What a run tells of its start."""
    new = start.get("new_layers") or []
    return f"starts from {parent(start)}" + (f"; new layers: {_some(new)}" if new else "") + "."
