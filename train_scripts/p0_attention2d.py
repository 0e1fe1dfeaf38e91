r"""P0 Table I, 2D (Attention2D).

    tfdeepfake prepare dfdc --dir DIR --input-type frame --sampling spaced --num-frames 10 --detector blazeface \
        --select most_confident --margin-frac 0.3 --height-px 224 --width-px 224 --data-dir data
    tfdeepfake train --preset p0_attention2d --data-dir data
    tfdeepfake evaluate runs/p0_attention2d --split test --data-dir data

The paper: DFDC, 10 frames a video, BlazeFace, the most confident face, 224 x 224 px, the augmentations of `--augment
p0` in training and validation, Adam at 1e-5 with epsilon 1e-8 (Sec. IV-C), log loss (Eq. 1). Attention on the 14 x 14
x 112 map (Sec. III-A).

Chosen here: margin of 0.3, batches of 32, 20 epochs with early stopping after 5, class weights for the 1 to 5 of real
and fake, ImageNet weights to start from, the validation split of the builder (the paper names none).

Hardware, time: not yet run. Expected score: the paper prints AUC 0.8796, log loss 0.4691; not yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P0 Table I: 2D (Attention2D)",),
    data_set="dfdc",
    prepare={
        "input_type": "frame",
        "sampling": "spaced",
        "num_frames": 10,
        "detector": "blazeface",
        "select": "most_confident",
        "margin_frac": 0.3,
        "height_px": 224,
        "width_px": 224,
    },
    config=TrainConfig(
        network="attention2d",
        data="dfdc",
        start_from="imagenet",
        batch_size=32,
        epochs=20,
        early_stopping_epochs=5,
        learning_rate=1e-05,
        epsilon=1e-08,
        augment="p0",
        augment_validation=True,
        loss="bce",
        class_weights="balanced",
    ),
    printed="AUC 0.8796, log loss 0.4691",
)
