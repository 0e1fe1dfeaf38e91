"""Video file to RGB frames and timestamps, and which frames to take.

A still image is a video of one frame.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfdeepfake.data.video import decode, images
from tfdeepfake.data.video.check import Deadline, VideoError, check_file
from tfdeepfake.data.video.frame_folder import check_folder
from tfdeepfake.data.video.index import read_index
from tfdeepfake.data.video.shown import Converter, canvas_px, turn_degrees

# 4K; a face in an 8K frame is larger than any network's input even when the frame is halved.
MAX_SIDE_PX = 3840


@dataclass(frozen=True)
class VideoInfo:
    """What a file holds.

    Args:
      path: as given.
      width, height: px of a frame as shown: upright, with square pixels, and where frames differ in size large enough
        for all; before shrinking to `max_side_px`.
      frame_count: frames that are in the file, counted, not claimed; most damage inside it shows only on reading.
      fps: mean frames/s; 0 for a still image.
      duration_s: from the first frame to the end of the last; 0 for a still image.
      rotation_deg: clockwise degrees by which the stored frames are turned to be shown: 0, 90, 180, 270.
      codec: e.g. "h264"; of a still image its format, e.g. "jpeg".
      is_image: a still image, not a video.
      missing: frames that the container announces but that are cut off the end of the file, or are known to be damaged.
      stream: number of the video stream that is described, among `streams`.
      streams: every video in the file, each a `packets.StreamInfo`; () for a still image.
      notes: what else should be said of the file, each a phrase such as "a 360-degree video ...".
    """

    path: str
    width: int
    height: int
    frame_count: int
    fps: float
    duration_s: float
    rotation_deg: int
    codec: str
    is_image: bool = False
    missing: int = 0
    stream: int = 0
    streams: tuple = ()
    notes: tuple = ()


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of a video.

    Args:
      frames: uint8 [T, H, W, 3], RGB, upright.
      indices: int64 [T], which frame of the video each is, from 0.
      timestamps_s: float64 [T], seconds after the video's first frame.
      missing: frames that were asked for and could not be decoded; they are not among the T.
      damaged: frames among the T that follow one which could not be decoded, before the next keyframe: parts of
        them may be smeared.
    """

    frames: np.ndarray
    indices: np.ndarray
    timestamps_s: np.ndarray
    missing: int = 0
    damaged: int = 0

    def __len__(self):
        return len(self.indices)


def spaced_indices(frame_count: int, n: int) -> np.ndarray:
    """The middle frames of n equal parts of a video: int64 [min(n, frame_count)], ascending, each once."""
    _positive(frame_count=frame_count, n=n)
    n = min(n, frame_count)
    return (2 * np.arange(n, dtype=np.int64) + 1) * frame_count // (2 * n)


