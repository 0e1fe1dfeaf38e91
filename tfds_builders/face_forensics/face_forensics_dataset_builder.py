"""face_forensics: FaceForensics++ with FaceShifter and DeepFakeDetection."""

import tensorflow_datasets as tfds

from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators
from tfds_builders.face_forensics.listing import METHODS, list_videos


class Builder(VideoBuilder):
    """Turns FaceForensics++ into examples, in its official splits.

    A config's `options`: compression ("raw", "c23", "c40"), methods, and masks (whether each frame
    comes with the mask of what was manipulated).
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://github.com/ondyari/FaceForensics"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The manual dir holds original_sequences/ and manipulated_sequences/ as the download script writes them, and "
        f"train.json, val.json and test.json. Both come from {HOMEPAGE}."
    )
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {"compression": "c23", "methods": METHODS, "masks": False}
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
