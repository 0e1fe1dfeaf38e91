r"""P1 3.5, EfficientNet-B7 with one output under a sigmoid, beside it (Sec. 3.4.1).

    tfdeepfake prepare dfdc --dir DIR --input-type frame --sampling spaced --num-frames-real 40 \
        --num-frames-fake 8 --detector mtcnn --select largest --margin-frac 0.3 --height-px 240 --width-px 240 \
        --data-dir data
    tfdeepfake train --preset p1_efficientnet_b7_sigmoid --data-dir data
    tfdeepfake evaluate runs/p1_efficientnet_b7_sigmoid --split test --tta p1 --data-dir data

The paper: DFDC, 8 faces of a fake and 40 of a real video (Sec. 2.2.2), MTCNN (3.2), margin of 0.5 to 0.7 of the face,
0.3 on each side here, 240 x 240 px (2.2.4), the augmentations of `--augment p1` (2.2.5). It calls them test-time
augmentation and the code that it prints `create_train_transforms`: taken for both, the test by `--tta p1`.

Chosen here: the largest face; ImageNet weights to start from, batches of 16, AdamW at 1e-4 (weight decay 0.01) with
cosine decay after 1 epoch of warm-up, 10 epochs; 4 views beside the image in the test. The paper states none of them.

Hardware, time: not yet run. Expected score: not yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=(),
    data_set="dfdc",
    prepare={
        "input_type": "frame",
        "sampling": "spaced",
        "num_frames_real": 40,
        "num_frames_fake": 8,
        "detector": "mtcnn",
        "select": "largest",
        "margin_frac": 0.3,
        "height_px": 240,
        "width_px": 240,
    },
    config=TrainConfig(
        network="efficientnet_b7",
        network_args={"input_size": (240, 240)},
        data="dfdc",
        start_from="imagenet",
        loss="bce",
        batch_size=16,
        epochs=10,
        optimizer="adamw",
        weight_decay=0.01,
        learning_rate=0.0001,
        schedule="cosine",
        warmup_epochs=1.0,
        augment="p1",
        class_weights="none",
    ),
    tta="p1",
)
