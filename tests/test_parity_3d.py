"""The 3D networks against the measured outputs of the originals (see parity/README.md), and what their options do."""

import json

import keras
import numpy as np
import pytest
from support import parity_rule

from tfdeepfake import models
from tfdeepfake.models import resnet3d, video_resnets
from tfdeepfake.models.i3d import module_name as i3d_name
from tfdeepfake.weights import torch_assign

P3 = {"num_classes": 2, "head_bias": False}
NETWORKS = {
    "hara_resnet18": ("resnet3d_18", {}, resnet3d.module_name),
    "hara_resnet34": ("resnet3d_34", {}, resnet3d.module_name),
    "hara_resnet101": ("resnet3d_101", {}, resnet3d.module_name),
    "hara_resnet101_nl": ("resnet3d_101", P3 | {"nonlocal_after": (4,)}, resnet3d.module_name_nonlocal),
    "hara_resnext101": ("resnext3d_101", {}, resnet3d.module_name),
    "hara_r2plus1d18": ("r2plus1d_hara_18", {}, resnet3d.module_name),
    "tv_r3d_18": ("r3d_18", {}, video_resnets.module_name),
    "tv_r2plus1d_18": ("r2plus1d_18", {}, video_resnets.module_name),
    "i3d_rgb_400": ("i3d", {"num_frames": 16, "num_classes": 400}, i3d_name),
}
MORE = json.loads((parity_rule.FOLDER / "more_3d.json").read_text())
TINY = {"input_size": (64, 64), "num_frames": 16, "width": 8, "blocks": (1, 2, 1, 1)}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize("name", list(NETWORKS))
def test_equals_the_original(name):
    network, arguments, module_name = NETWORKS[name]
    facts = parity_rule.read(name)
    model = models.build(network, **arguments)
    torch_assign.assign(model, parity_rule.tensors(facts), module_name, name)
    parity_rule.check(model, facts)


def parameters(network, **arguments):
    return parity_rule.parameters(small(network, **arguments))


@pytest.mark.slow
def test_parameter_counts_of_p3_table_6():
    assert parameters("resnet3d_101", **P3) == 85_249_216
    assert parameters("resnet3d_101", **P3, nonlocal_after=(4,)) == 93_647_040
    # 94,303,808 is printed for squeeze-and-excitation; r = 16 is its paper's.
    assert parameters("resnet3d_101", **P3, se_reduction=16) == 89_992_384
    assert parameters("resnet3d_101", **P3, se_reduction=8) == 94_735_552


def names_and_shapes(model, module_name):
    """What a PyTorch file of this network holds: name -> shape in PyTorch's order of axes."""
    suffixes = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
    suffixes |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    shapes = {}
    for layer in model.layers:
        for variable in layer.weights:
            short, shape = variable.path.rsplit("/", 1)[-1], tuple(variable.shape)
            shape = (shape[-1], shape[-2], *shape[:-2]) if short == "kernel" else shape
            shapes[f"{module_name(layer.name)}.{suffixes[short]}"] = shape
    return shapes


def small(network, **arguments):
    return models.build(network, num_frames=2, input_size=(16, 16), **arguments)


@pytest.mark.parametrize("name", MORE)
def test_equals_the_original_in_other_forms_and_sizes(name):
    """Odd sizes, other depths, class counts and clip lengths; see parity/README.md for what was measured."""
    facts = MORE[name]
    family = {"resnet3d": resnet3d, "video_resnet": video_resnets}[facts["function"]]
    _, frames, *input_size, _ = facts["input_shape"]
    model = getattr(family, facts["function"])(
        **facts["arguments"], num_frames=frames, input_size=tuple(input_size), num_classes=facts["num_classes"]
    )
    facts |= {"tensors": names_and_shapes(model, family.module_name)}
    torch_assign.assign(model, parity_rule.tensors(facts), family.module_name, name)
    parity_rule.check(model, facts)


