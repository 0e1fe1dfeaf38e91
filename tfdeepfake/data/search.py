"""Is a face anywhere in a video? A coarse look over all of it, for faces that are there for a moment."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfdeepfake.data import video

# How close the looks are, and how many at most: a long video is looked at more seldom, and the search says so.
EVERY_S = 0.5
MOST_FRAMES = 240
# So far apart, keyframes do: each can be decoded alone.
KEYFRAMES_FROM_S = 2.0
SIDE_PX = 640
AT_ONCE = 32
# A face that was seen is sampled so far around, and no further than half way to the next look.
AROUND_S = 1.0


@dataclass(frozen=True, eq=False)
class Search:
    """Where in a video faces were seen.

    Args:
      length_s: of the video.
      every_s: the longest time between two looks, or between one and the video's start or end.
      num_frames: looks; num_with_face: those that show a face.
      places: int64 [P, 2], first frame and the one behind the last of the parts around faces, in order and apart.
    """

    length_s: float
    every_s: float
    num_frames: int
    num_with_face: int
    places: np.ndarray

    @property
    def text(self) -> str:
        """Such as "searched 63 s every 0.5 s"."""
        every = f"{self.every_s:.1f}" if self.every_s < 10 else f"{self.every_s:.0f}"
        return f"searched {self.length_s:.0f} s every {every} s"


def find_faces(
    path: str | Path, detect: Callable, stream: int | None = None, frame_rate: float | None = None
) -> Search:
    """Looks for faces in small frames of the whole video.

    Args:
      path: video.
      detect: a detector, see `faces.make_detector`.
      stream, frame_rate: as in `video.probe`.
    Returns:
      Search.
    Raises:
      video.VideoError: no frame that was to be looked at can be read.
    """
    where = {"stream": stream, "frame_rate": frame_rate}
    times = video.frame_times(path, **where)
    usual_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    length_s = float(times[-1]) + usual_s
    every_s = max(EVERY_S, length_s / MOST_FRAMES)
    wanted = np.arange(every_s / 2, max(length_s, every_s), every_s)
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1) if len(times) > 1 else np.zeros(1, int)
    before = np.maximum(after - 1, 0)
    # Half way between two frames the one before is taken, whichever way the figures are rounded.
    indices = np.unique(np.where(wanted - times[before] < times[after] - wanted + 1e-6, before, after))
    looks, seen = {}, every_s
    if every_s > KEYFRAMES_FROM_S:
        looks = _looks(path, indices, detect, where, keyframes_only=True)
        seen = _longest(times[sorted(looks)], length_s)
    if not looks or seen > 2 * every_s:
        looks |= _looks(path, indices, detect, where)
        seen = _longest(times[sorted(looks)], length_s)
    half_s = min(AROUND_S, every_s / 2)
    places = []
    for frame in sorted(frame for frame, has_face in looks.items() if has_face):
        first = int(np.searchsorted(times, times[frame] - half_s))
        end = int(np.searchsorted(times, times[frame] + half_s, side="right"))
        if places and first <= places[-1][1]:
            places[-1][1] = end
        else:
            places.append([first, end])
    return Search(length_s, seen, len(looks), sum(looks.values()), np.array(places, np.int64).reshape(-1, 2))


def _looks(path, indices, detect, where, keyframes_only=False):
    """{frame: whether a face was seen}. Frames of a damaged part are left out; that shows in the time between looks."""
    looks, problem = {}, None
    for start in range(0, len(indices), AT_ONCE):
        part = indices[start : start + AT_ONCE]
        try:
            read = video.read_frames(path, part, max_side_px=SIDE_PX, keyframes_only=keyframes_only, **where)
        except video.VideoError as error:
            problem = error
            continue
        new = [row for row, frame in enumerate(read.indices.tolist()) if frame not in looks]
        if new:
            faces = detect(read.frames[new])
            looks |= {int(read.indices[row]): len(each) > 0 for row, each in zip(new, faces, strict=True)}
    if not looks and problem is not None:
        raise problem
    return looks


def _longest(times, length_s):
    """Longest time without a look, also from the start and to the end: a face that is there for less may be missed."""
    return float(max(np.diff(times, prepend=0.0, append=length_s)))
