"""Checkpoints of TALL over Swin-B as its authors' code writes them (arXiv:2307.07494; P4)."""

from tfdeepfake.models import swin, tall
from tfdeepfake.models.swin import IMAGENET_MEAN, IMAGENET_STD
from tfdeepfake.published.entry import Published
from tfdeepfake.recipe import DataRecipe

PUBLISHED = {
    "tall_swin": Published(
        network="tall_swin",
        module_name=swin.module_name,
        address="a checkpoint trained with https://github.com/rainy-xu/TALL4Deepfake (--model TALL_SWIN "
        "--hpe_to_token --input-size 112); the authors publish the code without weights",
        licence="that of who trained it; the authors' code is MIT since December 2023",
        trained_on="unknown",
        # P4 4.2: 8 clips of 4 consecutive frames, 30 % of margin on each side.
        data=DataRecipe(
            sampling="consecutive",
            num_frames=4,
            num_clips=8,
            margin_frac=0.3,
            height_px=112,
            width_px=112,
            box_smoothing="clip",
        ),
        positive=1,
        network_args={"mean": IMAGENET_MEAN, "std": IMAGENET_STD},
        extra=tall.tables,
        unused=swin.UNUSED,
    ),
}
