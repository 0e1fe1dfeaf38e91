"""The SavedModel scores as the saved model folder does."""

import errno
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_model, save_model
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.serving.export import export
from tfdeepfake.verdict.inference import check_model

# Loaded where the package does not exist: a server has TensorFlow and nothing of ours.
SERVER = """
import sys
import numpy as np
import tensorflow as tf
folder, inputs, outputs = sys.argv[1:]
signature = tf.saved_model.load(folder).signatures["serving_default"]
given = {name: tf.constant(value) for name, value in np.load(inputs).items()}
assert {k: v.dtype.name for k, v in signature.structured_input_signature[1].items()} == {
    k: v.dtype.name for k, v in given.items()}, signature.structured_input_signature
np.savez(outputs, **{name: value.numpy() for name, value in signature(**given).items()})
assert "tfdeepfake" not in sys.modules
"""


def network(shape, flow, num_classes=1):
    """A small network with a convolution, a dense layer and batch norm, its weights random."""
    inputs = {"frames": keras.Input((*shape, 3), name="frames")}
    x = keras.layers.Rescaling(1 / 127.5, -1, name="scale")(inputs["frames"])
    if flow:
        inputs["flow"] = keras.Input((*shape, 2), name="flow")
        x = keras.layers.Concatenate()([x, inputs["flow"]])
    conv = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[len(shape)]
    x = keras.layers.Flatten()(
        keras.layers.BatchNormalization(name="norm")(conv(4, 3, activation="relu", name="conv")(x))
    )
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="logits")(x))


def saved(tmp_path, monkeypatch, shape=(12, 20), flow=False, temperature=1.0, num_classes=1, classes=None):
    keras.utils.set_random_seed(3)
    model = network(shape, flow, num_classes)
    monkeypatch.setattr(models, "build", lambda name, **args: network(shape, flow, num_classes))
    input_type = "clip" if len(shape) == 3 else "flow" if flow else "frame"
    data = DataRecipe(
        input_type=input_type,
        num_frames=shape[0] if input_type == "clip" else 16,
        height_px=shape[-2],
        width_px=shape[-1],
        flow="dis" if flow else "none",
    )
    save_model(tmp_path / "model", model, Recipe("small", data=data, temperature=temperature, classes=classes))
    return tmp_path / "model", data


@pytest.mark.parametrize("shape, flow", [((12, 20), False), ((12, 20), True), ((4, 12, 20), True)])
def test_scores_equal_those_of_predict(tmp_path, monkeypatch, shape, flow):
    folder, _ = saved(tmp_path, monkeypatch, shape, flow, temperature=2.5)
    served = export(folder, tmp_path / "served", version=7)
    assert served == tmp_path / "served" / "7"
    rng = np.random.default_rng(0)
    inputs = {"frames": rng.integers(0, 256, (5, *shape, 3), np.uint8)}
    if flow:
        inputs["flow"] = rng.normal(0, 3, (5, *shape, 2)).astype(np.float32)
    np.savez(tmp_path / "inputs.npz", **inputs)
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(served), str(tmp_path / "inputs.npz"), str(tmp_path / "outputs.npz")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "outputs.npz")
    expected = load_model(folder)[0].predict(inputs, verbose=0)[:, 0]
    assert np.ptp(expected) > 0.01, "constant scores would prove nothing"
    np.testing.assert_allclose(outputs["logit"], expected, atol=1e-6, rtol=0)
    np.testing.assert_allclose(outputs["probability"], 1 / (1 + np.exp(-expected / 2.5)), atol=1e-6, rtol=0)
    one = {name: value[:1] for name, value in inputs.items()}
    import tensorflow as tf

    single = tf.saved_model.load(str(served)).signatures["serving_default"](
        **{n: tf.constant(v) for n, v in one.items()}
    )
    np.testing.assert_allclose(single["logit"], expected[:1], atol=1e-6, rtol=0)


def test_a_network_of_k_classes_serves_their_probabilities_and_gives_no_verdict(tmp_path, monkeypatch):
    import tensorflow as tf

    names = ["real", "Deepfakes", "FaceSwap"]
    folder, _ = saved(tmp_path, monkeypatch, temperature=2.0, num_classes=3, classes=names)
    served = export(folder, tmp_path / "served")
    frames = np.random.default_rng(0).integers(0, 256, (5, 12, 20, 3), np.uint8)
    outputs = tf.saved_model.load(str(served)).signatures["serving_default"](frames=tf.constant(frames))
    model, recipe = load_model(folder)
    expected = model.predict(frames, verbose=0)
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-6, rtol=0)
    unscaled = np.exp(expected / 2.0)
    np.testing.assert_allclose(outputs["probabilities"], unscaled / unscaled.sum(1, keepdims=True), atol=1e-6, rtol=0)
    assert set(outputs) == {"logits", "probabilities"}
    assert json.loads((served / "assets.extra" / "recipe.json").read_text())["classes"] == names == recipe.classes
    with pytest.raises(InputError, match="gives 3 classes; a verdict needs one logit of FAKE"):
        check_model(model, recipe)


def test_names_of_classes_that_are_not_its_own_are_refused(tmp_path, monkeypatch):
    folder, _ = saved(tmp_path, monkeypatch, num_classes=3, classes=["real", "fake"])
    with pytest.raises(InputError, match=r"gives 3 outputs, the recipe names \['real', 'fake'\]"):
        export(folder, tmp_path / "served")
    for names in (["real", "real"], "real", [1, 2]):
        with pytest.raises(ValueError, match="classes needs a list of different names"):
            Recipe("small", classes=names)


def test_the_recipe_travels_and_nothing_half_written_stays(tmp_path, monkeypatch, capfd):
    folder, data = saved(tmp_path, monkeypatch)
    capfd.readouterr()
    served = export(folder, tmp_path / "served")
    said = capfd.readouterr()
    assert not said.out and "Endpoint" not in said.err, "the export is quiet"
    for recipe in (tmp_path / "served" / "recipe.json", served / "assets.extra" / "recipe.json"):
        assert DataRecipe(**json.loads(recipe.read_text())["data"]) == data
    assert sorted(p.name for p in (tmp_path / "served").iterdir()) == ["1", "recipe.json"]


def test_a_version_in_use_is_not_overwritten(tmp_path, monkeypatch):
    folder, _ = saved(tmp_path, monkeypatch)
    (tmp_path / "served" / "2").mkdir(parents=True)
    with pytest.raises(InputError, match="exists already"):
        export(folder, tmp_path / "served", version=2)
    for version in (0, "1", 1.5):
        with pytest.raises(InputError, match="positive integer"):
            export(folder, tmp_path / "served", version=version)


def test_a_full_disk_leaves_no_version(tmp_path, monkeypatch):
    import tensorflow as tf

    folder, _ = saved(tmp_path, monkeypatch)

    def full(*args, **options):
        raise errors[-1]

    errors = [
        OSError(errno.ENOSPC, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "served/1/variables; No space left on device"),
    ]
    while errors:
        monkeypatch.setattr(tf.saved_model, "save", full)
        with pytest.raises(InputError, match="disk is full"):
            export(folder, tmp_path / "served")
        assert not list((tmp_path / "served").iterdir())
        errors.pop()
