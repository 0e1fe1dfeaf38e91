"""EfficientNets, Xception and light3d: equal to the originals (see parity/README.md), and what their options do."""

import dataclasses
import functools
import json
import sys

import keras
import numpy as np
import pytest
from support import parity_rule

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.models import efficientnet_names
from tfdeepfake.models.light3d import SRM_FILTERS, noise_residuals
from tfdeepfake.models.xception import module_name_polimi
from tfdeepfake.published import efficientnet as efficientnet_files
from tfdeepfake.published import xception as xception_files
from tfdeepfake.published.convert import load_published
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.weights import torch_assign

B7 = pytest.param("efficientnet_pytorch_b7", marks=pytest.mark.slow)
NETWORKS = {
    "polimi_EfficientNetB4": ("efficientnet_b4", {}, efficientnet_names.module_name_polimi),
    "polimi_EfficientNetAutoAttB4": ("efficientnet_b4_att", {}, efficientnet_names.module_name_polimi),
    "polimi_EfficientNetAutoAttB4ST": (
        "efficientnet_b4_att_st", {"spare_head": True}, efficientnet_names.module_name_siamese
    ),
    "polimi_Xception_299": ("xception", {}, module_name_polimi),
    "efficientnet_pytorch_b7": ("efficientnet_b7", {"input_size": (380, 380)}, efficientnet_names.module_name),
}  # fmt: skip
MORE = json.loads((parity_rule.FOLDER / "more_2d.json").read_text())
TINY = {"input_size": (64, 64), "width": 0.1, "depth": 0.5}
TINY_XCEPTION = {"input_size": (48, 64), "width": 0.05, "middle_blocks": 8}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()


def pixels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def scores(model, frames, training=False):
    return keras.ops.convert_to_numpy(model({"frames": frames}, training=training))


def inner(model, *names):
    return keras.Model(model.input, [model.get_layer(name).output for name in names])


def tensor_shapes(model, module_name):
    """What a PyTorch file of this network holds: name -> shape in PyTorch's order of axes."""
    suffixes = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    by_name = {}
    for layer in model.layers:
        for variable in layer.weights:
            short, shape = variable.path.rsplit("/", 1)[-1], tuple(variable.shape)
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                shape = (shape[2], 1, *shape[:2])
            elif short == "kernel":
                shape = (shape[-1], shape[-2], *shape[:-2])
            suffix = {"kernel": "weight", "bias": "bias"} | suffixes
            by_name[f"{module_name(layer.name)}.{suffix[short]}"] = shape
    return by_name


@pytest.mark.parametrize("name", [B7 if name == "efficientnet_pytorch_b7" else name for name in NETWORKS])
def test_equals_the_original(name):
    network, arguments, module_name = NETWORKS[name]
    facts = parity_rule.read(name)
    model = models.build(network, **arguments)
    torch_assign.assign(model, parity_rule.tensors(facts), module_name, name)
    parity_rule.check(model, facts)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_equals_the_original_at_other_sizes(name):
    facts = MORE[name]
    family = sys.modules["tfdeepfake.models.xception"] if facts["network"] == "xception" else efficientnet_names
    module_name = getattr(family, facts["naming"])
    model = models.build(facts["network"], **facts["network_args"])
    tensors = parity_rule.tensors(facts | {"tensors": tensor_shapes(model, module_name)})
    torch_assign.assign(model, tensors, module_name, name)
    parity_rule.check(model, facts)


@pytest.mark.parametrize(
    "network, size, arguments, pads",
    [
        # The native size of B4 is 380, where TensorFlow pads otherwise than at 224.
        ("efficientnet_b4", 380, {}, {}),
        ("efficientnet_b4", 224, {}, {"blocks_6_depthwise_conv": ((2, 2), (2, 2))}),
        ("efficientnet_b4", 224, {"pad_size": None}, {}),
        (
            "efficientnet_b7",
            380,
            {},
            # Leaves a map of 47 instead of 48 px, so that block 18 is padded by (1, 1) of itself.
            {"blocks_11_depthwise_conv": ((1, 2), (1, 2))},
        ),
    ],
)
def test_pads_as_at_the_native_size(network, size, arguments, pads):
    model = models.build(network, input_size=(size, size), width=0.1, **arguments)
    by_name = {layer.name: layer.padding for layer in model.layers if isinstance(layer, keras.layers.ZeroPadding2D)}
    assert by_name == {f"{name}_pad": pad for name, pad in pads.items()}


