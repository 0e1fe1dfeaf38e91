"""One sweep over every network, the papers' sizes, and ResNet50 against keras.applications."""

import ast
import inspect
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from support.tiny_models import SAME_WHEN_TINY, SIZE, TINY, random_inputs, scores

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.layers.initializers import undrawn
from tfdeepfake.model_folder import load_model, save_model
from tfdeepfake.models import backbones
from tfdeepfake.recipe import Recipe
from tfdeepfake.weights import keras_h5

PACKAGE = Path(models.__file__).parents[1]
EVERY = pytest.mark.parametrize("name", list(models.MODELS))
SWEEP = pytest.mark.parametrize("name", [name for name in models.MODELS if name not in SAME_WHEN_TINY])


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    keras.backend.clear_session()


def test_the_sweep_covers_every_network():
    assert set(TINY) == set(models.MODELS)


def test_an_ensemble_reads_what_its_members_read():
    for members, expected in (
        (["meso4", "baseline"], ("frame", False)),
        (["meso4", "two_stream_frame"], ("flow", True)),
        (["two_stream_frame", "i3d"], ("clip", True)),
    ):
        assert models.reads("ensemble", {"members": [[name, {}] for name in members]}) == expected
    assert models.reads("fusion_2d_3d") == ("clip", False)


@pytest.mark.parametrize(("name", "sibling"), SAME_WHEN_TINY.items())
def test_what_the_sweep_leaves_out_is_its_sibling(name, sibling):
    one, other = (models.build(n, **TINY[n]) for n in (name, sibling))
    assert sibling not in SAME_WHEN_TINY and one.input_shape == other.input_shape
    for a, b in zip(one.layers, other.layers, strict=True):
        assert type(a) is type(b) and [w.shape for w in a.weights] == [w.shape for w in b.weights]
        for setting in ("padding", "strides", "groups", "pool_size"):
            assert getattr(a, setting, None) == getattr(b, setting, None), (a.name, setting)


@EVERY
def test_contract(name):
    model = models.build(name, **TINY[name])
    inputs = random_inputs(model)
    output = scores(model, inputs)
    assert model.name == name and output.shape == (4, 1) and output.dtype == np.float32
    assert len(np.unique(output)) == 4, "the score does not depend on the input"
    assert models.reads(name, TINY[name]) == (models.input_type(model), models.wants_flow(model))
    assert models.wants_flow(model) == name.startswith("two_stream") == ("flow" in model.input)
    # [B, h, w, C], [B*T, h, w, C] or [B, t, h, w, C]
    assert len(model.get_layer("features").output.shape) in (4, 5)
    assert len(model.get_layer("embedding").output.shape) == 2
    assert model.output is model.get_layer("logits").output
    # Else a .keras file of the network could be written, but not read.
    for part in (*model.layers, *(getattr(layer, "activation", None) for layer in model.layers)):
        kind = part if inspect.isfunction(part) else type(part)
        assert not kind.__module__.startswith("tfdeepfake") or keras.saving.get_registered_name(kind) != kind.__name__
    # Grad-CAM walks this graph: nothing may hide in it.
    hiding = keras.Model, keras.layers.Lambda, keras.layers.Wrapper
    assert not any(isinstance(layer, hiding) for layer in model.layers)


@SWEEP
def test_uint8_and_float_give_the_same_and_a_batch_of_one_works(name):
    model = models.build(name, **TINY[name])
    inputs = random_inputs(model)
    output = scores(model, inputs)
    np.testing.assert_array_equal(scores(model, inputs | {"frames": inputs["frames"].astype(np.float32)}), output)
    one = scores(model, {key: value[:1] for key, value in inputs.items()})
    # 1e-4: convolutions may sum in another order for another batch size.
    np.testing.assert_allclose(one, output[:1], rtol=1e-4, atol=1e-5)
    # predict goes through a traced function and a tf.data pipeline instead.
    np.testing.assert_allclose(model.predict(inputs, verbose=0), output, rtol=1e-4, atol=1e-5)


@SWEEP
def test_every_input_matters(name):
    model = models.build(name, **TINY[name])
    inputs = random_inputs(model)
    others = random_inputs(model, seed=1)
    for key in inputs:
        assert np.abs(scores(model, inputs | {key: others[key]}) - scores(model, inputs)).min() > 0, key


