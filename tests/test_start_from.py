"""Training from a saved model folder: convert, start, resume without the folder."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest
from support import torch_files
from support.prepared import write_prepared

from tfdeepfake import models, training
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json, sha256
from tfdeepfake.model_folder import load_model, load_recipe, save_model
from tfdeepfake.published.convert import convert
from tfdeepfake.published.entry import Published
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.training import run_setup
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train

SMALL = {"width": 2, "mean": (0.3, 0.4, 0.5)}
DATA = DataRecipe(input_type="frame", num_frames=4, detector="none", height_px=16, width_px=24)


def tiny_start(input_size=(16, 24), width=4, dropout=0.1, mean=(0.5, 0.5, 0.5), num_classes=1):
    """A network of one convolution, in PyTorch's names."""
    frames = keras.Input((*input_size, 3), name="frames")
    x = keras.ops.cast(frames, "float32") / 255.0 - np.array(mean, "float32")
    x = keras.layers.Conv2D(width, 3, name="features")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="embedding")(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model({"frames": frames}, keras.layers.Dense(num_classes, name="logits", dtype="float32")(x))


@pytest.fixture(scope="module", autouse=True)
def network():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, "tiny_start", tiny_start)
        yield


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    larger = dataclasses.replace(DATA, height_px=32, width_px=32)
    return write_prepared(root, larger, {"train": (4, 4), "validation": (2, 2)})[0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The saved model folders of a checkpoint with 7 classes, as they are and with a fresh head."""
    root = tmp_path_factory.mktemp("models")
    known = Published(
        "tiny_start", str, "its authors' page", "MIT", "Kinetics", DATA, network_args=SMALL, data_terms="its terms"
    )
    shapes = {"features.weight": (2, 3, 3, 3), "features.bias": (2,), "logits.weight": (7, 2), "logits.bias": (7,)}
    shapes |= {f"norm.{name}": (2,) for name in ("weight", "bias", "running_mean", "running_var")}
    rng = np.random.default_rng(0)
    tensors = {name: rng.uniform(0.5, 1.5, shape).astype("float32") for name, shape in shapes.items()}
    torch_files.write_zip(root / "kinetics.pth", torch_files.tensors(tensors))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SOURCES, "tiny", known)
        return [
            convert("tiny", root / "kinetics.pth", root / name, fresh_head=fresh)
            for name, fresh in (("classes", False), ("fresh", True))
        ]


def config(data_dir, folder, **fields):
    settings = {"network": "tiny_start", "start_from": str(folder), "data": "tiny", "data_dir": data_dir}
    return TrainConfig(**(settings | {"epochs": 2, "batch_size": 4} | fields))


def test_a_run_begins_with_the_folders_weights_and_goes_on_without_it(data_dir, folders, tmp_path, monkeypatch):
    folder = shutil.copytree(folders[1], tmp_path / "kinetics")
    settings, run_dir = config(data_dir, folder), tmp_path / "run"
    run_dir.mkdir()
    run = run_setup.build(settings, run_dir)
    theirs = load_model(folder)[0]
    assert run.model.inputs[0].shape[1:] == (32, 32, 3)  # the data's size, not the folder's
    for ours, other in zip(run.model.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(ours, other, ours.path)
    assert run.network_args["width"] == 2 and list(run.network_args["mean"]) == [0.3, 0.4, 0.5]

    monkeypatch.setattr(training.run_folder, "write_curves", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(settings, run_dir, progress=False)
    monkeypatch.undo()
    shutil.rmtree(folder)
    train(settings, run_dir, progress=False)
    recipe, started = load_recipe(run_dir / "best"), load_recipe(folders[1])
    assert (recipe.licence, recipe.data_terms) == ("MIT", "its terms") and recipe.network_args["width"] == 2
    digest = sha256(folders[0].parent / "kinetics.pth")
    assert recipe.parent == f"kinetics sha256:{started.weights_sha256}, from {started.parent}"
    assert recipe.parent.endswith(f"sha256:{digest}")
    assert read_json(run_dir / "versions.json")["start_from"]["licence"] == "MIT"
    assert load_model(run_dir / "best")[0].count_params() == theirs.count_params()


def test_what_does_not_fit_is_an_error_before_anything_is_written(data_dir, folders, tmp_path):
    cases = [
        ({"start_from": str(tmp_path / "nothing")}, "nothing: is not a saved model folder"),
        ({"start_from": "efficientnet_b4_imagnet"}, "Or did you mean the detector efficientnet_b4_imagenet"),
        ({"network": "meso4"}, "holds a tiny_start that does not fit this meso4: missing .* left over features/bias"),
        ({"network_args": {"width": 4}}, "fresh: has other network_args: width 2 there, 4 here. Leave them out"),
        ({"network_args": {"mean": [0.5, 0.5, 0.5]}}, r"mean \[0.3, 0.4, 0.5\] there, \[0.5, 0.5, 0.5\] here"),
        ({"network_args": {"weights": "imagenet"}}, "has weights, and start_from has every weight"),
        ({"new_layers": ["graf*"]}, "new_layers: 'graf.' matches no layer with weights"),
        ({"start_from": "kinetics"}, "no kinetics weights of tiny_start are published"),
    ]
    for fields, message in cases:
        with pytest.raises(InputError, match=message):
            train(config(data_dir, folders[1], **fields), tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_head_of_other_classes_is_new_and_one_of_the_same_is_taken(data_dir, folders, tmp_path):
    tmp_path.joinpath("run").mkdir()
    told = []
    run = run_setup.build(config(data_dir, folders[0]), tmp_path / "run", told.append)
    assert run.start["new_layers"] == ["logits"] and told[0].endswith("new layers: logits.")
    theirs = {weight.path: weight.numpy() for weight in load_model(folders[0])[0].weights}
    for weight in run.model.weights:
        if "logits" not in weight.path:
            np.testing.assert_array_equal(weight, theirs[weight.path])
    run = run_setup.build(config(data_dir, folders[1]), tmp_path / "run")
    assert run.start["new_layers"] == []
    run = run_setup.build(config(data_dir, folders[1], new_layers=["features"]), tmp_path / "run")
    assert run.start["new_layers"] == ["features"]
    assert np.abs(run.model.get_layer("features").kernel - theirs["features/kernel"]).max() > 0


def test_weights_that_are_damaged_or_of_other_shapes_are_an_error(data_dir, folders, tmp_path):
    recipe = load_recipe(folders[1])
    other = models.build("tiny_start", **(recipe.network_args | {"width": 4}))
    save_model(tmp_path / "other", other, recipe)
    with pytest.raises(InputError, match="does not fit this .*another shape: features/bias of .4,., here .2,."):
        train(config(data_dir, tmp_path / "other"), tmp_path / "run", progress=False)
    with open(tmp_path / "other" / "model.weights.h5", "ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="does not match the checksum"):
        train(config(data_dir, tmp_path / "other"), tmp_path / "run", progress=False)


def test_the_same_arguments_and_another_dropout_may_stand_beside_the_folder(data_dir, folders, tmp_path):
    fields = {"network_args": {"width": 2, "mean": [0.3, 0.4, 0.5], "dropout": 0.3}}
    tmp_path.joinpath("run").mkdir()
    run = run_setup.build(config(data_dir, folders[1], **fields), tmp_path / "run")
    assert run.network_args["dropout"] == 0.3
