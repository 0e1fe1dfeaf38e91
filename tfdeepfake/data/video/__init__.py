"""Video file to uint8 RGB frames and timestamps, and back: `read` is the way in."""

from tfdeepfake.data.video.check import VideoError
from tfdeepfake.data.video.formats import IMAGE_SUFFIXES, MEDIA_SUFFIXES, is_animation, is_media, sniff
from tfdeepfake.data.video.rate import Cadence, cadence, new_frames, runs_at_rate
from tfdeepfake.data.video.read import (
    MAX_SIDE_PX,
    Frames,
    VideoInfo,
    forget_packets,
    frame_times,
    iter_chunks,
    probe,
    read_frames,
    run_indices,
    spaced_indices,
)
from tfdeepfake.data.video.write import write_video

__all__ = [
    "Cadence",
    "Frames",
    "IMAGE_SUFFIXES",
    "MAX_SIDE_PX",
    "MEDIA_SUFFIXES",
    "VideoError",
    "VideoInfo",
    "cadence",
    "forget_packets",
    "frame_times",
    "is_animation",
    "is_media",
    "iter_chunks",
    "new_frames",
    "probe",
    "read_frames",
    "run_indices",
    "runs_at_rate",
    "sniff",
    "spaced_indices",
    "write_video",
]
