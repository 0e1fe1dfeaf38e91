"""Networks that start from the weights of others: what is new has a name, the rest is taken whole or not at all."""

import numpy as np
import pytest

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import save_model
from tfdeepfake.published.pretrained import OwnWay, pretrained
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.recipe import Recipe
from tfdeepfake.training import start_from
from tfdeepfake.verdict import named

TINY_3D = {"input_size": (16, 16), "num_frames": 4, "width": 8, "blocks": (1, 1, 1, 1)}
# Attention stands behind the tenth block.
TINY_B4 = {"input_size": (32, 32), "width": 0.05, "depth": 1.0}
TINY_SWIN = {"embed_dim": 8, "depths": (1, 2), "heads": (1, 2), "windows": (2, 2)}
TALL = {"input_size": (16, 16), "thumbnail_size": (32, 32), "backbone_args": TINY_SWIN}


def folder_of(path, network, network_args):
    model = models.build(network, **network_args)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    save_model(path, model, Recipe(network=network, network_args=network_args, licence="MIT", parent="a file"))
    return {weight.path: weight.numpy() for weight in model.weights}


def started(folder, network, **network_args):
    """The network that starts from a folder, and its new layers. Arguments of the weights hold."""
    start = start_from.read(str(folder), network, network_args)
    model = models.build(network, **(start["network_args"] | network_args))
    return model, start_from.load(model, start)


@pytest.mark.parametrize(
    ("network", "args", "changed", "more", "new"),
    [
        (
            "resnet3d_50", TINY_3D | {"num_classes": 7}, "resnet3d_50", {"nonlocal_after": (4,)},
            {"nonlocal4_theta", "nonlocal4_phi", "nonlocal4_g", "nonlocal4_W_0", "nonlocal4_W_1", "logits"},
        ),
        ("efficientnet_b4", TINY_B4, "attention2d", {"input_size": (32, 32)}, {"attconv"}),
        ("efficientnet_b4", TINY_B4, "efficientnet_b4_st", {"input_size": (32, 32)}, {"classifier_0", "logits"}),
        ("efficientnet_b4", TINY_B4, "efficientnet_b4", {"num_classes": 4}, {"logits"}),
    ],
    ids=["non-local", "attention", "siamese stage 2", "K classes"],
)  # fmt: skip
def test_what_is_new_is_listed_and_all_else_is_taken(tmp_path, network, args, changed, more, new):
    theirs = folder_of(tmp_path / "start", network, args)
    model, new_layers = started(tmp_path / "start", changed, **more)
    assert set(new_layers) == new
    taken = {weight.path: weight for weight in model.weights if weight.path.partition("/")[0] not in new}
    for path, weight in taken.items():
        np.testing.assert_array_equal(weight, theirs[path])
    assert {path for path in theirs if path not in taken} <= {"logits/kernel", "logits/bias"}


def test_tall_plus_plus_starts_from_tall(tmp_path):
    theirs = folder_of(tmp_path / "start", "tall_swin", TALL)
    model, new_layers = started(tmp_path / "start", "tall_plus_plus", **TALL)
    assert new_layers and all(layer.startswith("graph_") for layer in new_layers)
    np.testing.assert_array_equal(model.get_layer("logits").kernel, theirs["logits/kernel"])


def test_a_layer_that_only_the_weights_have_is_left_over(tmp_path):
    folder_of(tmp_path / "start", "attention2d", TINY_B4)
    with pytest.raises(InputError, match="holds a attention2d that does not fit .*left over attconv/bias, attconv/ker"):
        started(tmp_path / "start", "efficientnet_b4", **TINY_B4)


def test_every_family_with_a_published_file_starts_from_imagenet_or_kinetics():
    """The file is of the network, or of one whose layers it has."""
    on_imagenet = {
        name
        for name in models.MODELS
        if name.startswith(("efficientnet", "xception", "tall", "two_stream", "baseline", "cnn", "swin", "vit_b"))
    } | {"attention2d", "i3d"}
    for network in models.MODELS:
        if network in on_imagenet:
            source = pretrained("imagenet", network, {})
            assert isinstance(source, OwnWay) or source in SOURCES
        else:
            with pytest.raises(InputError, match=f"no imagenet weights of {network} are published"):
                pretrained("imagenet", network, {})
        if f"{network}_kinetics" in SOURCES:
            assert SOURCES[pretrained("kinetics", network, {})].network == network
    assert pretrained("imagenet", "tall_plus_plus", {}) == "swin_b_imagenet22k"
    with pytest.raises(InputError, match="Leave it out: no published weights"):
        pretrained("kinetics", "light3d", {})
    with pytest.raises(InputError, match="Use --start-from with one of imagenet, efficientnet_b4_imagenet, bonettini"):
        pretrained("kinetics", "efficientnet_b4", {})


def test_a_transformer_for_tall_is_loaded_by_the_network_itself(tmp_path, monkeypatch):
    """Its tables are enlarged for the thumbnail there."""
    path = tmp_path / "swin.pth"
    path.write_bytes(b"weights")
    monkeypatch.setattr(start_from, "fetch_published", lambda source, log: path)
    start = start_from.read("imagenet", "tall_plus_plus", {})
    assert start["network_args"] == {"weights": str(path)} and start["licence"] == "MIT"
    assert start_from.parent(start).startswith("swin_b_imagenet22k (https://") and "sha256:" in start["parent"]


def test_a_published_name_is_fetched_and_converted(tmp_path, monkeypatch):
    folder_of(tmp_path / "converted", "resnet3d_50", TINY_3D | {"num_classes": 7})
    monkeypatch.setattr(named, "fetch_all", lambda name, log, progress: {name: tmp_path / f"{name}.pth"})
    monkeypatch.setattr(named.Located, "ready", lambda located, log: tmp_path / "converted")
    start = start_from.read("kinetics", "resnet3d_50", {"nonlocal_after": [4]})
    assert start["name"] == "resnet3d_50_kinetics" and "num_classes" not in start["network_args"]


def test_imagenet_that_a_network_loads_itself_keeps_its_licence():
    start = start_from.read("imagenet", "baseline", {})
    assert start["network_args"] == {"weights": "imagenet"} and start["licence"].startswith("MIT")
    assert start_from.parent(start).startswith("imagenet (https://")
