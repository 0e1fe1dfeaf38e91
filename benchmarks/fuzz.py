"""Fuzzes the readers of this project, led by which of their lines a file reaches: each file ends in data or an error.

    python benchmarks/fuzz.py FILE ... [--runs 10000] [--seeds 0,1,2] [--keep FOLDER]

FILEs are whole ones to begin with: videos and images, CSV lists, recipe.json, PyTorch files, safetensors, HDF5. Their
suffix says which reader they are for. A file is changed by the rules of `mutated.py` and a few more, put together with
another, and kept for further changes where it reaches a step from line to line that none did before. Reading goes on in
a process with limits of memory and time. Prints for each suffix how many files gave data and how many an error of ours,
and every crash, hang and foreign exception; exits with 1 where there is one, and keeps such files in FOLDER.
"""

import argparse
import collections
import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from mutated import MUTATIONS

from tfdeepfake.confine import confine
from tfdeepfake.errors import InputError
from tfdeepfake.workers import OwnProcess, WorkerCrashed

PACKAGE = str(Path(__file__).resolve().parents[1] / "tfdeepfake")
AT_ONCE = 10
SLOW_S = 30.0  # of one file: a hang
MEMORY_MB = 2048
WEIGHTS = {".pt", ".pth", ".safetensors", ".h5"}
NUMBERS = [0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]


def read(path):
    """Reads a file by its suffix."""
    suffix = path.suffix
    if suffix == ".csv":
        from tfdeepfake.csv_lists import label_of, read_list

        for line, row in read_list(path, {"file": (), "label": ()}, ("file", "label"), "Mend it."):
            label_of(path, line, row["label"])
    elif suffix == ".json":
        from tfdeepfake.model_folder import load_recipe

        folder = path.with_suffix("")
        folder.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / "recipe.json")
        load_recipe(folder)
    elif suffix == ".h5":
        import h5py

        from tfdeepfake.weights.keras_h5 import own_datasets

        # As `keras_h5.load` and `model_folder` do it, without a network to compare with.
        try:
            with h5py.File(path, "r") as file:
                for item in own_datasets(file).values():
                    if item.size < 1 << 20:
                        np.isfinite(item[()]).all()
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise InputError(path, str(error)) from None
    elif suffix in WEIGHTS:
        from tfdeepfake.weights import torch_file

        for array in torch_file.read(path).values():
            np.isfinite(np.asarray(array, "f4")).all()
    else:
        from tfdeepfake.data import video

        count = video.probe(path, time_limit_s=SLOW_S).frame_count
        video.read_frames(path, video.spaced_indices(count, 3), max_side_px=320, time_limit_s=SLOW_S)


_steps = set()


def _trace(frame, event, argument):
    """Notes steps from line to line in files of this project."""
    name = frame.f_code.co_filename
    if not name.startswith(PACKAGE):
        return None
    last = frame.f_code.co_firstlineno

    def lines(frame, event, argument):
        nonlocal last
        if event == "line":
            _steps.add((name, last, frame.f_lineno))
            last = frame.f_lineno
        return lines

    return lines


def read_all(work):
    """[(outcome, text, seconds, whether it reached a new step)] of contents, and the peak memory in MB."""
    suffix, contents = work
    if not hasattr(read_all, "confined"):
        import av
        import cv2  # noqa: F401
        import h5py  # noqa: F401

        av.logging.set_level(None)
        confine(MEMORY_MB << 20)
        read_all.confined = True
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            path = Path(folder) / f"{number}{suffix}"
            path.write_bytes(content)
            before, start = len(_steps), time.perf_counter()
            sys.settrace(_trace)
            try:
                read(path)
                outcome = "data", ""
            except InputError as error:
                outcome = "error", str(error).replace(folder, "")
            except Exception as error:
                outcome = "FOREIGN", f"{type(error).__name__}: {error}"
            finally:
                sys.settrace(None)
            answers.append((*outcome, time.perf_counter() - start, len(_steps) > before))
    return answers, peak_mb()


