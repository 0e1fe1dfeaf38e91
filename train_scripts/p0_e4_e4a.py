r"""P0 Table I, E4 + E4A: members vote (Sec. III-B).

    tfdeepfake prepare dfdc --dir DIR --input-type frame --sampling spaced --num-frames 10 --detector blazeface \
        --select most_confident --margin-frac 0.3 --height-px 224 --width-px 224 --data-dir data
    tfdeepfake train --preset p0_efficientnet_b4 --data-dir data
    tfdeepfake train --preset p0_efficientnet_b4_att --data-dir data
    tfdeepfake ensemble runs/p0_efficientnet_b4 runs/p0_efficientnet_b4_att --vote soft --out runs/p0_e4_e4a
    tfdeepfake evaluate runs/p0_e4_e4a --split test --data-dir data

The paper: the members' predictions are averaged (Sec. III-B).

Chosen here: mean of probabilities.

Hardware, time: not yet run. Expected score: the paper prints AUC 0.8785, log loss 0.4731; not yet run here.
"""

from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P0 Table I: E4 + E4A",),
    data_set="dfdc",
    prepare={
        "input_type": "frame",
        "sampling": "spaced",
        "num_frames": 10,
        "detector": "blazeface",
        "select": "most_confident",
        "margin_frac": 0.3,
        "height_px": 224,
        "width_px": 224,
    },
    config=None,
    printed="AUC 0.8785, log loss 0.4731",
    stages=("p0_efficientnet_b4", "p0_efficientnet_b4_att"),
    vote="soft",
)
