"""Starting a run from the weights of a saved model folder: published ones from `convert`, or those of another run."""

import inspect
import json
from pathlib import Path

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_recipe

# What may be another in this run: sizes come from its data, and these have no weights.
_FREE = ("input_size", "num_frames", "dropout", "drop_path", "drop_connect", "seed")


def read(folder: str | Path, network: str, network_args: dict) -> dict:
    """What a folder gives a run.

    Args:
      folder: saved model folder.
      network: of the run.
      network_args: as the run's config has them.
    Returns:
      JSON object for versions.json: the folder's name and weights_sha256, its network_args, parent and licence.
    Raises:
      InputError: no such folder, or its network is another than the run's.
    """
    recipe = load_recipe(folder)
    if recipe.network != network:
        raise InputError(folder, f"holds a {recipe.network}, this run trains a {network}.", "Give the folder of one.")
    if network_args.get("weights") is not None:
        raise InputError("network_args", "has weights, and start_from has every weight.", "Leave one of them out.")
    defaults = {name: p.default for name, p in inspect.signature(models.MODELS[network]).parameters.items()}
    # Both as JSON has them: a tuple and a list are one.
    there = json.loads(json.dumps(defaults | recipe.network_args, default=str))
    here = there | json.loads(json.dumps(network_args, default=str))
    outputs, wanted = there.get("num_classes", 1), network_args.get("num_classes", 1)
    if outputs != wanted:
        raise InputError(
            folder,
            f"has a head of {outputs} outputs, this run trains {wanted}.",
            "Convert the checkpoint again with --fresh-head, which gives it a new logit.",
        )
    differ = [
        f"{n} {there.get(n)!r} there, {here[n]!r} here" for n in here if n not in _FREE and there.get(n) != here[n]
    ]
    if differ:
        raise InputError(
            folder, f"has other network_args: {', '.join(differ)}.", "Leave them out: they come from the folder."
        )
    return {
        "name": Path(folder).resolve().name,
        "weights_sha256": recipe.weights_sha256,
        "network_args": recipe.network_args,
        "parent": recipe.parent,
        "licence": recipe.licence,
    }


def parent(start: dict) -> str:
    """How a recipe names the weights that a run started from: a chain back to the published file."""
    before = f", from {start['parent']}" if start["parent"] else ""
    return f"{start['name']} sha256:{start['weights_sha256']}{before}"