def test_parameter_counts_and_maps():
    def shape(model, layer):
        return model.get_layer(layer).output.shape[1:]

    sbi = models.build("efficientnet_b4", input_size=(380, 380), num_classes=2)
    assert parity_rule.parameters(sbi) == 17_552_202 and shape(sbi, "embedding") == (1792,)
    attentive = models.build("efficientnet_b4_att")
    assert shape(attentive, "attention") == (28, 28, 1) and shape(attentive, "attended") == (28, 28, 56)
    attentive = models.build("attention2d")
    assert shape(attentive, "attention") == (14, 14, 1) and shape(attentive, "attended") == (14, 14, 112)
    assert shape(attentive, "features") == (7, 7, 1792)
    small = models.build("efficientnet_b7", depth=0.1, embedding_units=512)
    assert shape(small, "pool") == (2560,) and shape(small, "embedding") == (512,)
    assert shape(models.build("xception", middle_blocks=0), "features") == (10, 10, 2048)
    assert parity_rule.parameters(models.build("light3d")) == 424_929
    assert shape(models.build("light3d", num_frames=17, input_size=(100, 130), width=8), "features") == (3, 4, 5, 64)


def test_attention_is_a_map_of_weights_multiplied_onto_the_features():
    model = models.build("efficientnet_b4_att", **TINY)
    model.get_layer("attconv").bias.assign([0.5])
    before = model.get_layer("attconv").input
    x, attention, attended = keras.Model(
        model.input, [before, model.get_layer("attention").output, model.get_layer("attended").output]
    )({"frames": pixels((2, 64, 64, 3))})
    x, attention, attended = (np.asarray(y) for y in (x, attention, attended))
    kernel, bias = (np.asarray(w) for w in model.get_layer("attconv").get_weights())
    np.testing.assert_allclose(attention, 1 / (1 + np.exp(-(x @ kernel[0, 0] + bias))), rtol=1e-5)
    np.testing.assert_allclose(attended, x * attention, rtol=1e-5, atol=1e-7)
    assert attention.std() > 0


@pytest.mark.parametrize("network", ["efficientnet_b4_att", "attention2d"])
def test_attention_to_everything_is_the_plain_network(network):
    plain, attentive = models.build("efficientnet_b4", **TINY), models.build(network, **TINY)
    for layer in plain.layers:
        attentive.get_layer(layer.name).set_weights(layer.get_weights())
    attention = attentive.get_layer("attconv")
    frames = pixels((2, 64, 64, 3))
    assert np.abs(scores(plain, frames) - scores(attentive, frames)).min() > 0
    attention.set_weights([np.zeros_like(attention.kernel), np.full(1, 30.0)])
    np.testing.assert_allclose(scores(attentive, frames), scores(plain, frames), rtol=1e-5, atol=1e-6)


def test_drop_connect_leaves_out_whole_residuals_and_keeps_the_mean():
    model = models.build("efficientnet_b0", **TINY, drop_connect=0.8, dropout=0.0, seed=3)
    drops = [layer for layer in model.layers if layer.name.endswith("drop_connect")]
    blocks = sum(layer.name.endswith("project_conv") for layer in model.layers)
    assert [layer.rate for layer in drops] == [0.8 * int(layer.name.split("_")[1]) / blocks for layer in drops]
    last = drops[-1]
    both = keras.Model(model.input, [last.input, last.output])
    x, y = (np.asarray(z) for z in both({"frames": pixels((64, 64, 64, 3))}, training=True))
    kept = [bool(np.any(example)) for example in y]
    # 64 draws at rate 0.8 * 8 / 10 or so: within 4 standard deviations.
    assert abs(np.mean(kept) - (1 - last.rate)) < 4 * (last.rate * (1 - last.rate) / 64) ** 0.5
    for example, whole, taken in zip(x, y, kept, strict=True):
        np.testing.assert_allclose(whole, example * taken / (1 - last.rate), rtol=1e-5, atol=1e-6)


def test_seed_repeats_dropout():
    frames = pixels((4, 64, 64, 3))
    runs = {}
    for seed, run in ((1, "a"), (1, "b"), (2, "c")):
        keras.utils.set_random_seed(0)
        model = models.build("efficientnet_b0", **TINY, seed=seed)
        runs[run] = scores(model, frames, training=True)
    np.testing.assert_array_equal(runs["a"], runs["b"])
    assert np.abs(runs["a"] - runs["c"]).max() > 0


