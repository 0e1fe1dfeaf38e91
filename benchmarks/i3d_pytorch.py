"""Inception I3D in PyTorch, which torchvision, timm and pytorchvideo do not have, to stand beside `i3d` here.

    python benchmarks/i3d_pytorch.py --python torch_environment/bin/python [--size 224] [--frames 16]

From arXiv:1705.07750 Fig. 3 and `tfdeepfake.models.i3d`: the same units, channels and module names, padding as
TensorFlow does it ("same"; by PyTorch's own layers wherever it is as wide on both sides, so that no map is copied
without need), batch normalisation with epsilon 0.001, one logit. The command gives it the random weights of `i3d` and
one clip, and prints parameters, the shape behind each stage, how far the last maps are apart and both logits; it ends
with an error where they are not the same.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Channels of an inception block: 1x1x1 | 1x1x1, 3x3x3 | 1x1x1, 3x3x3 | max-pool, 1x1x1.
BLOCKS = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
STAGES = (
    "Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3", "Mixed_3b", "Mixed_3c",
    "MaxPool3d_4a_3x3", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "MaxPool3d_5a_2x2", "Mixed_5b",
    "Mixed_5c",
)  # fmt: skip
TOLERANCE = 1e-4


def i3d():
    """torch.nn.Module, float32 [B, 3, T, H, W] of -1..1 -> raw logit of FAKE [B, 1]."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    def same(x, kernel, stride):
        """x padded as TensorFlow pads it, and the padding that is left to the layer behind."""
        total = [
            max((-(-size // s) - 1) * s + k - size, 0) for size, k, s in zip(x.shape[2:], kernel, stride, strict=True)
        ]
        if all(n % 2 == 0 for n in total):
            return x, [n // 2 for n in total]
        sides = [side for n in reversed(total) for side in (n // 2, n - n // 2)]
        return F.pad(x, sides), [0, 0, 0]

    class Unit(nn.Module):
        def __init__(self, channels, filters, kernel=1, stride=1):
            super().__init__()
            self.conv3d = nn.Conv3d(channels, filters, kernel, stride, bias=False)
            self.bn = nn.BatchNorm3d(filters, eps=1e-3, momentum=0.01)

        def forward(self, x):
            x, padding = same(x, self.conv3d.kernel_size, self.conv3d.stride)
            x = F.conv3d(x, self.conv3d.weight, None, self.conv3d.stride, padding)
            return F.relu(self.bn(x), inplace=True)

    class Pool(nn.Module):
        def __init__(self, kernel, stride):
            super().__init__()
            self.kernel, self.stride = kernel, stride

        def forward(self, x):  # maps have no negative values: zeros at the sides never win
            x, padding = same(x, self.kernel, self.stride)
            return F.max_pool3d(x, self.kernel, self.stride, padding)

    class Mixed(nn.Module):
        def __init__(self, channels, counts):
            super().__init__()
            one, three_in, three, five_in, five, pooled = counts
            self.b0 = Unit(channels, one)
            self.b1a, self.b1b = Unit(channels, three_in), Unit(three_in, three, 3)
            self.b2a, self.b2b = Unit(channels, five_in), Unit(five_in, five, 3)
            self.b3a, self.b3b = Pool((3, 3, 3), (1, 1, 1)), Unit(channels, pooled)

        def forward(self, x):
            return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)

    stem = {
        "Conv3d_1a_7x7": Unit(3, 64, 7, 2),
        "MaxPool3d_2a_3x3": Pool((1, 3, 3), (1, 2, 2)),
        "Conv3d_2b_1x1": Unit(64, 64),
        "Conv3d_2c_3x3": Unit(64, 192, 3),
        "MaxPool3d_3a_3x3": Pool((1, 3, 3), (1, 2, 2)),
        "MaxPool3d_4a_3x3": Pool((3, 3, 3), (2, 2, 2)),
        "MaxPool3d_5a_2x2": Pool((2, 2, 2), (2, 2, 2)),
    }

    class InceptionI3D(nn.Module):
        def __init__(self):
            super().__init__()
            for name in STAGES:
                self.add_module(name, stem[name] if name in stem else Mixed(*BLOCKS[name]))
            self.dropout = nn.Dropout(0.5)
            self.logits = nn.ModuleDict({"conv3d": nn.Linear(1024, 1)})

        def forward(self, x):
            for name in STAGES:
                x = getattr(self, name)(x)
            x = x.mean((3, 4))
            x = F.avg_pool1d(x, min(2, x.shape[2]), 1).mean(2)
            return self.logits["conv3d"](self.dropout(x))

    return InceptionI3D()


def answer(folder):
    """What PyTorch makes of the weights and the clip in `folder`: parameters, shapes [B, T, H, W, C], logits."""
    import numpy as np
    import torch

    model, shapes = i3d().eval(), {}
    with np.load(Path(folder, "weights.npz")) as weights:
        tensors = {name: torch.from_numpy(weights[name]) for name in weights.files}
    kept = {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
    model.load_state_dict(tensors | kept, strict=True)
    for name in STAGES:
        getattr(model, name).register_forward_hook(
            lambda module, inputs, x, name=name: shapes.update({name: [x.shape[i] for i in (0, 2, 3, 4, 1)]})
        )
    clip = torch.from_numpy(np.load(Path(folder, "clip.npy"))).permute(0, 4, 1, 2, 3).float()
    last = []
    model.Mixed_5c.register_forward_hook(lambda module, inputs, x: last.append(x.permute(0, 2, 3, 4, 1).numpy()))
    with torch.inference_mode():
        logits = model(clip / 127.5 - 1)
    np.save(Path(folder, "last.npy"), last[0])
    parameters = sum(one.numel() for one in model.parameters())
    return {"parameters": parameters, "shapes": shapes, "logits": logits.ravel().tolist()}


def ours(folder, size, frames):
    """The same of `tfdeepfake.models.i3d`, whose weights (moving statistics drawn as well) and clip go to `folder`; and
    its last map."""
    from tfdeepfake.quiet import load_tensorflow

    load_tensorflow()
    import keras
    import numpy as np

    from tfdeepfake import models
    from tfdeepfake.models import i3d

    keras.utils.set_random_seed(0)
    model, rng, tensors = models.build("i3d", input_size=(size, size), num_frames=frames), np.random.default_rng(0), {}
    names = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
    names |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    for layer in model.layers:
        for variable in layer.weights:
            short = variable.path.rpartition("/")[2]
            if short not in ("kernel", "bias"):  # 0 and 1 at first, which would hide a mistake
                centre = float(short in ("gamma", "moving_variance"))
                variable.assign(centre + rng.uniform(-0.3, 0.3, variable.shape))
            array = np.asarray(variable)
            array = np.moveaxis(array, (-1, -2), (0, 1)) if short == "kernel" else array
            tensors[f"{i3d.module_name(layer.name)}.{names[short]}"] = np.ascontiguousarray(array)
    clip = rng.integers(0, 256, (2, frames, size, size, 3), np.uint8)
    np.savez(Path(folder, "weights.npz"), **tensors)
    np.save(Path(folder, "clip.npy"), clip)
    both = keras.Model(model.inputs, [model.output, model.get_layer("features").output])
    logits, last = both.predict_on_batch({"frames": clip})
    shapes = {name: [2, *model.get_layer(name).output.shape[1:]] for name in STAGES}
    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    return {"parameters": parameters, "shapes": shapes, "logits": logits.ravel().tolist()}, last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="the interpreter of an environment that has PyTorch")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder:
        print(json.dumps(answer(args.folder)))
        return
    if args.python is None:
        parser.error("--python needs the interpreter of an environment that has PyTorch.")
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        here, last = ours(folder, args.size, args.frames)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [args.python, __file__, "--folder", folder]
        there = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout)
        maps_apart = abs(last - np.load(Path(folder, "last.npy"))).max() / abs(last).max()
    print(f"parameters: {here['parameters']:,} here, {there['parameters']:,} in PyTorch")
    for name in STAGES:
        print(f"{name}: {here['shapes'][name]}, {there['shapes'][name]}")
    print(f"last map: apart by {maps_apart:.2g} of its largest value at most")
    apart = max(abs(a - b) for a, b in zip(here["logits"], there["logits"], strict=True))
    print(f"logits: {here['logits']}, {there['logits']}; apart by {apart:.2g} at most")
    if max(apart, maps_apart) > TOLERANCE or any(here[key] != there[key] for key in ("parameters", "shapes")):
        sys.exit("They are not the same network.")


if __name__ == "__main__":
    main()
