"""Damaged copies of videos as a folder through `predict` and `prepare`, for `mutated.py --verbs`."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from mutated_seeds import write_network
from mutations import MUTATIONS

COMMAND = [sys.executable, "-m", "tfdeepfake.cli"]


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
