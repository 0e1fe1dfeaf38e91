"""Recipes and weights that a stranger made to do harm: an error each; no code, no other file, no full memory."""

import json
import os
import pickle
import struct
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pytest
from support import torch_files
from support.published_files import write_safetensors

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import load_model, load_recipe, save_model
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.weights import keras_h5, torch_file

SHAPE = (3, 3, 3, 4)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A saved model folder of a network with one convolution."""

    def tiny(input_size=(8, 8), width=4, depth=1):
        frames = keras.Input((*input_size, 3), name="frames")
        x = keras.ops.cast(frames, "float32") / 255.0
        for n in range(depth):
            x = keras.layers.Conv2D(width, 3, padding="same", name="features" if not n else f"more{n}")(x)
        x = keras.layers.GlobalAveragePooling2D(name="embedding")(x)
        return keras.Model({"frames": frames}, keras.layers.Dense(1, name="logits", dtype="float32")(x))

    monkeypatch.setitem(models.MODELS, "tiny", tiny)
    data = DataRecipe(input_type="frame", height_px=8, width_px=8)
    save_model(tmp_path / "model", tiny(), Recipe("tiny", data=data))
    return tmp_path / "model"


@pytest.fixture(autouse=True)
def bounded():
    """What Python and numpy take at most for a file of a few kB."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 << 20


@pytest.mark.parametrize(
    "text, problem",
    [
        ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "nested too deep"),
        ('{"a": 1e999}', "too large for a number"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "Infinity is no number"),
        ('{"a": ' + "9" * 5000 + "}", "digits"),
        ("{" + ",".join(f'"{n:030d}":1' for n in range(500_000)) + "}", "is longer than the 16 MB"),
        ("[1]", "needs a JSON object"),
    ],
    ids=lambda text: text[:12],
)
def test_json_that_is_no_recipe(tmp_path, text, problem):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=f"a.json: .*{problem}"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "field, value",
    [
        *[("temperature", value) for value in ("1", 1e308, 1e-320, True, [])],
        *[("threshold", value) for value in ("0.5", None, 10**400)],
        *[("runs_fps", value) for value in ("25", 1e308, -1)],
        *[("num_frames", value) for value in (10**12, True, 1.5)],
        *[("height_px", value) for value in (10**9, 0)],
        *[("margin_frac", value) for value in ("a", 1e300)],
        *[("data", value) for value in ([], None, "x")],
        *[("network_args", value) for value in ([1], "abc", {"no such": 1}, {"width": "a"}, {"input_size": [[]]})],
        *[("network", value) for value in (5, None, "../tiny", "__import__('os')")],
        *[("licence", value) for value in ({"a": 1}, None)],
        *[("weights_sha256", value) for value in (5, "0" * 64)],
        *[("members", value) for value in (["../..", "/etc"], ["a/b", "c"])],
        # Networks that would fill the memory, or be built for ever.
        *[("network_args", value) for value in ({"width": 10**6}, {"depth": 10**9, "width": 700})],
    ],
    ids=str,
)
def test_fields_of_a_recipe(folder, field, value):
    recipe = json.loads((folder / "recipe.json").read_text())
    (recipe["data"] if field in recipe["data"] else recipe)[field] = value
    (folder / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(InputError):
        load_model(folder)


def forget_checksum(folder):
    recipe = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps(recipe | {"weights_sha256": None}))
    return folder / "model.weights.h5"


def external_link(file, name, array, beside):
    file[name] = h5py.ExternalLink(beside, name)


def external_storage(file, name, array, beside):
    with open(beside + ".raw", "wb") as stream:
        stream.write(array.astype("f4").tobytes())
    file.create_dataset(name, array.shape, "f4", external=[(beside + ".raw", 0, array.nbytes)])


def virtual(file, name, array, beside):
    layout = h5py.VirtualLayout(array.shape, "f4")
    layout[...] = h5py.VirtualSource(beside, name, shape=array.shape)
    file.create_virtual_dataset(name, layout)


