"""Kinetics-400 checkpoints of the 18-layer video networks as torchvision publishes them (Tran et al.)."""

from tfdeepfake.published.entry import KINETICS_TERMS, Later, Published
from tfdeepfake.recipe import DataRecipe

_MODULE_NAME = Later("tfdeepfake.models.video_resnets:module_name")
# 16 neighbouring frames of 112 x 112, as trained; the margin is P3's, there are no faces in Kinetics' own recipe.
_DATA = DataRecipe(
    input_type="clip", sampling="consecutive", num_frames=16, num_clips=4, margin_frac=0.15, height_px=112, width_px=112
)


def _torchvision(network, digits):
    return Published(
        network,
        _MODULE_NAME,
        f"https://download.pytorch.org/models/{network}-{digits}.pth",
        "BSD-3-Clause (code and weights)",
        "Kinetics-400 (action classes)",
        _DATA,
        data_terms=KINETICS_TERMS,
        # The name of the file states the first digits of its checksum.
        sha256=digits,
    )


PUBLISHED = {
    "r3d_18_kinetics": _torchvision("r3d_18", "b3b3357e"),
    "mc3_18_kinetics": _torchvision("mc3_18", "a90a0ba3"),
    "r2plus1d_18_kinetics": _torchvision("r2plus1d_18", "91a641e6"),
}
