r"""P4 Table 7, Swin-B with the graph block on whole frames, no thumbnail.

    tfdeepfake prepare face_forensics --dir DIR --input-type clip --sampling consecutive --num-frames 4 \
        --num-clips 8 --detector mtcnn --select largest --margin-frac 0.3 --height-px 224 --width-px 224 --flow \
        none --option compression=c23 --option methods=Deepfakes,Face2Face,FaceSwap,NeuralTextures --data-dir \
        data
    tfdeepfake train --preset p4_swin_graph --data-dir data
    tfdeepfake evaluate runs/p4_swin_graph --split test --data-dir data

The paper: MTCNN, the largest box, 30 % added on each side, 8 clips of 4 consecutive frames, ImageNet-21K weights, Adam
at 1.5e-5, batches of 4, cosine decay after 10 epochs of linear warm-up (Sec. 4.2). No thumbnail (Sec. 4.8): here the
network sees each frame of a clip at 224 x 224 px and averages what it finds. Sec. 1 draws the frames at random from a
longer clip, whose length it does not give; here they are stored, as Sec. 4.2 has it (`--window-frames 4` of longer
stored runs draws them).

The row is about celeb_df, dfdc: `tfdeepfake presets p4_swin_graph` prints how each is prepared and scored.

Chosen here: 30 epochs; no class weights; BCE on one logit in the place of cross-entropy on two. No augmentation: the
paper names none.

Hardware, time: not yet run. Expected score: the paper prints AUC on CDF 83.61, DFDC 74.13; not yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P4 Table 7: 4",),
    data_set="face_forensics",
    prepare={
        "input_type": "clip",
        "sampling": "consecutive",
        "num_frames": 4,
        "num_clips": 8,
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
        network="tall_swin",
        network_args={"input_size": (224, 224), "whole_frames": True, "frame_position": False, "graph": True},
        data="face_forensics",
        start_from="imagenet",
        loss="bce",
        class_weights="none",
        learning_rate=1.5e-05,
        batch_size=4,
        epochs=30,
        schedule="cosine",
        warmup_epochs=10.0,
    ),
    evaluate=(("celeb_df", {}), ("dfdc", {})),
    printed="AUC on CDF 83.61, DFDC 74.13",
)
