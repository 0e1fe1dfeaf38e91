"""Checkpoints of TALL over Swin-B as its authors' code writes them (arXiv:2307.07494; P4)."""

from tfdeepfake.published.entry import Later, Published
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.weights import imagenet

PUBLISHED = {
    "tall_swin": Published(
        network="tall_swin",
        module_name=Later("tfdeepfake.models.swin:module_name"),
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
        network_args={"mean": imagenet.MEAN, "std": imagenet.STD},
        extra=Later("tfdeepfake.models.tall:tables"),
        unused=imagenet.SWIN_UNUSED,
        gmacs=16.315,
    ),
}
