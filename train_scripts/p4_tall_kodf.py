r"""P4 4.6, TALL tells the methods of KoDF apart.

    tfdeepfake prepare kodf --dir DIR --input-type clip --sampling consecutive --num-frames 4 --num-clips 8 \
        --detector mtcnn --select largest --margin-frac 0.3 --height-px 112 --width-px 112 --flow none \
        --data-dir data
    tfdeepfake train --preset p4_tall_kodf --data-dir data
    tfdeepfake evaluate runs/p4_tall_kodf --split test --data-dir data

The paper: MTCNN, the largest box, 30 % added on each side, 8 clips of 4 consecutive frames, a thumbnail of 224 x 224
px, ImageNet-21K weights, Adam at 1.5e-5, batches of 4, cosine decay after 10 epochs of linear warm-up (Sec. 4.2).
KoDF: 7,200 videos for training, 1,400 each for validation and test, 1,200 of each method in training; no person in
two splits (Sec. 4.6). Sec. 1 draws the frames at random from a longer clip, whose length it does not give; here they
are stored, as Sec. 4.2 has it (`--window-frames 4` of longer stored runs draws them).

Chosen here: 30 epochs; no class weights; 1,200 videos of each of six classes, real among them, make the 7,200 of
training, and 233 of each 1,398 for validation; the test is of all test videos. No augmentation beside the mask: the
paper names none.

Hardware, time: not yet run. Expected score: the paper prints precision, recall and F1 of each class as a figure (Fig.
8); not yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P4 Fig. 8: TALL",),
    data_set="kodf",
    prepare={
        "input_type": "clip",
        "sampling": "consecutive",
        "num_frames": 4,
        "num_clips": 8,
        "detector": "mtcnn",
        "select": "largest",
        "margin_frac": 0.3,
        "height_px": 112,
        "width_px": 112,
        "flow": "none",
    },
    config=TrainConfig(
        network="tall_swin",
        data="kodf",
        start_from="imagenet",
        loss="ce",
        class_weights="none",
        learning_rate=1.5e-05,
        batch_size=4,
        epochs=30,
        schedule="cosine",
        warmup_epochs=10.0,
        target="method",
        max_videos_per_method=["1200", "233"],
    ),
    printed="precision, recall and F1 of each class as a figure (Fig. 8)",
)
