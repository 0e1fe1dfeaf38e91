"""celeb_df_pp: Celeb-DF++."""

import tensorflow_datasets as tfds

from tfds_builders.celeb_df_pp.listing import list_videos
from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators


class Builder(VideoBuilder):
    """Turns Celeb-DF++ into examples: the official test list, validation by identity.

    A config's `options`: methods, names of methods or scenarios to take; all when empty.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://github.com/OUC-VAS/Celeb-DF-PP"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The manual dir holds Celeb-real/, YouTube-real/, Celeb-synthesis/ with a folder for each scenario, and "
        f"List_of_testing_videos.txt, from {HOMEPAGE}."
    )
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {"methods": ()}
    SUBGROUPS = ("scenario",)
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
