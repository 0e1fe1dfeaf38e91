"""The gain of two workers over one in a build and in bare decoding; and the CPU time of each part of a build.

    python benchmarks/build.py --dir VIDEOS [--most 8] [--rounds 3] [--input-type frame] [--detector mtcnn]
    python benchmarks/build.py --dir VIDEOS --parts

VIDEOS is a folder in the layout of video_folder. "Bare" decodes the frames that the recipe takes and does nothing else;
"worker" is all that a worker does for a video: decode, detect, crop, encode, write to the work cache. Both run in the
worker pool of the builders; the time counts from when each worker has done one video, because a worker starts once for
thousands (import of TensorFlow, tracing of the detector). "build" is the whole `prepare`, start and writing included.
Rounds of all rows take turns, and a gain is the median over rounds of (time with one) / (time with two), so that other
work on the machine disturbs both alike.

--parts builds in one process and prints the CPU time of each part.
"""

import argparse
import functools
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tfdeepfake.quiet import load_tensorflow

GAIN = 0.9
PARTS = ("decode", "detect", "link, crop", "flow", "encode", "keep", "write")


def decode(job):
    """Reads the frames that the recipe takes."""
    from tfdeepfake.data import video
    from tfdeepfake.data.runs import runs

    info = video.probe(job.video.path)
    wanted = runs(job.video.path, info.frame_count, job.video.recipe)
    return len(video.read_frames(job.video.path, sorted({int(i) for run in wanted for i in run})).frames)


def work(job):
    """What a worker of a build does, without the work cache."""
    import uuid

    from tfds_builders.core import work_cache

    return work_cache.finish(work_cache.Job(job.video, job.folder, uuid.uuid4().hex + uuid.uuid4().hex))


def seconds(function, jobs, workers):
    """Time over the jobs after each worker has done one."""
    from tfdeepfake.workers import imap_ordered

    outcomes = imap_ordered(function, [jobs[0]] * workers + jobs, workers)
    for _ in range(workers):
        next(outcomes)
    start = time.perf_counter()
    for _ in outcomes:
        pass
    return time.perf_counter() - start


def compare(videos, build, rounds):
    """Prints the rows."""
    from etils import epath

    from tfds_builders.core import work_cache

    rows = {(task, n): [] for task in ("bare", "worker", "build") for n in (1, 2)}
    for round_ in range(rounds):
        for task, n in rows:
            if any(times for times in rows.values()):
                last = [f"{times[-1]:.1f}" for times in rows.values() if times]
                print(f"round {round_ + 1}, {task} with {n}; last: {' '.join(last)} s", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                if task == "build":
                    start = time.perf_counter()
                    build(data_dir=folder, workers=n)
                    rows[task, n].append(time.perf_counter() - start)
                    continue
                work_cache.open_folder(epath.Path(folder) / ".work-1.0.0")
                jobs = [work_cache.Job(v, f"{folder}/.work-1.0.0", None) for v in videos]
                rows[task, n].append(seconds(decode if task == "bare" else work, jobs, n))
    gains = {}
    print(f"{len(videos)} videos, {rounds} rounds")
    for task in ("bare", "worker", "build"):
        one, two = rows[task, 1], rows[task, 2]
        gains[task] = statistics.median(a / b for a, b in zip(one, two, strict=True))
        rates = [len(videos) / statistics.median(times) for times in (one, two)]
        spread = ", ".join(f"{a / b:.2f}" for a, b in zip(one, two, strict=True))
        print(f"  {task:7s} 1: {rates[0]:6.3f} videos/s  2: {rates[1]:6.3f}  gain {gains[task]:.2f} ({spread})")
    for task in ("worker", "build"):
        ratio = gains[task] / gains["bare"]
        print(
            f"  {task}: {ratio:.2f} of the bare decoders' gain, {'reached' if ratio >= GAIN else 'not reached'}: {GAIN}"
        )


class Parts:
    """CPU seconds of all threads, each second in the innermost part that is under way."""

    def __init__(self):
        self.spent, self.stack, self.last = dict.fromkeys(PARTS, 0.0), ["write"], time.process_time()

    def switch(self):
        now = time.process_time()
        self.spent[self.stack[-1]] += now - self.last
        self.last = now

    def of(self, part, function):
        @functools.wraps(function)
        def timed(*args, **kwargs):
            self.switch()
            self.stack.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self.stack.pop()

        return timed


def parts(build, count):
    """Prints the CPU time of the parts of a build in this process, after a first one that loads everything."""
    from tfdeepfake.data import examples, faces, flow, video
    from tfds_builders.core import features, work_cache

    with tempfile.TemporaryDirectory() as folder:
        build(data_dir=folder, workers=0)
    spent = Parts()
    make_detector = faces.make_detector
    faces.make_detector = lambda *a, **k: spent.of("detect", make_detector(*a, **k))
    for module, name, part in (
        (video, "read_frames", "decode"),
        (video, "probe", "decode"),
        (examples, "extract", "link, crop"),
        (flow, "optical_flow", "flow"),
        (features, "encode", "encode"),
        (work_cache, "finish", "keep"),
        (work_cache, "read", "keep"),
    ):
        setattr(module, name, spent.of(part, getattr(module, name)))
    spent.switch()
    spent.spent = dict.fromkeys(PARTS, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        build(data_dir=folder, workers=0)
    spent.switch()
    total = sum(spent.spent.values())
    print(f"{count} videos in one process: {total / count:.2f} s CPU a video")
    for part, used in spent.spent.items():
        print(f"  {part:10s} {used / count:7.3f} s  {used / total:6.1%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", required=True, help="folder of videos, real/ and fake/")
    parser.add_argument("--most", type=int, default=8, help="videos, taken at equal steps from all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--input-type", default="clip", choices=("frame", "flow", "clip"))
    parser.add_argument("--detector", default="mtcnn", choices=("mtcnn", "blazeface", "none"))
    parser.add_argument("--parts", action="store_true", help="time by part, in one process")
    args = parser.parse_args()
    load_tensorflow()
    from tfds_builders.core.building import make_video
    from tfds_builders.core.configs import find_config
    from tfds_builders.prepare import prepare
    from tfds_builders.video_folder import Builder
    from tfds_builders.video_folder.listing import list_videos

    listed = list_videos(args.dir)
    listed = listed[:: max(1, len(listed) // args.most)][: args.most]
    config = find_config(Builder.BUILDER_CONFIGS, args.input_type, {"detector": args.detector})
    facts = dict(data_set="video_folder", split="train", source="")
    videos = [make_video(config, path=str(v.path), label=v.label, method="", video=v.name, **facts) for v in listed]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "videos.csv"
        rows = [f"{v.path.absolute()},{('real', 'fake')[v.label]},{v.split}" for v in listed]
        table.write_text("\n".join(["file,label,split", *rows]) + "\n")
        build = functools.partial(
            prepare, "video_folder", input_type=args.input_type, dir=table, detector=args.detector
        )
        if args.parts:
            parts(build, len(videos))
        else:
            compare(videos, build, args.rounds)


if __name__ == "__main__":
    main()
