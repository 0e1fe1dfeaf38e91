"""Converting published checkpoints: whole and right, or an error that says what does not fit."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from support.published_files import CONVS, write_checkpoint

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.files import sha256
from tfdeepfake.model_folder import load_model
from tfdeepfake.published.convert import convert
from tfdeepfake.published.mesonet import PUBLISHED

SHARED = Path(__file__).parents[2] / "shared"
needs_weights = pytest.mark.skipif(
    not (SHARED / "weights" / "Meso4_DF.h5").exists(), reason="the MesoNet authors' weights are not on this machine"
)


@pytest.mark.parametrize("source", ["meso4_df", "meso_inception4_f2f"])
def test_arrays_reach_their_layers_and_polarity_is_turned_round(tmp_path, source):
    network = PUBLISHED[source].network
    arrays = write_checkpoint(tmp_path / "weights.h5", network)
    model, recipe = load_model(convert(source, tmp_path / "weights.h5", tmp_path / "model", any_file=True))
    ours = {layer.name: layer for layer in model.layers}
    np.testing.assert_allclose(ours["logits"].kernel, -arrays["dense_6/kernel:0"], rtol=1e-6)
    np.testing.assert_allclose(ours["logits"].bias, -arrays["dense_6/bias:0"], rtol=1e-6)
    np.testing.assert_allclose(ours["dense"].kernel, arrays["dense_5/kernel:0"], rtol=1e-6)
    last = len(CONVS[network]) + 4
    np.testing.assert_allclose(ours["conv4"].kernel, arrays[f"conv2d_{last}/kernel:0"], rtol=1e-6)
    np.testing.assert_allclose(ours["bn1"].moving_mean, arrays["batch_normalization_5/moving_mean:0"], rtol=1e-6)
    if network == "meso_inception4":
        # Two kernels of one shape, in branches 2 and 3: shapes alone could not tell them apart.
        np.testing.assert_allclose(ours["conv1_2_2"].kernel, arrays["conv2d_7/kernel:0"], rtol=1e-6)
        np.testing.assert_allclose(ours["conv1_3_2"].kernel, arrays["conv2d_9/kernel:0"], rtol=1e-6)
    assert (recipe.network, recipe.licence, recipe.data_version) == (network, "unknown", "unknown")
    assert recipe.parent.startswith(f"{source} (weights.h5) sha256:")


def test_a_file_with_another_checksum_is_refused(tmp_path):
    write_checkpoint(tmp_path / "weights.h5", "meso4")
    with pytest.raises(InputError, match="not the published file of meso4_df.*036ed30d.*--any-file"):
        convert("meso4_df", tmp_path / "weights.h5", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def spoil_missing(file):
    del file["conv2d_6/conv2d_6/bias:0"]


def spoil_extra(file):
    file["dense_7/dense_7/kernel:0"] = np.zeros((3, 3), np.float32)


def spoil_shape(file):
    del file["dense_6/dense_6/kernel:0"]
    file["dense_6/dense_6/kernel:0"] = np.zeros((16, 2), np.float32)


def spoil_nan(file):
    file["dense_6/dense_6/bias:0"][...] = np.nan


def spoil_link(file):
    del file["dense_6/dense_6/bias:0"]
    file["dense_6/dense_6/bias:0"] = h5py.ExternalLink("elsewhere.h5", "/bias")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (spoil_missing, "missing conv2/bias"),
        (spoil_extra, "left over dense_7/kernel"),
        (spoil_shape, r"logits/kernel has shape \(16, 2\), the network \(16, 1\)"),
        (spoil_nan, "NaN or infinite weights in logits/bias"),
        (spoil_link, "missing logits/bias"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, spoil, message):
    write_checkpoint(tmp_path / "weights.h5", "meso4")
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        spoil(file)
    with pytest.raises(InputError, match=message):
        convert("meso4_df", tmp_path / "weights.h5", tmp_path / "model", any_file=True)
    assert not (tmp_path / "model").exists()


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    write_checkpoint(tmp_path / "weights.h5", "meso_inception4")
    with pytest.raises(InputError, match="does not fit the network.*left over.*conv2d_9/kernel"):
        convert("meso4_df", tmp_path / "weights.h5", tmp_path / "model", any_file=True)


def test_other_bad_files_and_sources_are_refused(tmp_path):
    with pytest.raises(InputError, match="no known checkpoint.*meso4_df, meso4_f2f"):
        convert("meso5", tmp_path / "weights.h5", tmp_path / "model")
    with pytest.raises(InputError, match="weights.h5: cannot be read.*https://"):
        convert("meso4_df", tmp_path / "weights.h5", tmp_path / "model")
    (tmp_path / "weights.h5").write_text("no weights at all")
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        convert("meso4_df", tmp_path / "weights.h5", tmp_path / "model", any_file=True)


def test_every_checkpoint_names_a_network_and_its_input():
    for source, known in PUBLISHED.items():
        model = models.build(known.network)
        assert model.inputs[0].shape[1:3] == (known.data.height_px, known.data.width_px), source
        assert models.input_type(model) == known.data.input_type and len(known.sha256) == 64


@needs_weights
@pytest.mark.parametrize("source", list(PUBLISHED))
def test_the_authors_weights_tell_their_faces_apart(tmp_path, source):
    import cv2

    file = SHARED / "weights" / PUBLISHED[source].address.rsplit("/", 1)[-1]
    model, recipe = load_model(convert(source, file, tmp_path / "model"))
    assert recipe.licence == "Apache-2.0" and recipe.parent.endswith(sha256(file))
    faces = sorted((SHARED / "real" / "images").glob("*mesonet*"))
    assert [path.name[:4] for path in faces] == ["fake", "fake", "real", "real"]
    images = [cv2.resize(cv2.imread(str(path)), (256, 256), interpolation=cv2.INTER_LINEAR) for path in faces]
    logits = model.predict({"frames": np.stack(images)[..., ::-1]}, verbose=0)[:, 0]
    real = np.asarray(keras.ops.sigmoid(-logits))
    if source == "meso4_df":
        assert model.count_params() == 28073
        # Outputs of the original network, measured once; 1e-3 is what they are printed to, and more than conv rounding.
        np.testing.assert_allclose(real, [0.0482, 0.0253, 0.9897, 0.9966], atol=1e-3)
    if source.endswith("_df"):  # the two fakes are Deepfakes: the Face2Face weights call them real
        assert (real[:2] < 0.5).all() and (real[2:] > 0.5).all()
