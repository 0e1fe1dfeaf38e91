r"""The demo's counterpart without time: the same small frame network on single frames.

    tfdeepfake prepare synthetic_faces --input-type clip --data-dir data
    tfdeepfake train --preset demo_baseline --data-dir data
    tfdeepfake evaluate runs/demo_baseline --split test --data-dir data

The same passes over the same frames as `demo`: its batches of 8 clips are 128 frames here. It learns the faces of its
36 training persons by heart.

Hardware: 2 CPU cores. Time: about a minute. Expected score: video-level test AUC 0.505 [0.415, 0.599].
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=(),
    data_set="synthetic_faces",
    prepare={
        "input_type": "clip",
    },
    config=TrainConfig(
        network="baseline",
        network_args={"backbone": "small"},
        data="synthetic_faces",
        epochs=10,
        batch_size=128,
        learning_rate=0.001,
        schedule="cosine",
        warmup_epochs=1.0,
        augment="flip",
    ),
    measured="video-level test AUC 0.505 [0.415, 0.599]",
)
