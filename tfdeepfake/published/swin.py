"""Published Swin Transformers: ImageNet files of the authors (arXiv:2103.14030) and of timm."""

from tfdeepfake.published.entry import Later, Published
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.weights import imagenet

FACES = DataRecipe(
    input_type="frame", num_frames=32, margin_frac=0.3, height_px=224, width_px=224, box_smoothing="frame"
)


def _swin_b(address, trained_on, timm=False):
    return Published(
        network="swin_b",
        module_name=Later(f"tfdeepfake.models.swin:module_name{'_timm' if timm else ''}"),
        address=address,
        licence="MIT",
        trained_on=trained_on,
        data=FACES,
        extra=Later(f"tfdeepfake.models.swin:tables{'_timm' if timm else ''}"),
        unused=imagenet.SWIN_UNUSED,
    )


PUBLISHED = {
    "swin_b_imagenet": _swin_b(imagenet.SWIN_FILE, "ImageNet"),
    # The start of P4's networks: give this file to `weights` of tall_swin.
    "swin_b_imagenet22k": _swin_b(imagenet.SWIN_22K_FILE, "ImageNet-22k"),
    "swin_b_timm": _swin_b(
        "model.safetensors of https://huggingface.co/timm/swin_base_patch4_window7_224.ms_in22k (or ..._ft_in1k)",
        "ImageNet-22k",
        timm=True,
    ),
}
