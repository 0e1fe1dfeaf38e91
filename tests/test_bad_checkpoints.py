"""Files that `convert` is given and cannot take: each reader says what is wrong, and leaves nothing behind."""

import json
import pickle
import zipfile

import h5py
import keras
import numpy as np
import pytest
from support import torch_files
from support.published_files import write_safetensors

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_model
from tfdeepfake.published.convert import convert
from tfdeepfake.published.entry import Published
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.weights import check


@pytest.fixture(autouse=True)
def tiny_source(monkeypatch):
    """A source "tiny" of a network with one convolution, in PyTorch's names."""

    def tiny(input_size=(8, 8), num_classes=1):
        frames = keras.Input((*input_size, 3), name="frames")
        x = keras.ops.cast(frames, "float32") / 255.0
        x = keras.layers.Conv2D(4, 3, name="features")(x)
        x = keras.layers.GlobalAveragePooling2D(name="embedding")(x)
        return keras.Model({"frames": frames}, keras.layers.Dense(num_classes, name="logits", dtype="float32")(x))

    data = DataRecipe(input_type="frame", height_px=8, width_px=8)
    known = Published("tiny", lambda layer: layer, "its authors' page", "MIT", "ImageNet", data)
    monkeypatch.setitem(models.MODELS, "tiny", tiny)
    monkeypatch.setitem(SOURCES, "tiny", known)


