"""All networks by name, single ones and ensembles; building one, and what it would read."""

import inspect
from typing import Any

import keras

from tfdeepfake.errors import InputError
from tfdeepfake.model_inputs import MEMBERS, reads_by_name
from tfdeepfake.models.ensemble import ensemble, ensemble3d, fusion_2d_3d
from tfdeepfake.models.networks import ANY_LENGTH, NETWORKS, build_from

ENSEMBLES = {"ensemble": ensemble, "ensemble3d": ensemble3d, "fusion_2d_3d": fusion_2d_3d}
MODELS = NETWORKS | ENSEMBLES


def build(name: str, **kwargs: Any) -> keras.Model:
    """Builds a network.

    Args:
      name: a key of `MODELS`.
      **kwargs: arguments of that function.
    Raises:
      ValueError: unknown network (names the nearest ones) or argument.
    """
    return build_from(MODELS, name, **kwargs)


def reads(name: str, network_args: dict | None = None) -> tuple[str, bool]:
    """What `build(name, **network_args)` will read, without building it; an ensemble reads what its members read.

    Returns:
      (input type "frame", "flow" or "clip", whether it reads flow), as `model_inputs` says of a built network.
    """
    given = dict(network_args or {})
    for argument in MEMBERS.get(name, ()):
        given.setdefault(argument, inspect.signature(ENSEMBLES[name]).parameters[argument].default)
    return reads_by_name(name, given)


def check_any_length(name: str, num_frames: int) -> None:
    """Raises InputError unless a network trained on shorter clips can score clips of `num_frames`, in `ANY_LENGTH`."""
    if name not in ANY_LENGTH:
        raise InputError(
            name,
            f"takes clips of the length it was trained on, not chunks of {num_frames} frames.",
            f"These score clips of any length: {', '.join(ANY_LENGTH)}.",
        )
