"""Every network in LiteRT beside Keras: does it convert, how long that takes, how long one example takes.

    python benchmarks/runtimes.py [NETWORK ...] [--steps 5] [--out FILE.csv]

At full size, with random weights, one network after another in processes of their own; an hour for all of them on two
cores. `ms` and `Keras ms` are the least of --steps calls with one example (a frame or a clip), in processor time of all
threads where `CPU` is in the title. `differ` is the largest difference of their logits as a part of the largest logit.
A network that does not convert has the reason in the place of its figures.
"""

import argparse
import csv
import json
import subprocess
import sys
import time

COLUMNS = ("network", "MB", "convert s", "load s", "ms", "Keras ms", "CPU ms", "Keras CPU ms", "differ")


def least(call, steps):
    """Least wall and processor seconds of a call, after one that warms up."""
    call()
    runs = []
    for _ in range(steps):
        wall, processor = time.perf_counter(), time.process_time()
        call()
        runs.append((time.perf_counter() - wall, time.process_time() - processor))
    return [min(seconds) for seconds in zip(*runs, strict=True)]


def measure(name, steps):
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
    print(json.dumps([row[0], *map(float, row[1:])]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return measure(args.names[0], args.steps)
    if not args.names:
        from tfdeepfake import models

        args.names = list(models.MODELS)
    rows = []
    print(f"{COLUMNS[0]:22s}" + "".join(f"{title:>14s}" for title in COLUMNS[1:]))
    for name in args.names:
        command = [sys.executable, __file__, name, "--one", "--steps", str(args.steps)]
        done = subprocess.run(command, capture_output=True, text=True)
        said = done.stdout.splitlines() or ['["", "it died"]']
        row = json.loads(said[-1]) if not done.returncode else [name, done.stderr.strip().splitlines()[-1]]
        rows.append([name, *row[1:]])
        figures = row[1:] if len(row) == 2 else [f"{value:.3g}" for value in row[1:]]
        print(f"{name:22s}" + "".join(f"{figure:>14s}" for figure in figures), flush=True)
    if args.out:
        with open(args.out, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
    return None


if __name__ == "__main__":
    main()
