"""face_forensics: FaceForensics++ with FaceShifter and DeepFakeDetection."""

import tensorflow_datasets as tfds

from tfds_builders.building import dataset_info, examples_of
from tfds_builders.face_forensics.listing import METHODS, list_videos
from tfds_builders.manual import manual_generators
from tfds_builders.video_folder import Builder as VideoFolder


class Builder(tfds.core.GeneratorBasedBuilder):
    """Turns FaceForensics++ into examples, in its official splits.

    A config's `options`: compression ("raw", "c23", "c40") and methods.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The manual dir holds original_sequences/ and manipulated_sequences/ as the download script writes them, and "
        "train.json, val.json and test.json. Both come from https://github.com/ondyari/FaceForensics."
    )
    BUILDER_CONFIGS = VideoFolder.BUILDER_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {"compression": "c23", "methods": METHODS}
    LIST = staticmethod(list_videos)
    # As in video_folder: `prepare` sets workers and folder.
    workers = None
    results = None
    folder = None

    def _info(self):
        return dataset_info(self)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)

    def _generate_examples(self, results, counted):
        yield from examples_of(results, counted)
