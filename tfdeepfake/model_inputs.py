"""What a network reads, told from its inputs: of a Keras network and of its compiled form alike."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def input_type(model: "keras.Model") -> str:
    """What a network reads: "frame" (frames alone), "flow" (a frame and its flow map) or "clip" ([B, T, H, W, C]).

    Args:
      model: anything with `inputs`, a list of tensors with `name` and `shape`.
    """
    ranks = {tensor.name: len(tensor.shape) for tensor in model.inputs}
    if ranks["frames"] == 5:
        return "clip"
    return "flow" if "flow" in ranks else "frame"


def wants_flow(model: "keras.Model") -> bool:
    """Whether a network has the input `flow`."""
    return any(tensor.name == "flow" for tensor in model.inputs)