def torch_arrays():
    rng = np.random.default_rng(0)
    shapes = {"features.weight": (4, 3, 3, 3), "features.bias": (4,), "logits.weight": (7, 4), "logits.bias": (7,)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def keras_arrays():
    rng = np.random.default_rng(0)
    shapes = [(3, 3, 3, 8), (5, 5, 8, 8), (5, 5, 8, 16), (5, 5, 16, 16)]
    arrays = {}
    for n, shape in enumerate(shapes, start=1):
        arrays |= {f"conv2d_{n}/kernel": rng.normal(size=shape), f"conv2d_{n}/bias": rng.normal(size=shape[-1])}
        for weight in ("gamma", "beta", "moving_mean", "moving_variance"):
            arrays[f"batch_normalization_{n}/{weight}"] = rng.uniform(0.5, 1.5, shape[-1])
    for n, shape in enumerate([(1024, 16), (16, 1)], start=1):
        arrays |= {f"dense_{n}/kernel": rng.normal(size=shape), f"dense_{n}/bias": rng.normal(size=shape[-1])}
    return arrays


def write_zip(path, arrays):
    torch_files.write_zip(path, {"state_dict": torch_files.tensors(arrays)})


def write_stream(path, arrays):
    torch_files.write_stream(path, torch_files.tensors(arrays))


def write_network(path, arrays):
    torch_files.write_stream(path, torch_files.network(arrays))


def write_h5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[f"{name.split('/')[0]}/{name}:0"] = array.astype("float32")


# How a file is written: source, arrays, writer, one array of the file, how errors call it, what it is renamed to.
TORCH = ("tiny", torch_arrays, "features.bias", "features.bias", "conv.bias")
H5 = ("meso4_df", keras_arrays, "dense_2/bias", "logits/bias", "dense_9/bias")
READERS = {
    "zip": (write_zip, *TORCH),
    "stream": (write_stream, *TORCH),
    "whole network": (write_network, *TORCH),
    "safetensors": (write_safetensors, *TORCH),
    "h5": (write_h5, *H5),
}
each_reader = pytest.mark.parametrize("reader", list(READERS))


def refused(source, path, message):
    with pytest.raises(InputError, match=f"{path.name}: .*{message}"):
        convert(source, path, path.parent / "model", any_file=True)
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no folder, no half of one, no temporary file


@each_reader
def test_a_whole_file_is_taken(tmp_path, reader):
    write, source, arrays, *_ = READERS[reader]
    write(tmp_path / "a", arrays())
    model, recipe = load_model(convert(source, tmp_path / "a", tmp_path / "model", any_file=True))
    assert recipe.network in models.MODELS and len(model.get_layer("logits").weights) == 2


@each_reader
def test_arrays_that_do_not_fit_are_named(tmp_path, reader):
    write, source, arrays, name, ours, other = READERS[reader]
    whole = arrays()
    rest = {k: v for k, v in whole.items() if k != name}
    path = tmp_path / "a"
    write(path, rest)
    refused(source, path, f"does not fit the network: missing {ours}")
    write(path, rest | {other: whole[name]})
    # Layers of Keras files are known by their order: what comes after the last is too much.
    refused(source, path, f"does not fit the network: missing {ours}; left over {other}")
    write(path, rest | {name: np.ones(5)})
    refused(source, path, rf"{ours} .*\(5,\)")
    write(path, rest | {name: np.full(whole[name].shape, np.nan)})
    refused(source, path, rf"NaN or infinite|{ours} with NaN")


@each_reader
@pytest.mark.parametrize("left", [0.01, 0.5, 0.99])
def test_a_truncated_file(tmp_path, reader, left):
    write, source, arrays, *_ = READERS[reader]
    path = tmp_path / "a"
    write(path, arrays())
    path.write_bytes(path.read_bytes()[: int(left * path.stat().st_size)])
    refused(source, path, "is not a readable|is a pickle that is no plain checkpoint")


@pytest.mark.parametrize("source", ["tiny", "meso4_df"])
def test_what_is_no_checkpoint(tmp_path, source):
    path = tmp_path / "a"
    for content, message in [
        (b"", "is empty. Get it again"),
        (b"<html>quota exceeded</html>", "is not a readable|no plain checkpoint"),
        (bytes(5000), "is not a readable"),
        (pickle.dumps({"a": 1}), "is not a readable"),
        (pickle.dumps(print), "is not a readable|it asks for builtins.print; nothing was run"),
    ]:
        path.write_bytes(content)
        refused(source, path, message)
    path.unlink()
    path.mkdir()
    refused(source, path, "is a folder. Give the file of weights inside it")
    (path / "saved_model.pb").write_bytes(b"")
    refused(source, path, "is a SavedModel: a program, which is not run here")


@pytest.mark.parametrize("source", ["tiny", "meso4_df"])
def test_a_zip_of_several_checkpoints_lists_them(tmp_path, source):
    path = tmp_path / "faceforensics++_models.zip"
    names = ["full/", "full/xception/full_c23.p", "face_detection/xception/all_c23.p"]
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    with pytest.raises(InputError, match="is a zip of full/xception/full_c23.p, face_detection/.* give one file of it"):
        convert(source, path, tmp_path / "model", any_file=True)
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(50):
            archive.writestr(f"{n}.p", b"")
    with pytest.raises(InputError, match="is a zip of 0.p, .* 11.p and 38 more"):
        convert(source, path, tmp_path / "model", any_file=True)


@pytest.mark.parametrize("source", ["tiny", "meso4_df"])
def test_code_in_a_keras_file_is_not_run(tmp_path, source):
    trap = tmp_path / "ran"
    layer = keras.layers.Lambda(eval(f"lambda x: (open({str(trap)!r}, 'w'), x)[1]"), output_shape=(2,))
    network = keras.Sequential([keras.Input((2,)), layer])
    trap.unlink(missing_ok=True)
    network.save(tmp_path / "a.keras")
    with pytest.raises(InputError, match=r"a.keras: is a Keras archive: it may hold code.*model.save\('weights.h5'\)"):
        convert(source, tmp_path / "a.keras", tmp_path / "model", any_file=True)
    assert {path.name for path in tmp_path.iterdir()} == {"a.keras"}
    keras.saving.load_model(tmp_path / "a.keras", safe_mode=False)(np.ones((1, 2)))  # the trap works
    assert trap.exists()


def test_code_in_an_h5_file_is_not_run(tmp_path):
    """What a Keras .h5 says of its network is not read: arrays of the published layout are enough."""
    write_h5(tmp_path / "a.h5", keras_arrays())
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        groups = file.create_group("model_weights")
        for name in [name for name in file if name != "model_weights"]:
            file.move(name, f"model_weights/{name}")
        file.attrs["model_config"] = json.dumps({"class_name": "Lambda", "config": {"function": "no code at all"}})
        assert len(groups) == 10
    _, recipe = load_model(convert("meso4_df", tmp_path / "a.h5", tmp_path / "model", any_file=True))
    assert recipe.network == "meso4"


def test_a_keras_file_saved_again_as_its_hint_says_is_taken(tmp_path):
    """The advice for a Keras archive works: `model.save("weights.h5")` of Keras 3 keeps names and arrays."""
    theirs = keras.Sequential([keras.Input((256, 256, 3))])
    for n, (filters, size, pool) in enumerate([(8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4)], start=1):
        theirs.add(keras.layers.Conv2D(filters, size, padding="same", activation="relu", name=f"conv2d_{n}"))
        theirs.add(keras.layers.BatchNormalization(name=f"batch_normalization_{n}"))
        theirs.add(keras.layers.MaxPooling2D(pool, padding="same"))
    theirs.add(keras.layers.Flatten())
    theirs.add(keras.layers.Dense(16, name="dense_1"))
    theirs.add(keras.layers.Dense(1, name="dense_2"))
    theirs.save(tmp_path / "weights.h5")
    model, _ = load_model(convert("meso4_df", tmp_path / "weights.h5", tmp_path / "model", any_file=True))
    np.testing.assert_array_equal(model.get_layer("conv3").kernel, theirs.get_layer("conv2d_3").kernel)


def test_files_of_weights_and_missing_ones_pass(tmp_path):
    check.check_weight_file(tmp_path / "missing")
    write_zip(tmp_path / "a.pth", torch_arrays())
    check.check_weight_file(tmp_path / "a.pth")
    write_safetensors(tmp_path / "a.safetensors", torch_arrays())
    check.check_weight_file(tmp_path / "a.safetensors")
