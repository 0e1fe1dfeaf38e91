r"""P4 Table 5, TALL++* trained on GANs.

    tfdeepfake prepare diffusion_gan_bedroom --dir DIR --input-type clip --sampling consecutive --num-frames 4 \
        --num-clips 200 --detector none --height-px 112 --width-px 112 --flow none --option \
        generators=ProGAN,StyleGAN,ProjectedGAN,Diff-StyleGAN2,Diff-ProjectedGAN --data-dir data
    tfdeepfake train --preset p4_tall_graph_gans --data-dir data
    tfdeepfake evaluate runs/p4_tall_graph_gans --split test --data-dir data

The paper: MTCNN, the largest box, 30 % added on each side, 8 clips of 4 consecutive frames, a thumbnail of 224 x 224
px, ImageNet-21K weights, Adam at 1.5e-5, batches of 4, cosine decay after 10 epochs of linear warm-up (Sec. 4.2). The
bedroom images of five generators and the real ones meant for them, pseudo-videos of 200 images whose scores are
averaged; alpha is 0 (Sec. 4.7). Each image is a clip of four times itself. Sec. 1 draws the frames at random from a
longer clip, whose length it does not give; here they are stored, as Sec. 4.2 has it (`--window-frames 4` of longer
stored runs draws them).

The row is about diffusion_gan_bedroom: `tfdeepfake presets p4_tall_graph_gans` prints how each is prepared and
scored.

Chosen here: 30 epochs; no class weights; BCE on one logit in the place of cross-entropy on two. No augmentation
beside the mask: the paper names none.

Hardware, time: not yet run. Expected score: the paper prints AUC 99.75 over all ten generators; not yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P4 Table 5: TALL++*, GANs",),
    data_set="diffusion_gan_bedroom",
    prepare={
        "input_type": "clip",
        "sampling": "consecutive",
        "num_frames": 4,
        "num_clips": 200,
        "detector": "none",
        "height_px": 112,
        "width_px": 112,
        "flow": "none",
        "generators": ("ProGAN", "StyleGAN", "ProjectedGAN", "Diff-StyleGAN2", "Diff-ProjectedGAN"),
    },
    config=TrainConfig(
        network="tall_swin",
        network_args={"graph": True},
        data="diffusion_gan_bedroom",
        start_from="imagenet",
        loss="bce",
        class_weights="none",
        learning_rate=1.5e-05,
        batch_size=4,
        epochs=30,
        schedule="cosine",
        warmup_epochs=10.0,
    ),
    evaluate=(("diffusion_gan_bedroom", {}),),
    printed="AUC 99.75 over all ten generators",
)