def huge(file, name, array, beside):
    file.create_dataset(name, (10**6, 10**6, 10**3), "f4", chunks=(1, 1, 10**3), compression="gzip")


def huge_chunk(file, name, array, beside):
    file.create_dataset(
        name, array.shape, "f4", maxshape=(None,) * array.ndim, chunks=(256, 256, 32, 32), compression="gzip"
    )


def cycle(file, name, array, beside):
    group = file.create_group(name)
    group["again"] = group
    file["soft"] = h5py.SoftLink("/soft")


def texts(file, name, array, beside):
    file.create_dataset(name, array.shape, h5py.string_dtype())


def not_finite(file, name, array, beside):
    file[name] = np.full(array.shape, np.nan, "f4")


ODD = [external_link, external_storage, virtual, huge, huge_chunk, cycle, texts, not_finite]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.__name__)
@pytest.mark.parametrize("reader", ["folder", "published"])
def test_hdf5(folder, tmp_path, odd, reader):
    path = forget_checksum(folder)
    with h5py.File(path) as file:
        arrays = {}
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    beside = tmp_path / "beside.h5"
    with h5py.File(beside, "w") as file:  # what it would take from there fits
        for name, array in arrays.items():
            file[name] = array
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if name == "features/kernel":
                odd(file, name, array, str(beside))
            else:
                file[name] = array
    if reader == "folder":
        with pytest.raises(InputError, match="model.weights.h5: "):
            load_model(folder)
        return
    model = models.build("tiny")
    before = [np.array(weight) for weight in model.get_weights()]
    with pytest.raises(InputError, match="model.weights.h5: "):
        keras_h5.load(path, keras_h5.variables(model.layers))
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_a_group_that_leads_to_another_file(tmp_path, folder):
    path = forget_checksum(folder)
    os.replace(path, tmp_path / "beside.h5")
    with h5py.File(path, "w") as file:
        file["model_weights"] = h5py.ExternalLink(str(tmp_path / "beside.h5"), "/")
    with pytest.raises(InputError, match="missing"):
        keras_h5.load(path, keras_h5.variables(models.build("tiny").layers))


def laughs(times=200):
    """Opcodes of a tuple of two equal tuples, of two equal tuples, ...: its text or hash would take for ever."""
    return b")" + b"2\x86" * times


def write_pickle(path, opcodes):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", opcodes)


@pytest.mark.parametrize(
    "opcodes",
    [
        b"\x80\x02}" + laughs() + b"K\x01s.",
        b"\x80\x02}(" + laughs() + b"K\x01u.",
        b"\x80\x02(" + laughs() + b"K\x01d.",
        b"\x80\x04\x8f(" + laughs() + b"\x90.",
        b"\x80\x04(" + laughs() + b"\x91.",
        b"\x80\x02ccollections\nOrderedDict\n((" + laughs() + b"K\x01tltR.",
        b"\x80\x02cbuiltins\nset\n(" + laughs() + b"(lttR.",
        b"\x80\x02" + laughs() + b"Q.",
        b"\x80\x02(X\x07\x00\x00\x00storageX\x01\x00\x00\x00a" + laughs() + b"tQ.",
    ],
)
def test_a_pickle_that_takes_for_ever(tmp_path, opcodes):
    write_pickle(tmp_path / "a.pt", opcodes)
    with pytest.raises(InputError, match="a.pt: "):
        torch_file.read(tmp_path / "a.pt")


def test_zip_bombs(tmp_path):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(64 << 20))
    with pytest.raises(InputError, match="its parts are compressed"):
        torch_file.read(path)
    torch_files.write_zip(path, torch_files.tensors({f"t{n}": np.zeros(50_000, "f4") for n in range(40)}))
    # All parts in the bytes of one, as the directory at the end of the file tells it.
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        pickled = archive.read(next(name for name in infos if name.endswith("data.pkl")))
    first = next(name for name in infos if "/data/" in name)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr(first, bytes(200_000))
        one = archive.getinfo(first)
        for name in infos:
            if "/data/" in name and name != first:
                again = zipfile.ZipInfo(name)
                again.header_offset, again.file_size, again.compress_size = one.header_offset, 200_000, 200_000
                again.CRC = one.CRC
                archive.filelist.append(again)
                archive.NameToInfo[name] = again
    assert path.stat().st_size < 300_000
    with pytest.raises(InputError, match="its parts lie in the same bytes"):
        torch_file.read(path)


