"""df40: DF40."""

import dataclasses

import tensorflow_datasets as tfds

from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators
from tfds_builders.df40.listing import list_videos


class Builder(VideoBuilder):
    """Turns DF40 into examples: FaceForensics++'s splits for its ff domain, all else is test.

    Its images are faces already, so that by default no detector looks for them: the whole image is the crop. A config's
    `options`: methods, those to take, and domains ("ff", "cdf", "unknown"); all when empty.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://github.com/YZY-stack/DF40"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The manual dir holds a folder for each method, the frames of real videos in FaceForensics++/ and "
        f"Celeb-DF-v2/, and FaceForensics++'s train.json, val.json and test.json, from {HOMEPAGE}."
    )
    BUILDER_CONFIGS = [
        dataclasses.replace(
            config,
            description=config.description.replace("face crops", "images"),
            recipe=dataclasses.replace(config.recipe, detector="none"),
        )
        for config in FACE_CONFIGS
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "frame"
    OPTIONS = {"methods": (), "domains": ()}
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
