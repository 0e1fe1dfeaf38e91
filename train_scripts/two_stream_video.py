r"""P2's two-stream network on whole videos (Table 4).

    tfdeepfake prepare video_folder --dir VIDEOS --data-dir data --input-type clip --flow dis --sampling spaced \
        --num-frames 16 --detector none --height-px 108 --width-px 192
    tfdeepfake train --preset two_stream_video --data-dir data

The paper's data: see `baseline`; here 16 frames and 16 flow maps of a video are one example: batches of 4, Adam at
"10e-3", class weights, BCE + F1 (Sec. 4.2). The paper gives no alpha and beta: both are 1. Its grid over batch
sizes and learning rates: `tfdeepfake grid two_stream_video runs/grid`.
What the paper does not say and is chosen here: 10 epochs, ImageNet weights to start from, no schedule.

Hardware, time: not yet run. Expected score: the paper prints a confusion matrix only (Figure 2); not yet run here.
"""

from tfdeepfake.training.config import TrainConfig

CONFIG = TrainConfig(
    network="two_stream_video",
    network_args={"weights": "imagenet"},
    data="video_folder",
    epochs=10,
    batch_size=4,
    learning_rate=10e-3,
    loss="bce_f1",
    class_weights="balanced",
)
