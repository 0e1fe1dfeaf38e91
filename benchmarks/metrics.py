"""A million scores: seconds to write, read and measure them, and peak memory.

    python benchmarks/metrics.py 1000000
    python benchmarks/metrics.py 1000000 --resamples 1000

Scores are drawn: 16 frames a video, 5 videos a source, AUC over frames about .84. "metrics of the rows" are those of
single frames, "evaluate" is all that `tfdeepfake evaluate` computes of a scores.csv: four levels, every metric with its
interval, methods and selective accuracy.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from tfdeepfake.evaluation import metrics
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.scoring.table_file import read_scores, write_scores

FRAMES, VIDEOS = 16, 5  # of a video, of a source


def drawn(count, seed=0):
    rng, rows = np.random.default_rng(seed), np.arange(count)
    video = rows // FRAMES
    label = (video % 2).astype(np.int8)
    text = {name: np.full(count, "drawn", object) for name in ("data_set", "method")}
    text["method"] = np.where(label == 1, np.array(["swap", "reenact"], object)[video // 2 % 2], "original")
    shared = np.array([f"v{n}" for n in range(video[-1] + 1)], object)
    sources = np.array([f"s{n}" for n in range(video[-1] // VIDEOS + 1)], object)
    noise = rng.normal(0, 1, video[-1] + 1)[video] + rng.normal(0, 1, count)
    return {
        **text,
        "video": shared[video],
        "source": sources[video // VIDEOS],
        "face": np.zeros(count, np.int32),
        "frame": (rows % FRAMES).astype(np.int64),
        "timestamp_s": rows % FRAMES / 25,
        "label": label,
        "logit": (2 * label - 1 + noise).astype(np.float32),
        "status": np.full(count, "scored", object),
    }


def timed(name, function):
    start, used = time.perf_counter(), time.process_time()
    value = function()
    print(
        f"  {name:24} {time.perf_counter() - start:6.1f} s, {time.process_time() - used:6.1f} s of processor",
        flush=True,
    )
    return value


def report(count, resamples):
    rows = drawn(count)
    print(f"{count} rows of {count // FRAMES} videos")
    probabilities = 1 / (1 + np.exp(-rows["logit"].astype(np.float64)))
    timed("metrics of the rows", lambda: metrics.measure(rows["label"], probabilities, 0.5))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.csv"
        timed("write scores.csv", lambda: write_scores(path, rows))
        read = timed("read scores.csv", lambda: read_scores(path))
    levels = timed("evaluate", lambda: evaluate(read, resamples=resamples))["levels"]
    print(f"  AUC over frames {levels['frame']['auc']:.4f}, over videos {levels['video']['auc']:.4f}")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("counts", type=int, nargs="+", help="rows of scores.csv")
    p.add_argument("--resamples", type=int, default=0, help="of the bootstrap of log loss and Brier score [0]")
    args = p.parse_args()
    for count in args.counts:
        report(count, args.resamples)


if __name__ == "__main__":
    main()
