"""Explanation maps: of every network, back over the frames they are about, and equal to another implementation's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from parity import gradcam as fixed
from support import parity_rule
from support.tiny_models import SAME_WHEN_TINY, TINY, random_inputs

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.explain.correlation import channel_correlation, summary
from tfdeepfake.explain.gradcam import explained_logit, gradcam, sites
from tfdeepfake.explain.seen import lines, seen_by
from tfdeepfake.layers.thumbnail import thumbnail

# Sizes at which the last map has more than one place, where those of the sweep have not.
LARGER = {"tall_efficientnet_b4": {"thumbnail_size": (64, 64)}}
SWEEP = [name for name in models.MODELS if name not in SAME_WHEN_TINY]


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize("name", SWEEP)
def test_maps_of_every_network(name):
    model = models.build(name, **TINY[name] | LARGER.get(name, {}))
    inputs = random_inputs(model, batch=2)
    shape = inputs["frames"].shape
    shape = (2, shape[1] if len(shape) == 5 else 1, *shape[-3:-1])
    # Of random weights a map may be empty: for FAKE or for REAL there is one.
    maps = {target: gradcam(model, target=target)(inputs) for target in ("fake", "real")}
    members = sum(len(TINY[name].get(key, ())) for key in ("members", "members_2d", "members_3d"))
    expected = [f"member {k + 1} frames" for k in range(members)] or ["frames"] + ["flow"] * ("flow" in inputs)
    assert list(maps["fake"]) == expected
    for site in expected:
        both = [maps[target][site] for target in maps]
        for values, peak in both:
            assert values.shape == shape and values.dtype == np.float32 and np.isfinite(values).all()
            assert values.min() >= 0 and set(values.max(axis=(1, 2, 3)).tolist()) <= {0.0, 1.0}
            assert ((peak > 0) == (values.max(axis=(1, 2, 3)) > 0)).all()
        assert all(max(peaks) > 0 for peaks in zip(*(peak for _, peak in both), strict=True)), site
    before = np.concatenate([m.values for m in maps["fake"].values()] + [m.values for m in maps["real"].values()])
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.2, weight.shape))
    after = [gradcam(model, target=target)(inputs) for target in maps]
    after = np.concatenate([m.values for both in after for m in both.values()])
    assert np.abs(after - before).max() > 0.05


def map_network(features, frames):
    """A network whose map `features` is given and whose logit is the mean of it."""
    x = keras.layers.Activation("linear", name="features")(features)
    x = keras.ops.mean(x, axis=tuple(range(1, len(x.shape))), keepdims=False)[:, None]
    return keras.Model({"frames": frames}, keras.layers.Activation("linear", name="logits")(x), name="drawn")


@pytest.mark.parametrize("layout", [{}, {"snake": True}, {"order": "reverse"}, {"rows": 1, "columns": 4}, {"empty": 1}])
def test_the_map_of_a_thumbnail_goes_back_to_its_frames(layout):
    """What is bright in one frame alone is bright in that frame's map, at its place, and nowhere else."""
    num_frames = 4 - layout.get("empty", 0)
    frames = keras.Input((num_frames, 16, 24, 3), name="frames")
    image = thumbnail(frames, **{"rows": 2, "columns": 2, "size": (32, 48)} | layout)
    conv = keras.layers.Conv2D(1, 1, kernel_initializer="ones", name="conv")(image)
    model = map_network(keras.layers.AveragePooling2D(4, name="pool")(conv), frames)
    for frame in range(num_frames):
        clip = np.zeros((1, num_frames, 16, 24, 3), np.float32)
        clip[0, frame, :8, 12:] = 255  # upper right
        values = gradcam(model)({"frames": clip})["frames"].values[0]
        by_frame = values.sum(axis=(1, 2))
        assert by_frame.argmax() == frame and by_frame[frame] > 0.9 * by_frame.sum()
        assert values[frame, :8, 12:].sum() > 0.6 * values[frame].sum()


