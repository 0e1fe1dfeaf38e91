"""Published checkpoints on their way into saved model folders."""

import inspect

import keras
import numpy as np
import pytest
from support import torch_files

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.files import sha256
from tfdeepfake.model_folder import load_model
from tfdeepfake.models.video_resnets import module_name
from tfdeepfake.published import sources
from tfdeepfake.published.convert import convert
from tfdeepfake.published.entry import Published
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.recipe import DataRecipe

DATA = DataRecipe(input_type="clip", num_frames=4, height_px=16, width_px=24)
ARGUMENTS = {"input_size": (16, 24), "num_frames": 4, "width": 2, "stem_middle": 3, "blocks": (1, 1, 1, 1)}
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 16, 24, 3), dtype=np.uint8)
ENDINGS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
ENDINGS |= {"moving_mean": "running_mean", "moving_variance": "running_var"}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()


def entry(monkeypatch, **changes):
    """A source "tiny" of a tiny r2plus1d_18."""
    fields = {"network": "r2plus1d_18", "module_name": module_name, "address": "its authors' page", "licence": "MIT"}
    fields |= {"trained_on": "Kinetics", "data": DATA, "network_args": ARGUMENTS}
    monkeypatch.setitem(SOURCES, "tiny", Published(**(fields | changes)))


def original(classes):
    """A network with random weights and statistics, and its tensors in PyTorch's names and axes."""
    model = models.build("r2plus1d_18", **ARGUMENTS, num_classes=classes)
    rng = np.random.default_rng(1)
    tensors = {}
    for layer in model.layers:
        for variable in layer.weights:
            short = variable.path.rsplit("/", 1)[-1]
            if short != "kernel":
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
            array = np.asarray(variable)
            array = np.moveaxis(array, (-1, -2), (0, 1)) if short == "kernel" else array
            tensors[f"{module_name(layer.name)}.{ENDINGS[short]}"] = array
    return model, tensors


def scores(model):
    return keras.ops.convert_to_numpy(model({"frames": PIXELS}, training=False))


def write(path, tensors):
    torch_files.write_zip(path, {"epoch": 200, "state_dict": torch_files.tensors(tensors)})
    return path


def test_classes_of_another_task_are_kept(monkeypatch, tmp_path):
    entry(monkeypatch)
    model, tensors = original(7)
    file = write(tmp_path / "a.pth", tensors)
    converted, recipe = load_model(convert("tiny", file, tmp_path / "model"))
    np.testing.assert_allclose(scores(converted), scores(model), rtol=1e-6)
    assert recipe.network_args["num_classes"] == 7 and recipe.data == DATA and recipe.licence == "MIT"
    assert recipe.calibration.startswith("not a detector: its 7 outputs")
    assert recipe.parent == f"tiny (its authors' page; no checksum of it is known) sha256:{sha256(file)}"


@pytest.mark.parametrize("with_head", [True, False])
def test_fresh_head_keeps_the_body(monkeypatch, tmp_path, with_head):
    entry(monkeypatch)
    model, tensors = original(7)
    if not with_head:
        del tensors["fc.weight"], tensors["fc.bias"]
    file = write(tmp_path / "a.pth", tensors)
    converted, recipe = load_model(convert("tiny", file, tmp_path / "model", fresh_head=True))
    body = [keras.Model(m.input, m.get_layer("embedding").output) for m in (converted, model)]
    np.testing.assert_allclose(scores(body[0]), scores(body[1]), rtol=1e-6)
    assert scores(converted).shape == (3, 1) and recipe.network_args["num_classes"] == 1
    assert "has to be trained" in recipe.calibration


@pytest.mark.parametrize("positive, classes", [("fake", 1), ("real", 1), (0, 2), (1, 2)])
def test_the_output_becomes_the_logit_of_fake(monkeypatch, tmp_path, positive, classes):
    entry(monkeypatch, positive=positive)
    model, tensors = original(classes)
    path = convert("tiny", write(tmp_path / "a.pth", tensors), tmp_path / "model")
    converted, recipe = load_model(path)
    theirs = scores(model).astype("float64")
    if classes == 1:
        expected = theirs if positive == "fake" else -theirs
    else:
        share = np.exp(theirs) / np.exp(theirs).sum(axis=1, keepdims=True)
        expected = np.log(share[:, positive] / (1 - share[:, positive]))[:, None]
    assert scores(converted).shape == (3, 1) and recipe.calibration.startswith("threshold 0.5 as published; its ")
    assert ("folded" in recipe.calibration, "negated" in recipe.calibration) == (classes == 2, positive == "real")
    np.testing.assert_allclose(scores(converted), expected, rtol=1e-4, atol=1e-4)


