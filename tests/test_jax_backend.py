"""Every network on JAX, where TensorFlow cannot be imported: folders saved on TensorFlow score the same there."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from support.tiny_models import SAME_WHEN_TINY, TINY, random_inputs, scores

from tfdeepfake import models
from tfdeepfake.model_folder import save_model
from tfdeepfake.recipe import Recipe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.jax,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed"),
]
NAMES = [name for name in models.MODELS if name not in SAME_WHEN_TINY]
# One of each kind of code that runs in training only: normalisation by the batch, paths left out, the mask, the order
# and the second loss of TALL++.
TRAINED = {
    "resnet3d_18": {},
    "swin_b": {"drop_path": 0.2},
    "efficientnet_b4_st": {"drop_connect": 0.2},
    "tall_plus_plus": {"order": "random", "mask_px": 4},
    "ensemble": {},
}


def shaken(model, rng):
    """Vectors that start as zeros or ones (biases, statistics of normalisation) get values of their own."""
    model.set_weights([w + rng.uniform(0, 0.3, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """{name: (logits on TensorFlow, what jax_process.py found)}."""
    folder, expected, rng = tmp_path_factory.mktemp("jax"), {}, np.random.default_rng(0)
    for name in NAMES:
        keras.utils.set_random_seed(0)
        arguments = TINY[name] | TRAINED.get(name, {})
        model = shaken(models.build(name, **arguments), rng)
        inputs = random_inputs(model)
        expected[name] = scores(model, inputs)
        save_model(folder / name, model, Recipe(name, arguments))
        np.savez(folder / f"{name}.npz", **inputs)
        if name in TRAINED:
            (folder / f"{name}.train").touch()
        keras.backend.clear_session()
    script = Path(__file__).parent / "support" / "jax_process.py"
    # Two processes for two cores.
    started = [
        subprocess.Popen(
            [sys.executable, script, folder, *NAMES[part::2]],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for part in (0, 1)
    ]  # fmt: skip
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(error[-3000:] for error in errors)
    return {name: (expected[name], json.loads((folder / f"{name}.json").read_text())) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_scores_on_jax_equal_those_on_tensorflow_and_gradients_reach_every_weight(outcomes, name):
    expected, got = outcomes[name]
    assert got["backend"] == "jax"
    tolerance = 1e-4 * np.abs(expected).max()
    assert np.ptp(expected) > 5 * tolerance, "scores that hardly differ would prove nothing"
    np.testing.assert_allclose(got["logits"], expected, rtol=0, atol=tolerance)
    assert not got["without"], "weights without a finite gradient other than zero"


@pytest.mark.parametrize("name", list(TRAINED))
def test_a_few_steps_on_jax_lower_the_loss(outcomes, name):
    losses = outcomes[name][1]["losses"]
    # Not the last ones alone: with four examples and this rate the loss of a step jumps.
    assert np.isfinite(losses).all() and min(losses[3:]) < 0.8 * losses[0], losses
