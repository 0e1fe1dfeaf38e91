"""Figures that are printed of published detectors, as data, for a table that sets one's own beside them.

The sentences for people stand in `Published.accuracy`; a test holds both against each other.
"""

from dataclasses import dataclass

PAGE, OTHERS = "its authors' page", "measured by others"


@dataclass(frozen=True)
class Printed:
    """An AUC somebody printed.

    Args:
      on: the data set, as people call it.
      auc: 0..1, with as many digits as printed.
      by: who printed it.
      level: "video" or "frame": of what it is the AUC.
      data_set: name of its builder; "" where there is none.
      method: of the builder's methods, where it is of this one; "" for all.
      split: that it was measured on.
      compression: of the videos, where that is told.
      own_data: whether the detector was trained on that data set's training split.
    """

    on: str
    auc: float
    by: str
    level: str
    data_set: str = ""
    method: str = ""
    split: str = "test"
    compression: str = ""
    own_data: bool = False


def _deepfakebench(own, celeb_df, dfdc):
    return (
        Printed("FaceForensics++", own, PAGE, "frame", "face_forensics", compression="c23", own_data=True),
        Printed("Celeb-DF v2", celeb_df, PAGE, "frame", "celeb_df"),
        Printed("DFDC", dfdc, PAGE, "frame", "dfdc"),
    )


# The authors' own test sets of MesoNet have no builder; what others measured is of the deepfake weights.
_MESONET = (Printed("Celeb-DF v2", 0.54, f"{OTHERS} (arXiv:1909.12962)", "frame", "celeb_df"),)
PRINTED = {
    "gend_clip_l14": (
        Printed("Celeb-DF v2", 0.960, PAGE, "video", "celeb_df"),
        Printed("DeepFakeDetection", 0.970, PAGE, "video", "face_forensics", "DeepFakeDetection"),
        Printed("DFDC", 0.871, PAGE, "video", "dfdc"),
        Printed("FFIW", 0.945, PAGE, "video"),
    ),
    "deepfakebench_xception": _deepfakebench(0.964, 0.737, 0.708),
    "deepfakebench_efficientnetb4": _deepfakebench(0.957, 0.749, 0.696),
    "sbi_b4": (Printed("Celeb-DF v2", 0.932, PAGE, "video", "celeb_df"),),
    "meso4_df": _MESONET,
    "meso_inception4_df": _MESONET,
}
# What differs from the authors' way whatever the data: (what the source's name begins with, what differs).
ALWAYS = (
    ("deepfakebench_", "faces: the authors' dlib points, here MTCNN's"),
    ("bonettini_", "crops: the authors' box is a little higher on the face"),
    ("faceforensics_xception", "faces: the authors' dlib boxes, here MTCNN's"),
    ("sbi_", "faces: the authors' RetinaFace boxes squeezed into a square, here squares around MTCNN's"),
    ("sbi_", "weights: the printed figure is of the raw file, there is one of c23 as well"),
    ("meso", "crops: the authors' are turned upright by the eyes, here they are not"),
)
