"""celeb_df: Celeb-DF v2."""

import tensorflow_datasets as tfds

from tfds_builders.celeb_df.listing import list_videos
from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators


class Builder(VideoBuilder):
    """Turns Celeb-DF v2 into examples: the official test list, validation by identity.

    A config's `options`: training ("official", "unshared"), see `listing.list_videos`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://github.com/yuezunli/celeb-deepfakeforensics"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The manual dir holds Celeb-real/, YouTube-real/, Celeb-synthesis/ and List_of_testing_videos.txt, from "
        f"{HOMEPAGE}."
    )
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {"training": "official"}
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
