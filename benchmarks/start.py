"""Seconds from the command to the printed verdict, and where they go, in each runtime.

    python benchmarks/start.py [--runtime litert keras] [--repeats 3] [--models DIR] [--detector-weights FILE]

Three cases: EfficientNet-B4 with attention over 32 frames and Meso4 over 16, of 10 s of drawn 1080p; Meso4 on a still
photo of 12 megapixels. Networks have random weights and are compiled beforehand; a first command that is not counted
fills the caches. `command` is `tfdeepfake predict` as a shell starts it, up to its line, and `CPU` the processor time
it takes: where other work runs on the machine, that is the figure to compare. The parts are those of a second process
that does the same steps one by one: `python` and `imports` up to the loaded modules, `load` network and detector, then
the verdict's own decode, detect and network; `trace` is what a Keras network's first call takes more. With
--detector-weights, the file of BlazeFace, B4 runs with it in the place of MTCNN. Behind them what a notebook waits for:
`import tfdeepfake` and `Detector(...)` in a process that runs already. Takes about six minutes, LiteRT alone two.
"""

import argparse
import dataclasses
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from predict import draw

CASES = (
    ("efficientnet_b4_att, 32 frames", "efficientnet_b4_att", "video"),
    ("meso4, 16 frames", "meso4", "video"),
    ("meso4, still photo", "meso4", "photo"),
)
PARTS = ("python", "imports", "load", "decode", "detect", "network", "trace")


def make_models(folder):
    """Saved model folders with random weights, compiled; those that are there are kept."""
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    from tfdeepfake import models
    from tfdeepfake.compiled.folder import compile_folder
    from tfdeepfake.model_folder import save_model
    from tfdeepfake.recipe import DataRecipe, Recipe

    for name, side_px, num_frames in (("efficientnet_b4_att", 224, 32), ("meso4", 256, 16)):
        data = DataRecipe(input_type="frame", num_frames=num_frames, height_px=side_px, width_px=side_px)
        if not (folder / name / "recipe.json").exists():
            save_model(folder / name, models.build(name), Recipe(name, data=data))
        compile_folder(folder / name, print)


def command_s(case, runtime):
    """Seconds from the start of `tfdeepfake predict` to its first line, and its processor time."""
    command = [sys.executable, "-m", "tfdeepfake.cli", "predict", case["path"], "--model", case["model"]]
    command += ["--runtime", runtime, *case["flags"]]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        spent = time.perf_counter() - start
        _, error = process.communicate()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}: {error or line}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def parts_s(case, runtime):
    """Seconds of each part, from a process of its own."""
    command = [sys.executable, __file__, "--parts-of", json.dumps({**case, "runtime": runtime, "began": time.time()})]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the parts' process ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure_parts(case):
    """In the process of `parts_s`: prints the seconds of each part as JSON."""
    spent, start = {"python": case["entered"] - case["began"]}, time.perf_counter()

    def lap(name):
        nonlocal start
        spent[name], start = time.perf_counter() - start, time.perf_counter()

    if case["runtime"] == "keras":
        import tensorflow  # noqa: F401
    from tfdeepfake.compiled.choice import load_for_verdict
    from tfdeepfake.data import examples, faces  # noqa: F401
    from tfdeepfake.verdict.judging import judge

    lap("imports")
    model, recipe = load_for_verdict(case["model"], case["runtime"])
    name, *weights = case["detector"]
    recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, detector=name))
    detect = faces.make_detector(name, *weights)
    lap("load")
    first = judge(case["path"], model, recipe, detect)
    again = judge(case["path"], model, recipe, detect) if case["runtime"] == "keras" else first
    spent |= first.timings
    spent["network"] = again.timings["network"]
    spent["trace"] = max(0.0, first.timings["network"] - again.timings["network"])
    print(json.dumps(spent))


NOTEBOOK = """
import sys, time
start = time.perf_counter()
import tfdeepfake
imported = time.perf_counter()
tfdeepfake.Detector(sys.argv[1], runtime=sys.argv[2], log=lambda line: None)
print(imported - start, time.perf_counter() - imported)
"""


def notebook_s(model, runtime):
    """Seconds of `import tfdeepfake` and of `Detector(...)` in a new process, its own start left out."""
    done = subprocess.run([sys.executable, "-c", NOTEBOOK, model, runtime], capture_output=True, text=True, check=True)
    return [float(seconds) for seconds in done.stdout.splitlines()[-1].split()]


def make_media(folder):
    """{"video": path, "photo": path}, drawn."""
    import cv2

    from tfdeepfake.data import video

    paths = {"video": folder / "clip.mp4", "photo": folder / "photo.jpg"}
    draw(paths["video"])
    frame = video.read_frames(paths["video"], [30]).frames[0]
    cv2.imwrite(str(paths["photo"]), cv2.resize(frame[..., ::-1], (4608, 2592), interpolation=cv2.INTER_CUBIC))
    return {name: str(path) for name, path in paths.items()}


def main():
    entered = time.time()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", nargs="+", default=["litert", "keras"], choices=("litert", "keras"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", type=Path, help="folder in which the networks are kept")
    parser.add_argument("--detector-weights")
    parser.add_argument("--parts-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.parts_of:
        return measure_parts(json.loads(args.parts_of) | {"entered": entered})
    with tempfile.TemporaryDirectory() as temporary:
        models = args.models or Path(temporary)
        # In a process of its own: this one stays without TensorFlow.
        code = "import sys, pathlib, start; start.make_models(pathlib.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, str(models.absolute())], check=True, cwd=Path(__file__).parent)
        media = make_media(Path(temporary))
        print(f"{'seconds':50s}" + "".join(f"{part:>9s}" for part in ("command", "CPU", *PARTS)))
        for title, network, kind in CASES:
            detector = ["mtcnn"]
            if args.detector_weights and network != "meso4":
                detector = ["blazeface", args.detector_weights]
            case = {"path": media[kind], "model": str(models / network), "detector": detector, "flags": []}
            if detector[0] == "blazeface":
                case["flags"] = ["--detector", "blazeface", "--detector-weights", args.detector_weights]
            for runtime in args.runtime:
                command_s(case, runtime)
                commands = zip(*[command_s(case, runtime) for _ in range(args.repeats)], strict=True)
                commands = [statistics.median(seconds) for seconds in commands]
                runs = [parts_s(case, runtime) for _ in range(args.repeats)]
                middle = [statistics.median(run[part] for run in runs) for part in PARTS]
                row = f"{title}, {detector[0]}, {runtime}"
                print(f"{row:50s}" + "".join(f"{seconds:9.2f}" for seconds in commands + middle), flush=True)
        for network in ("efficientnet_b4_att", "meso4"):
            for runtime in args.runtime:
                seconds = [notebook_s(str(models / network), runtime) for _ in range(args.repeats)]
                imported, made = (statistics.median(column) for column in zip(*seconds, strict=True))
                row = f"notebook: {network}, {runtime}"
                print(f"{row:50s} import {imported:.3f}, Detector(...) {made:.2f}", flush=True)
    return None


if __name__ == "__main__":
    main()
