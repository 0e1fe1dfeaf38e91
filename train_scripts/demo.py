r"""The demo: a small two-stream network on the drawn data set, on a laptop.

    tfdeepfake prepare synthetic_faces --input-type clip --data-dir data
    tfdeepfake train --preset demo --data-dir data
    tfdeepfake evaluate runs/demo --split test --data-dir data

The same passes over the same clips as `demo_baseline`, to compare what time adds to single frames.

Hardware: 2 CPU cores. Time: 2 minutes. Expected score: video-level test AUC 0.970 [0.901, 0.991].
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
        network="two_stream_video",
        network_args={"backbone": "small", "batch_norm": True, "flow_widths": [16, 32]},
        data="synthetic_faces",
        epochs=10,
        batch_size=8,
        learning_rate=0.001,
        schedule="cosine",
        warmup_epochs=1.0,
        augment="flip",
        # A clip alone has no interval, and more than one in ten of its verdicts was wrong; no other measure paid here.
        limits={"samples": 2},
        limits_measured="measured by benchmarks/abstention.py on drawn faces, 26 November 2026",
    ),
    measured="video-level test AUC 0.970 [0.901, 0.991]",
)
