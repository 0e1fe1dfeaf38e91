"""The demo: a small two-stream network on the drawn data set, on a laptop.

    tfdeepfake prepare synthetic_faces --input-type clip
    tfdeepfake train --preset demo

The same passes over the same clips as `demo_baseline`, to compare what time adds to single frames.

Hardware: 2 CPU cores. Time: 2 minutes. Expected score: video-level test AUC 0.973 [0.936, 0.994].
"""

from tfdeepfake.training.config import TrainConfig

CONFIG = TrainConfig(
    network="two_stream_video",
    network_args={"backbone": "small", "batch_norm": True, "flow_widths": [16, 32]},
    data="synthetic_faces/clip",
    epochs=10,
    batch_size=8,
    learning_rate=1e-3,
    schedule="cosine",
    warmup_epochs=1.0,
    augment="flip",
)
