"""Networks that vote: the rules by hand, flat graphs that keep the members' scores, saving and export."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdeepfake import models
from tfdeepfake.cli.main import main
from tfdeepfake.compiled.choice import load_for_verdict
from tfdeepfake.layers.resizing import AntialiasedResize
from tfdeepfake.model_folder import load_model, save_model
from tfdeepfake.models.ensemble import ENSEMBLE3D, Vote, ensemble_of
from tfdeepfake.recipe import DataRecipe, Recipe

SMALL = {"backbone": "small", "width": 2}
CLIP = {"input_size": (32, 48), "num_frames": 4}
R3D = CLIP | {"width": 4, "blocks": (1, 1, 1, 1)}
FLOW = {"flow_widths": (3, 4), "units": 12}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()


def inputs_of(model, batch=3, seed=0):
    rng = np.random.default_rng(seed)
    return {
        tensor.name: rng.integers(0, 256, (batch, *tensor.shape[1:]), dtype=np.uint8)
        if tensor.name == "frames"
        else rng.normal(0, 3, (batch, *tensor.shape[1:])).astype(np.float32)
        for tensor in model.inputs
    }


def probability(logits):
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


def vote(rule, logits, weights=None):
    return np.asarray(Vote(rule, weights)(np.asarray(logits, np.float32)))


def test_soft_vote_is_the_mean_probability():
    logits = np.random.default_rng(0).normal(0, 4, (6, 3, 1))
    weights = [0.2, 0.5, 0.3]
    expected = np.einsum("bmk,m->bk", probability(logits), weights)
    np.testing.assert_allclose(probability(vote("soft", logits, weights)), expected, rtol=1e-5)
    np.testing.assert_allclose(probability(vote("soft", logits)), probability(logits).mean(1), rtol=1e-5)


def test_soft_vote_keeps_what_float32_probabilities_would_lose():
    assert vote("soft", [[[40.0], [40.0]]])[0, 0] == pytest.approx(40.0)
    assert vote("soft", [[[-60.0], [-50.0]]])[0, 0] == pytest.approx(-50 - np.log(2), rel=1e-5)
    assert vote("soft", [[[3.0], [-90.0]]], [1.0, 0.0])[0, 0] == pytest.approx(3.0)


def test_soft_vote_of_classes():
    logits = np.random.default_rng(0).normal(0, 2, (4, 3, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    got = np.exp(vote("soft", logits, [0.5, 0.25, 0.25]))
    np.testing.assert_allclose(got, np.einsum("bmk,m->bk", probabilities, [0.5, 0.25, 0.25]), rtol=1e-4)


def test_logit_vote_is_the_weighted_mean_of_logits():
    logits = np.random.default_rng(0).normal(0, 2, (4, 3, 2))
    np.testing.assert_allclose(
        vote("logit", logits, [0.5, 0.3, 0.2]), np.einsum("bmk,m->bk", logits, [0.5, 0.3, 0.2]), rtol=1e-5
    )


def test_hard_vote_goes_with_the_majority():
    for sides in itertools.product([-1, 1], repeat=3):
        logits = np.array(sides, np.float32).reshape(1, 3, 1) * [[[0.1], [7.0], [30.0]]]
        got = vote("hard", logits)[0, 0]
        assert np.isfinite(got) and np.sign(got) == np.sign(sum(sides))
        assert probability(got) == pytest.approx((sides.count(1) + 0.5) / 4)
    assert vote("hard", [[[2.0], [-9.0]]])[0, 0] == pytest.approx(0)
    # The heavier member wins against two.
    assert vote("hard", [[[2.0], [-9.0], [-9.0]]], [0.6, 0.2, 0.2])[0, 0] > 0
    classes = vote("hard", [[[0, 3, 1], [0, 2, 5], [1, 9, 2]]])
    assert classes.argmax() == 1 and np.isfinite(classes).all()
    assert np.exp(classes).ravel() == pytest.approx([0.5, 2.5, 1.5])


def members():
    return [models.build("r3d_18", **R3D), models.build("baseline", input_size=(32, 48), **SMALL)]


def test_members_keep_their_scores_in_a_flat_graph():
    clip_net, frame_net = members()
    model = ensemble_of([clip_net, frame_net], weights=[3, 1])
    inputs = inputs_of(model)
    frames = inputs["frames"]
    by_frame = probability(frame_net({"frames": frames.reshape(-1, 32, 48, 3)})).reshape(3, 4).mean(1, keepdims=True)
    by_clip = probability(clip_net(inputs))
    np.testing.assert_allclose(probability(model(inputs)), 0.75 * by_clip + 0.25 * by_frame, rtol=1e-4)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert model.get_layer("features").output.shape == clip_net.get_layer("features").output.shape
    assert model.get_layer("m2_features") and model.get_layer("embedding").output.shape == (None, 2)
    # The members are as they were, and the weights are copies.
    model.get_layer("m2_stem_conv").kernel.assign_add(np.ones(model.get_layer("m2_stem_conv").kernel.shape))
    assert not np.array_equal(model.get_layer("m2_stem_conv").kernel, frame_net.get_layer("stem_conv").kernel)


def test_the_heaviest_member_gives_the_features():
    model = ensemble_of(members(), weights=[1, 3])
    assert len(model.get_layer("features").output.shape) == 4 and model.get_layer("m1_features")


def test_one_network_may_vote_with_itself():
    network = models.build("meso4", input_size=(32, 32))
    model = ensemble_of([network, network, network])
    inputs = inputs_of(model)
    np.testing.assert_allclose(model(inputs), network(inputs), rtol=1e-4, atol=1e-6)
    # Names of plain ops start over in a new session; members of two sessions still fit together.
    keras.backend.clear_session()
    again = models.build("baseline", input_size=(32, 32), **SMALL)
    assert np.isfinite(ensemble_of([ensemble_of([again, network]), again])(inputs)).all()


@pytest.mark.parametrize(("member_frames", "taken"), [("consecutive", [1, 2]), ("spaced", [1, 3])])
def test_members_of_other_sizes_get_resized_and_fewer_frames(member_frames, taken):
    small = models.build("r3d_18", **R3D | {"input_size": (16, 24), "num_frames": 2})
    model = ensemble_of([models.build("r3d_18", **R3D), small], weights=[0, 1], member_frames=member_frames)
    inputs = inputs_of(model)
    assert model.input["frames"].shape == (None, 4, 32, 48, 3)
    picked = inputs["frames"][:, taken].reshape(-1, 32, 48, 3).astype(np.float32)
    shrunk = keras.ops.image.resize(picked, (16, 24), antialias=True)
    expected = small({"frames": np.reshape(shrunk, (3, 2, 16, 24, 3))})
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-3)
    # With which Keras trains on GPUs.
    by_xla = tf.function(functools.partial(model, training=False), jit_compile=True)
    np.testing.assert_allclose(by_xla(inputs), expected, rtol=1e-3)


@pytest.mark.parametrize("size", [(16, 24), (31, 50), (32, 48), (70, 20)])
def test_frames_are_resized_as_by_keras(size):
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3)).astype(np.float32)
    expected = keras.ops.image.resize(frames, size, antialias=True)
    np.testing.assert_allclose(AntialiasedResize(size)(frames), expected, atol=1e-3)


def test_frame_networks_may_see_fewer_frames():
    clip_net, frame_net = members()
    model = ensemble_of([clip_net, frame_net], weights=[0, 1], num_frames_2d=2)
    inputs = inputs_of(model)
    seen = inputs["frames"][:, [1, 3]].reshape(-1, 32, 48, 3)
    expected = probability(frame_net({"frames": seen})).reshape(3, 2).mean(1, keepdims=True)
    np.testing.assert_allclose(probability(model(inputs)), expected, rtol=1e-4)


def test_flow_networks_vote_too():
    pair = [models.build("two_stream_video", **CLIP, **SMALL, **FLOW), models.build("r3d_18", **R3D)]
    model = ensemble_of(pair, rule="logit")
    assert models.wants_flow(model) and models.input_type(model) == "clip"
    inputs = inputs_of(model)
    expected = (np.asarray(pair[0](inputs)) + np.asarray(pair[1]({"frames": inputs["frames"]}))) / 2
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-4, atol=1e-5)


def test_fusion_weighs_the_3d_part_as_told():
    arguments = {
        "members_2d": [["baseline", {"input_size": (32, 48), **SMALL}]],
        "members_3d": [["r3d_18", R3D], ["mc3_18", R3D]],
        "weight_3d": 0.8,
        "num_frames_2d": 4,
    }
    model = models.build("fusion_2d_3d", **arguments)
    np.testing.assert_allclose(model.get_layer("logits").member_weights, [0.2, 0.4, 0.4], rtol=1e-6)
    inputs = inputs_of(model)
    votes = keras.Model(model.input, model.get_layer("embedding").output)(inputs)
    expected = probability(votes) @ [[0.2], [0.4], [0.4]]
    np.testing.assert_allclose(probability(model(inputs)), expected, rtol=1e-4)


def test_ensemble3d_has_the_members_of_p0():
    assert [name for name, _ in ENSEMBLE3D] == ["i3d", "resnet3d_34", "mc3_18", "r2plus1d_18"]


def test_an_ensemble_of_trained_members_saves_and_loads_by_its_recipe(tmp_path):
    arguments = {"members": [["r3d_18", R3D], ["baseline", {"input_size": (32, 48), **SMALL}]], "weights": [2, 1]}
    model = ensemble_of([models.build(name, **args) for name, args in arguments["members"]], weights=[2, 1])
    inputs = inputs_of(model)
    save_model(tmp_path / "saved", model, Recipe(network="ensemble", network_args=arguments))
    again, _ = load_model(tmp_path / "saved")
    np.testing.assert_array_equal(again(inputs), model(inputs))


def test_a_member_that_is_held_fixed_stays_fixed():
    clip_net, frame_net = members()
    for layer in frame_net.layers:
        layer.trainable = False
    model = ensemble_of([clip_net, frame_net])
    assert not any(v.path.startswith("m2_") for v in model.trainable_variables)
    assert any(v.path.startswith("m1_") for v in model.trainable_variables)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weights": [1]}, "weights needs 2 numbers"),
        ({"weights": [-1, 2]}, "weights needs 2 numbers of 0 or more"),
        ({"rule": "loud"}, "rule needs one of .*'loud'"),
        ({"member_frames": "all"}, "member_frames needs one of"),
        ({"num_frames": 3}, "m1_frames needs 4 frames, the ensemble has 3"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ensemble_of(members(), **arguments)


def test_members_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="one network or more"):
        ensemble_of([])
    pair = [models.build("meso4", input_size=(32, 32), num_classes=k) for k in (1, 3)]
    with pytest.raises(ValueError, match=r"equal outputs, got \[1, 3\]"):
        ensemble_of(pair)
    with pytest.raises(ValueError, match="frames needs None where all members are frame networks, got 4"):
        ensemble_of(pair[:1], num_frames=4)
    flows = [models.build("two_stream_frame", input_size=(s, s), **SMALL, **FLOW) for s in (32, 48)]
    with pytest.raises(ValueError, match="m1_flow needs maps of 32 x 32 px"):
        ensemble_of(flows)
    with pytest.raises(ValueError, match="weight_3d needs more than 0 and less than 1, got 1"):
        models.build("fusion_2d_3d", weight_3d=1)
    with pytest.raises(ValueError, match="did you mean meso4"):
        models.build("ensemble", members=[["mesoo4", {}]])


@pytest.mark.slow
def test_an_ensemble_of_classes_and_clips_of_two_lengths_is_exported(tmp_path):
    """LiteRT and ONNX, with the middle frames that the shorter clip network takes."""
    import onnxruntime

    kinds = [["r3d_18", R3D | {"num_classes": 3}], ["mc3_18", R3D | {"num_frames": 2, "num_classes": 3}]]
    arguments = {"members": kinds, "weights": [0.3, 0.7], "num_classes": 3}
    model = models.build("ensemble", **arguments)
    data = DataRecipe(sampling="consecutive", num_frames=4, height_px=32, width_px=48)
    recipe = Recipe("ensemble", arguments, data, classes=["real", "swap", "lips"])
    save_model(tmp_path / "model", model, recipe)
    inputs = inputs_of(model)
    expected = model.predict_on_batch(inputs)
    assert np.ptp(expected, axis=1).min() > 0
    for form in ("litert", "onnx"):
        assert main(["export", str(tmp_path / "model"), "--out", str(tmp_path / form), "--format", form]) == 0
    compiled, again = load_for_verdict(tmp_path / "litert", "litert")
    assert again.classes == recipe.classes
    np.testing.assert_allclose(compiled.predict_on_batch(inputs), expected, atol=1e-4)
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], inputs)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_export_scores_the_same(tmp_path):
    import tensorflow as tf

    model = ensemble_of(members(), rule="hard")
    inputs = inputs_of(model)
    model.export(str(tmp_path / "export"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "export"))  # a reference, because it owns the weights
    served = loaded.serve({"frames": inputs["frames"].astype(np.float32)})
    np.testing.assert_allclose(served, model(inputs), rtol=1e-4, atol=1e-5)
