"""What a network reads, told from its inputs: of a Keras network and of its compiled form alike."""


def input_type(model):
    """What a network reads: "frame" (frames alone), "flow" (a frame and its flow map) or "clip" ([B, T, H, W, C]).

    Args:
      model: anything with `inputs`, a list of tensors with `name` and `shape`.
    """
    ranks = {tensor.name: len(tensor.shape) for tensor in model.inputs}
    if ranks["frames"] == 5:
        return "clip"
    return "flow" if "flow" in ranks else "frame"


def wants_flow(model) -> bool:
    """Whether a network has the input `flow`."""
    return any(tensor.name == "flow" for tensor in model.inputs)
