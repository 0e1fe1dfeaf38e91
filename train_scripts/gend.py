r"""GenD (arXiv:2508.06248): CLIP ViT-L/14 of which norms and the head alone train.

    tfdeepfake prepare face_forensics --dir DIR --input-type frame --sampling spaced --num-frames 32 --detector \
        mtcnn --select largest --alignment gend --margin-frac 0.15 --height-px 224 --width-px 224 \
        --box-smoothing frame --option compression=c23 --option \
        methods=Deepfakes,Face2Face,FaceSwap,NeuralTextures --data-dir data
    tfdeepfake train --preset gend --data-dir data
    tfdeepfake evaluate runs/gend --split test --data-dir data

FaceForensics++ c23, 32 frames a video, faces aligned by five points; LayerNorms and the head train, the rest is
CLIP's. It goes on from the published detector.

The row is about celeb_df, dfdc: `tfdeepfake presets gend` prints how each is prepared and scored.

Chosen here: the authors' alignment and uniformity losses are left out; Adam at 3e-4, batches of 32, 5 epochs, class
weights, mirror images.

Hardware, time: not yet run. Expected score: its authors print video AUROC on Celeb-DF v2 0.960, DFDC 0.871 for the
published weights; not yet run here.
"""

from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.preset import Preset

PRESET = Preset(
    rows=(),
    data_set="face_forensics",
    prepare={
        "input_type": "frame",
        "sampling": "spaced",
        "num_frames": 32,
        "detector": "mtcnn",
        "select": "largest",
        "alignment": "gend",
        "margin_frac": 0.15,
        "height_px": 224,
        "width_px": 224,
        "box_smoothing": "frame",
        "compression": "c23",
        "methods": ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"),
    },
    config=TrainConfig(
        network="clip_vit_l14",
        data="face_forensics",
        start_from="gend_clip_l14",
        train_only=["*norm*", "logits"],
        loss="bce",
        class_weights="balanced",
        learning_rate=0.0003,
        epochs=5,
        batch_size=32,
        augment="flip",
    ),
    evaluate=(("celeb_df", {}), ("dfdc", {})),
    printed="video AUROC on Celeb-DF v2 0.960, DFDC 0.871 for the published weights",
)
