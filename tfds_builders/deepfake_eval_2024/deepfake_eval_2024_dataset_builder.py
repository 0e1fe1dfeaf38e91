"""deepfake_eval_2024: Deepfake-Eval-2024."""

import tensorflow_datasets as tfds

from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators
from tfds_builders.deepfake_eval_2024.listing import list_videos


class Builder(VideoBuilder):
    """Turns Deepfake-Eval-2024's videos into examples: its own test, a tenth of its training part for validation."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://huggingface.co/datasets/nuriachandra/Deepfake-Eval-2024"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"The manual dir holds video-data/ and video-metadata-publish.csv, from {HOMEPAGE} (gated)."
    )
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {}
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
