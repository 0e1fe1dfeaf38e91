"""dfdc: the full DFDC set."""

import tensorflow_datasets as tfds

from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators
from tfds_builders.dfdc.listing import list_videos


class Builder(VideoBuilder):
    """Turns the DFDC set into examples: a fake is with its original, parts are held apart."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://ai.meta.com/datasets/dfdc"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The manual dir holds the parts dfdc_train_part_0/ ..., each with its metadata.json, and, where wanted, test/ "
        f"with labels.csv, from {HOMEPAGE} or the Kaggle competition "
        "deepfake-detection-challenge."
    )
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {}
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
