"""Grad-CAM of small fixed networks by pytorch-grad-cam, for tests/test_explain.py; writes gradcam.json beside itself.

    pip install torch grad-cam        # in an environment of its own
    python tests/parity/gradcam.py

Weights and pixels follow the rules of README.md, so that neither travels. No convolution has a stride: maps need not be
enlarged, and are compared before any scaling.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import parity_rule  # noqa: E402

CHANNELS, UNITS = (4, 6), 5
# [B, H, W, 3] and [B, T, H, W, 3].
SHAPES = {"frames": (2, 12, 16, 3), "clips": (2, 4, 6, 8, 3)}


def tensors(axes):
    """{name: shape} in PyTorch's order of axes, of a network of `axes` axes of space and time."""
    (first, second), kernel = CHANNELS, (3,) * axes
    shapes = {
        "conv1.weight": (first, 3, *kernel), "conv1.bias": (first,), "conv2.weight": (second, first, *kernel),
        "conv2.bias": (second,), "linear1.weight": (UNITS, second), "linear1.bias": (UNITS,),
        "linear2.weight": (1, UNITS), "linear2.bias": (1,),
    }  # fmt: skip
    return parity_rule.tensors({"tensors": shapes, "gain": 2.0})


def main():
    import pytorch_grad_cam
    import torch
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torch import nn

    class Network(nn.Module):
        def __init__(self, axes):
            super().__init__()
            conv = nn.Conv2d if axes == 2 else nn.Conv3d
            self.conv1, self.conv2 = (
                conv(a, b, 3, padding=1) for a, b in ((3, CHANNELS[0]), (CHANNELS[0], CHANNELS[1]))
            )
            self.features = nn.ReLU()
            self.linear1, self.linear2 = nn.Linear(CHANNELS[1], UNITS), nn.Linear(UNITS, 1)

        def forward(self, x):
            x = self.features(self.conv2(torch.relu(self.conv1(x / 255))))
            return self.linear2(torch.tanh(self.linear1(x.mean(dim=tuple(range(2, x.ndim))))))

    class Raw(pytorch_grad_cam.GradCAM):
        """Keeps the map as it is before it is scaled."""

        def get_cam_image(self, *args, **kwargs):
            self.raw = super().get_cam_image(*args, **kwargs)
            return self.raw

    written = {"pytorch_grad_cam": "1.5.7", "torch": torch.__version__.split("+")[0]}
    for name, shape in SHAPES.items():
        network = Network(len(shape) - 2).double().eval()
        network.load_state_dict(
            {key: torch.from_numpy(value).double() for key, value in tensors(len(shape) - 2).items()}
        )
        pixels = torch.from_numpy(np.moveaxis(parity_rule.pixels(shape, 2026), -1, 1).astype(np.float64))
        cam = Raw(network, [network.features])
        cam(pixels, [ClassifierOutputTarget(0)] * len(pixels))
        written[name] = {
            "logits": network(pixels)[:, 0].tolist(),
            "maps": np.round(np.maximum(cam.raw, 0), 7).tolist(),
        }
    Path(__file__).with_suffix(".json").write_text(json.dumps(written) + "\n")


if __name__ == "__main__":
    main()
