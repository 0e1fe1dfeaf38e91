"""Damaged files of every kind, led by which lines of this project they reach: each ends in a status, none does harm.

    python benchmarks/mutated.py [FILE ...] [--files 10000] [--seeds 0,1,2,3] [--out FOLDER]
    python benchmarks/mutated.py VIDEO ... --verbs 220

FILEs are whole ones to begin with: videos, images, CSV lists, recipe.json, PyTorch files, safetensors, HDF5, LiteRT;
their suffix says what they are. Without any, small ones of each kind are drawn. A file is changed by the rules of
`mutations.py`, put together with another, and kept for further changes where it reaches a step from line to line of
this project that none did before. Videos and images are judged by an untrained Meso4, lists, recipes and weights are
read, in a process with the limits of `predict --isolate`. Prints for each suffix how many files ended how, and exits
with 1 where one made a process crash or hang, raised what no reader foresaw, or got a verdict although neither FFmpeg
nor Pillow nor OpenCV decodes an image of it; such files stay in FOLDER/faults. A run that was stopped goes on when it
is given again.

With --verbs, that many copies of videos go through `tfdeepfake predict` and `tfdeepfake prepare` as a folder instead.
"""

import argparse
import collections
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from mutations import changed

from tfdeepfake.confine import confine
from tfdeepfake.errors import InputError
from tfdeepfake.workers import OwnProcess, WorkerCrashed

PACKAGE = str(Path(__file__).resolve().parents[1] / "tfdeepfake")
AT_ONCE = 10
SLOW_S, LOADING_S = 30.0, 300.0  # of one file, where more is a hang; of the network
MEMORY_MB = 4096  # as in `predict --isolate`
WEIGHTS = {".pt", ".pth", ".safetensors", ".h5", ".tflite"}
OTHERS = {".csv", ".json"} | WEIGHTS
GOOD = ("scored", "no_face", "unreadable", "error", "data")
FAULTS = ("FOREIGN", "UNFOUNDED", "CRASH", "HANG")


def read(path):
    """Reads a list, a recipe or a file of weights."""
    suffix = path.suffix
    if suffix == ".csv":
        from tfdeepfake.csv_lists import label_of, read_list

        for line, row in read_list(path, {"file": (), "label": ()}, ("file", "label"), "Mend it."):
            label_of(path, line, row["label"])
    elif suffix == ".json":
        from tfdeepfake.model_folder import load_recipe

        load_recipe(path.parent)
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
    elif suffix == ".tflite":
        from tfdeepfake.litert.network import Network

        try:
            Network(path)
        except ValueError as error:
            raise InputError(path, str(error)) from None
    else:
        from tfdeepfake.weights import torch_file

        for array in torch_file.read(path).values():
            np.isfinite(np.asarray(array, "f4")).all()


def judged_by(recipe, model, path):
    """(status, why) of a whole video, judged by a recipe beside the weights of a model folder."""
    from tfdeepfake.model_folder import WEIGHTS_FILE, load_model, load_recipe
    from tfdeepfake.verdict.judging import judge
    from tfdeepfake.verdict.settings import JudgeSettings

    load_recipe(recipe.parent)
    os.symlink(model / WEIGHTS_FILE, recipe.parent / WEIGHTS_FILE)
    verdict = judge(path, *load_model(recipe.parent), settings=JudgeSettings(time_limit_s=SLOW_S))
    is_foreign = verdict.reason.startswith("unexpected") and "MemoryError" not in verdict.reason
    return "FOREIGN" if is_foreign else verdict.status, verdict.reason


def judged(path, model):
    """(status, why) of a video or an image."""
    from tfdeepfake.verdict.judging import judge
    from tfdeepfake.verdict.settings import JudgeSettings

    network = _network(model)
    settings = JudgeSettings(time_limit_s=SLOW_S, num_samples=4)
    verdict = judge(path, network.model, network.recipe, network.detect, settings)
    if verdict.reason.startswith("unexpected") and not verdict.reason.startswith("unexpected MemoryError"):
        return "FOREIGN", verdict.reason
    if verdict.reason.startswith("took longer"):
        return "HANG", verdict.reason
    if verdict.status == "scored" and not decodes(path):
        return "UNFOUNDED", f"{verdict.label} {verdict.probability:.2f}"
    return verdict.status, verdict.reason


