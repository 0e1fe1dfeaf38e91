"""Large networks go through LiteRT's converter in pieces, and are one file of the same scores."""

import numpy as np
import pytest
from support.tiny_models import TINY, random_inputs

from tfdeepfake import models
from tfdeepfake.compiled.convert import _converted, convert, convert_to_file
from tfdeepfake.compiled.pieces import pieces
from tfdeepfake.compiled.repeats import Block, signature
from tfdeepfake.litert.join import join
from tfdeepfake.litert.network import Network


@pytest.fixture(params=["clip_vit_l14", "two_stream_frame", "cnn3d"])
def network(request):
    return models.build(request.param, **TINY[request.param])


def test_one_file_of_many_pieces_scores_as_keras(network, tmp_path):
    parts = pieces(network, 4000)
    assert len(parts) > (1 if "flow" in {tensor.name for tensor in network.inputs} else 3), "nothing would be joined"
    weights = [id(w) for part in parts for step in part.operations for w in getattr(step, "weights", ())]
    assert sorted(weights) == sorted(id(w) for w in network.weights), "each weight is in one piece"
    convert_to_file(lambda: network, tmp_path / "joined.tflite", 4000)
    assert [path.name for path in tmp_path.iterdir()] == ["joined.tflite"], "the pieces are gone"
    joined, inputs = Network(tmp_path / "joined.tflite"), random_inputs(network, batch=1)
    assert set(joined.inputs) == {tensor.name for tensor in network.inputs}
    (got,) = joined(**inputs).values()
    np.testing.assert_allclose(got, network.predict_on_batch(inputs), rtol=1e-5, atol=1e-5)
    (whole,) = Network(convert(network))(**inputs).values()
    np.testing.assert_allclose(got, whole, rtol=1e-5, atol=1e-5)


def test_a_neck_is_where_one_tensor_leads_on():
    import keras

    inputs = keras.Input((8,))
    first = keras.layers.Dense(8, name="first")(inputs)
    left, right = (keras.layers.Dense(8, name=name)(first) for name in ("left", "right"))
    added = keras.layers.Add(name="added")([left, right])
    skipping = keras.layers.Add(name="skipping")([keras.layers.Dense(8, name="inner")(added), first])
    model = keras.Model(inputs, keras.layers.Dense(1, name="last")(skipping))
    ends = [part.operations[-1].name for part in pieces(model, 1)]
    assert ends == ["first", "skipping", "last"], "what `first` gives is still needed until `skipping`"
    assert [part.operations[-1].name for part in pieces(model, 10**9)] == ["last"]


def test_what_does_not_fit_is_not_joined(tmp_path):
    import keras

    paths = []
    for number, (units, entries) in enumerate([(3, 4), (2, 5)]):
        inputs = keras.Input((entries,), name="frames")
        model = keras.Model(inputs, keras.layers.Dense(units)(inputs))
        paths.append(tmp_path / f"{number}.tflite")
        paths[-1].write_bytes(_content(model))
    with pytest.raises(ValueError, match=r"1.tflite: takes \[1, 5\], and \[1, 3\] comes"):
        join(paths, tmp_path / "joined.tflite")
    assert not (tmp_path / "joined.tflite").exists()


def _content(model):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()


def test_blocks_built_alike_are_converted_once(monkeypatch, tmp_path):
    from tfdeepfake.compiled import convert as converting

    whole, runs = converting._converted, []
    monkeypatch.setattr(converting, "_converted", lambda part, model: runs.append(part) or whole(part, model))
    model = models.build("clip_vit_l14", **TINY["clip_vit_l14"] | {"depth": 5})
    before = [weight.numpy() for weight in model.weights]
    convert_to_file(lambda: model, tmp_path / "joined.tflite", 4000)
    alike = [signature(part) for part in pieces(model, 4000)]
    assert len(runs) == len(set(alike)) < len(alike) - 2
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_block_whose_weights_were_put_together_is_converted_itself():
    import keras

    inputs = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(inputs)
    model = keras.Model(inputs, keras.layers.BatchNormalization()(x))
    function = keras.Function(model.inputs, model.outputs[0])
    before = [weight.numpy() for weight in model.weights]
    block = Block(function, lambda part: _converted(part, model))
    assert block.filled(function) is None
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
