r"""P4 Table 6, R3D-50.

    tfdeepfake prepare face_forensics --dir DIR --input-type clip --sampling consecutive --num-frames 64 \
        --num-clips 1 --detector mtcnn --select largest --margin-frac 0.3 --height-px 224 --width-px 224 --flow \
        none --option compression=c23 --option methods=Deepfakes,Face2Face,FaceSwap,NeuralTextures --data-dir \
        data
    tfdeepfake train --preset p4_resnet3d_50 --data-dir data
    tfdeepfake evaluate runs/p4_resnet3d_50 --split test --data-dir data

The paper: MTCNN, the largest box, 30 % added on each side, 8 clips of 4 consecutive frames, ImageNet-21K weights, Adam
at 1.5e-5, batches of 4, cosine decay after 10 epochs of linear warm-up (Sec. 4.2). No thumbnail: clips of 64 frames at
224 px, near the printed FLOPs. Table 6 has ImageNet-1K weights for it, of which no file is known: Kinetics weights
here.

The row is about celeb_df, dfdc: `tfdeepfake presets p4_resnet3d_50` prints how each is prepared and scored.

Chosen here: 30 epochs; no class weights; BCE on one logit in the place of cross-entropy on two. No augmentation: the
paper names none.

Hardware, time: not yet run. Expected score: the paper prints AUC on CDF 79.63, DFDC 67.73; not yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P4 Table 6: R3D-50",),
    data_set="face_forensics",
    prepare={
        "input_type": "clip",
        "sampling": "consecutive",
        "num_frames": 64,
        "num_clips": 1,
        "detector": "mtcnn",
        "select": "largest",
        "margin_frac": 0.3,
        "height_px": 224,
        "width_px": 224,
        "flow": "none",
        "compression": "c23",
        "methods": ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"),
    },
    config=TrainConfig(
        network="resnet3d_50",
        network_args={"num_frames": 64, "input_size": (224, 224)},
        data="face_forensics",
        start_from="kinetics",
        loss="bce",
        class_weights="none",
        learning_rate=1.5e-05,
        batch_size=4,
        epochs=30,
        schedule="cosine",
        warmup_epochs=10.0,
    ),
    evaluate=(("celeb_df", {}), ("dfdc", {})),
    printed="AUC on CDF 79.63, DFDC 67.73",
)
