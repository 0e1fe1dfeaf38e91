"""video_folder: anyone's videos, labelled by folder or by a CSV file."""

import tensorflow_datasets as tfds

from tfds_builders.core.building import VideoBuilder, make_video, split_generators
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.listing import fingerprint
from tfds_builders.video_folder.listing import LAYOUT, list_videos


class Builder(VideoBuilder):
    """Turns the videos of the manual dir into examples."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"The manual dir is the folder of the videos. {LAYOUT}"
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    OPTIONS = {}

    def _split_generators(self, dl_manager):
        folder = self.folder or dl_manager.manual_dir
        listed = list_videos(folder)
        self.info.metadata["videos"] = fingerprint(listed)
        videos = [
            make_video(
                self.builder_config,
                path=str(v.path),
                split=v.split,
                label=v.label,
                data_set=self.name,
                method=v.method,
                video=v.name,
                source=v.source,
            )
            for v in listed
        ]
        return split_generators(self, videos, str(folder))
