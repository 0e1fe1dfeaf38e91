"""Damaged copies of videos through `tfdeepfake prepare` and `tfdeepfake predict`: every one must end in a status.

    python benchmarks/mutated.py VIDEO ... [--copies 200] [--seed 0] [--time-limit-s 60]

Copies are made by the rules of `MUTATIONS`, in turn over the videos: flipped bits, cut ends, holes, shuffled and
resized boxes of the container. `prepare` gets them as a folder of real and fake videos, `predict` with an untrained
Meso4. Both run in processes of their own. Prints how many copies of each rule got which status, and fails when one has
no status, when a process crashed or wrote a traceback, or when a copy took longer than the limit.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COMMAND = [sys.executable, "-m", "tfdeepfake.cli"]
# Boxes of MP4 and MOV that hold boxes.
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta"}


def boxes(data, start=0, end=None):
    """[(offset, size, kind)] of the boxes of an MP4 file, or of a part of one; stops where it makes no sense."""
    end, listed = len(data) if end is None else end, []
    while start + 8 <= end:
        size, kind = struct.unpack(">I4s", data[start : start + 8])
        if size < 8 or start + size > end:
            break
        listed.append((start, size, kind))
        start += size
    return listed


def all_boxes(data, start=0, end=None):
    """Those inside of boxes too."""
    listed = []
    for at, size, kind in boxes(data, start, end):
        listed.append((at, size, kind))
        if kind in CONTAINERS:
            listed += all_boxes(data, at + 8, at + size)
    return listed


def flip(count):
    def flip_bits(data, rng):
        data = np.frombuffer(data, np.uint8).copy()
        np.bitwise_xor.at(data, rng.integers(0, len(data), count), 1 << rng.integers(0, 8, count).astype(np.uint8))
        return data.tobytes()

    return flip_bits


def cut_end(data, rng):
    return data[: int(len(data) * rng.uniform(0.02, 0.98))]


def cut_start(data, rng):
    return data[int(len(data) * rng.uniform(0.001, 0.5)) :]


def zero_range(data, rng):
    at = int(rng.integers(0, len(data)))
    size = min(len(data) - at, int(rng.integers(1, len(data) // 3 + 2)))
    return data[:at] + bytes(size) + data[at + size :]


def repeat_range(data, rng):
    at = int(rng.integers(0, len(data)))
    return data[:at] + data[at : at + int(rng.integers(1, 5000))] * 2 + data[at:]


def swap_ranges(data, rng):
    size = max(1, len(data) // 20)
    a, b = (int(x) for x in rng.integers(0, max(1, len(data) - size), 2))
    data = bytearray(data)
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]
    return bytes(data)


def shuffle_boxes(data, rng):
    """The boxes of one level in another order: those of the file, or those inside one of its boxes."""
    parents = [(at + 8, at + size) for at, size, kind in all_boxes(data) if kind in CONTAINERS]
    start, end = [(0, len(data)), *parents][rng.integers(0, 1 + len(parents))]
    siblings = boxes(data, start, end)
    if len(siblings) < 2:
        return swap_ranges(data, rng)
    parts = [data[siblings[n][0] : siblings[n][0] + siblings[n][1]] for n in rng.permutation(len(siblings))]
    return data[:start] + b"".join(parts) + data[start + sum(map(len, parts)) :]


def resize_box(data, rng):
    """A box that claims another size, from 0 to 4 GiB."""
    listed = all_boxes(data)
    if not listed:
        return flip(8)(data, rng)
    at = listed[rng.integers(0, len(listed))][0]
    size = int(rng.choice([0, 1, 7, 8, 2**31, 2**32 - 1, int(rng.integers(0, 2**32))]))
    return data[:at] + struct.pack(">I", size) + data[at + 4 :]


def spoil_box(data, rng):
    """Random bytes inside a box of the index: sizes, times and places of frames that are not true."""
    listed = [
        b
        for b in all_boxes(data)
        if b[2] in (b"stsz", b"stts", b"stco", b"co64", b"stsc", b"stsd", b"ctts", b"tkhd", b"mvhd")
    ]
    if not listed:
        return flip(8)(data, rng)
    at, size, _ = listed[rng.integers(0, len(listed))]
    data = bytearray(data)
    for place in rng.integers(at + 8, max(at + 9, at + size), 6):
        data[place] = rng.integers(0, 256)
    return bytes(data)


MUTATIONS = {
    "flip 1 bit": flip(1),
    "flip 30 bits": flip(30),
    "flip 1000 bits": flip(1000),
    "cut the end": cut_end,
    "cut the start": cut_start,
    "zero a range": zero_range,
    "repeat a range": repeat_range,
    "swap two ranges": swap_ranges,
    "shuffle boxes": shuffle_boxes,
    "resize a box": resize_box,
    "spoil an index box": spoil_box,
}


def write_copies(videos, folder, copies, seed=0):
    """Writes damaged copies below folder/real and folder/fake, in turn.

    Args:
      videos: list of Path.
      folder: Path.
      copies: how many.
    Returns:
      {path: name in `MUTATIONS`}.
    """
    rule_of, names = {}, list(MUTATIONS)
    for number in range(copies):
        source, name = videos[number % len(videos)], names[number % len(names)]
        path = folder / ("real", "fake")[number % 2] / f"{number:04d}_{source.stem}{source.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MUTATIONS[name](source.read_bytes(), np.random.default_rng([seed, number])))
        rule_of[path] = name
    return rule_of


def write_network(folder):
    """Saves an untrained Meso4, which scores frames of any video."""
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    import keras

    from tfdeepfake import models
    from tfdeepfake.model_folder import save_model
    from tfdeepfake.recipe import DataRecipe, Recipe

    keras.utils.set_random_seed(0)
    data = DataRecipe(
        input_type="frame", sampling="spaced", num_frames=4, num_clips=1, height_px=256, width_px=256, flow="none"
    )
    save_model(folder, models.build("meso4"), Recipe("meso4", data=data))
    return folder


def run(arguments):
    """Runs a verb. Returns (exit code, output, what it wrote to stderr, seconds)."""
    started = time.perf_counter()
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr, time.perf_counter() - started


def predicted(folder, model, out, time_limit_s):
    """{path: status} by `predict`, and what is wrong with the run."""
    code, _, error, _ = run(["predict", folder, "--model", model, "--out", out, "--time-limit-s", time_limit_s])
    wrong = (
        [f"predict ended with exit code {code}: {error[-2000:]}"]
        if code not in (0, 1, 2) or "Traceback" in error
        else []
    )
    if not (Path(out) / "predictions.json").exists():
        return {}, [*wrong, "predict wrote no predictions.json"]
    verdicts = json.loads((Path(out) / "predictions.json").read_text())["verdicts"]
    late = [v["file"] for v in verdicts if v.get("seconds", 0) > time_limit_s + 30]
    return {Path(v["file"]).resolve(): v["status"] for v in verdicts}, wrong + [
        f"{file} took too long" for file in late
    ]


def prepared(folder, data_dir):
    """{status: how many} by `prepare`, and what is wrong with the run."""
    options = ["--input-type", "frame", "--num-frames", "4", "--height-px", "64", "--width-px", "64"]
    code, output, error, _ = run(
        ["prepare", "video_folder", "--dir", folder, "--data-dir", data_dir, "--json", *options]
    )
    if code or "Traceback" in error:
        return {}, [f"prepare ended with exit code {code}: {error[-2000:]}"]
    counts = dict.fromkeys(("scored", "no_face", "unreadable", "too_short"), 0)
    for counted in json.loads(output)["coverage"].values():
        for status in counts:
            counts[status] += counted["scored"] if status == "scored" else len(counted[status])
    return counts, []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-limit-s", type=float, default=60)
    parser.add_argument("--keep", type=Path, help="folder for the copies and the outputs of both commands")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(
            check(
                arguments.videos,
                arguments.keep or Path(temporary),
                arguments.copies,
                arguments.seed,
                arguments.time_limit_s,
            )
        )


def check(videos, work, copies, seed=0, time_limit_s=60):
    """Makes copies below `work`, runs both verbs, prints the table. Returns the exit code."""
    rule_of = write_copies(videos, work / "copies", copies, seed)
    model = write_network(work / "model")
    started = time.perf_counter()
    statuses, wrong = predicted(work / "copies", model, work / "verdict", time_limit_s)
    between = time.perf_counter()
    counts, more = prepared(work / "copies", work / "data")
    ended = time.perf_counter()
    wrong += more
    without = [str(path) for path in rule_of if path.resolve() not in statuses]
    wrong += [f"{path} has no status of predict" for path in without]
    columns = ("scored", "no_face", "unreadable", "error")
    print(f"{'predict':<20} " + " ".join(f"{c:>10}" for c in columns))
    for name in MUTATIONS:
        row = [statuses.get(path.resolve()) for path, rule in rule_of.items() if rule == name]
        print(f"{name:<20} " + " ".join(f"{row.count(c):>10}" for c in columns))
    print(f"{len(statuses)} of {len(rule_of)} copies with a status, {between - started:.0f} s")
    print(f"prepare: {', '.join(f'{n} {status}' for status, n in counts.items())}, {ended - between:.0f} s")
    if sum(counts.values()) != len(rule_of):
        wrong.append(f"prepare counted {sum(counts.values())} of {len(rule_of)} copies")
    for problem in wrong:
        print(problem, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    main()
