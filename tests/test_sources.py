"""Every published source: what is stated of it, and a fresh head on its network."""

import inspect
import re

import h5py
import keras
import numpy as np
import pytest
from support import torch_files

from tfdeepfake import models
from tfdeepfake.files import sha256
from tfdeepfake.model_folder import WEIGHTS_FILE, load_recipe
from tfdeepfake.published.convert import convert
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.weights import torch_assign

TINY_3D = {"input_size": (16, 16), "num_frames": 4, "width": 8, "blocks": (1, 1, 1, 1)}
TINY_EFFICIENTNET = {"input_size": (32, 32), "width": 0.05, "depth": 0.2}
TINY_XCEPTION = {"input_size": (32, 32), "width": 0.05, "middle_blocks": 1}
TINY_SWIN = {"embed_dim": 8, "depths": (1, 2), "heads": (1, 2), "windows": (2, 2)}
# One of each naming and kind of head, with arguments that make its network small.
TINY = {
    "resnet3d_18_2018": TINY_3D,
    "resnet3d_50_kinetics": TINY_3D,
    "r2plus1d_34_kinetics": TINY_3D,
    "resnext3d_101_2018": TINY_3D | {"stem_width": 8, "cardinality": 4},
    "mc3_18_kinetics": TINY_3D,
    "i3d_charades": {"input_size": (32, 32), "num_frames": 8, "width": 8},
    "efficientnet_b0_imagenet": TINY_EFFICIENTNET,
    "bonettini_b4_att_dfdc": TINY_EFFICIENTNET | {"depth": 1.0},  # attention stands behind the ninth block
    "bonettini_b4_st_ffpp": TINY_EFFICIENTNET,
    "sbi_b4": TINY_EFFICIENTNET,
    "dfdc_winner_b7_111_36": {"input_size": (32, 32), "width": 0.05, "depth": 3.1},  # blocks are named by B7's stages
    "deepfakebench_efficientnetb4": TINY_EFFICIENTNET,
    "xception_imagenet": TINY_XCEPTION,
    "faceforensics_xception": TINY_XCEPTION,
    "bonettini_xception_dfdc": TINY_XCEPTION,
    "deepfakebench_xception": TINY_XCEPTION,
    "swin_b_imagenet": {"input_size": (32, 32)} | TINY_SWIN,
    "swin_b_timm": {"input_size": (32, 32)} | TINY_SWIN,
    "vit_b_timm": {"input_size": (16, 16), "patch": 8, "embed_dim": 8, "depth": 2, "heads": 2},
    "gend_clip_l14": {"input_size": (16, 16), "patch": 8, "embed_dim": 8, "depth": 2, "heads": 2},
    "tall_swin": {"input_size": (16, 16), "thumbnail_size": (32, 32), "backbone_args": TINY_SWIN},
}


@pytest.mark.parametrize("source", list(SOURCES))
def test_what_a_recipe_needs_is_stated(source):
    known = SOURCES[source]
    assert len(known.address) > 20 and "https://" in known.address or "http://" in known.address
    assert len(known.licence) > 2 and len(known.trained_on) > 2
    assert known.data.margin_frac > 0  # crops of faces, never Kinetics' own whole frames
    arguments = {n: p.default for n, p in inspect.signature(models.MODELS[known.network]).parameters.items()}
    arguments |= known.network_args
    if "mean" in arguments:  # I3D has its own for good
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


def tiny(monkeypatch, source):
    """Makes the network of a source small for the length of a test."""
    network = SOURCES[source].network
    whole = models.MODELS[network]

    def small(**arguments):
        return whole(**(arguments | TINY[source]))

    small.__signature__ = inspect.signature(whole)
    monkeypatch.setitem(models.MODELS, network, small)


def to_torch(layer, short, array):
    """The inverse of `torch_assign`' change of axes."""
    if "kernel" not in short or array.ndim < 2:
        return array
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D) or short == "depthwise_kernel"
    return np.moveaxis(array, (-2, -1) if depthwise else (-1, -2), (0, 1))


def original(source, rng):
    """A network with random weights, its tensors in the file's names and axes, and where each came from."""
    known = SOURCES[source]
    classes = {None: 7, "fake": 1, "real": 1, 0: 2, 1: 2}[known.positive]
    model = models.build(known.network, **known.network_args, num_classes=classes)
    layers = {layer.name: layer for layer in model.layers}
    tensors, places = {}, {}
    for variable, names, _ in torch_assign._wanted(model, known.module_name, known.extra(model), ()):
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        layer, short = variable.path.rsplit("/", 2)[-2:]
        array = to_torch(layers[layer], short, np.asarray(variable))
        if source == "gend_clip_l14" and layer == "tokens":
            array = array.squeeze()  # token and positions have no axis for the batch there
        # What the network joins lies in the file in parts, by outputs.
        tensors |= dict(zip(names, np.split(array, len(names)) if len(names) > 1 else [array], strict=True))
        places |= dict.fromkeys(names, (variable.path, np.asarray(variable)))
    return known, tensors, places


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
