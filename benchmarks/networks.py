"""Throughput of networks forward and forward + backward, their slowest layers, and peak memory of a training step.

    python benchmarks/networks.py [resnet3d_50 r2plus1d_18 efficientnet_b4_att tall_swin]
    python benchmarks/networks.py --memory [tall_plus_plus i3d] --batch-size 4

A step is loss, gradients and Adam's update, compiled as `tfdeepfake train` compiles it. Times are medians of --steps
steps behind one that traces and warms up; a pass is counted as 2 FLOPs per MAC (`tfdeepfake models`), a step as three
passes, so that GFLOP/s of networks and layers can be compared. Layers are timed by TensorFlow's profiler, grouped by
layer name; what is named there "gradient" is that of the layer. --memory measures each network in a process of its
own: peak resident memory (VmHWM), of which about 0.5 GiB is TensorFlow itself.
"""

import argparse
import collections
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tfdeepfake.quiet import load_tensorflow

load_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402

from tfdeepfake import models  # noqa: E402
from tfdeepfake.profiling import macs  # noqa: E402

NETWORKS = ("resnet3d_50", "r2plus1d_18", "efficientnet_b4_att", "tall_swin")
LARGE = ("tall_plus_plus", "i3d")


def batch(model, size, seed=0):
    """Noise as the pipeline would give it, and labels."""
    rng = np.random.default_rng(seed)
    shapes = {tensor.name: (size, *tensor.shape[1:]) for tensor in model.inputs}
    inputs = {"frames": rng.integers(0, 256, shapes["frames"], dtype="uint8")}
    if "flow" in shapes:
        inputs["flow"] = rng.normal(0, 2, shapes["flow"]).astype("float32")
    return inputs, (np.arange(size)[:, None] % 2).astype("float32")


def passes(model):
    """{name: function of (inputs, labels)}, compiled without XLA, which is slower on CPU."""
    model.compile(keras.optimizers.Adam(1e-4), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    return {
        "forward": lambda inputs, labels: model.predict_on_batch(inputs),
        "forward + backward": model.train_on_batch,
    }


def seconds(run, steps):
    """Median time of a call behind the first."""
    run()
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def kernel_times(run):
    """Seconds of one call by kernel, longest first, as TensorFlow's profiler sees them on the CPU.

    Returns:
      list of (seconds, layer, kernel); the layer of a kernel of the gradient ends in "'". Kernels that run side by side
      count in full.
    """
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        run()
        tf.profiler.experimental.stop()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    times = collections.Counter()
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            # "gradient_tape/<model>/<layer>/<operation>:<kernel>"; host work has no colon or no path before it.
            place, colon, kernel = plane.event_metadata[event.metadata_id].name.rpartition(":")
            if not colon or "/" not in place or place.endswith(":"):
                continue
            parts = place.removeprefix("gradient_tape/").split("/")
            # Keras numbers a layer's later calls.
            layer = re.sub(r"_\d+$", "", parts[1]) if len(parts) > 2 else place
            gradient = "'" if place.startswith("gradient_tape/") else ""
            times[layer + gradient, kernel.removeprefix("_MklNative").removeprefix("_")] += event.duration_ps / 1e12
    return [(s, *key) for key, s in times.most_common()]


def throughput(name, size, steps, slowest):
    """Prints examples/s, GFLOP/s and the slowest kernels and layers of one network."""
    model = models.build(name)
    inputs, labels = batch(model, size)
    flops = 2 * sum(macs.count(model, size).values())
    shape = "x".join(map(str, inputs["frames"].shape[1:]))
    print(f"\n{name}: {shape}, batch of {size}, {model.count_params() / 1e6:.1f} M parameters")
    for number, (kind, run) in enumerate(passes(model).items()):
        took = seconds(lambda run=run: run(inputs, labels), steps)
        work = flops * (1, 3)[number]
        print(f"  {kind:<20} {took:8.2f} s {size / took:8.2f} examples/s {work / took / 1e9:8.1f} GFLOP/s")
        kernels = kernel_times(lambda run=run: run(inputs, labels))
        total, kinds = sum(s for s, *_ in kernels), collections.Counter()
        for s, _, kernel in kernels:
            kinds[kernel] += s
        print("    kinds:  " + ", ".join(f"{kernel} {s / total:.0%}" for kernel, s in kinds.most_common(slowest)))
        print("    layers: " + ", ".join(f"{layer} {kernel} {s / total:.1%}" for s, layer, kernel in kernels[:slowest]))


def step_memory(name, size):
    """Prints the peak resident memory of this process after two training steps."""
    model = models.build(name)
    inputs, labels = batch(model, size)
    train = passes(model)["forward + backward"]
    before, losses = _peak_gib(), []
    for _ in range(2):
        started = time.perf_counter()
        losses.append(float(train(inputs, labels)))
    took = time.perf_counter() - started
    peak = f"peak {_peak_gib():.2f} GiB ({before:.2f} before the first step)"
    print(f"{name}: batch of {size}, {peak}, {took:.0f} s a step")
    if not np.isfinite(losses).all():
        raise SystemExit(f"{name}: the loss is no number: {losses}")


def _peak_gib():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"default: {' '.join(NETWORKS)}; with --memory {' '.join(LARGE)}")
    parser.add_argument("--memory", action="store_true", help="peak memory of a training step instead of speed")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--slowest", type=int, default=6, help="kernels and layers to name")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory and args.here:
        return step_memory(args.names[0], args.batch_size)
    for name in args.names or (LARGE if args.memory else NETWORKS):
        if args.memory:
            command = [sys.executable, __file__, name, "--memory", "--here", "--batch-size", str(args.batch_size)]
            subprocess.run(command, check=True)
        else:
            throughput(name, args.batch_size, args.steps, args.slowest)
            keras.backend.clear_session()


if __name__ == "__main__":
    main()
