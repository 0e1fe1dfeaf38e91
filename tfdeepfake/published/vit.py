"""Published Vision Transformers: ImageNet files in timm's naming (arXiv:2010.11929, 2106.10270), and GenD over CLIP
(arXiv:2508.06248).
"""

from tfdeepfake.published.entry import FF_TERMS, Later, Published
from tfdeepfake.published.swin import FACES
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.weights import imagenet

PUBLISHED = {
    # The start of P4's ViT: give this file to `weights` of tall_vit.
    "vit_b_timm": Published(
        network="vit_b",
        module_name=Later("tfdeepfake.models.vit:module_name"),
        address=imagenet.VIT_FILE,
        licence="Apache-2.0",
        trained_on="ImageNet-21k",
        data=FACES,
        extra=Later("tfdeepfake.models.vit:tokens"),
    ),
    "gend_clip_l14": Published(
        network="clip_vit_l14",
        module_name=Later("tfdeepfake.models.vit:module_name_gend"),
        address="https://huggingface.co/yermandy/GenD_CLIP_L_14/resolve/891ce014a0308386c4d7d25b3dcf436a22db5504/"
        "model.safetensors",
        licence="MIT",
        data_terms=FF_TERMS,
        trained_on="FaceForensics++ c23",
        data=DataRecipe(
            input_type="frame",
            num_frames=32,
            margin_frac=0.15,
            height_px=224,
            width_px=224,
            box_smoothing="frame",
            alignment="gend",
        ),
        positive=1,
        network_args={"input_size": (224, 224)},
        extra=Later("tfdeepfake.models.vit:tensors_gend"),
        # CLIP's way to the space it shares with text, which a detector does not take.
        unused=("feature_extractor.visual_projection.weight",),
        sha256="d76f0bdfd74a29fe1b1c1b84a80ac92486993e426878e8c7a3944281fbb96833",
        num_bytes=1_215_928_160,
        gmacs=78.461,
        cpu_samples=8,
        accuracy="AUROC over videos: Celeb-DF v2 .960, DFD .970, DFDC .871, FFIW .945 (its authors' page)",
    ),
}
