"""Published Vision Transformers: ImageNet files in timm's naming (arXiv:2010.11929, 2106.10270)."""

from tfdeepfake.models import vit
from tfdeepfake.published.entry import Published
from tfdeepfake.published.swin import FACES

PUBLISHED = {
    # The start of P4's ViT: give this file to `weights` of tall_vit.
    "vit_b_timm": Published(
        network="vit_b",
        module_name=vit.module_name,
        address=vit.IMAGENET_FILE,
        licence="Apache-2.0",
        trained_on="ImageNet-21k",
        data=FACES,
        extra=vit.tokens,
    ),
}