def test_a_head_of_another_size_is_refused(monkeypatch, tmp_path):
    entry(monkeypatch, positive=1)
    file = write(tmp_path / "a.pth", original(7)[1])
    with pytest.raises(InputError, match=r"has a head fc.weight of shape \(7, 16\); 2 outputs .* --fresh-head"):
        convert("tiny", file, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda t: t.pop("layer3.0.conv1.0.3.weight"), "missing layer3.0.conv1.0.3.weight"),
        (lambda t: t.update({"layer3.0.c": t.pop("stem.1.bias")}), "missing stem.1.bias; left over layer3.0.c"),
        (lambda t: t.update({"stem.0.weight": np.ones((4, 3, 1, 7, 7))}), r"wrong: stem.0.weight of shape \(4, 3, 1"),
        (lambda t: t.pop("fc.weight"), "missing fc.weight"),
        (lambda t: [t.pop("fc.weight"), t.pop("fc.bias")], "missing fc.bias, fc.weight"),
    ],
)
def test_a_file_that_does_not_fit_writes_nothing(monkeypatch, tmp_path, spoil, message):
    entry(monkeypatch)
    tensors = original(7)[1]
    spoil(tensors)
    with pytest.raises(InputError, match=f"a.pth: does not fit the network: {message}"):
        convert("tiny", write(tmp_path / "a.pth", tensors), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_checksum_of_a_known_file(monkeypatch, tmp_path):
    file = write(tmp_path / "a.pth", original(7)[1])
    entry(monkeypatch, sha256="00000000")
    with pytest.raises(InputError, match=f"not the published file of tiny: its sha256 is {sha256(file)}, expected 000"):
        convert("tiny", file, tmp_path / "model")
    _, recipe = load_model(convert("tiny", file, tmp_path / "model", any_file=True))
    assert recipe.licence == recipe.data_version == "unknown" and "(a.pth)" in recipe.parent
    entry(monkeypatch, sha256=sha256(file)[:8])
    _, recipe = load_model(convert("tiny", file, tmp_path / "known"))
    assert recipe.licence == "MIT"


def test_other_bad_files_and_sources_are_refused(monkeypatch, tmp_path):
    entry(monkeypatch)
    with pytest.raises(InputError, match="r3d_19_kinetics: is no known checkpoint.*r3d_18_kinetics"):
        convert("r3d_19_kinetics", tmp_path / "a.pth", tmp_path / "model")
    with pytest.raises(InputError, match="a.pth: cannot be read .*Get it first: its authors' page"):
        convert("tiny", tmp_path / "a.pth", tmp_path / "model")
    entry(monkeypatch, unreachable="its server is gone")
    with pytest.raises(InputError, match=r"Get it first: its authors' page \(its server is gone\)"):
        convert("tiny", tmp_path / "a.pth", tmp_path / "model")
    (tmp_path / "a.pth").write_text("<html>quota exceeded</html>")
    with pytest.raises(InputError, match="a.pth: is "):
        convert("tiny", tmp_path / "a.pth", tmp_path / "model")
    with pytest.raises(ValueError, match="positive needs 'fake', 'real', 0, 1 or None, got 2"):
        entry(monkeypatch, positive=2)


@pytest.mark.parametrize("source", [name for name, known in SOURCES.items() if not known.members])
def test_every_source_names_a_network_and_its_input(source):
    known = SOURCES[source]
    defaults = {name: p.default for name, p in inspect.signature(models.MODELS[known.network]).parameters.items()}
    assert set(known.network_args) <= set(defaults) and known.address and known.licence and known.trained_on
    arguments = defaults | known.network_args
    size = arguments["input_size"]
    assert size == (known.data.height_px, known.data.width_px)
    if "num_frames" in arguments:
        assert known.data.input_type == "clip" and arguments["num_frames"] == known.data.num_frames
    assert known.load_keras or known.module_name("logits")


def test_sources_have_one_name_each():
    families = [m.PUBLISHED for m in vars(sources).values() if inspect.ismodule(m) and hasattr(m, "PUBLISHED")]
    assert len(families) >= 3 and sum(map(len, families)) == len(SOURCES)
