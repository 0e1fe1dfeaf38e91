"""Networks here beside the same ones in PyTorch, in one run: forward passes by each runtime, and training steps.

    python benchmarks/beside_pytorch.py --python torch_environment/bin/python [--what forward step] [--steps 2]
      [--only clip_vit_l14] [--batch 8 32] [--runtimes Keras PyTorch]
      [--processor-time] [--peak]

PyTorch lives in an environment of its own (`python -m venv torch_environment`, `pip install torch torchvision timm`).
Weights are random, sizes, batches and optimizer (SGD with momentum, as `tfdeepfake train` has it) equal; each figure is
the least of --steps calls behind one that warms up, every network and runtime in a process of its own, one after
another. `forward` prints milliseconds a face of Keras, LiteRT (one example at a time, as verdicts run it), ONNX Runtime
and PyTorch; `step` the seconds of a training step and of a forward pass of a batch of 4: by the clock, and behind a
slash of processor time on all cores. Behind them stand the ratios to PyTorch, by the clock, or with --processor-time by
that; then threads that wait for others sleep, as on machines that others use as well. --peak prints what a product of
two matrices of 4096 x 4096 reaches in float32.
Making the LiteRT form of `clip_vit_l14` takes 20 GB of memory, and its ONNX form would be over 2 GB: leave both out by
--runtimes. Inception I3D, which torchvision, timm and pytorchvideo do not have, is that of `i3d_pytorch.py`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

for variable in ("TF_CPP_MIN_LOG_LEVEL", "GLOG_minloglevel", "ABSL_MIN_LOG_LEVEL"):
    os.environ.setdefault(variable, "3")

# name here: (what builds it in PyTorch, height and width, frames of a clip or 0)
FORWARD = {
    "clip_vit_l14": ("timm:vit_large_patch14_clip_quickgelu_224", 224, 0),
    "efficientnet_b4": ("torchvision:efficientnet_b4", 224, 0),
    "efficientnet_b7": ("torchvision:efficientnet_b7", 380, 0),
}
STEP = {
    "r3d_18": ("video:r3d_18", 112, 16),
    "r2plus1d_18": ("video:r2plus1d_18", 112, 16),
    "i3d": ("ours:i3d", 224, 16),
    "efficientnet_b4": ("torchvision:efficientnet_b4", 224, 0),
    "xception": ("timm:legacy_xception", 224, 0),
    "vit_b": ("timm:vit_base_patch16_224", 224, 0),
    "tall_swin": ("timm:swin_base_patch4_window7_224", 224, 0),
}
# What our networks have: windows of P4 Table 11, of whose 14 x 14 places each sees four times as many as of 7 x 7, and
# residuals that are left out.
TIMM_ARGS = {
    "swin_base_patch4_window7_224": {"window_size": (14, 14, 14, 7)},
    "vit_base_patch16_224": {"drop_path_rate": 0.1},
}
STEP_BATCH = 4


def seconds(call, job, rounds=1):
    """[least time of a call behind the first by the clock, least processor time]."""
    call()
    times = []
    for _ in range(job["steps"] * rounds):
        start = time.perf_counter(), time.process_time()
        call()
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return [min(column) for column in zip(*times, strict=True)]


def torch_network(made_by):
    kind, _, name = made_by.partition(":")
    if kind == "timm":
        import timm

        return timm.create_model(name, pretrained=False, num_classes=1, **TIMM_ARGS.get(name, {}))
    if kind == "ours":
        import i3d_pytorch

        return i3d_pytorch.i3d()
    import torchvision

    models = torchvision.models.video if kind == "video" else torchvision.models
    return getattr(models, name)(num_classes=1)


def of_torch(job):
    import torch

    torch.manual_seed(0)
    model, size = torch_network(job["made_by"]), job["size_px"]
    lead = (job["batch"], 3, job["frames"]) if job["frames"] else (job["batch"], 3)
    images = torch.rand(*lead, size, size)
    if job["what"] == "step":
        targets, loss = torch.arange(job["batch"])[:, None] % 2.0, torch.nn.BCEWithLogitsLoss()
        optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)

        def call():
            optimizer.zero_grad()
            loss(model(images), targets).backward()
            optimizer.step()

        return seconds(call, job)
    model.eval()
    with torch.inference_mode():
        return seconds(lambda: model(images), job)


def of_keras(job):
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    import keras
    import numpy as np

    from tfdeepfake import models
    from tfdeepfake.training import fused

    model = _network(models, job)
    rng = np.random.default_rng(0)
    shape = (job["batch"], *model.inputs[0].shape[1:])
    batch = {"frames": rng.integers(0, 256, shape, np.uint8)}
    if job["what"] != "step":
        return seconds(lambda: model.predict_on_batch(batch), job)
    labels = (np.arange(job["batch"])[:, None] % 2).astype("float32")
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(fused.SGD(1e-3, momentum=0.9), loss, jit_compile=False)
    return seconds(lambda: model.train_on_batch(batch, labels), job)


def _network(models, job):
    sizes = {"input_size": (job["size_px"], job["size_px"])}
    if job["network"] == "tall_swin":  # its thumbnail of four frames is the image that Swin sees
        return models.build(job["network"], thumbnail_size=(job["size_px"], job["size_px"]))
    if job["frames"]:
        sizes["num_frames"] = job["frames"]
    return models.build(job["network"], **sizes)


def of_litert(job):
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    import numpy as np

    from tfdeepfake import models
    from tfdeepfake.compiled.convert import convert
    from tfdeepfake.compiled.folder import CompiledModel

    model = _network(models, job)
    shape = (1, *model.inputs[0].shape[1:])
    compiled = CompiledModel(convert(model), job["network"])
    batch = {"frames": np.random.default_rng(0).integers(0, 256, shape, np.uint8)}
    return [job["batch"] * one for one in seconds(lambda: compiled.predict_on_batch(batch), job, rounds=3)]


def of_onnx(job):
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    import numpy as np
    import onnxruntime

    from tfdeepfake import models
    from tfdeepfake.model_folder import save_model
    from tfdeepfake.recipe import DataRecipe, Recipe
    from tfdeepfake.serving.onnx import export_onnx

    size = job["size_px"]
    data = DataRecipe(input_type="frame", height_px=size, width_px=size)
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe(job["network"], {"input_size": (size, size)}, data=data)
        save_model(f"{folder}/model", _network(models, job), recipe)
        session = onnxruntime.InferenceSession(str(export_onnx(f"{folder}/model", f"{folder}/onnx")))
    batch = {"frames": np.random.default_rng(0).integers(0, 256, (job["batch"], size, size, 3), np.uint8)}
    return seconds(lambda: session.run(["logit"], batch), job)


SIDE = 4096


def peak_of_numpy(job):
    import numpy as np

    a = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    return seconds(lambda: a @ a, job)


def peak_of_keras(job):
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    import numpy as np
    import tensorflow as tf

    a = tf.constant(np.random.default_rng(0).random((SIDE, SIDE), np.float32))
    return seconds(lambda: tf.matmul(a, a)[0, 0].numpy(), job)


def peak_of_torch(job):
    import torch

    a = torch.rand(SIDE, SIDE)
    return seconds(lambda: a @ a, job)


PEAKS = {"numpy": peak_of_numpy, "TensorFlow": peak_of_keras, "PyTorch": peak_of_torch}
RUNTIMES = {"Keras": of_keras, "LiteRT": of_litert, "ONNX": of_onnx, "PyTorch": of_torch}


def measured(python, runtime, job):
    """[seconds of a batch by the clock, processor seconds], or the reason why there are none."""
    job = job | {"runtime": runtime}
    interpreter = python if runtime == "PyTorch" else sys.executable
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" or runtime != "PyTorch"}
    if job["processor_time"]:  # threads that wait for others must not count
        environment |= {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    done = subprocess.run(
        [interpreter, __file__, "--job", json.dumps(job)], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2][:60]
    return json.loads(done.stdout.splitlines()[-1])


def line(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def shown(value, scale):
    return value if isinstance(value, str) else " / ".join(f"{scale * one:.3g}" for one in value)


def ratios(times, by):
    """How many times as fast as PyTorch each is, by the clock (0) or by processor time (1)."""
    torch = times.get("PyTorch", "")
    if isinstance(torch, str):
        return "-"
    known = {name: value for name, value in times.items() if name != "PyTorch" and not isinstance(value, str)}
    return ", ".join(f"{name} {torch[by] / value[by]:.2f}" for name, value in known.items())


def print_peaks(python, job):
    line(["product of two matrices", "GFLOP/s by the clock", "GFLOP/s of processor time"])
    line(["---"] * 3)
    for name in PEAKS:
        took = measured(python, name, job)
        line([name, *([took, ""] if isinstance(took, str) else [f"{2e-9 * SIDE**3 / one:.0f}" for one in took])])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="the interpreter of an environment that has PyTorch")
    parser.add_argument("--what", nargs="+", default=["forward", "step"], choices=("forward", "step"))
    parser.add_argument("--only", nargs="+", default=None)
    parser.add_argument("--batch", nargs="+", type=int, default=[8])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--runtimes", nargs="+", default=list(RUNTIMES), choices=RUNTIMES, help="of the forward passes")
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--peak", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        job = json.loads(args.job)
        print(json.dumps((PEAKS if job["what"] == "peak" else RUNTIMES)[job["runtime"]](job)))
        return
    if args.python is None:
        parser.error("--python needs the interpreter of an environment that has PyTorch.")
    by, shared = int(args.processor_time), {"steps": args.steps, "processor_time": args.processor_time}
    if args.peak:
        print_peaks(args.python, {"what": "peak"} | shared)
    if "forward" in args.what:
        line(["network", "batch", *(f"{name}, ms a face" for name in args.runtimes), "times as fast as PyTorch"])
        line(["---"] * (3 + len(args.runtimes)))
        for name, (made_by, size, frames) in FORWARD.items():
            for batch in args.batch if args.only is None or name in args.only else ():
                job = {"what": "forward", "network": name, "made_by": made_by, "size_px": size, "frames": frames}
                job |= {"batch": batch} | shared
                times = {runtime: measured(args.python, runtime, job) for runtime in args.runtimes}
                line([name, str(batch), *(shown(times[one], 1e3 / batch) for one in args.runtimes), ratios(times, by)])
    if "step" in args.what:
        heads = [f"{what} in {name}, s" for what in ("step", "forward") for name in ("Keras", "PyTorch")]
        line(["network", *heads, "times as fast as PyTorch"])
        line(["---"] * 6)
        for name, (made_by, size, frames) in STEP.items():
            if args.only is not None and name not in args.only:
                continue
            cells, speeds = [name], []
            for what in ("step", "forward"):
                job = {"what": what, "network": name, "made_by": made_by, "size_px": size, "frames": frames}
                job |= {"batch": STEP_BATCH} | shared
                times = {runtime: measured(args.python, runtime, job) for runtime in ("Keras", "PyTorch")}
                cells += [shown(times[one], 1) for one in ("Keras", "PyTorch")]
                speeds.append(f"{what} {ratios(times, by)}")
            line([*cells, "; ".join(speeds)])


if __name__ == "__main__":
    main()
