"""LiteRT and ONNX files of one network beside each other: size and processor time of one example.

    python benchmarks/precision.py FOLDER_OR_FILE ...

Each is a `model.tflite` or `model.onnx`, or a folder with one, as `tfdeepfake export --format litert --precision int8`
writes. The files take turns in one process; the figure is the least of --steps calls, in processor time of all threads.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from tfdeepfake.compiled.folder import COMPILED_FILE, CompiledModel
from tfdeepfake.model_folder import load_recipe
from tfdeepfake.serving.onnx import ONNX_FILE
from tfdeepfake.serving.onnx_reduced import OnnxModel


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=25)
    args = parser.parse_args()
    paths = [file_of(path) for path in args.paths]
    networks, rng = [loaded(path) for path in paths], np.random.default_rng(0)
    inputs = [
        {
            tensor.name: rng.integers(0, 256, (1, *tensor.shape[1:])).astype(np.uint8)
            if tensor.name == "frames"
            else rng.normal(0, 2, (1, *tensor.shape[1:])).astype(np.float32)
            for tensor in network.inputs
        }
        for network in networks
    ]
    least = [float("inf")] * len(networks)
    for _ in range(args.steps):
        for number, network in enumerate(networks):
            start = time.process_time()
            network.predict_on_batch(inputs[number])
            least[number] = min(least[number], time.process_time() - start)
    for path, seconds in zip(paths, least, strict=True):
        print(f"{path}  {os.path.getsize(path) / 1e6:.2f} MB  {1e3 * seconds:.1f} CPU ms")


def file_of(path):
    """The network's file of a folder."""
    if not path.is_dir():
        return path
    return next(path / name for name in (COMPILED_FILE, ONNX_FILE) if (path / name).is_file())


def loaded(path):
    """What runs a file."""
    if path.name == ONNX_FILE:
        return OnnxModel(path.read_bytes(), load_recipe(path.parent))
    return CompiledModel(path, str(path))


if __name__ == "__main__":
    main()