@pytest.mark.slow
def test_names_and_shapes_of_other_depths():
    """Written down from the published form: blocks per stage, 4 times the width out, (2+1)D in the middle."""
    shapes = names_and_shapes(small("resnet3d_200"), resnet3d.module_name)
    blocks = [len({name.split(".")[1] for name in shapes if name.startswith(f"layer{s}.")}) for s in (1, 2, 3, 4)]
    assert blocks == [3, 24, 36, 3]
    assert shapes["layer3.35.conv3.weight"] == (1024, 256, 1, 1, 1) and shapes["fc.weight"] == (1, 2048)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1, 1) and "layer1.1.downsample.0.weight" not in shapes

    shapes = names_and_shapes(small("r2plus1d_50", num_classes=700), resnet3d.module_name)
    middle = 27 * 128 * 128 // (9 * 128 + 3 * 128)
    assert shapes["layer2.0.conv2_s.weight"] == (middle, 128, 1, 3, 3)
    assert shapes["layer2.0.conv2_t.weight"] == (128, middle, 3, 1, 1)
    assert shapes["layer2.0.bn2_s.running_var"] == (middle,) and shapes["layer2.0.bn2_t.bias"] == (128,)
    assert shapes["layer2.0.conv1.weight"] == (128, 256, 1, 1, 1) and shapes["fc.bias"] == (700,)
    assert shapes["conv1_s.weight"] == (110, 3, 1, 7, 7) and shapes["bn1_t.weight"] == (64,)

    shapes = names_and_shapes(small("mc3_18", num_classes=400), video_resnets.module_name)
    assert shapes["layer1.0.conv1.0.weight"] == (64, 64, 3, 3, 3)
    assert shapes["layer2.0.conv1.0.weight"] == (128, 64, 1, 3, 3)
    assert shapes["layer4.0.downsample.0.weight"] == (512, 256, 1, 1, 1)
    assert parameters("mc3_18", num_classes=400) == 11_695_440  # as torchvision states it
    assert parameters("r3d_18", num_classes=400) == 33_371_472
    assert parameters("r2plus1d_18", num_classes=400) == 31_505_325


def test_shapes_of_maps():
    def features(network, **arguments):
        return models.build(network, **arguments).get_layer("features").output.shape[1:]

    tiny = {"width": 8, "blocks": (1, 1, 1, 1)}
    assert features("resnet3d_18", **tiny) == (1, 4, 4, 64)
    assert features("resnet3d_50", **tiny, input_size=(90, 130), num_frames=33) == (3, 3, 5, 256)
    assert features("resnet3d_50", **tiny, stem_pool=False, stem_strides=(2, 2, 2)) == (1, 7, 7, 256)
    assert features("r3d_18", **tiny) == (2, 7, 7, 64)
    assert features("mc3_18", **tiny) == (16, 7, 7, 64)
    assert features("r2plus1d_18", **tiny, num_frames=9, input_size=(50, 60)) == (2, 4, 4, 64)
    assert features("cnn3d", **tiny) == (4, 7, 7, 256), "P2 Table 6"
    assert features("i3d", width=8) == (8, 7, 7, 128)


def pixels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def scores(model, frames):
    return keras.ops.convert_to_numpy(model({"frames": frames}, training=False))


@pytest.mark.parametrize("place, name", [((4,), "nonlocal4"), (((2, 0),), "nonlocal2_0"), ((3, 4), "nonlocal3")])
def test_nonlocal_block_changes_nothing_until_trained(place, name):
    plain, attentive = models.build("resnet3d_18", **TINY), models.build("resnet3d_18", **TINY, nonlocal_after=place)
    for layer in plain.layers:
        attentive.get_layer(layer.name).set_weights(layer.get_weights())
    frames = pixels((2, 16, 64, 64, 3))
    np.testing.assert_allclose(scores(attentive, frames), scores(plain, frames), rtol=1e-5, atol=1e-6)
    gate = attentive.get_layer(f"{name}_W_1")
    gate.gamma.assign(keras.ops.ones_like(gate.gamma))
    assert np.abs(scores(attentive, frames) - scores(plain, frames)).min() > 1e-3


def test_nonlocal_block_is_equation_2():
    """Against the sum written out: y_i = sum_j softmax_j(theta_i . phi_j) g_j, then W, then + x."""
    from tfdeepfake.layers.attention3d import nonlocal_block

    inputs = keras.Input((2, 3, 3, 6))
    model = keras.Model(inputs, nonlocal_block(inputs, name="n"))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.2, 1.0, w.shape) for w in layer.get_weights()])
    x = rng.normal(size=(1, 2, 3, 3, 6)).astype("float32")

    def linear(name, value):
        kernel, bias = (np.asarray(w, "float64") for w in model.get_layer(name).get_weights())
        return value @ kernel[0, 0, 0] + bias

    flat = x.reshape(18, 6).astype("float64")
    theta, phi, g = (linear(f"n_{part}", flat) for part in ("theta", "phi", "g"))
    y = np.zeros((18, 3))
    for i in range(18):
        weight = np.exp([theta[i] @ phi[j] for j in range(18)])
        y[i] = sum(w * v for w, v in zip(weight / weight.sum(), g, strict=True))
    gamma, beta, mean, variance = (np.asarray(w, "float64") for w in model.get_layer("n_W_1").get_weights())
    expected = (linear("n_W_0", y) - mean) / np.sqrt(variance + 1e-5) * gamma + beta + flat
    np.testing.assert_allclose(np.asarray(model(x)).reshape(18, 6), expected, rtol=1e-4, atol=1e-4)


