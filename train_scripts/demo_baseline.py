"""The demo's counterpart without time: the same small frame network on single frames.

    tfdeepfake prepare synthetic_faces --input-type clip
    tfdeepfake train --preset demo_baseline

The same passes over the same frames as `demo`: its batches of 8 clips are 128 frames here.

Hardware: 2 CPU cores. Time: about a minute. Expected score: video-level test AUC 0.505 [0.415, 0.599]: it learns the
faces of its 36 training persons by heart.
"""

from tfdeepfake.training.config import TrainConfig

CONFIG = TrainConfig(
    network="baseline",
    network_args={"backbone": "small"},
    data="synthetic_faces/clip",
    epochs=10,
    batch_size=128,
    learning_rate=1e-3,
    schedule="cosine",
    warmup_epochs=1.0,
    augment="flip",
)
