"""All networks by name, single ones and ensembles; building one, and what it reads."""

import keras

from tfdeepfake.models.ensemble import ensemble, ensemble3d, fusion_2d_3d
from tfdeepfake.models.networks import NETWORKS, build_from

MODELS = NETWORKS | {"ensemble": ensemble, "ensemble3d": ensemble3d, "fusion_2d_3d": fusion_2d_3d}


def build(name: str, **kwargs) -> keras.Model:
    """Builds a network.

    Args:
      name: a key of `MODELS`.
      **kwargs: arguments of that function.
    Raises:
      ValueError: unknown network (names the nearest ones) or argument.
    """
    return build_from(MODELS, name, **kwargs)


def input_type(model: keras.Model) -> str:
    """What a network reads: "frame" (frames alone), "flow" (a frame and its flow map) or "clip" ([B, T, H, W, C])."""
    ranks = {tensor.name: len(tensor.shape) for tensor in model.inputs}
    if ranks["frames"] == 5:
        return "clip"
    return "flow" if "flow" in ranks else "frame"


def wants_flow(model: keras.Model) -> bool:
    """Whether a network has the input `flow`."""
    return any(tensor.name == "flow" for tensor in model.inputs)