def test_a_map_through_time_is_enlarged_in_time():
    frames = keras.Input((8, 8, 8, 3), name="frames")
    conv = keras.layers.Conv3D(1, 1, kernel_initializer="ones", name="conv")(frames)
    model = map_network(keras.layers.AveragePooling3D((4, 2, 2), name="pool")(conv), frames)
    clip = np.zeros((2, 8, 8, 8, 3), np.float32)
    clip[0, :4, :4], clip[1, 4:, 4:] = 255, 255
    values = gradcam(model)({"frames": clip})["frames"].values
    assert values.shape == (2, 8, 8, 8)
    np.testing.assert_allclose(values[0], values[1][::-1, ::-1], atol=1e-6)
    # Half-pixel centres: the first two frames lie before the middle of the first place in time.
    np.testing.assert_allclose(values[0, :, 0, 0], [1, 1, 0.875, 0.625, 0.375, 0.125, 0, 0], atol=1e-6)


@pytest.mark.parametrize("name", list(fixed.SHAPES))
def test_maps_equal_those_of_pytorch_grad_cam(name):
    """tests/parity/gradcam.py made the numbers, in float64; ours are float32."""
    axes, shape = len(fixed.SHAPES[name]) - 2, fixed.SHAPES[name]
    expected, weights = parity_rule.read("gradcam")[name], fixed.tensors(axes)
    conv = keras.layers.Conv2D if axes == 2 else keras.layers.Conv3D
    frames = keras.Input(shape[1:], name="frames")
    x = keras.layers.Rescaling(1 / 255)(frames)
    x = conv(fixed.CHANNELS[0], 3, padding="same", activation="relu", name="conv1")(x)
    x = conv(fixed.CHANNELS[1], 3, padding="same", name="conv2")(x)
    x = keras.layers.ReLU(name="features")(x)
    x = keras.ops.mean(x, axis=tuple(range(1, axes + 1)))
    x = keras.layers.Dense(fixed.UNITS, "tanh", name="linear1")(x)
    model = keras.Model({"frames": frames}, keras.layers.Dense(1, name="linear2")(x))
    model = keras.Model(model.input, keras.layers.Activation("linear", name="logits")(model.output))
    for layer in ("conv1", "conv2", "linear1", "linear2"):
        kernel, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        model.get_layer(layer).set_weights([np.moveaxis(kernel, (0, 1), (-1, -2)), bias])
    inputs = {"frames": parity_rule.pixels(shape, 2026)}
    np.testing.assert_allclose(np.asarray(model(inputs))[:, 0], expected["logits"], atol=1e-5)
    maps = gradcam(model)(inputs)["frames"]
    ours = maps.values * maps.peak[:, None, None, None]
    theirs = np.array(expected["maps"]).reshape(ours.shape)
    assert theirs.max(axis=(1, 2, 3)).min() > 0
    np.testing.assert_allclose(ours, theirs, atol=2e-6 * theirs.max() + 1e-7)


def test_nothing_is_differentiated_before_the_map():
    """The class token goes past the map through all blocks: of a large network that gradient takes gigabytes."""
    model, passed = models.build("vit_b", **TINY["vit_b"] | {"depth": 3}), []

    @tf.custom_gradient
    def noting(x):
        return tf.identity(x), lambda gradient: passed.append(1) or gradient

    for name in ("blocks_0_norm1", "blocks_2_norm1"):  # `features` lies between them
        layer = model.get_layer(name)
        layer.call = lambda x, call=layer.call, **kwargs: noting(call(x, **kwargs))
        maps = gradcam(model)(random_inputs(model, batch=1))["frames"]
        assert np.isfinite(maps.values).all() and len(passed) == (name == "blocks_2_norm1")
    assert "call" not in vars(model.get_layer("features")), "the layer is as it was"


def test_members_that_see_fewer_frames_are_mapped_to_those():
    model = models.build("fusion_2d_3d", **TINY["fusion_2d_3d"])
    layer = sites(model)[0].layer
    assert layer == "features"  # the member that weighs most keeps the name
    seen = seen_by(model, model.get_layer(layer).output)
    assert seen.frames.tolist() == [1, 4, 6] and seen.slots.tolist() == [0, 1, 2] and seen.num_slots == 3


