"""Examples per second that the input pipeline delivers, by kind of network: decoded every epoch, and kept in memory.

    tfdeepfake prepare synthetic_faces --kind clip --data-dir data
    python benchmarks/pipeline.py synthetic_faces --data-dir data

The network must be slower than this, or it waits. Each figure is the median of the epochs after the first.
"""

import argparse
import statistics
import time

from tfdeepfake.quiet import load_tensorflow

load_tensorflow()

from tfdeepfake.data import pipeline  # noqa: E402
from tfdeepfake.data.prepared import serves  # noqa: E402


def rate(prepared, kind, batch_size, epochs=4, **choices):
    """Median examples/s over the epochs after the first."""
    batches = iter(pipeline.batches(prepared, "train", kind, batch_size, training=True, epochs=epochs, **choices))
    steps, rates = pipeline.steps_per_epoch(prepared, "train", kind, batch_size), []
    for _ in range(epochs):
        started = time.perf_counter()
        for _ in range(steps):
            next(batches)
        rates.append(steps * batch_size / (time.perf_counter() - started))
    return statistics.median(rates[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--data-dir")
    parser.add_argument("--clips", type=int, default=8, help="clips in a batch; frame networks get all their frames")
    args = parser.parse_args()
    prepared = pipeline.open_data(args.data, args.data_dir)
    print(f"{prepared.version}: {prepared.split('train').num_examples} training examples")
    print(f"{'kind':<6} {'augment':<8} {'decoded each epoch':>18} {'kept in memory':>15}")
    for kind in ("clip", "flow", "frame"):
        if not serves(prepared.recipe, kind):
            continue
        size = args.clips * (1 if kind == "clip" else prepared.recipe.frames)
        for augment in ("none", "flip"):
            decoded, kept = (rate(prepared, kind, size, augment=augment, cache_bytes=b) for b in (0, 1 << 40))
            print(f"{kind:<6} {augment:<8} {decoded:>18.0f} {kept:>15.0f}")


if __name__ == "__main__":
    main()
