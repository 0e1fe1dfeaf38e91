r"""P0's I3D, a member of Ensemble3D (Sec. III-B), with CutMix.

    tfdeepfake prepare dfdc --dir DIR --input-type clip --sampling consecutive --num-frames 64 --num-clips 1 \
        --detector blazeface --select most_confident --margin-frac 0.3 --height-px 224 --width-px 224 --flow \
        none --data-dir data
    tfdeepfake train --preset p0_i3d --data-dir data
    tfdeepfake evaluate runs/p0_i3d --split test --data-dir data

The paper: DFDC, BlazeFace, the most confident face, 224 x 224 px, the augmentations of `--augment p0` in training and
validation, Adam at 1e-5 with epsilon 1e-8 (Sec. IV-C), log loss (Eq. 1). CutMix for I3D and R(2+1)D, ImageNet weights
of Inception, inflated, for I3D to start from (Sec. III-B).

Chosen here: margin of 0.3, 1 run of 64 consecutive frames at 224 px, batches of 8, 20 epochs with early stopping after
5, class weights for the 1 to 5 of real and fake, the validation split of the builder (the paper names none). The paper
takes 10 frames of each video (Sec. IV-C) and says of none how the 3D networks read them; nor how much of a face's
surroundings its "smallest region of interest" (Sec. III-B) has.

Hardware, time: not yet run. Expected score: not yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=(),
    data_set="dfdc",
    prepare={
        "input_type": "clip",
        "sampling": "consecutive",
        "num_frames": 64,
        "num_clips": 1,
        "detector": "blazeface",
        "select": "most_confident",
        "margin_frac": 0.3,
        "height_px": 224,
        "width_px": 224,
        "flow": "none",
    },
    config=TrainConfig(
        network="i3d",
        network_args={"input_size": (224, 224), "num_frames": 64},
        data="dfdc",
        start_from="imagenet",
        batch_size=8,
        epochs=20,
        early_stopping_epochs=5,
        learning_rate=1e-05,
        epsilon=1e-08,
        augment="p0",
        augment_validation=True,
        loss="bce",
        class_weights="balanced",
        mix="cutmix",
    ),
)
