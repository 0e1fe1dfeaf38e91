"""Normalisation folded into convolutions for an export: the same scores, from fewer variables; the network stays."""

import keras
import numpy as np
import pytest
from support.tiny_models import TINY, random_inputs, recipe_of, scores

from tfdeepfake import models
from tfdeepfake.layers.folding import pairs
from tfdeepfake.model_folder import save_model
from tfdeepfake.serving.export import export
from tfdeepfake.serving.folded import folded


def built(name):
    """A tiny network whose vectors (biases, statistics of normalisation) have values of their own."""
    keras.utils.set_random_seed(0)
    model, rng = models.build(name, **TINY[name]), np.random.default_rng(0)
    model.set_weights([w + rng.uniform(0, 0.3, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
    return model


# Without bias, depthwise, grouped, in 3D, with bias; of Meso4 the activation comes before the normalisation.
@pytest.mark.parametrize(
    "name, rest", [("efficientnet_b4_att", 0), ("xception", 0), ("resnext3d_50", 0), ("light3d", 0), ("baseline", 0),
                   ("meso4", 4)],
)  # fmt: skip
def test_scores_are_the_same_and_the_network_is_left_as_it_was(name, rest):
    model = built(name)
    inputs, norms = random_inputs(model), [n for n in model.layers if isinstance(n, keras.layers.BatchNormalization)]
    expected, calls = scores(model, inputs), [layer.call for layer in model.layers]
    with folded(model) as count:
        assert count == len(norms) - rest > -rest
        for norm in norms[rest:]:  # what is folded holds the values of now
            norm.gamma.assign(norm.gamma + 1.0)
        np.testing.assert_allclose(scores(model, inputs), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert [layer.call for layer in model.layers] == calls
    assert rest or np.abs(scores(model, inputs) - expected).max() > 1e-3 * np.abs(expected).max()


def test_what_others_read_too_is_not_folded():
    frames = keras.Input((8, 8, 3), name="frames")
    conv = keras.layers.Conv2D(2, 3, name="conv")(frames)
    norm = keras.layers.BatchNormalization(name="norm")(conv)
    shared = keras.layers.Conv2D(2, 3, activation="relu", name="relu")(keras.layers.Add()([conv, norm]))
    x = keras.layers.BatchNormalization()(shared)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 1, name="attention")(x))
    model = keras.Model(frames, x)
    assert pairs(model, kept=("attention",)) == [] and [conv.name for conv, _ in pairs(model)] == ["attention"]


def test_an_export_holds_the_folded_variables_and_no_gradients(tmp_path):
    import tensorflow as tf

    model = built("efficientnet_b4_att")
    save_model(tmp_path / "model", model, recipe_of(model, TINY["efficientnet_b4_att"]))
    version = export(tmp_path / "model", tmp_path / "served")
    # Nor does it hold a gradient of each swish, which no server asks for.
    assert b"grad_fn" not in (version / "saved_model.pb").read_bytes()
    loaded = tf.saved_model.load(str(version))
    saved = [name for name, _ in tf.train.list_variables(str(tmp_path / "served" / "1" / "variables" / "variables"))]
    # Of each pair a kernel and a bias, in the place of a kernel and four vectors; and the list of all.
    assert len(saved) == len(model.weights) - 3 * len(pairs(model)) + 1
    inputs = random_inputs(model)
    expected = model.predict(inputs, verbose=0)[:, 0]
    outputs = loaded.signatures["serving_default"](frames=tf.constant(inputs["frames"]))
    np.testing.assert_allclose(outputs["probability"], 1 / (1 + np.exp(-expected)), atol=1e-6, rtol=0)
