r"""P2 Table 7, two-stream per frame: a frame and its flow map (Table 3).

    tfdeepfake prepare video_folder --dir DIR --input-type clip --flow dis --sampling spaced --num-frames 16 \
        --detector none --height-px 108 --width-px 192 --option landscape=true --data-dir data
    tfdeepfake train --preset p2_two_stream_frame --data-dir data
    tfdeepfake evaluate runs/p2_two_stream_frame --split test --data-dir data

The paper: 825 landscape videos of DFDC, 16 equally spaced whole frames each (Sec. 3.1); Adam at "10e-3", class
weights (Sec. 4.2). Read as a bag of pairs of frame and flow, batches of 16, BCE.

Chosen here: 10 epochs, ImageNet weights to start from, no schedule, "10e-3" read as 0.01. No augmentation: the paper
names none. Sources are split 80 / 10 / 10, where the paper splits videos at random.

Hardware, time: not yet run. Expected score: the paper prints frame accuracy 0.97, precision 0.91, recall 0.98; not
yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P2 Table 7: Two-Stream Per-Frame",),
    data_set="video_folder",
    prepare={
        "input_type": "clip",
        "flow": "dis",
        "sampling": "spaced",
        "num_frames": 16,
        "detector": "none",
        "height_px": 108,
        "width_px": 192,
        "landscape": True,
    },
    config=TrainConfig(
        network="two_stream_frame",
        network_args={"weights": "imagenet"},
        data="video_folder",
        epochs=10,
        batch_size=16,
        learning_rate=0.01,
        loss="bce",
        class_weights="balanced",
    ),
    printed="frame accuracy 0.97, precision 0.91, recall 0.98",
)
