"""Arguments that make every network of MODELS small, and what the sweeps over all of them share."""

import keras
import numpy as np

from tfdeepfake import models
from tfdeepfake.recipe import DataRecipe, Recipe

SIZE = (48, 64)
TINY_3D = {"input_size": (32, 48), "num_frames": 8, "width": 8, "blocks": (1, 1, 1, 1)}
TINY_EFFICIENTNET = {"input_size": SIZE, "width": 0.1, "depth": 0.3, "drop_connect": 0.0}
TINY_SWIN = {"embed_dim": 8, "depths": (1, 2), "heads": (1, 2), "windows": (4, 2), "drop_path": 0.0}
TINY_VIT = {"patch": 8, "embed_dim": 8, "depth": 2, "heads": 2, "drop_path": 0.0}
TINY_TALL = {"input_size": (24, 24), "num_frames": 4, "thumbnail_size": (32, 32)}
TINY_SMALL = {"backbone": "small", "width": 2}
TINY_MEMBERS_3D = [
    ["mc3_18", TINY_3D],
    ["resnet3d_34", TINY_3D | {"input_size": (32, 32), "num_frames": 8}],
]
TINY = {
    "baseline": {"input_size": SIZE, "backbone": "small", "width": 2},
    "two_stream_frame": {"input_size": SIZE, "backbone": "small", "width": 2, "flow_widths": (3, 4), "units": 12},
    "two_stream_video": {"input_size": SIZE, "num_frames": 3, "backbone": "small", "width": 2, "flow_widths": (3, 4)},
    "cnn_rnn": {"input_size": SIZE, "num_frames": 3, "backbone": "small", "width": 2, "units": 12},
    "meso4": {"input_size": SIZE},
    "meso_inception4": {"input_size": SIZE},
    **{name: TINY_3D for name in ("resnet3d_18", "resnet3d_34", "resnet3d_50", "resnet3d_101", "resnet3d_152")},
    "resnet3d_200": TINY_3D,
    "cnn3d": TINY_3D,
    # Narrower branches of its mixed blocks may have a single channel, which an unlucky start leaves at zero.
    "i3d": {"input_size": (32, 48), "num_frames": 8, "width": 32},
    **{name: TINY_3D | {"cardinality": 4} for name in ("resnext3d_50", "resnext3d_101")},
    **{name: TINY_3D for name in ("r2plus1d_hara_18", "r2plus1d_34", "r2plus1d_50", "r2plus1d_101")},
    **{name: TINY_3D for name in ("r3d_18", "mc3_18", "r2plus1d_18")},
    "light3d": {"input_size": (32, 48), "num_frames": 8, "width": 8},
    **{name: {"input_size": SIZE, "width": 0.05, "middle_blocks": 1} for name in ("xception", "xception_st")},
    **{name: TINY_EFFICIENTNET for name in models.MODELS if name.startswith("efficientnet")},
    "attention2d": TINY_EFFICIENTNET,
    "swin_b": {"input_size": (32, 48)} | TINY_SWIN,
    "vit_b": {"input_size": SIZE} | TINY_VIT,
    # Its head sees directions of length 1: in 8 dimensions, a dozen steps turn them little.
    "clip_vit_l14": {"input_size": SIZE} | TINY_VIT | {"embed_dim": 64, "heads": 4},
    "tall_swin": TINY_TALL | {"backbone_args": TINY_SWIN},
    "tall_vit": TINY_TALL | {"backbone_args": TINY_VIT},
    "tall_resnet50": TINY_TALL | {"backbone": "small", "backbone_args": {"width": 4}},
    "tall_efficientnet_b4": TINY_TALL | {"backbone_args": {"width": 0.1, "depth": 0.3, "drop_connect": 0.0}},
    "tall_plus_plus": TINY_TALL | {"backbone_args": TINY_SWIN, "graph_inner": 8},
    "ensemble": {"members": [["meso4", {"input_size": SIZE}], ["baseline", {"input_size": (32, 48), **TINY_SMALL}]]},
    "ensemble3d": {"members": TINY_MEMBERS_3D, "num_frames": 8},
    "fusion_2d_3d": {
        "members_2d": [["baseline", {"input_size": SIZE, **TINY_SMALL}]],
        "members_3d": TINY_MEMBERS_3D,
        "num_frames_2d": 3,
        "num_frames": 8,
    },
}
# At a tiny size these are their siblings' code and sizes: they are built and scored, but not trained, saved, exported
# and taken to JAX too.
SAME_WHEN_TINY = {
    "resnet3d_34": "resnet3d_18",
    **dict.fromkeys(("resnet3d_101", "resnet3d_152", "resnet3d_200"), "resnet3d_50"),
    "resnext3d_101": "resnext3d_50",
    "r2plus1d_34": "r2plus1d_hara_18",
    "r2plus1d_101": "r2plus1d_50",
    # The others pad by their native sizes.
    "efficientnet_b6": "efficientnet_b1",
}


def random_inputs(model, batch=4, seed=0):
    """uint8 frames and float32 flow, as the pipeline feeds them."""
    rng = np.random.default_rng(seed)
    shapes = {tensor.name: (batch, *tensor.shape[1:]) for tensor in model.inputs}
    inputs = {"frames": rng.integers(0, 256, shapes["frames"], dtype=np.uint8)}
    if "flow" in shapes:
        inputs["flow"] = rng.normal(0, 3, shapes["flow"]).astype(np.float32)
    return inputs


def scores(model, inputs):
    """float32 [B, 1] or [B, K], outside any traced function."""
    return keras.ops.convert_to_numpy(model(inputs, training=False))


def recipe_of(model, network_args, **fields):
    """A recipe that makes what the network reads."""
    shape, input_type = model.input["frames"].shape, models.input_type(model)
    flow = "dis" if models.wants_flow(model) else "none"
    frames = shape[1] if input_type == "clip" else 16
    data = DataRecipe(input_type=input_type, num_frames=frames, height_px=shape[-3], width_px=shape[-2], flow=flow)
    return Recipe(model.name, network_args, data, **fields)
