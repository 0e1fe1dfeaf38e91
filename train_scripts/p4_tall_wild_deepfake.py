r"""P4 Table 2, TALL trained and tested on Wild-DF.

    tfdeepfake prepare wild_deepfake --dir DIR --input-type clip --sampling consecutive --num-frames 4 \
        --num-clips 8 --detector none --select largest --margin-frac 0.3 --height-px 112 --width-px 112 --flow \
        none --data-dir data
    tfdeepfake train --preset p4_tall_wild_deepfake --data-dir data
    tfdeepfake evaluate runs/p4_tall_wild_deepfake --split test --data-dir data

The paper: MTCNN, the largest box, 30 % added on each side, 8 clips of 4 consecutive frames, a thumbnail of 224 x 224
px, ImageNet-21K weights, Adam at 1.5e-5, batches of 4, cosine decay after 10 epochs of linear warm-up (Sec. 4.2).
WildDeepfake's images are faces already: no detector looks for them. Sec. 1 draws the frames at random from a longer
clip, whose length it does not give; here they are stored, as Sec. 4.2 has it (`--window-frames 4` of longer stored
runs draws them).

Chosen here: 30 epochs; no class weights; BCE on one logit in the place of cross-entropy on two. No augmentation
beside the mask: the paper names none.

Hardware, time: not yet run. Expected score: the paper prints AUC 88.75; not yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P4 Table 2: TALL, Wild-DF",),
    data_set="wild_deepfake",
    prepare={
        "input_type": "clip",
        "sampling": "consecutive",
        "num_frames": 4,
        "num_clips": 8,
        "detector": "none",
        "select": "largest",
        "margin_frac": 0.3,
        "height_px": 112,
        "width_px": 112,
        "flow": "none",
    },
    config=TrainConfig(
        network="tall_swin",
        data="wild_deepfake",
        start_from="imagenet",
        loss="bce",
        class_weights="none",
        learning_rate=1.5e-05,
        batch_size=4,
        epochs=30,
        schedule="cosine",
        warmup_epochs=10.0,
    ),
    printed="AUC 88.75",
)
