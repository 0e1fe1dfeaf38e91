"""Every network in its compiled form: the same logits as from Keras."""

import gc

import keras
import numpy as np
import pytest
from support.tiny_models import SAME_WHEN_TINY, TINY, random_inputs

from tfdeepfake import models
from tfdeepfake.compiled.convert import convert
from tfdeepfake.compiled.folder import CompiledModel

# Their layers and paddings are those of others here, and conversion takes a second or two each.
SIBLINGS = {f"efficientnet_b{n}" for n in range(6)} | {"efficientnet_b4_att", "efficientnet_b4_st", "attention2d"}
SIBLINGS |= {"xception_st", "tall_efficientnet_b4", "ensemble3d", "r2plus1d_50", "resnet3d_50"}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()
    gc.collect()


@pytest.mark.parametrize("name", [name for name in models.MODELS if name not in SIBLINGS | set(SAME_WHEN_TINY)])
def test_the_compiled_network_scores_as_keras(name):
    # Half of them with K classes, as in the sweep of exports.
    arguments = TINY[name] | ({"num_classes": 3} if list(models.MODELS).index(name) % 2 else {})
    model = models.build(name, **arguments)
    inputs = random_inputs(model, batch=2)
    expected = model.predict_on_batch(inputs)
    compiled = CompiledModel(convert(model), name)
    assert {i.name: tuple(i.shape[1:]) for i in compiled.inputs} == {i.name: i.shape[1:] for i in model.inputs}
    # 1e-5 of the largest, which also holds where untrained networks give logits of 1e-5.
    scale = np.abs(expected).max()
    np.testing.assert_allclose(compiled.predict_on_batch(inputs), expected, rtol=0, atol=1e-5 * scale)
    np.testing.assert_array_equal(model.predict_on_batch(inputs), expected, "the network itself is left as it was")
