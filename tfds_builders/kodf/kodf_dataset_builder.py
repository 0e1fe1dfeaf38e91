"""kodf: the Korean deepfake detection set."""

import tensorflow_datasets as tfds

from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators
from tfds_builders.kodf.listing import list_videos


class Builder(VideoBuilder):
    """Turns KoDF into examples: its validation part is the test, people of its training part the validation."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://aihub.or.kr"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"The manual dir holds the videos and the four .csv files of metadata, from {HOMEPAGE}."
    )
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {}
    SUBGROUPS = ("gender",)
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
