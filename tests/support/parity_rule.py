"""Weights and pixels computed by a rule, so that networks are compared without weight files; see parity/README.md."""

import json
import zlib
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "parity"


def read(name):
    """The measured facts of one published network: parity/<name>.json."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def tensors(facts, gain=None):
    """Every tensor of the checkpoint, filled by its name: dict name -> float32 array."""
    gain = facts["gain"] if gain is None else gain
    return {name: _filled(name, tuple(shape), gain) for name, shape in facts["tensors"].items()}


def _filled(name, shape, gain):
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    if name.endswith("running_var"):
        array = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        array = 0.1 * rng.standard_normal(shape)
    elif len(shape) <= 1 and name.endswith("weight"):
        array = rng.uniform(0.5, 1.5, shape)
    elif len(shape) <= 1:
        array = 0.1 * rng.standard_normal(shape)
    else:
        array = gain * rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return np.asarray(array, np.float32)


def pixels(shape, seed):
    """uint8 pixels [..., h, w, 3]: coloured squares with noise."""
    *lead, height, width, _ = shape
    rng = np.random.Generator(np.random.PCG64(seed))
    squares = rng.integers(0, 256, (*lead, 8, 8, 3))
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    noisy = squares[..., rows, :, :][..., :, columns, :] + rng.integers(-20, 21, tuple(shape))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def parameters(model):
    """Trainable parameters, as the facts count them."""
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def check(model, facts):
    """Asserts parameter count and the outputs for both pixel seeds; `model` holds the weights of `tensors(facts)`."""
    assert parameters(model) == facts["parameters"]
    tolerance = 20 * facts["float32_error"] + 1e-6
    for seed, key in ((2026, "output"), (2027, "output_seed_2027")):
        output = np.asarray(model({"frames": pixels(facts["input_shape"], seed)}, training=False))
        expected = np.asarray(facts[key])  # the first 8 values of each item
        # Relative to what? To nothing: float32_error is a difference of outputs.
        np.testing.assert_allclose(output[:, : expected.shape[1]], expected, rtol=0, atol=tolerance, err_msg=key)