@SWEEP
def test_gradient_reaches_every_weight(name):
    import tensorflow as tf

    model = models.build(name, **TINY[name])
    with tf.GradientTape() as tape:
        # Not in training mode: batch normalisation over the batch makes the gradient of a bias before it zero.
        loss = tf.reduce_sum(model(random_inputs(model), training=False) ** 2)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    without = [
        v.path for v, g in zip(model.trainable_variables, gradients, strict=True) if g is None or not np.any(g.numpy())
    ]
    assert not without


@SWEEP
def test_a_few_steps_lower_the_loss(name):
    model = models.build(name, **TINY[name], dropout=0.0)
    inputs, labels = random_inputs(model), np.array([[0.0], [1.0], [0.0], [1.0]])
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    # Built here and stepped by hand: `fit` traces the step twice and makes Adam's variables inside the graph.
    model.optimizer.build(model.trainable_variables)
    losses = [float(model.train_on_batch(inputs, labels)) for _ in range(12)]
    # Not the last ones alone: with four examples and this rate the loss of a step jumps.
    assert min(losses[3:]) < 0.7 * losses[0], losses


@SWEEP
def test_weights_round_trip_exactly(name, tmp_path):
    model, again = models.build(name, **TINY[name]), models.build(name, **TINY[name])
    inputs = random_inputs(model)
    assert not np.array_equal(scores(model, inputs), scores(again, inputs))
    model.save_weights(tmp_path / "model.weights.h5")
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(scores(again, inputs), scores(model, inputs))


@pytest.mark.parametrize("name", ["resnext3d_50", "clip_vit_l14", "tall_plus_plus", "ensemble"])
def test_a_keras_file_holds_the_whole_network(name, tmp_path):
    model = models.build(name, **TINY[name])
    model.save(tmp_path / "model.keras")
    again, inputs = keras.saving.load_model(tmp_path / "model.keras"), random_inputs(model)
    np.testing.assert_array_equal(scores(again, inputs), scores(model, inputs))