@pytest.mark.parametrize("network, tiny", [("efficientnet_b4_att_st", TINY), ("xception_st", TINY_XCEPTION)])
def test_siamese_head_is_all_that_is_trained(network, tiny):
    model = models.build(network, **tiny, head_only=True)
    names = ["classifier_0/gamma", "classifier_0/beta", "logits/kernel", "logits/bias"]
    assert ["/".join(v.path.split("/")[-2:]) for v in model.trainable_variables] == names
    before = {layer.name: layer.get_weights() for layer in model.layers}
    model.compile(keras.optimizers.Adam(0.1), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit({"frames": pixels((4, *tiny["input_size"], 3))}, np.array([[0.0], [1.0], [0.0], [1.0]]), verbose=0)
    changed = {
        layer.name
        for layer in model.layers
        if any(not np.array_equal(a, b) for a, b in zip(before[layer.name], layer.get_weights(), strict=True))
        and "seed" not in layer.name
        and layer.name != "dropout"
    }
    assert changed - {name for name in changed if name.endswith("drop_connect")} == {"classifier_0", "logits"}


@pytest.mark.parametrize("network, tiny", [("efficientnet_b4_st", TINY), ("xception_st", TINY_XCEPTION)])
def test_spare_head_changes_no_score(network, tiny):
    plain, spare = models.build(network, **tiny), models.build(network, **tiny, spare_head=True)
    for layer in plain.layers:
        spare.get_layer(layer.name).set_weights(layer.get_weights())
    frames = pixels((2, *tiny["input_size"], 3))
    np.testing.assert_array_equal(scores(plain, frames), scores(spare, frames))
    width = plain.get_layer("embedding").output.shape[-1]
    assert parity_rule.parameters(spare) - parity_rule.parameters(plain) == width + 1


def tiny_source(name):
    """A published source with a network of the same form but few channels and blocks."""
    known = SOURCES[name]
    if known.network.startswith("xception"):
        small = {"width": 0.05, "middle_blocks": 8}
    else:
        small = {"width": 0.1, "depth": 0.3}
    args = known.network_args | small | {"input_size": (64, 64)}
    module_name = known.module_name
    if name.startswith("dfdc_winner"):
        module_name = functools.partial(module_name, repeats=(1, 1, 1, 1, 1, 2, 1))
    return dataclasses.replace(known, network_args=args, module_name=module_name)


# Of the ensemble each member is a file of its own.
FILES = [name for name in (*efficientnet_files.PUBLISHED, *xception_files.PUBLISHED) if name != "dfdc_winner"]


@pytest.mark.parametrize("name", FILES)
def test_published_files_load_whole(name):
    known = tiny_source(name)
    classes = {"fake": 1, 0: 2, 1: 2, None: 1000}[known.positive]
    original = models.build(known.network, **known.network_args, num_classes=classes)
    tensors = parity_rule.tensors({"tensors": tensor_shapes(original, known.module_name), "gain": 1.2})
    torch_assign.assign(original, tensors, known.module_name, name)
    frames = pixels((2, 64, 64, 3))
    expected = scores(original, frames)
    tensors |= {"bn.num_batches_tracked": np.zeros((), "int64")}
    tensors |= {ending: np.zeros((2, 2), "float32") for ending in known.unused}
    model, args = load_published(known, tensors, name)
    if known.positive == 1:
        assert args["num_classes"] == 1
        expected = expected[:, 1:] - expected[:, :1]
    np.testing.assert_allclose(scores(model, frames), expected, rtol=1e-4, atol=1e-5)
    assert list(SOURCES[name].network_args["input_size"]) == [known.data.height_px, known.data.width_px]
    victim = sorted(tensors)[len(tensors) // 2]
    with pytest.raises(InputError, match=f"missing .*{victim.split('.')[-1]}.*left over renamed"):
        broken = {("renamed" if key == victim else key): array for key, array in tensors.items()}
        load_published(known, broken, name)


def test_names_of_the_dfdc_winner():
    """Written down from timm's published form of B7."""
    of = efficientnet_names.module_name_timm
    assert of("conv_stem") == "encoder.conv_stem" and of("bn0") == "encoder.bn1" and of("bn1") == "encoder.bn2"
    assert of("blocks_3_depthwise_conv") == "encoder.blocks.0.3.conv_dw"
    assert of("blocks_3_project_conv") == "encoder.blocks.0.3.conv_pw"
    assert of("blocks_3_bn2") == "encoder.blocks.0.3.bn2"
    assert of("blocks_4_expand_conv") == "encoder.blocks.1.0.conv_pw"
    assert of("blocks_11_depthwise_conv") == "encoder.blocks.2.0.conv_dw"
    assert of("blocks_54_bn2") == "encoder.blocks.6.3.bn3" and of("logits") == "fc"
    assert of("blocks_54_se_reduce") == "encoder.blocks.6.3.se.conv_reduce"


def test_xception_pools_like_pytorch_at_every_size():
    """Windows of 3 centred on cells 0, 2, 4 ..., what lies outside counting as minus infinity."""
    from tfdeepfake.models.xception import _pool

    for size in ((4, 4), (5, 5), (4, 7), (7, 2), (1, 6)):
        inputs = keras.Input((*size, 2))
        x = -np.random.default_rng(0).uniform(1, 2, (1, *size, 2)).astype("float32")
        got = np.asarray(keras.Model(inputs, _pool(inputs, "p"))(x))
        padded = np.pad(x[0], [(1, 1), (1, 1), (0, 0)], constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::2, ::2]
        np.testing.assert_array_equal(got[0], windows.max((-2, -1)))


def residuals(clip, truncate=3.0):
    inputs = keras.Input(clip.shape[1:])
    return np.asarray(keras.Model(inputs, noise_residuals(inputs, truncate))(clip.astype("float32")))


def test_noise_residuals_are_the_filters_of_each_colour():
    clip = pixels((2, 3, 9, 8, 3)).astype("float64")
    got = residuals(clip, truncate=1000.0) * 1000.0
    padded = np.pad(clip, [(0, 0), (0, 0), (2, 2), (2, 2), (0, 0)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(2, 3))
    for colour in range(3):
        for number, kernel in enumerate(SRM_FILTERS):
            expected = (windows[..., colour, :, :] * kernel).sum((-2, -1))
            np.testing.assert_allclose(got[..., 3 * colour + number], expected, rtol=1e-4, atol=1e-3)
    assert np.abs(residuals(clip)).max() == 1


def test_noise_residuals_suppress_what_a_frame_shows():
    rows, columns = np.mgrid[:20, :24]
    ramp = np.broadcast_to((3.0 * rows + 2.0 * columns)[None, None, :, :, None], (1, 2, 20, 24, 3))
    # Filters of second order: zero for a plane, apart from the border, where mirroring folds it.
    np.testing.assert_allclose(residuals(ramp)[:, :, 2:-2, 2:-2], 0, atol=1e-5)
    np.testing.assert_allclose(residuals(np.full((1, 2, 20, 24, 3), 77.0)), 0, atol=1e-5)


def test_light3d_fuses_time():
    model = models.build("light3d", input_size=(32, 32), num_frames=8, width=8)
    frames = pixels((2, 8, 32, 32, 3))
    assert np.abs(scores(model, frames) - scores(model, frames[:, ::-1])).min() > 0
    assert "srm" not in " ".join(v.path for v in model.variables)


@pytest.mark.parametrize(
    "network, arguments, message",
    [
        ("efficientnet_b4", {"input_size": (16, 16), "width": 0.1}, "input_size is too small: blocks_"),
        ("efficientnet_b4", {"attention_stage": 8}, "attention_stage needs 1 to 7 or None, got 8"),
        ("efficientnet_b4", {"drop_connect": 1.0}, "drop_connect needs 0 <= rate < 1, got 1.0"),
        ("efficientnet_b4", {"stem_padding": "full"}, "stem_padding needs 'same' or 'valid', got 'full'"),
        ("xception", {"input_size": (6, 60)}, "input_size needs at least 7 px"),
        ("xception", {"middle_blocks": -1}, "middle_blocks needs an integer of at least 0, got -1"),
        ("light3d", {"width": 3}, "width needs to be at least reduction = 4, got 3"),
        ("light3d", {"input_size": (2, 60)}, r"input_size needs at least 3 px, got \(2, 60\)"),
        ("efficientnet_b44", {}, "did you mean efficientnet_b"),
    ],
)
def test_wrong_arguments_are_refused(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        models.build(network, **arguments)
