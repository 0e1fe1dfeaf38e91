"""deeper_forensics: DeeperForensics-1.0."""

import tensorflow_datasets as tfds

from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators
from tfds_builders.deeper_forensics.listing import list_videos


class Builder(VideoBuilder):
    """Turns DeeperForensics-1.0 into examples, in its official splits.

    A config's `options`: variants, real and drop_overlap, see `listing.list_videos`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://github.com/EndlessSora/DeeperForensics-1.0"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The manual dir holds manipulated_videos/, source_videos/ and lists/ as the data set is distributed by "
        f"{HOMEPAGE}."
    )
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {"variants": ("end_to_end",), "real": ("source_videos",), "drop_overlap": False}
    SUBGROUPS = ("distortions",)
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
