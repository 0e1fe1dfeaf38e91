"""The ONNX file scores as the Keras network, by ONNX Runtime; `docs/deployment.md` says which networks convert."""

import builtins

import keras
import numpy as np
import onnxruntime
import pytest
from support.tiny_models import TINY, random_inputs, recipe_of

from tfdeepfake import models
from tfdeepfake.cli.main import main
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_recipe, save_model
from tfdeepfake.scoring.classes import class_probabilities, log_odds
from tfdeepfake.serving import onnx

CLASSES = ["real", "Deepfakes", "FaceSwap"]


def saved(folder, name, **fields):
    keras.utils.set_random_seed(0)
    classes = fields.get("classes")
    arguments = TINY[name] | ({"num_classes": len(classes)} if classes else {})
    model = models.build(name, **arguments)
    save_model(folder, model, recipe_of(model, arguments, **fields))
    return model


def answers(path, inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))


@pytest.mark.parametrize("name", ["two_stream_frame", "efficientnet_b4_att", "r2plus1d_18", "vit_b", "ensemble"])
def test_scores_are_those_of_keras(tmp_path, capsys, name):
    model = saved(tmp_path / "model", name, temperature=2.0)
    assert main(["export", str(tmp_path / "model"), "--out", str(tmp_path / "out"), "--format", "onnx"]) == 0
    path = tmp_path / "out" / "model.onnx"
    assert capsys.readouterr().out.strip() == str(path)
    for batch in (5, 1):
        inputs = random_inputs(model, batch, seed=batch)
        expected = model.predict(inputs, verbose=0)[:, 0]
        got = answers(path, inputs)
        assert np.ptp(expected) > 0 or batch == 1
        np.testing.assert_allclose(got["logit"], expected, atol=1e-4 * max(1, np.abs(expected).max()), rtol=0)
        np.testing.assert_allclose(got["probability"], 1 / (1 + np.exp(-expected / 2)), atol=1e-4)
    assert load_recipe(tmp_path / "out").temperature == 2.0


def test_classes_and_the_logit_of_fake(tmp_path):
    model = saved(tmp_path / "model", "meso4", classes=CLASSES, temperature=2.0)
    inputs = random_inputs(model, 3)
    expected, got = model.predict(inputs, verbose=0), answers(onnx.export_onnx(tmp_path / "model", tmp_path), inputs)
    np.testing.assert_allclose(got["logits"], expected, atol=1e-4)
    np.testing.assert_allclose(got["logit"], log_odds(expected), atol=1e-4)
    np.testing.assert_allclose(got["probabilities"], class_probabilities(expected, 2.0), atol=1e-4)


def test_what_cannot_be_converted_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    saved(tmp_path / "model", "meso4")
    with monkeypatch.context() as patch:
        patch.setattr(onnx, "_MOST_BYTES", 1000)
        with pytest.raises(InputError, match="has weights of .* GB; an ONNX file holds 2"):
            onnx.export_onnx(tmp_path / "model", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(onnx, "TOLERANCE", -1.0)
        with pytest.raises(InputError, match="has no ONNX form: ValueError: its logit differ from Keras's"):
            onnx.export_onnx(tmp_path / "model", tmp_path / "out")
    load = builtins.__import__

    def without(name, *args, **options):
        if name == "tf2onnx":
            raise ModuleNotFoundError(name=name)
        return load(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r'not installed \(tf2onnx\). pip install "tfdeepfake\[onnx\]"'):
        onnx.export_onnx(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()
