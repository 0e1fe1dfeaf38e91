"""fake_av_celeb: FakeAVCeleb."""

import tensorflow_datasets as tfds

from tfds_builders.core.building import VideoBuilder
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import manual_generators
from tfds_builders.fake_av_celeb.listing import list_videos


class Builder(VideoBuilder):
    """Turns FakeAVCeleb into examples, split by person. What is judged is the face: faked sound alone is label 0.

    A config's `options`: persons ("shown", "both"), see `listing.list_videos`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    HOMEPAGE = "https://github.com/DASH-Lab/FakeAVCeleb"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"The manual dir is FakeAVCeleb_v1.2/ with meta_data.csv and the four folders of videos, from {HOMEPAGE}."
    )
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {"persons": "shown"}
    SUBGROUPS = ("race", "gender")
    LIST = staticmethod(list_videos)

    def _split_generators(self, dl_manager):
        return manual_generators(self, dl_manager)
