r"""P0 Table I, 3D (Ensemble3D): members vote (Sec. III-B).

    tfdeepfake prepare dfdc --dir DIR --input-type clip --sampling consecutive --num-frames 64 --num-clips 1 \
        --detector blazeface --select most_confident --margin-frac 0.3 --height-px 224 --width-px 224 --flow \
        none --data-dir data
    tfdeepfake train --preset p0_i3d --data-dir data
    tfdeepfake train --preset p0_resnet3d_34 --data-dir data
    tfdeepfake train --preset p0_mc3_18 --data-dir data
    tfdeepfake train --preset p0_r2plus1d_18 --data-dir data
    tfdeepfake ensemble runs/p0_i3d runs/p0_resnet3d_34 runs/p0_mc3_18 runs/p0_r2plus1d_18 --vote soft --out \
        runs/p0_ensemble3d
    tfdeepfake evaluate runs/p0_ensemble3d --split test --data-dir data

The paper: the members' predictions are averaged (Sec. III-B).

Chosen here: mean of probabilities.

Hardware, time: not yet run. Expected score: the paper prints AUC 0.8821, log loss 0.4741; not yet run here.
"""

from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P0 Table I: 3D (Ensemble3D)",),
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
    config=None,
    printed="AUC 0.8821, log loss 0.4741",
    stages=("p0_i3d", "p0_resnet3d_34", "p0_mc3_18", "p0_r2plus1d_18"),
    vote="soft",
)