def run_indices(frame_count: int, num_clips: int, num_frames: int, stride_frames: int = 1) -> np.ndarray:
    """Runs of consecutive frames, the first at the video's start, the last at its end, the others equally spaced.

    Args:
      frame_count: of the video.
      num_clips: runs wanted.
      num_frames: of a run.
      stride_frames: distance of neighbouring frames in a run.
    Returns:
      int64 [C, frames], C <= clips: runs that would start at the same frame are one; 0 rows when the video is
      shorter than a run. One run alone starts at the middle of the room there is.
    """
    _positive(frame_count=frame_count, num_clips=num_clips, num_frames=num_frames, stride_frames=stride_frames)
    room = frame_count - ((num_frames - 1) * stride_frames + 1)
    if room < 0:
        return np.zeros((0, num_frames), np.int64)
    starts = np.array([room // 2]) if num_clips == 1 else np.unique(np.rint(np.linspace(0, room, num_clips)))
    return starts.astype(np.int64)[:, None] + stride_frames * np.arange(num_frames, dtype=np.int64)


def _positive(**numbers):
    for name, number in numbers.items():
        if number != int(number) or number < 1:
            raise ValueError(f"{name} needs a positive integer, got {number!r}.")


# Files whose packets were read lately: probing a file and then reading it takes one pass less.
_INDICES = OrderedDict()


def _index(path, deadline, stream, frame_rate):
    status, frame_rate = Path(path).stat(), frame_rate if os.path.isdir(path) else None
    key = str(path), status.st_size, status.st_mtime_ns, status.st_ino, stream, frame_rate
    if key not in _INDICES:
        _INDICES[key] = read_index(path, deadline, stream, frame_rate)
        while len(_INDICES) > 8:
            _INDICES.popitem(last=False)
    return _INDICES[key]


def probe(
    path: str | Path, time_limit_s: float | None = None, stream: int | None = None, frame_rate: float | None = None
) -> VideoInfo:
    """Says what a file holds. Reads the packets; decodes a frame or a few (all where nothing else tells how many).

    Args:
      path: video, still image, or folder of the frames of one video (`frame_folder`).
      time_limit_s: give up after so many seconds; None for no limit.
      stream: number of the video, where a file holds several (see `VideoInfo.streams`); None for the one players show.
      frame_rate: frames/s of a folder of frames, which carries no times; `frame_folder.FRAME_RATE` when None.
    Returns:
      VideoInfo.
    Raises:
      VideoError: missing, empty, damaged, cut off before half of it, encrypted, audio only, too large, not a video,
        without that stream, too slow.
    """
    _check(path)
    if images.is_still(path):
        size, turned, codec, notes = images.describe(path)
        return VideoInfo(str(path), *size, 1, 0.0, 0.0, turned, codec, is_image=True, notes=notes)
    index = _index(path, Deadline(path, time_limit_s), stream, frame_rate)
    width, height = canvas_px(index.looks)
    count = len(index.times)
    span_s = float(index.times[-1] - index.times[0]) * index.time_base
    fps = (count - 1) / span_s if span_s > 0 else index.rate or 0.0
    return VideoInfo(
        str(path),
        width,
        height,
        count,
        fps,
        count / fps if fps else 0.0,
        turn_degrees(index.looks[0].turn),
        index.codec,
        missing=index.missing,
        stream=index.stream,
        streams=index.streams,
        notes=index.notes,
    )


def frame_times(
    path: str | Path, time_limit_s: float | None = None, stream: int | None = None, frame_rate: float | None = None
) -> np.ndarray:
    """When each frame is shown: float64 [F], seconds after the first; [0] of a still image.

    Args, Raises: as in `probe`.
    """
    _check(path)
    if images.is_still(path):
        return np.zeros(1)
    index = _index(path, Deadline(path, time_limit_s), stream, frame_rate)
    return (index.times - index.times[0]) * index.time_base


def read_frames(
    path: str | Path,
    indices: np.ndarray | list[int],
    max_side_px: int = MAX_SIDE_PX,
    keyframes_only: bool = False,
    time_limit_s: float | None = None,
    stream: int | None = None,
    frame_rate: float | None = None,
) -> Frames:
    """Reads chosen frames; decodes only what they need.

    Args:
      path: video or still image.
      indices: int [n], 0 <= index < frame_count; any order, repeats allowed.
      max_side_px: frames whose longer side is longer are shrunk to it.
      keyframes_only: take the keyframe nearest to each index instead (each once), which costs a small part
        of the time: a keyframe needs no other frame.
      time_limit_s, stream, frame_rate: as in `probe`.
    Returns:
      Frames in the order of `indices`. Frames that cannot be decoded are left out and counted in `missing`.
    Raises:
      VideoError: see `probe`; also when more than half of the frames asked for cannot be decoded.
      ValueError: an index is outside the video.
    """
    _check(path)
    indices = np.asarray(indices)
    if indices.ndim != 1 or (indices.size and not np.issubdtype(indices.dtype, np.integer)):
        raise ValueError(f"indices needs integers [n], got {indices.dtype} {indices.shape}.")
    _positive(max_side_px=max_side_px)
    indices = indices.astype(np.int64)
    deadline = Deadline(path, time_limit_s)
    still = images.is_still(path)
    index = None if still else _index(path, deadline, stream, frame_rate)
    count = 1 if still else len(index.times)
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        raise ValueError(f"indices needs 0..{count - 1} for {path}, got {indices.min()}..{indices.max()}.")
    if still:
        frame = images.read(path, max_side_px)
        return Frames(np.repeat(frame[None], len(indices), axis=0), indices, np.zeros(len(indices)))
    keyframes_only = keyframes_only and bool(index.keys.any())  # a damaged file may call none of its frames one
    if keyframes_only:
        keys = np.flatnonzero(index.keys)
        indices = np.unique(keys[np.abs(keys[None] - indices[:, None]).argmin(axis=1)])
    wanted, places = np.unique(indices, return_inverse=True)
    convert = Converter(canvas_px(index.looks), index.looker(), max_side_px)
    frames = np.empty((len(wanted), *convert.shape), np.uint8)
    is_read, damaged = np.zeros((2, len(wanted)), bool)
    slots = {position: slot for slot, position in enumerate(wanted.tolist())}
    for position, frame, decoder, doubtful in decode.frames(index, wanted, deadline, alone=keyframes_only):
        slot = slots[position]
        convert(frame, frames[slot], decoder)
        is_read[slot], damaged[slot] = True, doubtful
    missing = int((~is_read[places]).sum())
    if 2 * missing > len(indices):
        raise VideoError(
            path,
            f"is damaged: {missing} of {len(indices)} frames asked for cannot be decoded.",
            "Copy or download it again.",
        )
    rows = places[is_read[places]]
    if not np.array_equal(rows, np.arange(len(wanted))):
        frames = frames[rows]
    times_s = (index.times[wanted[rows]] - index.times[0]) * index.time_base
    return Frames(frames, wanted[rows], times_s, missing, int(damaged[rows].sum()))


def iter_chunks(
    path: str | Path,
    length: int = 250,
    max_side_px: int = MAX_SIDE_PX,
    time_limit_s: float | None = None,
    stream: int | None = None,
    frame_rate: float | None = None,
) -> Iterator[Frames]:
    """Reads all frames of a video, a chunk at a time (P1 3.2.2.3).

    Args:
      path, max_side_px, time_limit_s, stream, frame_rate: as in `read_frames`; the limit includes the caller's work.
      length: frames of a chunk; the last one is shorter.
    Yields:
      Frames. The memory is that of one chunk, if the caller lets go of the one before.
    Raises:
      VideoError: see `probe`.
    """
    _positive(length=length, max_side_px=max_side_px)
    _check(path)
    if images.is_still(path):
        yield read_frames(path, [0], max_side_px)
        return
    deadline = Deadline(path, time_limit_s)
    index = _index(path, deadline, stream, frame_rate)
    convert = Converter(canvas_px(index.looks), index.looker(), max_side_px)
    chunk, positions, damaged, start = None, [], 0, 0
    for position, frame, decoder, doubtful in decode.frames(index, None, deadline):
        if chunk is None:
            chunk = np.empty((min(length, len(index.times) - start), *convert.shape), np.uint8)
        convert(frame, chunk[len(positions)], decoder)
        positions.append(position)
        damaged += doubtful
        if len(positions) == len(chunk):
            yield _chunk(index, chunk, positions, position + 1 - start, damaged)
            chunk, positions, damaged, start = None, [], 0, position + 1
    if positions:
        yield _chunk(index, chunk[: len(positions)], positions, len(index.times) - start, damaged)


def _chunk(index, frames, positions, span, damaged):
    positions = np.array(positions, np.int64)
    times_s = (index.times[positions] - index.times[0]) * index.time_base
    return Frames(frames, positions, times_s, span - len(positions), damaged)


def _check(path):
    """Raises VideoError where `path` is neither a file with content nor the folder of one video's frames."""
    if check_file(path):
        check_folder(path)


def forget_packets() -> None:
    """Forgets the packets of the files read last, which are then read as files seen for the first time."""
    _INDICES.clear()