def peak_mb():
    """The most memory of this process; its ru_maxrss would begin with that of the process it was forked from."""
    status = Path("/proc/self/status").read_text() if sys.platform == "linux" else ""
    return next((int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def overwrite(data, rng):
    """A number that often matters, in either byte order, somewhere."""
    size = int(rng.choice([1, 2, 4, 8]))
    number = int(rng.choice(np.array(NUMBERS, dtype=object))) % (1 << 8 * size)
    at = int(rng.integers(0, max(1, len(data) - size)))
    return data[:at] + number.to_bytes(size, ("big", "little")[rng.integers(2)]) + data[at + size :]


def insert(data, rng):
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at:]


def delete(data, rng):
    at = int(rng.integers(0, max(1, len(data))))
    return data[:at] + data[at + int(rng.integers(1, 64)) :]


RULES = {**MUTATIONS, "overwrite": overwrite, "overwrite again": overwrite, "insert": insert, "delete": delete}


def changed(corpus, rng):
    """A new content from those of a suffix."""
    data = corpus[rng.integers(len(corpus))]
    if len(corpus) > 1 and rng.random() < 0.1:
        other = corpus[rng.integers(len(corpus))]
        data = data[: int(len(data) * rng.random())] + other[int(len(other) * rng.random()) :]
    for _ in range(int(rng.integers(1, 4))):
        data = RULES[list(RULES)[rng.integers(len(RULES))]](data or b"\0", rng)
    return data[: 1 << 20]


def fuzz(corpora, runs, seed, keep):
    """Returns ({(suffix, outcome): files}, faults in words, MB at most, slowest seconds)."""
    rng, counts, faults, peak, slowest = np.random.default_rng(seed), collections.Counter(), [], 0, 0.0
    process, suffixes = OwnProcess(), sorted(corpora)

    def fault(suffix, content, text):
        path = keep / f"{hashlib.sha256(content).hexdigest()[:12]}{suffix}"
        path.write_bytes(content)
        if text not in [known.partition(": ")[2] for known in faults]:
            faults.append(f"{path}: {text}")
            print(faults[-1], flush=True)

    for start in range(0, runs, AT_ONCE):
        suffix = suffixes[start // AT_ONCE % len(suffixes)]
        contents = [changed(corpora[suffix], rng) for _ in range(AT_ONCE)]
        answer = process(read_all, (suffix, contents), SLOW_S * 2)
        if isinstance(answer, WorkerCrashed):
            for content in contents:  # which of them?
                alone = process(read_all, (suffix, [content]), SLOW_S * 2)
                if isinstance(alone, WorkerCrashed):
                    counts[suffix, "CRASH"] += 1
                    fault(suffix, content, str(alone))
                else:
                    counts[suffix, alone[0][0][0]] += 1
            continue
        answers, memory_mb = answer
        peak = max(peak, memory_mb)
        for content, (outcome, text, seconds, new) in zip(contents, answers, strict=True):
            counts[suffix, outcome] += 1
            slowest = max(slowest, seconds)
            if outcome == "FOREIGN":
                fault(suffix, content, text)
            if seconds > SLOW_S:
                fault(suffix, content, f"took {seconds:.0f} s")
            if new and len(content) < 1 << 18:
                corpora[suffix].append(content)
    process.close()
    return counts, faults, peak, slowest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=10000)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz")
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    os.nice(10)
    total, faults, peak, slowest, start = collections.Counter(), [], 0, 0.0, time.perf_counter()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    for seed in seeds:
        corpora = collections.defaultdict(list)
        for path in arguments.files:
            corpora[path.suffix.lower()].append(path.read_bytes())
        counts, more, memory_mb, seconds = fuzz(corpora, arguments.runs // len(seeds), seed, arguments.keep)
        total, faults, peak, slowest = total + counts, faults + more, max(peak, memory_mb), max(slowest, seconds)
        kept = sum(map(len, corpora.values())) - len(arguments.files)
        print(
            f"seed {seed}: {sum(counts.values())} files, {kept} kept for new steps, {time.perf_counter() - start:.0f} s"
        )
    for suffix in sorted({suffix for suffix, _ in total}):
        print(f"{suffix:<14}" + "".join(f"{total[suffix, o]:>6} {o}" for o in ("data", "error", "FOREIGN", "CRASH")))
    print(f"{sum(total.values())} files, {len(faults)} faults; slowest {slowest:.1f} s, memory at most {peak} MB")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