@SWEEP
def test_weights_follow_the_seed_and_no_two_kernels_are_alike(name):
    kernels = []
    for seed in (3, 3, 4):
        keras.utils.set_random_seed(seed)
        model = models.build(name, **TINY[name])
        kernels.append([np.asarray(w) for w in model.weights if "kernel" in w.path and w.shape[-1] > 1])
    first, same, other = kernels
    for a, b, c in zip(first, same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    assert len({a.tobytes() for a in first}) == len(first)


def test_a_network_that_a_file_fills_draws_no_kernels_but_keeps_its_seeds(monkeypatch, tmp_path):
    model = models.build("vit_b", **TINY["vit_b"])
    save_model(tmp_path, model, Recipe("vit_b", TINY["vit_b"]))
    keras.utils.set_random_seed(0)
    with undrawn():
        empty = models.build("vit_b", **TINY["vit_b"])
    assert not any(np.any(w) for w in empty.weights if "kernel" in w.path and "logits" not in w.path)
    # The head starts in Keras' own way, by the seed that comes after those of all kernels.
    np.testing.assert_array_equal(empty.get_layer("logits").kernel, model.get_layer("logits").kernel)

    def drawn(*_, **__):
        raise AssertionError("a kernel is drawn that a file replaces")

    monkeypatch.setattr(keras.initializers.TruncatedNormal, "__call__", drawn)
    filled, _ = load_model(tmp_path)
    np.testing.assert_array_equal(scores(filled, random_inputs(filled)), scores(model, random_inputs(model)))
    with pytest.raises(AssertionError, match="a kernel is drawn"):
        models.build("vit_b", **TINY["vit_b"])


@SWEEP
def test_bfloat16_gives_finite_float32_near_the_exact_scores(name):
    exact = models.build(name, **TINY[name])
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = models.build(name, **TINY[name])
    model.set_weights(exact.get_weights())
    output, inputs = scores(model, random_inputs(model)), random_inputs(model)
    assert output.dtype == np.float32 and np.isfinite(output).all()
    # bfloat16 keeps 8 bits; a dozen layers leave a few percent of the spread of the logits.
    assert np.abs(output - scores(exact, inputs)).max() < 0.1 * max(1, np.abs(output).max())
    assert model.get_layer("features").output.dtype == "bfloat16", "the policy did not reach the layers"


@SWEEP
def test_k_classes(name):
    model = models.build(name, **TINY[name], num_classes=5)
    assert scores(model, random_inputs(model)).shape == (4, 5)


@pytest.mark.parametrize("cell", ["gru", "simple"])
def test_other_recurrent_cells(cell):
    model = models.build("cnn_rnn", **TINY["cnn_rnn"], cell=cell)
    inputs = random_inputs(model)
    backwards = {"frames": inputs["frames"][:, ::-1]}
    assert np.abs(scores(model, inputs) - scores(model, backwards)).min() > 0, "order in time does not matter"


def test_frames_of_a_clip_stay_with_their_clip():
    model = models.build("two_stream_video", **TINY["two_stream_video"])
    inputs = random_inputs(model)
    changed = {key: value.copy() for key, value in inputs.items()}
    changed["frames"][1, 2] = 255 - changed["frames"][1, 2]
    differs = np.abs(scores(model, changed) - scores(model, inputs))[:, 0] > 1e-6
    assert differs.tolist() == [False, True, False, False]


# The tables of P2. Their maps of 7 x 7 are those of 224 x 224 inputs; at 108 x 192 ResNet50 gives 4 x 6.
def shape_of(model, layer):
    return model.get_layer(layer).output.shape[1:]


def test_p2_table_2_baseline():
    model = models.build("baseline")
    assert shape_of(model, "frames") == (108, 192, 3) and shape_of(model, "features") == (4, 6, 2048)
    assert shape_of(model, "embedding") == (2048,) and shape_of(model, "logits") == (1,)
    assert shape_of(models.build("baseline", input_size=(224, 224)), "features") == (7, 7, 2048)


def test_p2_table_3_two_stream_frame():
    model = models.build("two_stream_frame")
    assert shape_of(model, "flow") == (108, 192, 2) and shape_of(model, "flow_pool2") == (25, 46, 64)
    assert shape_of(model, "flow_flatten") == (73600,) and shape_of(model, "embedding") == (1024,)


def test_p2_table_4_two_stream_video():
    model = models.build("two_stream_video")
    assert shape_of(model, "frames") == (16, 108, 192, 3) and shape_of(model, "flow") == (16, 108, 192, 2)
    assert shape_of(model, "spatial_pool") == (2048,) and shape_of(model, "spatial_frame") == (128,)
    assert model.get_layer("spatial").input.shape[1:] == (2048,) and shape_of(model, "spatial") == (512,)
    assert shape_of(model, "flow_pool2") == (25, 46, 64) and shape_of(model, "flow_flatten") == (73600,)
    assert shape_of(model, "flow_frame") == (128,)
    assert model.get_layer("temporal").input.shape[1:] == (2048,) and shape_of(model, "temporal") == (512,)
    assert shape_of(model, "embedding") == (1024,)


def test_p2_table_5_cnn_rnn():
    model = models.build("cnn_rnn")
    assert shape_of(model, "spatial_pool") == (2048,) and shape_of(model, "embedding") == (512,)
    assert model.get_layer("embedding").input.shape[1:] == (16, 128)


def test_parameter_counts():
    assert models.build("meso4").count_params() == 28073
    # The paper counts the trainable ones (arXiv:1809.00888).
    inception = models.build("meso_inception4")
    assert sum(int(np.prod(v.shape)) for v in inception.trainable_variables) == 28615
    small = models.build("baseline", input_size=(64, 64), backbone="small")
    assert 250_000 < small.count_params() < 350_000 and shape_of(small, "features") == (4, 4, 128)


@pytest.fixture(scope="module")
def original():
    """keras.applications' ResNet50 with random weights and statistics."""
    keras.utils.set_random_seed(1)
    model = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 96, 3))
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable in layer.weights:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


@pytest.fixture(scope="module")
def original_file(original, tmp_path_factory):
    path = tmp_path_factory.mktemp("resnet50") / "resnet50.h5"
    original.save(path)
    return path