def decodes(path):
    """Whether any program but this project gets an image out of a file."""
    import av
    import cv2
    from PIL import Image

    with contextlib.suppress(Exception), av.open(str(path), metadata_errors="ignore") as container:
        for stream in container.streams.video:
            with contextlib.suppress(av.error.FFmpegError):
                for packet in container.demux(stream):
                    with contextlib.suppress(av.error.FFmpegError):  # later packets may be whole
                        if packet.decode():
                            return True
            with contextlib.suppress(av.error.FFmpegError):
                if stream.decode(None):
                    return True
    try:
        with Image.open(path) as image:
            image.load()
            return True
    except Exception:
        return cv2.imread(str(path)) is not None


_networks, _steps = {}, set()


def _network(model):
    if model not in _networks:
        from tfdeepfake.verdict.batch import load_network

        _networks[model] = load_network(model, runtime="litert")
    return _networks[model]


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
    """([(outcome, text, seconds, whether it reached a new step)] of paths, the most memory that they took in MB)."""
    paths, model = work
    if not hasattr(read_all, "confined"):
        import av
        import cv2  # noqa: F401
        import h5py  # noqa: F401

        av.logging.set_level(None)
        if model is not None:
            from tfdeepfake.model_folder import load_model

            _network(model)
            load_model(model)  # what TensorFlow writes and maps when it starts comes before the limits
        confine(MEMORY_MB << 20, file_bytes=0)
        read_all.confined = True
    forget_peak()
    answers = []
    for path in paths:
        before, start = len(_steps), time.perf_counter()
        sys.settrace(_trace)
        try:
            if path.suffix == ".json" and model is not None:
                outcome = judged_by(path, model, Path(model).parent / "whole" / "a.mp4")
            elif path.suffix in OTHERS:
                read(path)
                outcome = "data", ""
            else:
                outcome = judged(path, model)
        except InputError as error:
            outcome = "error", str(error)
        except Exception as error:
            outcome = "FOREIGN", f"{type(error).__name__}: {error}"
        finally:
            sys.settrace(None)
        text = outcome[1].replace(str(path.parent), "")
        answers.append((outcome[0], text, time.perf_counter() - start, len(_steps) > before))
    return answers, peak_mb()


