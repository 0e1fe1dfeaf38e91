"""Stripes of interlaced frames that nothing marks: how videos look as they are, and with every two frames woven.

    python benchmarks/combing.py FOLDER [--woven 8]

FOLDER holds progressive videos. Of the first few, copies are made in which each frame has its even lines of one moment
and its odd lines of the next, coded as ordinary H.264 without a word on it (by `ffmpeg`). Prints the highest of eight
frames of each by `video.combing.striped`, and how many would be called interlaced.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from tfdeepfake.data import video
from tfdeepfake.data.video.combing import LEAST_STRIPED, striped
from tfdeepfake.data.video.walk import walk


def weave(path, copy):
    command = ["ffmpeg", "-y", "-v", "error", "-i", str(path), "-t", "6", "-an", "-vf", "tinterlace=interleave_top"]
    subprocess.run([*command, "-c:v", "libx264", "-preset", "veryfast", "-crf", "23", str(copy)], check=True)
    return copy


def highest(path):
    """The most stripes in one of eight frames."""
    numbers = video.spaced_indices(video.probe(path).frame_count, 8)
    return max(striped(video.read_frames(path, numbers).frames))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--woven", type=int, default=8)
    arguments = parser.parse_args()
    paths = [path for path in walk(arguments.folder).media if not video.probe(path).is_image]
    with tempfile.TemporaryDirectory() as folder:
        woven = [weave(path, Path(folder, f"{n}.mp4")) for n, path in enumerate(paths[: arguments.woven])]
        for name, of in (("as they are", paths), ("woven", woven)):
            values = sorted(highest(path) for path in of)
            said = sum(value > LEAST_STRIPED for value in values)
            print(f"{name}: {said} of {len(values)} called interlaced; {', '.join(f'{v:.1e}' for v in values)}")


if __name__ == "__main__":
    main()
