"""Names of the builders of `tfds_builders`, known without loading them, which loads TensorFlow."""

import difflib
from pathlib import Path

from tfdeepfake.errors import InputError

DRAWN = "synthetic_faces"
# Whose name and version are those of any videos that somebody has.
OF_ANY_VIDEOS = ("video_folder", "self_blended")
BUILDERS = (
    DRAWN,
    "video_folder",
    "self_blended",
    "face_forensics",
    "celeb_df",
    "dfdc",
    "dfdc_preview",
    "deeper_forensics",
    "kodf",
    "wild_deepfake",
    "diffusion_gan_bedroom",
    "celeb_df_pp",
    "df40",
    "fake_av_celeb",
    "deepfake_eval_2024",
)


def need_builder(name: str, folder: str | Path | None) -> None:
    """Raises InputError: there is no such builder, or no folder is given to one that reads videos."""
    if name not in BUILDERS:
        near = difflib.get_close_matches(name, BUILDERS, 1)
        hint = (f"Did you mean {near[0]}? " if near else "") + f"There are {', '.join(BUILDERS)}."
        raise InputError(name, "is no builder.", hint)
    if name != DRAWN and folder is None:
        raise InputError(name, "needs the folder of the videos.", "Give --dir FOLDER.")
