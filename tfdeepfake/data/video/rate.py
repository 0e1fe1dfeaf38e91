"""Frames by time: runs at the frame rate that a network was trained on, and frames that only repeat the one before.

A file of 60 frames/s may be a video of 25 whose frames were doubled, as screen recordings, editors and streams do: its
container says 60, and neighbouring frames show no motion.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.data.video.read import frame_times, probe, read_frames, run_indices

if TYPE_CHECKING:
    from tfdeepfake.recipe import DataRecipe

# A network sees no difference between runs at 24, 25 and 30 frames/s, which its training data mixes.
SAME_RATE = 1.34
# The images in which motion is looked for.
SMALL_SIDE_PX = 160
LOOKED_AT = 72
# Motion is compared with the most in the frames around it: a person moves now more, now less.
AROUND = 6
LEAST_MOTION = 0.25  # mean difference of grey levels between neighbouring frames
BEATS = np.geomspace(1.15, 6, 420)  # frames to a new one: fewer cannot be told from motion that is not steady
LEAST_OF_EACH = 4  # new and repeated frames
# A new frame moves more than a repeated one so often at least. What is left of motion in those comes from coding: a
# small part of that in new frames, or a larger part where all motion is small.
APART, APART_KNOWN = 0.95, 0.8
REPEATED, REPEATED_FAINT = 0.2, 0.6
FAINT = 1.0  # mean difference of grey levels


def least_clip_fps(recipe: "DataRecipe") -> float | None:
    """Frames/s at which the frames of a clip have to follow each other for the motion that a network knows to be in it;
    None of networks that do not take runs of consecutive frames, or say no rate."""
    if recipe.sampling != "consecutive" or not recipe.runs_fps:
        return None
    return recipe.runs_fps / SAME_RATE / recipe.stride_frames


@dataclass(frozen=True)
class Cadence:
    """How often a video shows something new.

    Args:
      fps: mean frames/s of the file.
      shown_fps: frames/s of those that do not repeat the one before; equal to `fps` where none do, or where nothing
        moves.
    """

    fps: float
    shown_fps: float

    @property
    def is_doubled(self) -> bool:
        return self.shown_fps < self.fps


def new_frames(frames: np.ndarray, beat: float | None = None) -> np.ndarray:
    """Which of consecutive frames show something new.

    Args:
      frames: uint8 [T, H, W, 3].
      beat: frames to a new one, where that is known.
    Returns:
      bool [T]; all True where frames are not repeated in a steady beat (a pause in the motion is no beat). Of each
      group of equal frames the first is True.
    """
    every = np.ones(len(frames), bool)
    fresh, beat = _beat(frames, beat)
    if beat:
        every[1:] = fresh
        # The motion into the first frame is not known: it repeats another where its group would else be a full one.
        every[0] = np.flatnonzero(fresh)[0] + 1 >= np.floor(beat + 0.15)
    return every


def _beat(frames, known=None):
    """(bool [T - 1] which frames after the first are new, frames to a new one; 0 where there is no steady beat)."""
    grey = np.asarray(frames).astype(np.float32).mean(axis=3)
    motion = np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2))
    if len(motion) < 2 * LEAST_OF_EACH:
        return motion >= 0, 0.0
    padded = np.pad(motion, AROUND, mode="edge")
    most = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1).max(axis=1)
    if np.median(most) < LEAST_MOTION:
        return motion >= 0, 0.0
    part = motion / np.maximum(most, 1e-6)
    ranks = part.argsort().argsort() + 1.0
    kept, best = 0.0, []
    # Where the beat is known, a few frames need not prove it again.
    for beat in BEATS if known is None else known * np.linspace(0.98, 1.02, 11):
        expected = _expected(beat, len(part))
        new = expected.sum(axis=1)
        repeated = len(part) - new
        # The area under the ROC curve: how often a new frame moves more than a repeated one.
        apart = (expected @ ranks - new * (new + 1) / 2) / np.maximum(new * repeated, 1)
        apart[np.minimum(new, repeated) < LEAST_OF_EACH] = 0
        row = int(apart.argmax())
        if apart[row] > kept:
            kept, best = apart[row], []
        if apart[row] == kept:
            best.append((float(beat), expected[row]))
    beat, fresh = best[len(best) // 2]  # neighbouring beats give the same pattern
    most_left = REPEATED_FAINT if np.median(motion[~fresh]) < FAINT else REPEATED
    if kept < (APART if known is None else APART_KNOWN) or part[~fresh].mean() > most_left * part[fresh].mean():
        return motion >= 0, 0.0
    return fresh, beat


def _expected(beat, length):
    """bool [16, length]: new frames where a rate was changed, from each of 16 moments on.

    They come at every beat of a clock, rounded up to the next frame.
    """
    starts = np.linspace(0, beat, 16, endpoint=False)
    ticks = np.ceil(starts[:, None] + beat * np.arange(int(length / beat) + 1)).astype(int)
    expected = np.zeros((len(starts), length + int(np.ceil(beat)) + 1), bool)
    np.put_along_axis(expected, np.minimum(ticks, expected.shape[1] - 1), True, axis=1)
    return expected[:, :length]


def cadence(
    path: str | Path, time_limit_s: float | None = None, stream: int | None = None, frame_rate: float | None = None
) -> Cadence:
    """Looks at consecutive frames from the middle of a video, made small.

    Args:
      path, time_limit_s, stream, frame_rate: as in `read.probe`.
    Returns:
      Cadence.
    """
    where = {"time_limit_s": time_limit_s, "stream": stream, "frame_rate": frame_rate}
    info = probe(path, **where)
    count = min(info.frame_count, LOOKED_AT)
    if info.is_image or count < 5:
        return Cadence(info.fps, info.fps)
    start = (info.frame_count - count) // 2
    _, beat = _beat(_small(path, np.arange(start, start + count), where).frames)
    return Cadence(info.fps, info.fps / beat if beat else info.fps)


def runs_at_rate(
    path: str | Path,
    num_clips: int,
    num_frames: int,
    runs_fps: float,
    stride_frames: int = 1,
    time_limit_s: float | None = None,
    stream: int | None = None,
    frame_rate: float | None = None,
) -> np.ndarray:
    """As `run_indices`, but the frames of a run are as far apart in time as at another frame rate.

    A video that shows new frames at about that rate, or more slowly, gives them one after another, without those that
    are repeated; a faster one gives the frames nearest to the times.

    Args:
      path, time_limit_s, stream, frame_rate: as in `read.probe`.
      num_clips, num_frames, stride_frames: as in `run_indices`.
      runs_fps: frames/s of the network's training data.
    Returns:
      int64 [C, num_frames], ascending in each run, each starting at another frame, so fewer than `num_clips` where the
      video shows too few new ones; 0 rows when it is shorter than a run.
    """
    if not runs_fps > 0:
        raise ValueError(f"runs_fps needs frames/s above 0, got {runs_fps}.")
    where = {"time_limit_s": time_limit_s, "stream": stream, "frame_rate": frame_rate}
    beat, times = cadence(path, **where), frame_times(path, **where)
    rate = min(runs_fps, beat.shown_fps) if beat.shown_fps > SAME_RATE * runs_fps else beat.shown_fps
    if not beat.is_doubled and rate == beat.fps:
        return run_indices(len(times), num_clips, num_frames, stride_frames)
    # Runs start where they would in the same video at the rate wanted, so that copies at several rates show the same.
    length_s = float(times[-1]) + 1 / beat.fps
    starts = run_indices(max(1, round(length_s * rate)), num_clips, num_frames, stride_frames)[:, 0] / rate
    runs = [_run(path, start, times, num_frames, stride_frames / rate, beat, where) for start in starts]
    # Of a short video with few new frames two moments may fall on one: the run would count twice.
    by_start = {int(run[0]): run for run in reversed(runs) if run is not None}
    return np.array([by_start[start] for start in sorted(by_start)], np.int64).reshape(-1, num_frames)


def _run(path, start_s, times, num_frames, step_s, beat, where):
    """int64 [num_frames], the frames that are nearest to times from `start_s` on; None where there are too few."""
    # One group of repeated frames more at both ends.
    around_s = (1 / beat.shown_fps if beat.is_doubled else 0.0) + 1 / beat.fps
    first = int(np.searchsorted(times, start_s - around_s))
    last = int(np.searchsorted(times, start_s + (num_frames - 1) * step_s + around_s, side="right"))
    choice = np.arange(first, last)
    if beat.is_doubled:
        # A beat shows only over some frames.
        last = min(len(times), first + max(last - first, LOOKED_AT // 2))
        frames = _small(path, np.arange(max(0, min(first, last - LOOKED_AT // 2)), last), where)
        fresh = frames.indices[new_frames(frames.frames, beat.fps / beat.shown_fps)]
        choice = fresh[fresh >= first]
    if len(choice) < num_frames:
        return None
    wanted = start_s + step_s * np.arange(num_frames)
    nearest = np.abs(times[choice][None] - wanted[:, None]).argmin(axis=1)
    # No frame twice: where two moments fall on one, the next ones are taken, and at the end those before.
    for place in range(1, num_frames):
        nearest[place] = max(nearest[place], nearest[place - 1] + 1)
    return choice[np.minimum(nearest, len(choice) - num_frames + np.arange(num_frames))]


def _small(path, indices, where):
    return read_frames(path, indices, max_side_px=SMALL_SIDE_PX, **where)
