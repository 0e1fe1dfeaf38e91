"""Every published source: what is stated of it, and a fresh head on its network."""

import inspect
import re

import h5py
import keras
import numpy as np
import pytest
from support import torch_files
from support.published_files import TINY, original, tiny

from tfdeepfake import models
from tfdeepfake.files import sha256
from tfdeepfake.model_folder import WEIGHTS_FILE, load_recipe
from tfdeepfake.published.convert import convert
from tfdeepfake.published.sources import SOURCES


@pytest.mark.parametrize("source", list(SOURCES))
def test_what_a_recipe_needs_is_stated(source):
    known = SOURCES[source]
    assert len(known.address) > 20 and "https://" in known.address or "http://" in known.address
    assert len(known.licence) > 2 and len(known.trained_on) > 2
    assert known.data.margin_frac > 0  # crops of faces, never Kinetics' own whole frames
    arguments = {n: p.default for n, p in inspect.signature(models.MODELS[known.network]).parameters.items()}
    arguments |= known.network_args
    if known.members:  # their networks are stated one by one
        assert known.network == "ensemble" and all(SOURCES[name].data == known.data for name in known.members)
    elif "mean" in arguments:  # I3D has its own for good
        assert len(arguments["mean"]) == len(arguments["std"]) == 3 and min(arguments["std"]) > 0
        assert all(-1e-6 <= value <= 1 for value in arguments["mean"])
    else:
        assert known.network == "i3d" or known.load_keras  # MesoNet takes pixels / 255
    if known.sha256 is not None:
        # Digits are those that the address states; a checksum that it does not state is known whole.
        assert re.fullmatch("[0-9a-f]{8,64}", known.sha256)
        assert known.sha256 in known.address or len(known.sha256) == 64


def test_checksums_are_known_of_files_with_one_address():
    for known in SOURCES.values():
        if known.sha256 is not None:
            assert re.fullmatch(r"https?://\S+\.(pth|h5|safetensors)", known.address)
    digests = [known.sha256 for known in SOURCES.values() if known.sha256]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("source", list(TINY))
def test_a_fresh_head_on_the_body_of_the_file(monkeypatch, tmp_path, source):
    tiny(monkeypatch, source)
    known, tensors, places = original(source, np.random.default_rng(0))
    head = known.module_name("logits")
    assert f"{head}.weight" in tensors
    spare = {f"left.{ending}": np.ones(2, "float32") for ending in known.unused if "num_batches" in ending}
    torch_files.write_zip(tmp_path / "a.pth", torch_files.tensors(tensors | spare))
    # Known files have another checksum than this one.
    folder = convert(source, tmp_path / "a.pth", tmp_path / "model", fresh_head=True, any_file=True)
    with h5py.File(folder / WEIGHTS_FILE) as file:
        for name, (path, array) in places.items():
            if name.startswith(f"{head}."):
                assert file[path].shape[-1] == 1 and not (file[path][()] == array[..., :1]).all(), name
            else:
                np.testing.assert_array_equal(file[path], array, name)
    recipe = load_recipe(folder)
    digest = sha256(tmp_path / "a.pth")
    assert recipe.parent.endswith(f"sha256:{digest}") and recipe.positive == "fake"
    assert recipe.network == known.network and recipe.network_args["num_classes"] == 1 and recipe.data == known.data
    assert list(known.network_args.get("input_size", recipe.network_args["input_size"])) == [
        known.data.height_px,
        known.data.width_px,
    ]
    assert ("mean" in recipe.network_args and "std" in recipe.network_args) or known.network == "i3d"
    assert "has to be trained" in recipe.calibration
    if known.sha256 is None:
        assert recipe.licence == known.licence and known.address in recipe.parent
        assert recipe.data_version == known.trained_on and "no checksum of it is known" in recipe.parent
    else:  # a file that is not the published one has neither its licence nor its data
        assert recipe.licence == recipe.data_version == "unknown" and known.address not in recipe.parent
    keras.backend.clear_session()
