"""Every network in LiteRT beside Keras: does it convert, how long that takes, how long one example takes.

    python benchmarks/runtimes.py [NETWORK ...] [--steps 5] [--onnx] [--out FILE.csv]

At full size, with random weights, one network after another in processes of their own; an hour for all of them on two
cores. `ms` and `Keras ms` are the least of --steps calls with one example (a frame or a clip), in processor time of all
threads where `CPU` is in the title. `differ` is the largest difference of their logits as a part of the largest logit.
A network that does not convert has the reason in the place of its figures. --onnx measures ONNX Runtime, too.
"""

import argparse
import csv
import json
import subprocess
import sys
import time

COLUMNS = ("network", "MB", "convert s", "load s", "ms", "Keras ms", "CPU ms", "Keras CPU ms", "differ")
ONNX_COLUMNS = ("ONNX convert s", "ONNX load s", "ONNX ms", "ONNX CPU ms", "ONNX differ")


def least(call, steps):
    """Least wall and processor seconds of a call, after one that warms up."""
    call()
    runs = []
    for _ in range(steps):
        wall, processor = time.perf_counter(), time.process_time()
        call()
        runs.append((time.perf_counter() - wall, time.process_time() - processor))
    return [min(seconds) for seconds in zip(*runs, strict=True)]


def measure_onnx(model, batch, steps, expected):
    """Figures of one network as in ONNX_COLUMNS."""
    import tempfile

    import numpy as np
    import onnxruntime

    from tfdeepfake import model_inputs
    from tfdeepfake.model_folder import save_model
    from tfdeepfake.recipe import DataRecipe, Recipe
    from tfdeepfake.serving.onnx import export_onnx

    shape, input_type = model.input["frames"].shape, model_inputs.input_type(model)
    counts = {"num_frames": shape[1]} if input_type == "clip" else {}
    flow = "dis" if model_inputs.wants_flow(model) else "none"
    data = DataRecipe(input_type=input_type, height_px=shape[-3], width_px=shape[-2], flow=flow, **counts)
    with tempfile.TemporaryDirectory() as folder:
        save_model(f"{folder}/model", model, Recipe(model.name, data=data))
        start = time.perf_counter()
        path = export_onnx(f"{folder}/model", f"{folder}/onnx")
        spent = [time.perf_counter() - start]
        start = time.perf_counter()
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        spent.append(time.perf_counter() - start)
    wall, processor = least(lambda: session.run(["logit"], batch), steps)
    (logits,) = session.run(["logit"], batch)
    return [*spent, 1e3 * wall, 1e3 * processor, float(np.abs(logits - expected[:, 0]).max() / np.abs(expected).max())]


def measure(name, steps, onnx):
    """Prints the row of one network as JSON: a list as in COLUMNS, or [name, why it does not convert]."""
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    import numpy as np

    from tfdeepfake import models
    from tfdeepfake.compiled.convert import NotConverted, convert
    from tfdeepfake.compiled.folder import CompiledModel

    model, rng = models.build(name), np.random.default_rng(0)
    batch = {i.name: rng.integers(0, 256, (1, *i.shape[1:])).astype(np.uint8) for i in model.inputs}
    if "flow" in batch:
        batch["flow"] = batch["flow"].astype(np.float32) / 32 - 4
    start = time.perf_counter()
    try:
        content = convert(model)
    except NotConverted as error:
        print(json.dumps([name, str(error)]))
        return
    spent = [len(content) / 1e6, time.perf_counter() - start]
    start = time.perf_counter()
    compiled = CompiledModel(content, name)
    spent.append(time.perf_counter() - start)
    walls = [least(lambda m=m: m.predict_on_batch(batch), steps) for m in (compiled, model)]
    logits = [m.predict_on_batch(batch) for m in (compiled, model)]
    differ = np.abs(logits[0] - logits[1]).max() / np.abs(logits[1]).max()
    row = [name, *spent, *(1e3 * wall for wall, _ in walls), *(1e3 * cpu for _, cpu in walls), differ]
    row += measure_onnx(model, batch, steps, logits[1]) if onnx else []
    print(json.dumps([row[0], *map(float, row[1:])]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out")
    parser.add_argument("--onnx", action="store_true", help="ONNX Runtime, too; networks of one logit")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return measure(args.names[0], args.steps, args.onnx)
    if not args.names:
        from tfdeepfake import models

        args.names = list(models.MODELS)
    rows, columns = [], COLUMNS + (ONNX_COLUMNS if args.onnx else ())
    print(f"{columns[0]:22s}" + "".join(f"{title:>15s}" for title in columns[1:]))
    for name in args.names:
        command = [sys.executable, __file__, name, "--one", "--steps", str(args.steps)]
        command += ["--onnx"] if args.onnx else []
        done = subprocess.run(command, capture_output=True, text=True)
        said = done.stdout.splitlines() or ['["", "it died"]']
        row = json.loads(said[-1]) if not done.returncode else [name, done.stderr.strip().splitlines()[-1]]
        rows.append([name, *row[1:]])
        figures = row[1:] if len(row) == 2 else [f"{value:.3g}" for value in row[1:]]
        print(f"{name:22s}" + "".join(f"{figure:>15s}" for figure in figures), flush=True)
    if args.out:
        with open(args.out, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])
    return None


if __name__ == "__main__":
    main()
