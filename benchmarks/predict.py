"""Seconds that a verdict takes and where they go, and whether memory grows with the video's length.

    python benchmarks/predict.py --model saved_models/meso4_df --detector blazeface
      [--detector-weights FILE] [--video FILE]

Without --video a talking head is drawn, 10 s of 1920 x 1080 at 30 frames/s, and the 10 minutes are the same 10 s
over and over (packets copied, not encoded again). Takes about two minutes on two cores. Each figure is the median
of --repeats runs in one process after one run that warms up; peak memory is that of a fresh process per length.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for variable in ("TF_CPP_MIN_LOG_LEVEL", "GLOG_minloglevel", "ABSL_MIN_LOG_LEVEL"):
    os.environ.setdefault(variable, "3")


def draw(path, seconds=10, fps=30):
    """A drawn talking head, enlarged to 1920 x 1080, with camera grain so that it costs about what a real one costs."""
    import cv2
    import numpy as np

    from tfdeepfake.data import synthetic, video

    grain = np.random.default_rng(0).normal(0, 2, (8, 1080, 1920, 1)).astype(np.int8)
    person, room = synthetic.identity(0, 1), synthetic.scene(0, 1)
    drawn = synthetic.draw_video(person, room, synthetic.motion(0, seconds * fps, fps), 640, 360)
    large = (cv2.resize(frame, (1920, 1080), interpolation=cv2.INTER_CUBIC) for frame in drawn)
    noisy = (np.clip(frame.astype(np.int16) + grain[k % 8], 0, 255).astype(np.uint8) for k, frame in enumerate(large))
    video.write_video(path, noisy, fps)


def repeat(source, path, times):
    """The same video `times` over, by copying packets."""
    import av

    with av.open(str(path), "w") as out:
        stream, offset = None, 0
        for _ in range(times):
            with av.open(str(source)) as given:
                track = given.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(track)
                end = 0
                for packet in given.demux(track):
                    if packet.dts is None:
                        continue
                    end = max(end, packet.pts + packet.duration)
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    out.mux(packet)
                offset += end


def load(args):
    """(model, recipe with the detector asked for, detector, seconds of each step)."""
    import dataclasses

    spent, start = {}, time.perf_counter()
    import tensorflow  # noqa: F401  the import itself is what is timed

    spent["import TensorFlow"] = time.perf_counter() - start
    start = time.perf_counter()
    from tfdeepfake.model_folder import load_model

    model, recipe = load_model(args.model)
    spent["build the network, load weights"] = time.perf_counter() - start
    start = time.perf_counter()
    from tfdeepfake.data import faces

    if args.detector and recipe.data.detector != "none":
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, detector=args.detector))
    name = "mtcnn" if recipe.data.detector == "none" else recipe.data.detector
    detect = faces.make_detector(name, args.detector_weights)
    spent["load the detector"] = time.perf_counter() - start
    return model, recipe, detect, spent


def measure_memory(args):
    """Judges args.video once in this process and prints its peak memory."""
    from tfdeepfake.verdict.judging import judge
    from tfdeepfake.verdict.settings import JudgeSettings

    model, recipe, detect, _ = load(args)
    verdict = judge(args.video, model, recipe, detect, JudgeSettings(num_samples=args.num_samples))
    print(
        json.dumps(
            {"peak_mib": own_peak_mib(), "status": verdict.status, "duration_s": verdict.video.get("duration_s")}
        )
    )


def own_peak_mib():
    """Peak resident memory of this process.

    On Linux ru_maxrss starts at that of the process that started this one, which would hide a difference.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(text for text in status.read_text().splitlines() if text.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "linux" else 1024) / 1024


def peak(args, path):
    command = [sys.executable, __file__, "--model", args.model, "--video", str(path), "--memory-of-one"]
    for flag, value in (
        ("--detector", args.detector),
        ("--detector-weights", args.detector_weights),
        ("--num-samples", args.num_samples),
    ):
        command += [flag, str(value)] if value else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def time_stages(args, path, folder):
    """Prints the median seconds of each stage."""
    from tfdeepfake.verdict import images, page
    from tfdeepfake.verdict.batch import counts, line
    from tfdeepfake.verdict.judging import judge
    from tfdeepfake.verdict.settings import JudgeSettings

    model, recipe, detect, startup = load(args)
    settings = JudgeSettings(num_samples=args.num_samples)
    runs = []
    for _ in range(args.repeats + 1):
        start = time.perf_counter()
        verdict = judge(path, model, recipe, detect, settings)
        total, start = time.perf_counter() - start, time.perf_counter()
        record = {"name": Path(path).name, **verdict.to_dict()}
        record["images"] = images.draw_images(path, record, folder)
        drawing, start = time.perf_counter() - start, time.perf_counter()
        result = {
            "counts": counts([record]),
            "recipe": recipe.to_dict(),
            "recipe_sha256": "",
            "model": args.model,
            "detector": recipe.data.detector,
            "trained_with_detector": recipe.data.detector,
            "tool": "benchmark",
            "threshold": recipe.threshold,
            "other_files": [],
            "unreadable_folders": [],
        }
        page.write_page(Path(folder) / "index.html", result, lambda order, record=record: iter([record]))
        runs.append(
            {**verdict.timings, "verdict, all together": total, "images": drawing, "page": time.perf_counter() - start}
        )
    print(line(record))
    video = verdict.video
    print(
        f"{video['width']} x {video['height']}, {video['duration_s']:.1f} s, {video['frame_count']} frames, "
        f"{video['codec']}; {recipe.network}, {recipe.data.detector}, {verdict.num_samples} samples; "
        f"{os.cpu_count()} cores"
    )
    print("start-up: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in startup.items()))
    print(f"first verdict (traces the network): {runs[0]['verdict, all together']:.2f} s")
    middle = {name: statistics.median(run[name] for run in runs[1:]) for name in runs[0]}
    for name, seconds in middle.items():
        print(
            f"{name:24s}{seconds:8.3f} s   (of {len(runs) - 1} runs: {min(r[name] for r in runs[1:]):.3f} to "
            f"{max(r[name] for r in runs[1:]):.3f})"
        )
    ratio = statistics.median((run["detect"] + run["network"]) / run["decode"] for run in runs[1:])
    print(f"(detect + network) / decode: {ratio:.2f}   target: at most 1")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--detector", choices=("mtcnn", "blazeface"))
    parser.add_argument("--detector-weights")
    parser.add_argument("--video")
    parser.add_argument("--num-samples", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-memory", action="store_true", help="leave the 10-minute comparison out")
    parser.add_argument("--memory-of-one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of_one:
        return measure_memory(args)
    with tempfile.TemporaryDirectory() as folder:
        path = args.video or str(Path(folder) / "drawn.mp4")
        if not args.video:
            draw(path)
        time_stages(args, path, folder)
        if args.no_memory:
            return None
        from tfdeepfake.data import video

        length = video.probe(path).duration_s
        long = Path(folder) / "long.mp4"
        repeat(path, long, max(1, round(600 / length)))
        short, tall = peak(args, path), peak(args, long)
        print(
            f"peak memory: {short['peak_mib']:.0f} MiB for {short['duration_s']:.0f} s, {tall['peak_mib']:.0f} MiB "
            f"for {tall['duration_s']:.0f} s: {100 * (tall['peak_mib'] / short['peak_mib'] - 1):+.1f} %   "
            "target: within 10 %"
        )
    return None


if __name__ == "__main__":
    main()
