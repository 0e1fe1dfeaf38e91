r"""P0 Table I, 3D + 2D: 2D and 3D networks, the 3D ones heavier (Sec. III-C).

    tfdeepfake prepare dfdc --dir DIR --input-type clip --sampling consecutive --num-frames 64 --num-clips 1 \
        --detector blazeface --select most_confident --margin-frac 0.3 --height-px 224 --width-px 224 --flow \
        none --data-dir data
    tfdeepfake train --preset p0_attention2d --data-dir data
    tfdeepfake train --preset p0_i3d --data-dir data
    tfdeepfake train --preset p0_resnet3d_34 --data-dir data
    tfdeepfake train --preset p0_mc3_18 --data-dir data
    tfdeepfake train --preset p0_r2plus1d_18 --data-dir data
    tfdeepfake ensemble runs/p0_attention2d runs/p0_i3d runs/p0_resnet3d_34 runs/p0_mc3_18 runs/p0_r2plus1d_18 \
        --vote adaptive --out runs/p0_fusion
    tfdeepfake evaluate runs/p0_fusion --split test --data-dir data

The paper: the members' predictions are averaged (Sec. III-B); the 3D networks' are given a higher weight, which the
paper does not state (Sec. III-C).

Chosen here: weights that lower the log loss of the validation videos, from 0.6 for the 3D part on. `p0_attention2d`
reads single frames, which its own preset prepares.

Hardware, time: not yet run. Expected score: the paper prints AUC 0.8969, log loss 0.4641; not yet run here.
"""

from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P0 Table I: 3D + 2D",),
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
    printed="AUC 0.8969, log loss 0.4641",
    stages=("p0_attention2d", "p0_i3d", "p0_resnet3d_34", "p0_mc3_18", "p0_r2plus1d_18"),
    vote="adaptive",
)