def test_lines_interpolate_between_half_pixel_centres():
    np.testing.assert_allclose(lines(2, 4) @ [0, 1], [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(lines(4, 2, 0.5, 1) @ [0, 1, 2, 3], [2, 3])
    np.testing.assert_allclose(lines(3, 5).sum(1), 1)
    np.testing.assert_allclose(lines(1, 3) @ [7.0], 7)
    # Half of seven lines: the middle one counts half, none beyond it.
    assert (lines(7, 4, 0, 0.5)[:, 4:] == 0).all()


def test_the_smoothed_form_is_a_mean_over_noisy_copies():
    model = models.build("meso4", **TINY["meso4"])
    inputs = random_inputs(model, batch=1)
    plain, same, noisy = (
        gradcam(model, target="real", num_copies=n, noise=noise)(inputs)["frames"].values
        for n, noise in ((1, 0.1), (3, 0.0), (3, 0.2))
    )
    np.testing.assert_allclose(same, plain, atol=1e-5)
    assert np.abs(noisy - plain).max() > 0.01
    with pytest.raises(ValueError, match="num_copies"):
        gradcam(model, num_copies=0)


def test_a_layer_that_is_not_there_is_answered_with_those_that_are():
    model = models.build("meso4", **TINY["meso4"])
    with pytest.raises(InputError, match="no layer 'no_such'.*features") as error:
        gradcam(model, layer="no_such")
    assert "embedding" not in error.value.remedy
    with pytest.raises(InputError, match="gives no map.*'embedding'"):
        gradcam(model, layer="embedding")
    without = keras.Model(model.inputs, keras.layers.Dense(1, name="logits")(keras.layers.Flatten()(model.inputs[0])))
    with pytest.raises(InputError, match="no layer 'features'"):
        sites(without)
    inner = model.get_layer("features").input.name
    assert gradcam(model, layer=next(n.name for n in model.layers if n.output.name == inner))


def test_which_logit_is_explained():
    one, three = np.array([[2.0]], np.float32), np.array([[1.0, 2.0, 3.0]], np.float32)
    classes = ["Deepfakes", "real", "FaceSwap"]
    assert float(explained_logit(one)[0]) == 2 and float(explained_logit(one, "real")[0]) == -2
    assert float(explained_logit(three, "faceswap", classes)[0]) == 3 and float(explained_logit(three, 0)[0]) == 1
    np.testing.assert_allclose(explained_logit(three, None, classes)[0], np.log(np.exp(1) + np.exp(3)) - 2, rtol=1e-6)
    for outputs, target, names in (
        (one, "FaceSwap", None),
        (three, None, None),
        (three, "x", classes),
        (three, 3, None),
    ):
        with pytest.raises(InputError, match="target"):
            explained_logit(outputs, target, names)


def test_correlation_of_channels_is_numpys_and_dead_channels_are_told():
    model = models.build("resnet3d_18", **TINY["resnet3d_18"])
    batches = [random_inputs(model, batch=3, seed=seed) for seed in range(2)]
    part = keras.Model(model.input, model.get_layer("features").output)
    rows = np.concatenate([part.predict_on_batch(batch) for batch in batches])
    rows = rows.reshape(-1, rows.shape[-1]).astype(np.float64)
    alive = rows.std(axis=0) > 1e-5 * rows.std(axis=0).max()
    matrix = channel_correlation(model, batches)
    assert np.isnan(np.diag(matrix)).tolist() == (~alive).tolist()
    expected = np.corrcoef(rows[:, alive].T)
    np.testing.assert_allclose(matrix[np.ix_(alive, alive)], expected, atol=1e-6)
    told = summary(matrix)
    off = np.abs(expected[~np.eye(len(expected), dtype=bool)])
    assert told["dead"] == (~alive).sum() and told["mean_abs"] == pytest.approx(off.mean(), abs=1e-6)
    with pytest.raises(InputError, match="no layer 'nothing'"):
        channel_correlation(model, batches, "nothing")
