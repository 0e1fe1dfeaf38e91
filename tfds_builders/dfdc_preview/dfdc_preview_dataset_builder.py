"""dfdc_preview: the DFDC preview set."""

import tensorflow_datasets as tfds

from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators
from tfds_builders.dfdc_preview.listing import list_videos


class Builder(VideoBuilder):
    """Turns the DFDC preview set into examples: its own test set, validation by identity."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://ai.meta.com/datasets/dfdc"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"The manual dir holds dataset.json, original_videos/, method_A/ and method_B/, from {HOMEPAGE}."
    )
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {}
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