def forget_peak():
    """Lets `peak_mb` begin anew, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mb():
    """The most memory of this process; its ru_maxrss would begin with that of the process it was forked from."""
    status = Path("/proc/self/status").read_text() if sys.platform == "linux" else ""
    return next((int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


class Run:
    """One seed's files. What is done stands in OUT/SEED.jsonl, what was kept for new steps in OUT/SEED/."""

    def __init__(self, files, seed, out, model=None):
        self.seed, self.model, self.faults_dir = seed, model, out / "faults"
        self.lines, self.kept = out / f"{seed}.jsonl", out / str(seed)
        self.kept.mkdir(parents=True, exist_ok=True)
        self.faults_dir.mkdir(exist_ok=True)
        self.corpora = collections.defaultdict(list)
        for path in files:
            self.corpora[path.suffix.lower()].append(path.read_bytes())
        self.suffixes, self.process = sorted(self.corpora), OwnProcess()
        for path in sorted(self.kept.iterdir()):
            self.corpora[path.suffix].append(path.read_bytes())
        written = self.lines.read_text().splitlines() if self.lines.exists() else []
        self.rows = [json.loads(line) for line in written if line.endswith("}")]

    def go_on(self, count):
        """Batches of AT_ONCE files until there are `count`."""
        while len(self.rows) * AT_ONCE < count:
            number = len(self.rows)
            suffix = self.suffixes[number % len(self.suffixes)]
            rng = np.random.default_rng([self.seed, number])
            contents = [changed(self.corpora[suffix], rng, suffix == ".json") for _ in range(AT_ONCE)]
            answers, memory_mb = self._batch(suffix, contents)
            row = {"suffix": suffix, "memory_mb": memory_mb, "slowest_s": max(seconds for _, _, seconds, _ in answers)}
            row["outcomes"], row["faults"] = [outcome for outcome, *_ in answers], []
            for place, (content, (outcome, text, _, new)) in enumerate(zip(contents, answers, strict=True)):
                if outcome in FAULTS:
                    path = self.faults_dir / f"{hashlib.sha256(content).hexdigest()[:12]}{suffix}"
                    path.write_bytes(content)
                    row["faults"].append(f"{outcome} {path.name}: {text}")
                    print(row["faults"][-1], flush=True)
                elif new and len(content) < 1 << 18:
                    self.corpora[suffix].append(content)
                    (self.kept / f"{number:05d}_{place}{suffix}").write_bytes(content)
            with self.lines.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            self.rows.append(row)
        self.process.close()

    def _batch(self, suffix, contents):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, str(n), f"recipe{suffix}") for n in range(len(contents))]
            for path, content in zip(paths, contents, strict=True):
                path.parent.mkdir()
                path.write_bytes(content)
            # A process that begins, on a busy machine, takes longer to load its network than any file may.
            self.process(read_all, ([], self.model), LOADING_S)
            answer = self.process(read_all, (paths, self.model), SLOW_S * (AT_ONCE + 1))
            if not isinstance(answer, WorkerCrashed):
                return answer
            answers, peak = [], 0
            for path in paths:  # which of them?
                self.process(read_all, ([], self.model), LOADING_S)
                alone = self.process(read_all, ([path], self.model), SLOW_S * 2)
                if isinstance(alone, WorkerCrashed):
                    outcome = "HANG" if "longer" in str(alone) else "CRASH"
                    answers.append((outcome, str(alone), SLOW_S * 2, False))
                else:
                    answers.append(alone[0][0])
                    peak = max(peak, alone[1])
            return answers, peak


def table(rows):
    """Lines of how the files of each suffix ended, and of all."""
    counts, memory, slowest = collections.Counter(), collections.Counter(), collections.Counter()
    for row in rows:
        for name in (row["suffix"], "all"):
            counts.update((name, outcome) for outcome in row["outcomes"])
            memory[name] = max(memory[name], row["memory_mb"])
            slowest[name] = max(slowest[name], row["slowest_s"])
    lines = ["| kind | files | " + " | ".join((*GOOD, *FAULTS)) + " | MB at most | slowest, s |", "|---" * 13 + "|"]
    for name in [*sorted({row["suffix"] for row in rows}), "all"]:
        ended = [counts[name, outcome] for outcome in (*GOOD, *FAULTS)]
        cells = [name, sum(ended), *ended, memory[name], f"{slowest[name]:.1f}"]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--seeds", default="0,1,2,3")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "mutated")
    parser.add_argument("--verbs", type=int, metavar="COPIES")
    parser.add_argument("--time-limit-s", type=float, default=60, help="of a file of --verbs")
    arguments = parser.parse_args()
    # Not needed by the processes that read, which begin with this file.
    from mutated_seeds import draw, write_network
    from mutated_verbs import check

    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.verbs:
        shutil.rmtree(arguments.out / "verbs", ignore_errors=True)
        videos, work = arguments.paths, arguments.out / "verbs"
        sys.exit(check(videos, work, arguments.verbs, time_limit_s=arguments.time_limit_s))
    os.nice(10)
    whole, model = arguments.out / "whole", arguments.out / "model"
    if not (model / "recipe.json").exists():
        write_network(model)
    if not arguments.paths and not whole.exists():
        draw(whole, model)
    files = arguments.paths or sorted(whole.iterdir())
    rows, seeds = [], [int(seed) for seed in arguments.seeds.split(",")]
    for seed in seeds:
        one = Run(files, seed, arguments.out, model)
        one.go_on(arguments.files // len(seeds))
        rows += one.rows
        print(f"seed {seed}: {len(one.rows) * AT_ONCE} files, {len(list(one.kept.iterdir()))} kept", flush=True)
    print("\n".join(table(rows)))
    faults = [text for row in rows for text in row["faults"]]
    print("\n".join([f"{len(faults)} faults", *faults]))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
