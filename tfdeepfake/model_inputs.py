"""What a network reads: told from its inputs, of a Keras network and of its compiled form alike, or from its name."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

# What a network reads is known before it is built, without Keras: (input type, whether it reads flow). A frame where
# nothing is said; a test holds this against every network.
READS = {
    "two_stream_frame": ("flow", True),
    "two_stream_video": ("clip", True),
    **dict.fromkeys(("cnn_rnn", "cnn3d", "i3d", "light3d", "r3d_18", "mc3_18", "r2plus1d_18"), ("clip", False)),
    **dict.fromkeys(("resnet3d_18", "resnet3d_34", "resnet3d_50", "resnet3d_101"), ("clip", False)),
    **dict.fromkeys(("resnet3d_152", "resnet3d_200", "resnext3d_50", "resnext3d_101"), ("clip", False)),
    **dict.fromkeys(("r2plus1d_hara_18", "r2plus1d_34", "r2plus1d_50", "r2plus1d_101"), ("clip", False)),
    **dict.fromkeys(("tall_swin", "tall_vit", "tall_resnet50", "tall_efficientnet_b4"), ("clip", False)),
    "tall_plus_plus": ("clip", False),
}
FRAME = ("frame", False)
# Ensembles, and the arguments that name their members.
MEMBERS = {"ensemble": ("members",), "ensemble3d": ("members",), "fusion_2d_3d": ("members_2d", "members_3d")}


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


def reads_by_name(name: str, network_args: dict | None = None) -> tuple[str, bool] | None:
    """What the network of a name and its arguments reads: (input type, whether it reads flow).

    Returns:
      None of an ensemble whose arguments do not name all of its members: `models.reads` knows its own.
    """
    given = network_args or {}
    if name not in MEMBERS:
        return READS.get(name, FRAME)
    if not given.keys() >= set(MEMBERS[name]):
        return None
    of_members = [READS.get(member, FRAME) for argument in MEMBERS[name] for member, _ in given[argument]]
    flow = any(with_flow for _, with_flow in of_members)
    clip = any(input_type == "clip" for input_type, _ in of_members)
    return "clip" if clip else "flow" if flow else "frame", flow
