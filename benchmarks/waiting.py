"""Waiting: the fraction of a training step in which the accelerator waits for its data, by augmentation.

    tfdeepfake prepare synthetic_faces --data-dir data
    python benchmarks/waiting.py resnet3d_18 synthetic_faces/clip --data-dir data --batch-size 8
    python benchmarks/waiting.py two_stream_video synthetic_faces/clip --data-dir data --precision bfloat16

Steps on batches as a large set is read, decoded and augmented anew, against the same steps on batches that lie ready in
memory: what is longer is waiting. Rounds of both take turns and the fastest of each counts, as other programs only
add. Where the network runs on the processor, too, the two share its cores, and the fraction is what reading costs the
step; on a GPU it is its idle time.
"""

import argparse
import tempfile
import time
from pathlib import Path

from tfdeepfake.quiet import load_tensorflow

load_tensorflow()

from tfdeepfake.data.batches import pipeline  # noqa: E402
from tfdeepfake.training import network, run_setup  # noqa: E402
from tfdeepfake.training.config import TrainConfig  # noqa: E402

AUGMENTS = ("none", "flip", "p0", "p1")


def seconds_a_step(run, iterator, steps):
    """Mean seconds of `steps` training steps."""
    begun_s = time.perf_counter()
    for _ in range(steps):
        logs = run.trained.train_function(iterator)
    float(logs["loss"])  # the last one has ended
    return (time.perf_counter() - begun_s) / steps


def read_anew(run, augment):
    """Training batches without end, nothing of which is held in memory."""
    settings = pipeline.BatchSettings(augment=augment, class_weight=run.class_weight, cache_bytes=0)
    return pipeline.training_batches(
        run.prepared, "train", run.input_type, run.config.batch_size, settings, epochs=1 << 20, with_flow=run.with_flow
    )


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("network")
    p.add_argument("data")
    p.add_argument("--data-dir")
    p.add_argument("--batch-size", type=int, default=4)
    p.add_argument("--precision", default="float32")
    p.add_argument("--steps", type=int, default=4)
    p.add_argument("--rounds", type=int, default=4)
    args = p.parse_args()
    given = {name: getattr(args, name) for name in ("data", "data_dir", "batch_size", "precision")}
    config = TrainConfig(args.network, **given)
    with tempfile.TemporaryDirectory() as folder, network.mixed_precision(config.precision):
        run = run_setup.build(config, Path(folder))
    run.trained.make_train_function()
    ready = iter(read_anew(run, "none").take(2).cache().repeat())
    sources = {augment: iter(read_anew(run, augment)) for augment in AUGMENTS}
    fastest = {}
    for _ in range(1 + args.rounds):  # the first one fills buffers, and traces
        for name, iterator in {"ready": ready, **sources}.items():
            seconds = seconds_a_step(run, iterator, args.steps)
            fastest.setdefault(name, []).append(seconds)
    fastest = {name: min(seconds[1:]) for name, seconds in fastest.items()}
    print(f"{args.network} on {run.prepared.version}, batches of {args.batch_size}, {args.precision}")
    print(f"{'augmentation':<16}{'step ms':>10}{'waiting':>10}")
    for name, seconds in fastest.items():
        print(f"{name:<16}{1000 * seconds:>10.0f}{max(0.0, 1 - fastest['ready'] / seconds):>10.0%}")


if __name__ == "__main__":
    main()