def test_tensors_that_are_larger_than_their_bytes(tmp_path):
    from collections import OrderedDict

    tensors = torch_files.tensors({"a": np.zeros(4, "f4")})
    torch_files.write_zip(tmp_path / "good.pt", tensors)
    assert torch_file.read(tmp_path / "good.pt")["a"].shape == (4,)
    with zipfile.ZipFile(tmp_path / "good.pt") as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    assert isinstance(tensors, dict | OrderedDict)
    storage = torch_file._Storage("<f4")
    storage.data = np.zeros(4, "f4")
    for size, stride in (((10**9, 10**9), (0, 0)), ((4, 4), (1, 0)), ((5,), (1,)), ((2, 2, 2), (1, 1, 1))):
        with pytest.raises(ValueError, match="larger than its storage|beyond its storage"):
            torch_file._Tensor(storage, 0, size, stride).numpy()
    # The older form: a number of elements that the file does not have.
    torch_files.write_stream(tmp_path / "old.pt", tensors)
    content = (tmp_path / "old.pt").read_bytes()
    at = len(content) - 16 - 8
    (tmp_path / "old.pt").write_bytes(content[:at] + struct.pack("<q", 2**58) + content[at + 8 :])
    with pytest.raises(InputError, match="ends within a tensor"):
        torch_file.read(tmp_path / "old.pt")
    assert parts


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 16]}},
        {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 2**60]}},
        {"a": {"dtype": "F32", "shape": [4], "data_offsets": [-16, 0]}},
        {"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 16]}},
        {"a": {"dtype": "F32", "shape": [1] * 5000, "data_offsets": [0, 4]}},
        {n: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for n in "abc"},
        {"a": {"dtype": "O", "shape": [4], "data_offsets": [0, 16]}},
        {"a": [[[]]]},
    ],
)
def test_safetensors_headers_that_lie(tmp_path, header):
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    with pytest.raises(InputError, match="a.safetensors: is not a readable checkpoint"):
        torch_file.read(tmp_path / "a.safetensors")


def test_safetensors_headers_of_any_length(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", {"a": np.zeros(4, "f4")})
    content = (tmp_path / "a.safetensors").read_bytes()
    for length in (0, 1, 2**31, 2**63, 2**64 - 1):
        (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", length) + content[8:])
        with pytest.raises(InputError, match="a.safetensors: "):
            torch_file.read(tmp_path / "a.safetensors")
    deep = b'{"a":' + b"[" * 100_000
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(deep)) + deep)
    with pytest.raises(InputError, match="a.safetensors: "):
        torch_file.read(tmp_path / "a.safetensors")


def test_nothing_of_a_recipe_is_run(folder, tmp_path):
    recipe = json.loads((folder / "recipe.json").read_text())
    evil = f"__import__('os').mkdir({str(tmp_path / 'evil')!r})"
    for field in ("network", "licence", "calibration", "parent"):
        (folder / "recipe.json").write_text(json.dumps(recipe | {field: evil}))
        if field == "network":
            with pytest.raises(InputError):
                load_model(folder)
        else:
            assert getattr(load_recipe(folder), field) == evil
    (folder / "recipe.json").write_bytes(pickle.dumps(recipe))
    with pytest.raises(InputError, match="is not valid JSON"):
        load_recipe(folder)
    assert not (tmp_path / "evil").exists()


def test_a_message_has_bounds_whatever_a_file_says():
    error = InputError("a.json", "no network is called " + "x" * 10**6)
    assert len(str(error)) < 2200 and str(error).endswith("more letters)")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
