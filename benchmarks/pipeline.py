"""Reading: clips (or frames) per second from TFRecord to batch, against what decoding the same JPEGs alone takes.

    tfdeepfake prepare video_folder --dir VIDEOS --detector none --height-px 224 --width-px 224 --data-dir data
    python benchmarks/pipeline.py video_folder --data-dir data
    python benchmarks/pipeline.py video_folder --data-dir data --memory

The limit is `tf.io.decode_jpeg` over the JPEG bytes in memory, in a plain parallel map, and OpenCV in as many threads
as there are cores. Rounds of all rows take turns; figures are medians over rounds. Fractions are given of the clock,
which holds on an idle machine only, and of the processor time, which holds on a busy one too. "in memory" is the same
from decoded examples in memory (`cache_bytes`). Flow is left out unless --flow: its PNGs are no part of the limit.
--memory prints the resident memory while 1,000 batches are read.
"""

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from tfdeepfake.quiet import load_tensorflow

load_tensorflow()

import tensorflow as tf  # noqa: E402

from tfdeepfake.data.batches import pipeline  # noqa: E402
from tfdeepfake.data.batches.prepared import shard_paths  # noqa: E402

AUGMENTS = ("none", "flip", "p0", "p1")


def jpeg_bytes(prepared, most):
    """JPEG bytes of at most `most` frames of the training split."""
    spec = {"frames": prepared.builder.info.features.tf_example_spec["frames"]}
    images = []
    for record in tf.data.TFRecordDataset(shard_paths(prepared, "train")):
        images += np.ravel(tf.io.parse_single_example(record, spec)["frames"].numpy()).tolist()
        if len(images) >= most:
            break
    return images[:most]


def clocked(run, examples):
    """(examples per second, processor seconds per example) of `run()`."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return examples / (time.perf_counter() - wall), (time.process_time() - processor) / examples


def clocked_steady(dataset, elements, examples):
    """`clocked` over `elements` of a data set that never ends, after as many to fill its buffers."""
    iterator = iter(dataset)

    def some():
        for _ in range(elements):
            next(iterator)

    some()
    return clocked(some, examples)


def plain_tensorflow(encoded, per_example):
    """Nothing but decoding, one frame a call."""
    images = (
        tf.data.Dataset.from_tensor_slices(encoded)
        .repeat()
        .map(
            lambda one: tf.io.decode_jpeg(one, channels=3, dct_method="INTEGER_ACCURATE"),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    )
    # Batched, so that Python takes as few steps as of the pipeline.
    return lambda: clocked_steady(images.batch(64), len(encoded) // 64, len(encoded) // 64 * 64 / per_example)


def plain_opencv(encoded, per_example):
    """`cv2.imdecode` in one thread per core."""
    arrays = [np.frombuffer(one, np.uint8) for one in encoded]
    cv2.setNumThreads(1)

    def run():
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(lambda a: cv2.imdecode(a, cv2.IMREAD_COLOR), arrays):
                pass

    return lambda: clocked(run, len(arrays) / per_example)


def endless(prepared, input_type, batch_size, with_flow=None, **settings):
    """Epochs of training batches without end; `settings` are fields of BatchSettings."""
    settings = pipeline.BatchSettings(**settings)
    return pipeline.training_batches(
        prepared, "train", input_type, batch_size, settings, epochs=1 << 30, with_flow=with_flow
    )


def delivered(prepared, input_type, batch_size, **choices):
    """An epoch of training batches, after one that is not measured."""
    batches = endless(prepared, input_type, batch_size, **choices)
    steps = pipeline.steps_per_epoch(prepared, "train", input_type, batch_size)
    return lambda: clocked_steady(batches, steps, steps * batch_size)


def speeds(prepared, input_type, batch_size, rounds, with_flow):
    """Prints the rows of one input type."""
    per_example = prepared.recipe.num_frames if input_type == "clip" else 1
    encoded = jpeg_bytes(prepared, 1600)
    rows = {"limit: decode_jpeg": plain_tensorflow(encoded, per_example), "OpenCV": plain_opencv(encoded, per_example)}
    for name, cache_bytes in (
        *((name, 0) for name in AUGMENTS),
        ("none, in memory", 1 << 40),
        ("p0, in memory", 1 << 40),
    ):
        rows[name] = delivered(
            prepared, input_type, batch_size, augment=name.split(",")[0], cache_bytes=cache_bytes, with_flow=with_flow
        )
    rows["p0 and cutmix"] = delivered(
        prepared, input_type, batch_size, augment="p0", mix="cutmix", cache_bytes=0, with_flow=with_flow
    )
    measured = {name: [] for name in rows}
    for _ in range(rounds):
        for name, measure in rows.items():
            measured[name].append(measure())
    print(f"\n{input_type}, batches of {batch_size}{', with flow' if with_flow else ''}; median of {rounds} rounds")
    print(f"{'':<20} {input_type + 's/s':>10} {'of the limit':>13} {'CPU ms each':>13} {'of the limit':>13}")
    limit = measured["limit: decode_jpeg"]
    for name, rounds_of in measured.items():
        rate, work = (statistics.median(m[k] for m in rounds_of) for k in (0, 1))
        by_clock = statistics.median(m[0] / best[0] for m, best in zip(rounds_of, limit, strict=True))
        by_work = statistics.median(best[1] / m[1] for m, best in zip(rounds_of, limit, strict=True))
        print(f"{name:<20} {rate:>10.1f} {by_clock:>13.2f} {1000 * work:>13.2f} {by_work:>13.2f}", flush=True)


def memory(prepared, input_type, batch_size, augment):
    """Prints the resident memory at 100, 500 and 1,000 batches."""
    batches = endless(prepared, input_type, batch_size, augment=augment, cache_bytes=0)
    for number, _ in enumerate(batches.take(1000), 1):
        if number in (100, 500, 1000):
            with open("/proc/self/statm") as file:
                resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            print(f"{input_type}, {augment}: {resident / 2**20:.0f} MiB after {number} batches", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--data-dir")
    parser.add_argument("--clips", type=int, default=8, help="clips in a batch; frame networks get all their frames")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flow", action="store_true", help="read flow too")
    parser.add_argument("--memory", action="store_true", help="resident memory over 1,000 batches instead of speed")
    args = parser.parse_args()
    prepared = pipeline.open_data(args.data, args.data_dir)
    print(f"{prepared.version}: {prepared.split('train').num_examples} training examples, {os.cpu_count()} cores")
    if args.memory:
        for augment in ("none", "p0"):
            memory(prepared, "clip" if prepared.recipe.input_type == "clip" else "frame", args.clips, augment)
        return
    for input_type in ("clip", "frame") if prepared.recipe.input_type == "clip" else ("frame",):
        size = args.clips * (1 if input_type == "clip" else prepared.recipe.num_frames)
        speeds(prepared, input_type, size, args.rounds, args.flow and input_type == "clip")


if __name__ == "__main__":
    main()
