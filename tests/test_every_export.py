"""Every network saved, loaded and served: the same logits from its folder and from its SavedModel."""

import gc

import keras
import numpy as np
import pytest
from support.tiny_models import SAME_WHEN_TINY, TINY, random_inputs, recipe_of, scores

from tfdeepfake import models
from tfdeepfake.model_folder import load_model, save_model
from tfdeepfake.serving.export import export

CLASSES = ["real", "Deepfakes", "FaceSwap"]


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()
    gc.collect()


def served(folder, inputs):
    """What the SavedModel in a folder answers: {output: array}."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))  # a reference, because it owns the weights
    answer = loaded.signatures["serving_default"](**{name: tf.constant(value) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in answer.items()}


@pytest.mark.parametrize("name", [name for name in models.MODELS if name not in SAME_WHEN_TINY])
def test_folder_and_saved_model_score_as_the_network(name, tmp_path):
    # Half of them with K classes: no head is left out, and the test of a head is that of the network behind it.
    classes = CLASSES if list(models.MODELS).index(name) % 2 else None
    arguments = TINY[name] | ({"num_classes": len(classes)} if classes else {})
    model = models.build(name, **arguments)
    inputs = random_inputs(model)
    save_model(tmp_path / "model", model, recipe_of(model, arguments, classes=classes))
    again, _ = load_model(tmp_path / "model")
    np.testing.assert_array_equal(scores(again, inputs), scores(model, inputs))

    expected = model.predict(inputs, verbose=0)
    folder = export(tmp_path / "model", tmp_path / "served")
    for batch in (4, 1):
        got = served(folder, {key: value[:batch] for key, value in inputs.items()})
        got = got["logits"] if classes else got["logit"][:, None]
        # 1e-5 of the largest: convolutions may sum in another order for another batch size.
        np.testing.assert_allclose(got, expected[:batch], rtol=0, atol=1e-5 * np.abs(expected).max())
