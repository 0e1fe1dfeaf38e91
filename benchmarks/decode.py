"""Ways to read a few frames of a video side by side, and the memory that reading takes.

    python benchmarks/decode.py [VIDEO ...] [--frames 16] [--rounds 5] [--threads 4]
    python benchmarks/decode.py --memory

Without a video, a clip of 10 s, 1080p, H.264 with moving content is generated. All ways take the same equally spaced
frames as RGB, in turn, in one process; a line is the median over the rounds, its ratio to grab and retrieve, and the
median CPU time of all threads, which a busy machine disturbs less. "same" says whether the frames equal those of the
plain sequential decode, bit for bit.

--memory reads 16 frames of that clip, and of the same clip repeated to 10 minutes, each in a process of its own, and
prints the peak resident memory.

Measured with PyAV 18.1 and OpenCV 4.14 on 2 x86 cores while other work ran beside it; 16 frames, time relative to grab
and retrieve, medians of 3 to 7 rounds. This project: 0.93 to 1.02 on the generated clip (four runs); on 1080p clips of
cameras 0.70 and 0.78 (one H.264 clip, two runs), 0.98 and 1.06 (another), 0.89 (HEVC). OpenCV's seek to each: 6 to 8.
Keyframes only: 0.05 to 0.29. The gain comes from images that no other one refers to: they are decoded only when needed.
Peak memory: 191 MiB for 300 frames, 197 MiB for 18,000.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np

from tfdeepfake.data import video

PEAK = """
import sys
from tfdeepfake.data import video
info = video.probe(sys.argv[1])
video.read_frames(sys.argv[1], video.spaced_indices(info.frame_count, 16))
print(info.frame_count, *[line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")])
"""


def draw_clip(path, seconds=10, height=1080, width=1920, fps=30):
    """Writes a video of a textured room that sways, with a disc moving through it."""
    rng = np.random.default_rng(0)
    room = cv2.GaussianBlur(rng.normal(0, 1, (height + 120, width + 300, 3)).astype(np.float32), (0, 0), 4)
    room = np.uint8(np.clip(128 + 45 * room / room.std(), 0, 255))

    def frames():
        for t in range(seconds * fps):
            top, left = int(60 + 60 * np.sin(t / 20)), int(150 + 150 * np.cos(t / 30))
            frame = room[top : top + height, left : left + width].copy()
            centre = int(width * (0.5 + 0.3 * np.cos(t / 15))), int(height * (0.5 + 0.3 * np.sin(t / 11)))
            cv2.circle(frame, centre, height // 6, (205, 150, 120), -1)
            yield frame

    video.write_video(path, frames(), fps, preset="medium")


def repeat_clip(source, path, times):
    """Copies the packets of a video several times behind each other, without decoding them."""
    with av.open(str(path), "w") as container:
        out, start = None, 0
        for _ in range(times):
            with av.open(str(source)) as given:
                stream = given.streams.video[0]
                out = out or container.add_stream_from_template(stream)
                span = stream.duration
                for packet in given.demux(stream):
                    if packet.dts is not None:
                        packet.stream, packet.pts, packet.dts = out, packet.pts + start, packet.dts + start
                        container.mux(packet)
                start += span


def opencv_grab(path, indices):
    capture, frames, wanted = cv2.VideoCapture(path), [], set(indices.tolist())
    for number in range(indices[-1] + 1):
        if not capture.grab():
            break
        if number in wanted:
            frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
    return frames


def opencv_seek(path, indices):
    capture, frames = cv2.VideoCapture(path), []
    for number in indices:
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(number))
        frames.append(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB))
    return frames


def pyav_sequential(threads):
    def read(path, indices):
        wanted, frames = set(indices.tolist()), []
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type, stream.codec_context.thread_count = ("AUTO", threads) if threads > 1 else ("SLICE", 1)
            for number, frame in enumerate(container.decode(stream)):
                if number in wanted:
                    frames.append(frame.to_ndarray(format="rgb24", interpolation="BICUBIC"))
                if number == indices[-1]:
                    return frames
        return frames

    return read


def ours(path, indices, **options):
    video.forget_packets()  # the packets are read again, as for a file seen for the first time
    return video.read_frames(path, indices, **options).frames


def compare(path, count, rounds, threads):
    info = video.probe(path)
    indices = video.spaced_indices(info.frame_count, count)
    ways = {
        "OpenCV, grab and retrieve": opencv_grab,
        "OpenCV, seek to each": opencv_seek,
        "PyAV, all in order, 1 thread": pyav_sequential(1),
        f"PyAV, all in order, {threads} threads": pyav_sequential(threads),
        "this project": ours,
        "this project, keyframes only": lambda path, indices: ours(path, indices, keyframes_only=True),
    }
    plain, note = pyav_sequential(1)(path, indices), {}
    times, work = {name: [] for name in ways}, {name: [] for name in ways}
    for _ in range(rounds):
        for name, read in ways.items():
            start, work_start = time.perf_counter(), time.process_time()
            frames = read(path, indices)
            times[name].append(time.perf_counter() - start)
            work[name].append(time.process_time() - work_start)
            same = len(frames) == len(plain) and all(map(np.array_equal, frames, plain))
            note[name] = "same" if same else f"{len(frames)} frames, others"
    print(f"{Path(path).name}: {len(indices)} of {info.frame_count} frames, {info.width} x {info.height}, {info.codec}")
    base = statistics.median(times["OpenCV, grab and retrieve"])
    for name, spent in times.items():
        wall, cpu = statistics.median(spent), statistics.median(work[name])
        print(f"  {name:34s} {wall:7.3f} s  {wall / base:5.2f} x  {cpu:7.3f} s CPU  {note[name]}")


def memory(clip, folder):
    long = folder / "long.mp4"
    repeat_clip(clip, long, 60)
    for path in (clip, long):
        done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
        frames, peak_kib = map(int, done.stdout.split())
        print(f"16 of {frames:6d} frames: peak {peak_kib / 1024:.0f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", metavar="VIDEO")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--memory", action="store_true", help="peak memory of a short and a long video instead")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "generated.mp4"
        if args.memory or not args.videos:
            draw_clip(clip)
        if args.memory:
            memory(clip, Path(folder))
            return
        for path in args.videos or [str(clip)]:
            compare(path, args.frames, args.rounds, args.threads)


if __name__ == "__main__":
    main()
