r"""P2's baseline: ResNet50 on single frames (Table 2), scores of a video's frames averaged.

    tfdeepfake prepare video_folder --dir VIDEOS --data-dir data --input-type clip --flow dis --sampling spaced \
        --num-frames 16 --detector none --height-px 108 --width-px 192
    tfdeepfake train --preset baseline --data-dir data

The paper's data: 825 videos of DFDC, 16 equally spaced whole frames each, read as a bag of frames (Sec. 3.1); batches
of 16 frames, Adam at "10e-3", class weights, BCE (Sec. 4.2). All presets of P2
read the same prepared set.
What the paper does not say and is chosen here: 10 epochs, ImageNet weights to start from, no schedule.

Hardware, time: not yet run. Expected score: the paper's Table 7 has frame accuracy 0.97; not yet run here.
"""

from tfdeepfake.training.config import TrainConfig

CONFIG = TrainConfig(
    network="baseline",
    network_args={"weights": "imagenet"},
    data="video_folder",
    epochs=10,
    batch_size=16,
    learning_rate=10e-3,
    loss="bce",
    class_weights="balanced",
)
