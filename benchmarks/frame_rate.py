"""What the frame rate of a copy does to a score: one video at 12.5, 25, 50 and 60 frames/s.

    python benchmarks/frame_rate.py MODEL FOLDER [--videos 30] [--crf 18]

Of each video of 25 frames/s copies are written as converters make them: every second frame at 12.5/s, frames repeated
at 50 and 60/s, and one at its own rate through the same encoder, which the others are compared with. `spread` is the
difference between the highest and the lowest score of a video's copies. Videos are taken evenly over the folder, so
that genuine ones and every manipulation are among them. --crf 0 is without loss: what is left then is not coding's.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import tfdeepfake
from tfdeepfake.data import video
from tfdeepfake.data.video.walk import walk

OWN_FPS = 25
RATES_FPS = (OWN_FPS, 12.5, 50, 60)
WITHIN = 0.05


def write_copy(frames, path, fps, crf):
    """Writes frames of 25/s as a video of another rate: each place in time shows the frame that is on at that time."""
    shown = np.arange(int(len(frames) * fps / OWN_FPS)) * OWN_FPS / fps
    video.write_video(path, frames[(shown + 1e-6).astype(int)], fps, crf=crf)


def probabilities(detector, path, folder, crf):
    """float [len(RATES_FPS)], NaN where no face was found."""
    frames = np.stack(video.read_frames(path, range(video.probe(path).frame_count)).frames)
    scores = []
    for fps in RATES_FPS:
        copy = Path(folder, f"{fps}.mp4")
        write_copy(frames, copy, fps, crf)
        scores.append(detector(copy).probability)
    return np.array(scores, float)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--videos", type=int, default=30)
    parser.add_argument("--crf", type=int, default=18)
    args = parser.parse_args()
    detector = tfdeepfake.Detector(args.model, log=lambda line: None)
    paths = sorted(walk(args.folder).media)
    paths = [paths[i] for i in video.spaced_indices(len(paths), args.videos)]
    with tempfile.TemporaryDirectory() as folder:
        scores = np.stack([probabilities(detector, path, folder, args.crf) for path in paths])
    rows = {f"{fps:g}/s": np.abs(scores[:, i] - scores[:, 0]) for i, fps in enumerate(RATES_FPS) if i}
    rows["spread"] = scores.max(axis=1) - scores.min(axis=1)
    print(f"{len(paths)} videos, against the copy of {OWN_FPS}/s: mean change, highest, videos beyond {WITHIN}")
    for name, change in rows.items():
        print(f"{name:>8s} {change.mean():6.3f} {change.max():6.3f} {(change > WITHIN).sum():4d}")


if __name__ == "__main__":
    main()
