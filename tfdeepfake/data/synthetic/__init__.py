"""Drawn talking faces and their manipulations: the data set that needs no download."""

from tfdeepfake.data.synthetic.clips import ClipSpec, frames_of, make_set, write_clip
from tfdeepfake.data.synthetic.fakes import HARD_METHODS, METHODS, draw_fake, draw_video
from tfdeepfake.data.synthetic.people import (
    FPS,
    FRAMES,
    HEIGHT_PX,
    WIDTH_PX,
    Identity,
    Motion,
    Scene,
    identity,
    motion,
    scene,
)

__all__ = [
    "ClipSpec",
    "FPS",
    "FRAMES",
    "HARD_METHODS",
    "HEIGHT_PX",
    "Identity",
    "METHODS",
    "Motion",
    "Scene",
    "WIDTH_PX",
    "draw_fake",
    "draw_video",
    "frames_of",
    "identity",
    "make_set",
    "motion",
    "scene",
    "write_clip",
]
