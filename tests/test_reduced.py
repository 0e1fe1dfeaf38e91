"""Files of fewer bits, LiteRT and ONNX: scored on drawn videos beside the whole network, refused where scores move."""

import os
import shutil

import keras
import numpy as np
import onnx
import pytest

from tfdeepfake import models
from tfdeepfake.cli.main import main
from tfdeepfake.compiled.folder import load_compiled
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import load_model, save_model
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.serving import litert_reduced, onnx_reduced, reduced

SIZE = (64, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Saved model folder of a network whose scores of drawn faces differ."""
    path = tmp_path_factory.mktemp("models") / "meso4"
    keras.utils.set_random_seed(1)
    model = models.build("meso4", input_size=SIZE)
    last = model.get_layer("logits").trainable_variables[0]
    last.assign(last * 30.0)
    data = DataRecipe(input_type="frame", num_frames=3, height_px=SIZE[0], width_px=SIZE[1])
    save_model(path, model, Recipe("meso4", {"input_size": SIZE}, data))
    return path


@pytest.fixture(scope="module")
def looks(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduced, "_CALIBRATION", 2)
        patch.setattr(reduced, "_TESTS", 2)
        return reduced.drawn_looks(*load_model(folder))


@pytest.fixture(autouse=True)
def few(monkeypatch, looks):
    monkeypatch.setattr(reduced, "_CALIBRATION", 2)
    monkeypatch.setattr(reduced, "drawn_looks", lambda model, recipe: looks)


@pytest.mark.parametrize("precision", ["float16", "int8", "int8_full"])
def test_it_is_smaller_and_its_scores_of_drawn_videos_are_told(folder, tmp_path, capsys, monkeypatch, precision):
    # With random weights and ranges of two videos, 8 bits throughout move scores beyond the limit.
    monkeypatch.setitem(reduced.LIMITS, "int8_full", 1.0)
    out = tmp_path / "out"
    command = ["export", str(folder), "--out", str(out), "--format", "litert", "--precision", precision]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"{precision}: 0.0" in said and "of 2 drawn videos move by 0." in said
    facts = read_json(out / "model.tflite.json")
    assert facts["made_of"]["precision"] == precision
    assert 0 < facts["score_change"]["most"] <= reduced.LIMITS[precision]
    assert os.path.getsize(out / "model.tflite") < 0.8 * 4 * load_model(folder)[0].count_params()
    compiled, _ = load_compiled(out)
    frames = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), np.uint8)
    expected = load_model(folder)[0].predict_on_batch(frames)
    got = compiled.predict_on_batch({"frames": frames})
    assert np.abs(got - expected).max() > 1e-6, "nothing was reduced"
    if precision != "int8_full":
        np.testing.assert_allclose(got, expected, atol=0.1 * np.ptp(expected) + 0.05)


def test_scores_that_move_too_far_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="scores move by up to 0.* in int8; 1e-09 is the limit. Use another"):
        litert_reduced.export_reduced(folder, tmp_path / "out", "int8", most=1e-9)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("precision", ["float16", "int8", "int8_full"])
def test_an_onnx_file_of_fewer_bits_answers_as_the_whole_one(folder, tmp_path, capsys, monkeypatch, precision):
    import onnxruntime

    monkeypatch.setitem(reduced.LIMITS, "int8_full", 1.0)
    out = tmp_path / "out"
    assert main(["export", str(folder), "--out", str(out), "--format", "onnx", "--precision", precision]) == 0
    said = capsys.readouterr()
    assert f"{precision}: 0.0" in said.out and "of 2 drawn videos move by 0." in said.out and not said.err
    facts = read_json(out / "model.onnx.json")
    assert facts["made_of"]["precision"] == precision
    assert 0 < facts["score_change"]["most"] <= reduced.LIMITS[precision]
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    assert [tensor.type for tensor in session.get_inputs()] == ["tensor(uint8)"]
    weights = sum(np.prod(t.dims) for t in onnx.load(out / "model.onnx").graph.initializer if t.data_type == 1)
    assert weights < 0.1 * load_model(folder)[0].count_params(), "weights stayed in float32"
    frames = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), np.uint8)
    expected = load_model(folder)[0].predict_on_batch(frames)[:, 0]
    (got,) = session.run(["logit"], {"frames": frames})
    assert np.abs(got - expected).max() > 1e-6, "nothing was reduced"
    if precision != "int8_full":
        np.testing.assert_allclose(got, expected, atol=0.1 * np.ptp(expected) + 0.05)


def test_an_onnx_file_whose_scores_move_too_far_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="scores move by up to 0.* in float16; 1e-09 is the limit. Use another"):
        onnx_reduced.export_reduced(folder, tmp_path / "out", "float16", most=1e-9)
    assert not (tmp_path / "out").exists()


def test_a_saved_model_has_one_precision(folder, tmp_path, capsys):
    assert main(["export", str(folder), "--out", str(tmp_path / "out"), "--precision", "int8"]) == 2
    assert "--precision: is of LiteRT and ONNX files. Add --format litert or onnx." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_fewer_bits_gives_verdicts_without_weights(folder, tmp_path, looks):
    path = litert_reduced.export_reduced(folder, tmp_path / "out", "float16")
    shutil.move(tmp_path / "out", tmp_path / "moved")
    assert not path.exists() and not list((tmp_path / "moved").glob("*.h5"))
    compiled, recipe = load_compiled(tmp_path / "moved")
    assert reduced.score_change(load_model(folder)[0], compiled, recipe, looks)["most"] < 0.01