def test_squeeze_excite_is_equations_4_to_6():
    from tfdeepfake.layers.attention3d import squeeze_excite

    for shape in ((2, 3, 4, 8), (3, 4, 8)):
        inputs = keras.Input(shape)
        model = keras.Model(inputs, squeeze_excite(inputs, reduction=4, name="s"))
        x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
        first, second = (model.get_layer(f"s_{part}").get_weights()[0] for part in ("reduce", "expand"))
        z = x.reshape(2, -1, 8).mean(axis=1)
        gate = 1 / (1 + np.exp(-np.maximum(z @ first, 0) @ second))
        expected = x * gate.reshape(2, *([1] * (len(shape) - 1)), 8)
        np.testing.assert_allclose(np.asarray(model(x)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, se_stages",
    [
        ({"se_reduction": 4}, "1234"),
        ({"se_reduction": 4, "se_stages": (3, 4)}, "34"),
    ],
)
def test_gradient_reaches_squeeze_and_excitation(arguments, se_stages):
    import tensorflow as tf

    model = models.build("resnet3d_50", **TINY, **arguments)
    assert {layer.name[5] for layer in model.layers if layer.name.endswith("_se_scale")} == set(se_stages)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model({"frames": pixels((2, 16, 64, 64, 3))}, training=False) ** 2)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    without = [v.path for v, g in zip(model.trainable_variables, gradients, strict=True) if not np.any(g.numpy())]
    assert not without


def test_grouped_convolution_is_the_convolution_of_each_group():
    from tfdeepfake.layers.conv3d import GroupedConv3D

    rng = np.random.default_rng(0)
    for channels, groups, strides in ((12, 6, 1), (64, 4, 2), (8, 8, 1), (32, 2, 1)):
        x = rng.normal(size=(2, 4, 6, 5, channels)).astype("float32")
        layer = GroupedConv3D(2 * channels, 3, strides, "same", groups=groups, use_bias=False)
        got = np.asarray(layer(x))
        parts = []
        for group in range(groups):
            one = keras.layers.Conv3D(2 * channels // groups, 3, strides, "same", use_bias=False)
            part = x[..., group * channels // groups : (group + 1) * channels // groups]
            one.build(part.shape)
            each = 2 * channels // groups
            one.kernel.assign(np.asarray(layer.kernel)[..., group * each : (group + 1) * each])
            parts.append(np.asarray(one(part)))
        np.testing.assert_allclose(got, np.concatenate(parts, -1), rtol=1e-4, atol=1e-5)


def test_convolution_pads_both_sides_alike_at_every_size():
    """PyTorch's padding: the first window is centred on the first cell, whatever size and stride."""
    from tfdeepfake.layers.conv3d import conv

    rng = np.random.default_rng(0)
    for size in ((4, 7, 8), (5, 6, 6), (1, 2, 3)):
        for kernel, strides in ((3, 2), ((1, 3, 3), (1, 2, 2)), ((3, 1, 1), (2, 1, 1)), (1, 2), (3, 1)):
            inputs = keras.Input((*size, 2))
            model = keras.Model(inputs, conv(inputs, 3, kernel, strides, name="c"))
            x = rng.normal(size=(1, *size, 2)).astype("float32")
            weights = np.asarray(model.get_layer("c").kernel, "float64")
            pads = [n // 2 for n in weights.shape[:3]]
            padded = np.pad(x[0].astype("float64"), [(n, n) for n in pads] + [(0, 0)])
            windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape[:3], axis=(0, 1, 2))
            step = (strides,) * 3 if isinstance(strides, int) else strides
            windows = windows[:: step[0], :: step[1], :: step[2]]
            expected = np.einsum("thwcijk,ijkcf->thwf", windows, weights)
            np.testing.assert_allclose(np.asarray(model(x))[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "network, arguments, message",
    [
        ("resnet3d_18", {"nonlocal_after": (5,)}, "nonlocal_after needs stages 1 to 4 .* got 5"),
        ("resnet3d_18", {"nonlocal_after": ((4, 2),)}, r"nonlocal_after needs .* got \(4, 2\)"),
        ("resnet3d_18", {"shortcut": "C"}, "shortcut needs 'A' or 'B', got 'C'"),
        ("resnet3d_18", {"width": 8, "se_reduction": 16}, "reduction needs to be at most the 8 channels, got 16"),
        ("resnext3d_101", {"width": 8}, "cardinality needs to divide the 8 channels of layer1_0, got 32"),
        ("i3d", {"width": 12}, "width needs a positive multiple of 8, got 12"),
    ],
)
def test_wrong_arguments_are_refused(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        models.build(network, **arguments)


def test_shortcut_a_samples_and_fills_up():
    model = models.build("resnet3d_18", **TINY, shortcut="A")
    assert not [layer.name for layer in model.layers if "downsample" in layer.name]
    inner = keras.Model(model.input, [model.get_layer(n).output for n in ("layer1_0", "layer2_0_add", "layer2_0_bn2")])
    x, added, branch = (np.asarray(y) for y in inner({"frames": pixels((1, 16, 64, 64, 3))}))
    np.testing.assert_allclose((added - branch)[..., :8], x[:, ::2, ::2, ::2], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose((added - branch)[..., 8:], 0, atol=1e-5)
