"""Detectors as their authors publish them: equal to the authors' networks (see parity/README.md), file to one logit."""

import dataclasses
import re

import keras
import numpy as np
import pytest
from support import parity_rule

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.layers.initializers import undrawn
from tfdeepfake.models import vit
from tfdeepfake.published.convert import load_published
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.weights import torch_assign

NAMES = [
    "deepfakebench_xception",
    "deepfakebench_efficientnetb4",
    # 303 M weights are made and assigned: 20 s of CPU and 4 GB.
    pytest.param("gend_clip_l14", marks=pytest.mark.slow),
]
TINY_CLIP = {"input_size": (32, 48), "patch": 8, "embed_dim": 16, "depth": 2, "heads": 2}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize("name", [*SOURCES])
def test_faces_are_aligned_as_the_authors_align_them(name):
    expected = name.split("_")[0] if name.startswith(("gend_", "deepfakebench_")) else "none"
    data = SOURCES[name].data
    assert data.alignment == expected
    # Added to the template on each side: the authors' scale of 1.3.
    assert expected == "none" or data.margin_frac == 0.15


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_original(name):
    known, facts = SOURCES[name], parity_rule.read(name)
    with undrawn():
        model = models.build(known.network, **known.network_args, num_classes=2)
    torch_assign.assign(model, parity_rule.tensors(facts), known.module_name, name, known.extra(model), known.unused)
    parity_rule.check(model, facts)


def test_deepfakebench_has_a_first_convolution_without_padding():
    network_args = SOURCES["deepfakebench_efficientnetb4"].network_args | {"width": 0.1}
    model = models.build("efficientnet_b4", **network_args)
    # As measured: 127 px, then halved to 63, 32, 16 and 8 with the padding of the native size.
    sizes = [model.get_layer(f"blocks_{block}_project_conv").output.shape[1] for block in (0, 2, 6, 10, 22)]
    assert sizes == [127, 63, 32, 16, 8]


def tiny_gend():
    """A small network, its published source, and its tensors by GenD's names: dict name -> array, made by the rule."""
    facts = parity_rule.read("gend_clip_l14")
    sizes = {1024: 16, 4096: 64, 257: 25, 14: 8, 768: 12}
    shapes = {
        name: [sizes.get(side, side) for side in shape]
        for name, shape in facts["tensors"].items()
        if not re.search(r"layers\.([2-9]|1\d|2\d)\.", name)
    }
    known = dataclasses.replace(SOURCES["gend_clip_l14"], network_args=TINY_CLIP)
    return known, parity_rule.tensors(facts | {"tensors": shapes})


def test_gend_gives_the_probability_of_fake_among_its_two_outputs():
    known, tensors = tiny_gend()
    both = models.build("clip_vit_l14", **TINY_CLIP, num_classes=2)
    torch_assign.assign(both, tensors, known.module_name, "rule", known.extra(both), known.unused)
    detector, arguments = load_published(known, tensors, "rule")
    assert arguments["num_classes"] == 1 and arguments["mean"] == vit.CLIP_MEAN and arguments["std"] == vit.CLIP_STD
    pixels = {"frames": parity_rule.pixels((3, 32, 48, 3), 1)}
    real, fake = np.asarray(both(pixels)).T
    np.testing.assert_allclose(np.asarray(detector(pixels))[:, 0], fake - real, atol=1e-5)
    assert np.ptp(fake - real) > 1e-3


def test_query_key_and_value_of_gend_stand_side_by_side():
    known, tensors = tiny_gend()
    model, _ = load_published(known, tensors, "rule")
    name = "feature_extractor.vision_model.encoder.layers.1.self_attn.{}_proj.{}"
    kernel, bias = (np.asarray(array) for array in model.get_layer("blocks_1_attn_qkv").get_weights())
    for part, letter in enumerate("qkv"):
        np.testing.assert_array_equal(kernel[:, 16 * part : 16 * part + 16].T, tensors[name.format(letter, "weight")])
        np.testing.assert_array_equal(bias[16 * part : 16 * part + 16], tensors[name.format(letter, "bias")])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t, k: t.pop(k.format("k")), "missing .*k_proj.weight"),
        (lambda t, k: t.update({k.format("o"): t.pop(k.format("q"))}), "missing .*q_proj.weight; left over .*o_proj"),
        # Together they would be as large as they should be.
        (
            lambda t, k: t.update({k.format("q"): np.ones((15, 16)), k.format("k"): np.ones((17, 16))}),
            r"wrong: \S+q_proj.weight of shape \(15, 16\), \S+k_proj.weight of shape \(17, 16\), \S+v_proj.* \(none in",
        ),
        (lambda t, k: t.update({k.format("v"): np.full((16, 16), np.nan)}), r"wrong: \S+v_proj.weight with NaN"),
    ],
)
def test_gend_files_that_do_not_fit_change_nothing(change, message):
    known, tensors = tiny_gend()
    change(tensors, "feature_extractor.vision_model.encoder.layers.0.self_attn.{}_proj.weight")
    model = models.build("clip_vit_l14", **TINY_CLIP, num_classes=2)
    before = model.get_weights()
    with pytest.raises(InputError, match=f"rule: does not fit the network: {message}"):
        torch_assign.assign(model, tensors, known.module_name, "rule", known.extra(model), known.unused)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_the_head_of_gend_sees_directions_only():
    model = models.build("clip_vit_l14", **TINY_CLIP)
    pixels = {"frames": parity_rule.pixels((2, 32, 48, 3), 1)}
    embedding = keras.Model(model.input, model.get_layer("embedding").output)
    np.testing.assert_allclose(np.linalg.norm(np.asarray(embedding(pixels)), axis=-1), 1, rtol=1e-5)
    before = np.asarray(model(pixels))
    norm = model.get_layer("norm")
    norm.set_weights([7 * array for array in norm.get_weights()])
    np.testing.assert_allclose(np.asarray(model(pixels)), before, rtol=1e-4, atol=1e-6)


def test_quick_gelu_is_near_gelu_and_not_it():
    x = np.linspace(-6, 6, 49, dtype="float32")
    quick, exact = np.asarray(vit.quick_gelu(x)), np.asarray(keras.ops.gelu(x, approximate=False))
    np.testing.assert_allclose(quick, x / (1 + np.exp(-1.702 * x)), rtol=1e-5, atol=1e-6)
    assert (
        1e-3 < np.abs(quick - exact).max() < 0.021
    )  # Hendrycks and Gimpel (arXiv:1606.08415) call it an approximation
