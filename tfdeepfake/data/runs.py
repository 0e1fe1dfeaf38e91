"""Which frames of a video become examples: spaced, in runs or in chunks, over all of it or over places in it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.data import video
from tfdeepfake.errors import InputError

if TYPE_CHECKING:
    from tfdeepfake.recipe import DataRecipe


# Crops of one face in all chunks of a video take no more than this; of a longer video chunks spaced over it are taken.
CHUNKS_BYTES = 1 << 30


class TooShort(InputError):
    """The video has fewer frames than one clip takes."""


def runs(
    path: str | Path,
    frame_count: int,
    recipe: "DataRecipe",
    places: Callable | None = None,
    stream: int | None = None,
    frame_rate: float | None = None,
) -> list:
    """Frame numbers of each run.

    Args:
      path: file.
      frame_count: of the video.
      recipe: DataRecipe.
      places: int [P, 2], first frame and the one behind the last of the parts that are sampled, in order and
        apart; all of it when None.
      stream, frame_rate: as in `video.probe`.
    Returns:
      list of int64 [L]; spaced frames are one run.
    Raises:
      TooShort: the video has fewer frames than an example takes.
    """
    spaced, stride = recipe.sampling == "spaced", recipe.stride_frames
    clip = recipe.num_frames if spaced else recipe.clip_span_frames
    needed = {"frame": 1, "flow": 2 if spaced else 1 + stride, "clip": clip}[recipe.input_type]
    if frame_count < needed:
        raise TooShort(path, f"needs {needed} frames, has {frame_count}.", "Use a frame network or a longer video.")
    if recipe.sampling == "chunks":
        whole = [[0, frame_count]] if places is None else _widened(places, clip, frame_count)
        return _chunks(whole, recipe)
    if spaced:
        if places is None:
            return [video.spaced_indices(frame_count, recipe.num_frames)]
        frames = np.concatenate([np.arange(*place) for place in _widened(places, needed, frame_count)])
        return [frames[video.spaced_indices(len(frames), recipe.num_frames)]]
    length = min(recipe.num_frames, (frame_count - 1) // stride + 1)
    # Single frames show no motion, whatever their distance.
    rate, where = (
        (None if recipe.input_type == "frame" else recipe.runs_fps),
        {"stream": stream, "frame_rate": frame_rate},
    )
    if places is None:
        at_rate = []
        if rate and frame_count > 1:
            at_rate = list(video.runs_at_rate(path, recipe.num_clips, length, rate, stride, **where))
        # A video too short for a run at that rate is taken as it lies in the file.
        return at_rate or list(video.run_indices(frame_count, recipe.num_clips, length, stride))
    if rate:
        stride *= max(1, round(video.cadence(path, **where).fps / rate))
        stride = max(1, min(stride, (frame_count - 1) // max(1, length - 1)))
    span = (length - 1) * stride + 1
    starts = np.concatenate([np.arange(a, b - span + 1) for a, b in _widened(places, span, frame_count)])
    chosen = starts[video.spaced_indices(len(starts), recipe.num_clips)]
    return list(chosen[:, None] + stride * np.arange(length))


def chunk_count(frame_count: int, recipe: "DataRecipe") -> int:
    """Chunks that a recipe takes of a whole video of so many frames."""
    return len(_chunks([[0, frame_count]], recipe)) if frame_count >= recipe.num_frames else 0


def _chunks(places, recipe):
    """All frames of places [P, 2] in chunks; the last of each ends with its place, and overlaps the one before."""
    length = recipe.num_frames
    starts = [start for first, end in places for start in [*range(first, end - length, length), end - length]]
    image_bytes = recipe.height_px * recipe.width_px * (3 if recipe.flow == "none" else 11)
    most = max(1, CHUNKS_BYTES // (length * image_bytes))
    kept = video.spaced_indices(len(starts), most) if len(starts) > most else range(len(starts))
    return [starts[number] + np.arange(length) for number in kept]


def _widened(places, least, frame_count):
    """Places with room for `least` frames each, in order, those that touch as one."""
    wide = []
    for first, end in np.asarray(places).tolist():
        if end - first < least:
            first = min(max(0, (first + end - least) // 2), frame_count - least)
            end = first + least
        if wide and first <= wide[-1][1]:
            wide[-1][1] = max(end, wide[-1][1])
        else:
            wide.append([first, end])
    return wide
