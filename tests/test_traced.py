"""Networks of fixed weights, as Keras scores with them for a verdict: the same logits, from fewer operations."""

import gc
import threading

import keras
import numpy as np
import pytest
from support.tiny_models import TINY, random_inputs, recipe_of

from tfdeepfake import models
from tfdeepfake.compiled import choice
from tfdeepfake.compiled.traced import TracedModel, load_traced
from tfdeepfake.layers.exact import ExactBatchNormalization
from tfdeepfake.model_folder import save_model

# With and without bias before normalisation, grouped, depthwise, 3D, recurrent, transformers, several inputs, members.
NETWORKS = [
    "efficientnet_b4_att",
    "xception",
    "resnext3d_50",
    "i3d",
    "meso4",
    "two_stream_video",
    "cnn_rnn",
    "tall_swin",
]
NETWORKS += ["clip_vit_l14", "tall_plus_plus", "fusion_2d_3d"]


def saved(name, folder, **arguments):
    """A tiny network whose vectors (biases, statistics of normalisation) have values of their own, and its folder."""
    keras.utils.set_random_seed(0)
    arguments = TINY[name] | arguments
    model, rng = models.build(name, **arguments), np.random.default_rng(0)
    model.set_weights([w + rng.uniform(0, 0.3, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
    save_model(folder, model, recipe_of(model, arguments))
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_it_scores_as_the_network_that_could_train(name, tmp_path):
    model = saved(name, tmp_path / "model")
    inputs = random_inputs(model, batch=3)
    expected = model.predict_on_batch(inputs)
    traced, recipe = load_traced(tmp_path / "model")
    assert recipe.network == name == traced.name and [i.name for i in traced.inputs] == [i.name for i in model.inputs]
    # 1e-5 of the largest; where logits of three inputs differ by little, a hundredth of that.
    tolerance = max(1e-6 * np.abs(expected).max(), min(1e-5 * np.abs(expected).max(), 1e-2 * np.ptp(expected)))
    np.testing.assert_allclose(traced.predict_on_batch(inputs), expected, rtol=0, atol=tolerance)
    # Any number of examples, in one graph; another type of pixels in another.
    one = {name: value[:1].astype(np.float32) for name, value in inputs.items()}
    np.testing.assert_allclose(traced.predict_on_batch(one), expected[:1], rtol=0, atol=tolerance)
    keras.backend.clear_session()
    gc.collect()


def test_networks_built_afterwards_start_as_ever(tmp_path):
    saved("meso4", tmp_path / "model")
    traced, _ = load_traced(tmp_path / "model")
    # Keras gives values to what it noted as without them when the next network is built.
    other = saved("efficientnet_b0", tmp_path / "other")
    assert np.isfinite(other.predict_on_batch(random_inputs(other))).all()
    assert all(weight._value is None for weight in traced._model.weights)


def test_normalisation_is_one_sum_or_a_product_and_a_sum(tmp_path):
    model = saved("efficientnet_b4_att", tmp_path / "model")
    traced, _ = load_traced(tmp_path / "model")
    inputs = random_inputs(model)
    traced.predict_on_batch(inputs)
    (graph,) = (function.graph for function in traced._graphs.values())
    kinds = [operation.type for operation in graph.get_operations()]
    norms = [layer for layer in model.layers if isinstance(layer, ExactBatchNormalization)]
    assert len(norms) > 20 and not {"Rsqrt", "Sqrt", "RealDiv", "ReadVariableOp"} & set(kinds)


def test_threads_share_one(tmp_path):
    model = saved("meso4", tmp_path / "model")
    traced, _ = load_traced(tmp_path / "model")
    inputs, answers = random_inputs(model), {}
    threads = [
        threading.Thread(target=lambda n=n: answers.update({n: traced.predict_on_batch(inputs)})) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4 and len(traced._graphs) == 1
    for answer in answers.values():
        np.testing.assert_array_equal(answer, answers[0])


def test_keras_runs_a_verdict_so(tmp_path):
    saved("meso4", tmp_path / "model")
    assert isinstance(choice.load_for_verdict(tmp_path / "model", "keras")[0], TracedModel)
    # Maps of where it looks need its layers.
    assert choice.load_for_verdict(tmp_path / "model", "keras", with_layers=True)[0].get_layer("conv1")
