r"""P2 5.2, 3D CNN (Table 6).

    tfdeepfake prepare video_folder --dir DIR --input-type clip --flow none --sampling spaced --num-frames 16 \
        --detector none --height-px 224 --width-px 224 --option landscape=true --data-dir data
    tfdeepfake train --preset p2_cnn3d --data-dir data
    tfdeepfake evaluate runs/p2_cnn3d --split test --data-dir data

The paper: 825 landscape videos of DFDC, 16 equally spaced whole frames each (Sec. 3.1); Adam at "10e-3", class
weights (Sec. 4.2). 16 frames of 224 x 224 px are one example: batches of 4, BCE + F1.

Chosen here: 10 epochs, ImageNet weights to start from, no schedule, "10e-3" read as 0.01. The paper gives no alpha
and beta: both are 1. No augmentation: the paper names none. Sources are split 80 / 10 / 10, where the paper splits
videos at random.

Hardware, time: not yet run. Expected score: the paper prints accuracies of 0.59 and 0.62 for this network and the
CNN-RNN, the share of fakes (Sec. 5.2); not yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P2 5.2: 3D CNN",),
    data_set="video_folder",
    prepare={
        "input_type": "clip",
        "flow": "none",
        "sampling": "spaced",
        "num_frames": 16,
        "detector": "none",
        "height_px": 224,
        "width_px": 224,
        "landscape": True,
    },
    config=TrainConfig(
        network="cnn3d",
        network_args={"weights": "imagenet"},
        data="video_folder",
        epochs=10,
        batch_size=4,
        learning_rate=0.01,
        loss="bce_f1",
        class_weights="balanced",
    ),
    printed="accuracies of 0.59 and 0.62 for this network and the CNN-RNN, the share of fakes (Sec. 5.2)",
)
