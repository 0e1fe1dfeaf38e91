"""Frames by time: runs at the frame rate that a network was trained on, and frames that only repeat the one before.

A file of 60 frames/s may be a video of 25 whose frames were doubled, as screen recordings, editors and streams do: its
container says 60, and neighbouring frames show no motion.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfdeepfake.data.video.read import frame_times, probe, read_frames, run_indices

# A network sees no difference between runs at 24, 25 and 30 frames/s, which its training data mixes.
SAME_RATE = 1.34
# The images in which motion is looked for.
SMALL_SIDE_PX = 160
LOOKED_AT = 72
# Most motion in a repeated frame, as a part of the most in the frames around it: what is left of it comes from coding,
# much where that is coarse.
REPEATED = (0.15, 0.3, 0.45)
AROUND = 6
LEAST_MOTION = 0.25  # mean difference of grey levels between neighbouring frames
LEAST_BEAT = 1.15  # frames to a new one: fewer cannot be told from motion that is not steady
STEADY = 0.92  # part of the frames that keep to the beat


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


def new_frames(frames: np.ndarray) -> np.ndarray:
    """Which of consecutive frames show something new.

    Args:
      frames: uint8 [T, H, W, 3].
    Returns:
      bool [T]; all True where frames are not repeated in a steady beat (a pause in the motion is no beat). Of each
      group of equal frames the first is True.
    """
    every = np.ones(len(frames), bool)
    fresh, beat = _beat(frames)
    if beat:
        every[1:] = fresh
        # The motion into the first frame is not known: it repeats another where its group would else be a full one.
        every[0] = np.flatnonzero(fresh)[0] + 1 >= np.floor(beat + 0.15)
    return every


def _beat(frames):
    """(bool [T - 1] which frames after the first are new, frames to a new one; 0 where there is no steady beat)."""
    grey = np.asarray(frames).astype(np.float32).mean(axis=3)
    motion = np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2))
    if len(motion) < 4:
        return motion >= 0, 0.0
    padded = np.pad(motion, AROUND, mode="edge")
    most = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1).max(axis=1)
    if np.median(most) >= LEAST_MOTION:
        for part in REPEATED:
            fresh = motion > part * most
            beat = _steady_beat(fresh)
            if beat:
                return fresh, beat
    return motion >= 0, 0.0


def _steady_beat(fresh):
    """Frames to a new one, where nearly all keep to a beat; else 0."""
    usual, best, kept = (len(fresh) - 1) / max(1, fresh.sum() - 1), 0.0, 0.0
    if usual < LEAST_BEAT:
        return 0.0
    # A rate that was changed gives new frames at every beat of a clock, rounded up to the next frame.
    for beat in usual * np.linspace(0.92, 1.08, 33):
        starts = np.linspace(0, beat, 16, endpoint=False)
        ticks = np.ceil(starts[:, None] + beat * np.arange(int(len(fresh) / beat) + 1)).astype(int)
        expected = np.zeros((len(starts), len(fresh) + int(np.ceil(beat)) + 1), bool)
        np.put_along_axis(expected, np.minimum(ticks, expected.shape[1] - 1), True, axis=1)
        agree = (expected[:, : len(fresh)] == fresh).mean(axis=1).max()
        if agree > kept:
            best, kept = float(beat), agree
    return best if kept >= STEADY else 0.0


def cadence(path: str | Path, time_limit_s: float | None = None, stream: int | None = None) -> Cadence:
    """Looks at consecutive frames from the middle of a video, made small.

    Args:
      path, time_limit_s, stream: as in `read.probe`.
    Returns:
      Cadence.
    """
    info = probe(path, time_limit_s, stream)
    count = min(info.frame_count, LOOKED_AT)
    if info.is_image or count < 5:
        return Cadence(info.fps, info.fps)
    start = (info.frame_count - count) // 2
    _, beat = _beat(_small(path, np.arange(start, start + count), time_limit_s, stream).frames)
    return Cadence(info.fps, info.fps / beat if beat else info.fps)


def runs_at_rate(
    path: str | Path,
    num_clips: int,
    num_frames: int,
    frame_rate: float | None,
    stride_frames: int = 1,
    time_limit_s: float | None = None,
    stream: int | None = None,
) -> np.ndarray:
    """As `run_indices`, but the frames of a run are as far apart in time as at another frame rate.

    A video that shows new frames at about that rate, or more slowly, gives them one after another, without those that
    are repeated; a faster one gives the frames nearest to the times.

    Args:
      path, time_limit_s, stream: as in `read.probe`.
      num_clips, num_frames, stride_frames: as in `run_indices`.
      frame_rate: frames/s of the network's training data.
    Returns:
      int64 [C, num_frames], ascending in each run; 0 rows when the video is shorter than a run.
    """
    if not frame_rate > 0:
        raise ValueError(f"frame_rate needs frames/s above 0, got {frame_rate}.")
    beat = cadence(path, time_limit_s, stream)
    times = frame_times(path, time_limit_s, stream)
    rate = min(frame_rate, beat.shown_fps) if beat.shown_fps > SAME_RATE * frame_rate else beat.shown_fps
    if not beat.is_doubled and rate == beat.fps:
        return run_indices(len(times), num_clips, num_frames, stride_frames)
    # A run as so many frames of the file, and one group of repeated frames more.
    group = int(np.ceil(beat.fps / beat.shown_fps)) if beat.is_doubled else 0
    span = int(np.ceil((num_frames - 1) * stride_frames * beat.fps / rate)) + 1 + group
    windows = run_indices(len(times), num_clips, min(span, len(times)))
    runs = [
        _run(path, window, times, num_frames, stride_frames / rate, beat, time_limit_s, stream) for window in windows
    ]
    return np.array([run for run in runs if run is not None], np.int64).reshape(-1, num_frames)


def _run(path, window, times, num_frames, step_s, beat, time_limit_s, stream):
    """int64 [num_frames] of the frames `window`; None where it has too few."""
    choice = window
    if beat.is_doubled:
        # A beat shows only over some frames.
        last = min(len(times), window[0] + max(len(window), LOOKED_AT // 2))
        first = max(0, min(window[0], last - LOOKED_AT // 2))
        frames = _small(path, np.arange(first, last), time_limit_s, stream)
        fresh = frames.indices[new_frames(frames.frames)]
        choice = fresh[fresh >= window[0]]
    if not len(choice):
        return None
    wanted = times[choice[0]] + step_s * np.arange(num_frames)
    nearest = np.abs(times[choice][None] - wanted[:, None]).argmin(axis=1)
    # No frame twice: where two moments fall on one, the next ones are taken.
    for place in range(1, num_frames):
        nearest[place] = max(nearest[place], nearest[place - 1] + 1)
    return choice[nearest] if nearest[-1] < len(choice) else None


def _small(path, indices, time_limit_s, stream):
    return read_frames(path, indices, max_side_px=SMALL_SIDE_PX, time_limit_s=time_limit_s, stream=stream)
