r"""P3 Tables 2, 4 and 5, I3D.

    tfdeepfake prepare face_forensics --dir DIR --input-type clip --sampling chunks --num-frames 250 \
        --detector mtcnn --select largest --margin-frac 0.15 --height-px 224 --width-px 224 --flow none \
        --option compression=c40 --option methods=Deepfakes,Face2Face,FaceSwap,NeuralTextures --data-dir \
        data
    tfdeepfake train --preset p3_i3d --data-dir data
    tfdeepfake evaluate runs/p3_i3d --split test --data-dir data

The paper: FaceForensics++, c40 (LQ), its official splits, face region enlarged 1.3 times (Sec. 4), a learning rate of
1e-3, weighted cross-entropy (Sec. 5), weights of Kinetics-400 to start from (Sec. 4). The paper finds faces by
landmarks of each frame, here MTCNN does. Tables 4 and 5 are the same network on other methods of the same prepared
set: `--methods Deepfakes`, or three of the four.

Chosen here: Adam, batches of 8, 30 epochs with early stopping after 5. The paper tests on all frames of a video in
trunks of 250 and takes the mean, so does this; it does not say what becomes of the frames that are left over: here
the last chunk overlaps the one before. Trained on 64 consecutive frames, drawn from each chunk anew in each epoch. No
augmentation: the paper names none.

Hardware, time: not yet run. Expected score: the paper prints TCR 87.43 on all four methods (Table 2); not yet run
here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=("P3 Table 2: I3D", "P3 Table 4: I3D", "P3 Table 5: I3D"),
    data_set="face_forensics",
    prepare={
        "input_type": "clip",
        "sampling": "chunks",
        "num_frames": 250,
        "detector": "mtcnn",
        "select": "largest",
        "margin_frac": 0.15,
        "height_px": 224,
        "width_px": 224,
        "flow": "none",
        "compression": "c40",
        "methods": ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"),
    },
    config=TrainConfig(
        network="i3d",
        network_args={"input_size": (224, 224), "num_frames": 64},
        data="face_forensics",
        window_frames=64,
        start_from="kinetics",
        loss="bce",
        class_weights="balanced",
        learning_rate=0.001,
        epochs=30,
        early_stopping_epochs=5,
        batch_size=8,
    ),
    printed="TCR 87.43 on all four methods (Table 2)",
)
