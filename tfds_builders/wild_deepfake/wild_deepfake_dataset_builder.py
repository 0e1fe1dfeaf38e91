"""wild_deepfake: WildDeepfake."""

import dataclasses

import tensorflow_datasets as tfds

from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators
from tfds_builders.wild_deepfake.listing import list_videos, unpack


class Builder(VideoBuilder):
    """Turns WildDeepfake into examples: its own test, validation by archive.

    Its images are faces already, so that by default no detector looks for them: the whole image is the crop.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://github.com/OpenTAI/wild-deepfake"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The manual dir holds real_train/, real_test/, fake_train/ and fake_test/ with their archives, from "
        f"{HOMEPAGE}."
    )
    BUILDER_CONFIGS = [
        dataclasses.replace(
            config,
            description=config.description.replace("face crops", "images"),
            recipe=dataclasses.replace(config.recipe, detector="none"),
        )
        for config in FACE_CONFIGS
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {}
    LIST = staticmethod(list_videos)
    UNPACK = staticmethod(unpack)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