def test_resnet50_equals_keras_applications(original, original_file):
    model = models.build("baseline", input_size=(64, 96), weights=str(original_file))
    frames = np.random.default_rng(2).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    expected = original(keras.applications.resnet50.preprocess_input(frames.astype(np.float32)), training=False)
    features = keras.Model(model.input, model.get_layer("features").output)
    expected, got = (np.asarray(x) for x in (expected, features({"frames": frames}, training=False)))
    assert got.shape == (2, 2, 3, 2048) and got.std() > 0
    # Same operations in the same order; only the flip to BGR and the subtraction of means are written otherwise.
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_resnet50_file_that_does_not_fit_changes_nothing(original_file, tmp_path):
    import shutil

    import h5py

    wrong = tmp_path / "wrong.h5"
    shutil.copy(original_file, wrong)
    with h5py.File(wrong, "r+") as file:
        del file["model_weights/conv5_block3_3_conv"]
    model = models.build("two_stream_frame", input_size=(32, 32))
    before = model.get_weights()
    with pytest.raises(InputError, match="missing conv5_block3_3_conv/bias, conv5_block3_3_conv/kernel"):
        backbones.load(model, "resnet50", wrong)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    ours = keras_h5.variables(model.layers)
    assert "flow_conv1/kernel" in ours and "conv1_conv/kernel" in ours


def test_imagenet_without_network_says_where_the_file_is(monkeypatch):
    def fails(*args, **kwargs):
        raise Exception(f"URL fetch failure on {args[1]}: None -- no route to host")

    monkeypatch.setattr(keras.utils, "get_file", fails)
    with pytest.raises(InputError, match="storage.googleapis.com.*notop.h5.*no route.*path as `weights`.*weights=None"):
        models.build("baseline", input_size=(32, 32), weights="imagenet")


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("two_stream_vidoe", {}, "'two_stream_vidoe': did you mean two_stream_video"),
        ("baseline", {"num_frames": 16}, "baseline has no argument num_frames; it has input_size"),
        ("baseline", {"backbone": "vgg"}, "backbone needs one of .*'vgg'"),
        ("baseline", {"backbone": "small", "weights": "imagenet"}, "weights needs None with backbone 'small'"),
        ("baseline", {"input_size": (64,)}, "input_size needs two positive integers"),
        ("baseline", {"input_size": 64}, "input_size needs two positive integers"),
        ("cnn_rnn", {"num_frames": 0}, "frames needs a positive integer, got 0"),
        ("cnn_rnn", {"cell": "rnn"}, "cell needs one of .*'rnn'"),
        ("meso4", {"num_classes": 0}, "num_classes needs a positive integer, got 0"),
        ("two_stream_frame", {"input_size": (8, 8), "backbone": "small"}, r"input_size \(8, 8\) is too small"),
    ],
)
def test_wrong_arguments_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        models.build(name, **arguments)


def test_numbers_of_numpy_are_numbers():
    size, classes = np.array(SIZE), np.array([0, 2, 1]).max() + 1
    model = models.build("meso4", input_size=(size[0], size[1]), num_classes=classes)
    assert model.input["frames"].shape == (None, *SIZE, 3) and model.output.shape == (None, 3)
    clips = models.build("r3d_18", **TINY["r3d_18"] | {"num_frames": np.int64(8)})
    assert keras.models.model_from_json(clips.to_json()).input["frames"].shape[1] == 8


@pytest.mark.parametrize("name", ["meso4", "two_stream_frame", "resnet3d_18", "tall_swin"])
@pytest.mark.parametrize("channels", [1, 4])
def test_frames_of_other_than_three_colours_are_refused(name, channels):
    model = models.build(name, **TINY[name])
    inputs = random_inputs(model)
    inputs["frames"] = np.concatenate([inputs["frames"], inputs["frames"][..., :1]], axis=-1)[..., :channels]
    for run in (model, lambda x: model.predict(x, verbose=0)):
        with pytest.raises(ValueError, match=rf"'frames' .* expected shape=.*, 3\), found shape=.*, {channels}\)"):
            run(inputs)


def test_networks_and_losses_import_no_tensorflow():
    """Their files import Keras and the package's own light modules only; TensorFlow just inside functions."""
    allowed = {"keras", "numpy", "tfdeepfake"} | sys.stdlib_module_names
    files = [*(PACKAGE / "models").glob("*.py"), *(PACKAGE / "layers").glob("*.py")]
    files += [PACKAGE / "losses.py", PACKAGE / "weights" / "keras_h5.py"]
    for file in files:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
                assert not node.module.startswith("tfdeepfake.data"), file
            else:
                continue
            assert {name.split(".")[0] for name in names} <= allowed, f"{file.name} imports {names}"
