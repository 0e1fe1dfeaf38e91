"""video_folder: anyone's videos, labelled by folder or by a CSV file."""

import functools

import tensorflow_datasets as tfds

from tfdeepfake.data.examples import extract
from tfdeepfake.data.video.frame_folder import FRAME_RATE
from tfds_builders.core.building import VideoBuilder, make_video, split_generators
from tfds_builders.core.configs import FACE_CONFIGS
from tfds_builders.core.manual import note_listing
from tfds_builders.video_folder.listing import LAYOUT, landscape_only, list_folder


class Builder(VideoBuilder):
    """Turns the videos of the manual dir into examples."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"The manual dir is the folder of the videos. {LAYOUT}"
    BUILDER_CONFIGS = FACE_CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "clip"
    # Frames/s of videos that are folders of images, which carry no times; and whether videos that are shown higher than
    # wide, or square, are left out (P2 3).
    OPTIONS = {"frame_rate": FRAME_RATE, "landscape": False}

    def _split_generators(self, dl_manager):
        folder = self.folder or dl_manager.manual_dir
        rate = self.builder_config.options.get("frame_rate")
        listing = list_folder(folder, frame_rate=rate)
        if self.builder_config.options.get("landscape"):
            listing = landscape_only(listing)
        note_listing(self, listing)
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
                read=functools.partial(extract, str(v.path), frame_rate=rate) if v.path.is_dir() else None,
            )
            for v in listing.videos
        ]
        return split_generators(self, videos, str(folder))
