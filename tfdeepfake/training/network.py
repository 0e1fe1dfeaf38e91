"""The network of a run: its arguments, what it reads, its sizes and precision; what is wrong is told as the user's."""

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import keras
import tensorflow as tf

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.published.pretrained import way_to_weights
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.training.config import TrainConfig


@contextmanager
def mixed_precision(precision: str) -> Iterator[None]:
    """Sets the mixed precision policy for the networks built inside."""
    before = keras.config.dtype_policy()
    if precision != "float32":
        on_tensorflow = keras.backend.backend() == "tensorflow"
        if precision == "float16" and on_tensorflow and not tf.config.list_logical_devices("GPU"):
            print("precision float16 is about 50 times slower than float32 on a CPU; try bfloat16.", file=sys.stderr)
        keras.config.set_dtype_policy(f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_precision(precision: str, model: keras.Model) -> None:
    """Refuses what this machine computes wrongly.

    Raises:
      InputError: bfloat16 of 3D convolutions on a CPU.
    """
    # TensorFlow 2.21: the gradient of a kernel over three frames is wrong, or NaN, where two frames are left.
    if precision != "bfloat16" or keras.backend.backend() != "tensorflow" or tf.config.list_logical_devices("GPU"):
        return
    over_time = any(isinstance(a, keras.layers.Conv3D) and a.kernel_size[0] > 1 for a in model._flatten_layers())
    if over_time and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
        raise InputError(
            "precision",
            "bfloat16 trains 3D convolutions wrongly on a CPU: gradients of TensorFlow's kernels are wrong or NaN.",
            "Take float32, or set TF_ENABLE_ONEDNN_OPTS=0 in the environment.",
        )


def parameters(network: str) -> Mapping[str, inspect.Parameter]:
    """Names of a network's arguments."""
    if network not in models.MODELS:
        try:
            models.build(network)
        except ValueError as error:  # names the networks nearest to it
            raise InputError("network", str(error)) from None
    return inspect.signature(models.MODELS[network]).parameters


def own_args(config: TrainConfig) -> dict:
    """The config's arguments of the network."""
    if "weights" in config.network_args and "weights" not in parameters(config.network):
        raise InputError("network_args", f"{config.network} has no argument weights.", way_to_weights(config.network))
    return dict(config.network_args)


def reads(network: str, network_args: dict) -> tuple[str, bool]:
    """What the network will read: (input type, whether it reads flow)."""
    parameters(network)
    try:
        return models.reads(network, network_args)
    except (TypeError, ValueError) as error:
        raise InputError(network, f"cannot be built with {network_args}: {error}") from error


def sizes_of(config: TrainConfig, recipe: DataRecipe, input_type: str) -> dict:
    """The arguments of the network that are the data's: its input size, and the frames of a clip."""
    sizes = {"input_size": [recipe.height_px, recipe.width_px]}
    sizes |= {"num_frames": recipe.num_frames} if input_type == "clip" else {}
    for name, value in sizes.items():
        given = config.network_args.get(name, value)
        if list(given) != value if name == "input_size" else given != value:
            raise InputError(
                "network_args",
                f"{name} is {given}, but the data set has {value}.",
                "Leave it out: it comes from the data.",
            )
    return sizes


def build(network: str, network_args: dict) -> keras.Model:
    """Builds the network; what cannot be built is told as the user's."""
    try:
        return models.build(network, **network_args)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        remedy = ""
        if "rows *" in str(error):  # a thumbnail of other frames than the data has
            remedy = (
                'Give --network-args \'{"rows": R, "columns": C}\', or take other clips: --window-frames N of stored '
                "runs, or prepare --num-frames N."
            )
        raise InputError(network, f"cannot be built with {network_args}: {error}", remedy) from error


def without_weights(network_args: dict) -> dict:
    """Arguments that build the same network without published weights, whose place its own have taken.

    Those of an ensemble's members go too; the weights of their votes, numbers under the same name, stay.
    """
    bare = {n: value for n, value in network_args.items() if n != "weights" or not isinstance(value, str | None)}
    for name in bare:
        if name.startswith("members"):
            bare[name] = [[network, without_weights(args)] for network, args in bare[name]]
    return bare
