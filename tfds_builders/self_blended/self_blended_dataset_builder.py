"""self_blended: pseudo-fakes made from any folder of real videos."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow_datasets as tfds

from tfdeepfake.errors import InputError
from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators
from tfds_builders.self_blended.listing import LAYOUT, METHOD, blend, list_videos

if TYPE_CHECKING:
    from tfds_builders.core.listing import VideoRecord


class Builder(VideoBuilder):
    """Turns real videos into real examples and self-blended ones.

    A config's `options`: fakes_per_real; seed of the blends; drift, see `tfdeepfake.data.blend.self_blend`; masks
    (whether the pasted fraction of each pixel is stored with each frame).
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"The manual dir is the folder of the videos. {LAYOUT}"
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {"fakes_per_real": 1, "seed": 0, "drift": 0.01, "masks": False}
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        if self.builder_config.recipe.detector == "none":
            raise InputError("detector", "needs mtcnn or blazeface: faces are blended where their landmarks are.")
        return manual_generators(self, dl_manager)

    def change_of(self, listed: "VideoRecord") -> Callable | None:
        """The blending of a pseudo-fake; None for a real video."""
        options = self.OPTIONS | self.builder_config.options
        if listed.method != METHOD:
            return None
        return functools.partial(blend, listed.name, options["seed"], options["drift"])
