"""Which runtime makes a verdict: LiteRT, which starts at once, or Keras, which is faster for a few networks."""

import importlib.util
import math
import os
from collections.abc import Callable
from pathlib import Path

from tfdeepfake.compiled.accelerator import has_accelerator
from tfdeepfake.compiled.folder import NoCompiledForm, compile_folder, load_compiled
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import Members, load_model, load_recipe, member_folders
from tfdeepfake.quiet import load_backend
from tfdeepfake.recipe import Recipe
from tfdeepfake.vocabulary import RUNTIMES

# Keras runs these networks in half (3D convolutions) to three quarters (very wide matrix products) of LiteRT's time
# (`benchmarks/runtimes.py` measures them), but takes some six seconds of processor time longer to start: from so many
# files on, of eight clips or 32 frames each, it ends earlier.
KERAS_FROM_FILES = (
    dict.fromkeys(("i3d", "ensemble3d", "fusion_2d_3d"), 2)
    | dict.fromkeys(("cnn3d", "r3d_18", "mc3_18", "r2plus1d_18", "r2plus1d_hara_18"), 3)
    | dict.fromkeys(("clip_vit_l14", "r2plus1d_34", "r2plus1d_50", "r2plus1d_101"), 5)
    | dict.fromkeys(("light3d", "resnet3d_18"), 7)
    | dict.fromkeys(("resnet3d_34", "resnet3d_50", "resnet3d_101", "resnet3d_152", "resnet3d_200"), 10)
    | dict.fromkeys(("resnext3d_50", "resnext3d_101"), 20)
)


def load_for_verdict(
    folder: Path | str,
    runtime: str = "auto",
    log: Callable[[str], None] = lambda line: None,
    num_files: int = 1,
    with_layers: bool = False,
) -> tuple:
    """The network of a saved model folder in the runtime that suits it and this machine.

    Args:
      folder: saved model folder.
      runtime: "litert", "keras", or "auto": see `preferred`; where LiteRT is preferred and cannot be had, Keras.
      log: called with a line when the network is compiled, and when it cannot be.
      num_files: that will be judged.
      with_layers: whether its layers and gradients will be asked for, as for explanation maps: Keras runs it then, as
        a network that could train.
    Returns:
      (`folder.CompiledModel`, `traced.TracedModel`, with layers or on another backend than TensorFlow keras.Model; or
      `model_folder.Members` of them; Recipe).
    Raises:
      InputError: the folder cannot be used, or its network has no compiled form and `runtime` is "litert".
    """
    if runtime not in RUNTIMES:
        raise InputError("runtime", f"needs one of {', '.join(RUNTIMES)}, got {runtime!r}.")
    recipe = load_recipe(folder)
    if recipe.members:
        members = member_folders(folder, recipe)
        loaded = [load_for_verdict(member, runtime, log, num_files, with_layers)[0] for member in members]
        return Members(loaded), recipe
    if not with_layers and (runtime == "litert" or (runtime == "auto" and preferred(recipe, num_files) == "litert")):
        try:
            return load_compiled(folder, log)
        except NoCompiledForm as error:
            if runtime == "litert":
                raise
            log(f"{error.problem} Keras runs it instead.")
    load_backend()
    if with_layers or os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        return load_model(folder)
    from tfdeepfake.compiled.traced import load_traced

    return load_traced(folder)


def preferred(recipe: Recipe, num_files: int = 1) -> str:
    """ "keras" where it was measured to end earlier, and on a machine whose GPU it can use; else "litert"."""
    if (
        num_files >= _keras_from_files(recipe)
        or has_accelerator()
        or importlib.util.find_spec("ai_edge_litert") is None
    ):
        return "keras"
    return "litert"


def compile_ahead(folder: Path | str, log: Callable[[str], None] = lambda line: None) -> None:
    """Makes the compiled form of a saved model folder, so that its first verdict need not; says so where there is none.

    Raises:
      InputError: the folder cannot be used.
    """
    recipe = load_recipe(folder)
    for member in member_folders(folder, recipe):
        compile_ahead(member, log)
    if not recipe.members and _keras_from_files(recipe) > 1:
        try:
            compile_folder(folder, log)
        except NoCompiledForm as error:
            log(f"{error.problem} Keras will run it.")


def _keras_from_files(recipe):
    """Files from which Keras ends earlier on a CPU; infinity where it never does."""
    names = _networks(recipe.network, recipe.network_args)
    return min((KERAS_FROM_FILES[name] for name in names & KERAS_FROM_FILES.keys()), default=math.inf)


def _networks(name, arguments):
    """Names of a network and of the members of an ensemble."""
    names = {name}
    for key in ("members", "members_2d", "members_3d"):
        for member in arguments.get(key) or ():
            names |= _networks(*member) if isinstance(member, (list, tuple)) and len(member) == 2 else {str(member)}
    return names
