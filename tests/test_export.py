"""The SavedModel scores as the saved model folder does."""

import errno
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_model, save_model
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.scoring.classes import class_probabilities, log_odds
from tfdeepfake.serving.export import export
from tfdeepfake.verdict.inference import check_model

# A PredictRequest and a GetModelMetadataRequest as tensorflow-serving-api 2.21.0 writes them (see the test).
PREDICT = "0a0a0a016d120208031a0173121b0a0178121608011208120208011202080222080000803f000000401a016f"
# A PredictResponse with logit = float32 [0.5, -2] in `float_val`, as TF Serving writes it.
PREDICTED = "0a1b0a056c6f676974121208011204120208022a080000003f000000c0"
METADATA = "0a082206737461626c65120d7369676e61747572655f646566"
# Loaded where the package does not exist: a server has TensorFlow and nothing of ours.
SERVER = """
import sys
import numpy as np
import tensorflow as tf
folder, inputs, outputs = sys.argv[1:]
signature = tf.saved_model.load(folder).signatures["serving_default"]
given = {name: tf.constant(value) for name, value in np.load(inputs).items()}
assert {k: v.dtype.name for k, v in signature.structured_input_signature[1].items()} == {
    k: v.dtype.name for k, v in given.items()}, signature.structured_input_signature
np.savez(outputs, **{name: value.numpy() for name, value in signature(**given).items()})
assert "tfdeepfake" not in sys.modules
"""


def network(shape, flow, num_classes=1):
    """A small network with a convolution, a dense layer and batch norm, its weights random."""
    inputs = {"frames": keras.Input((*shape, 3), name="frames")}
    x = keras.layers.Rescaling(1 / 127.5, -1, name="scale")(inputs["frames"])
    if flow:
        inputs["flow"] = keras.Input((*shape, 2), name="flow")
        x = keras.layers.Concatenate()([x, inputs["flow"]])
    conv = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[len(shape)]
    x = keras.layers.BatchNormalization(name="norm")(conv(4, 3, activation="relu", name="conv")(x))
    weights = keras.layers.Conv2D(1, 1, activation="sigmoid", name="attention")(
        x if conv is keras.layers.Conv2D else x[:, 0]
    )
    x = keras.layers.Concatenate(name="embedding")([keras.layers.Flatten()(x), keras.layers.Flatten()(weights)])
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="logits")(x))


def saved(tmp_path, monkeypatch, shape=(12, 20), flow=False, temperature=1.0, num_classes=1, classes=None):
    keras.utils.set_random_seed(3)
    model = network(shape, flow, num_classes)
    monkeypatch.setattr(models, "build", lambda name, **args: network(shape, flow, num_classes))
    input_type = "clip" if len(shape) == 3 else "flow" if flow else "frame"
    data = DataRecipe(
        input_type=input_type,
        num_frames=shape[0] if input_type == "clip" else 16,
        height_px=shape[-2],
        width_px=shape[-1],
        flow="dis" if flow else "none",
    )
    save_model(tmp_path / "model", model, Recipe("small", data=data, temperature=temperature, classes=classes))
    return tmp_path / "model", data


@pytest.mark.parametrize("shape, flow", [((12, 20), False), ((12, 20), True), ((4, 12, 20), True)])
def test_scores_equal_those_of_predict(tmp_path, monkeypatch, shape, flow):
    folder, _ = saved(tmp_path, monkeypatch, shape, flow, temperature=2.5)
    served = export(folder, tmp_path / "served", version=7)
    assert served == tmp_path / "served" / "7"
    rng = np.random.default_rng(0)
    inputs = {"frames": rng.integers(0, 256, (5, *shape, 3), np.uint8)}
    if flow:
        inputs["flow"] = rng.normal(0, 3, (5, *shape, 2)).astype(np.float32)
    np.savez(tmp_path / "inputs.npz", **inputs)
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(served), str(tmp_path / "inputs.npz"), str(tmp_path / "outputs.npz")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "outputs.npz")
    expected = load_model(folder)[0].predict(inputs, verbose=0)[:, 0]
    assert np.ptp(expected) > 0.01, "constant scores would prove nothing"
    np.testing.assert_allclose(outputs["logit"], expected, atol=1e-6, rtol=0)
    np.testing.assert_allclose(outputs["probability"], 1 / (1 + np.exp(-expected / 2.5)), atol=1e-6, rtol=0)
    one = {name: value[:1] for name, value in inputs.items()}
    import tensorflow as tf

    single = tf.saved_model.load(str(served)).signatures["serving_default"](
        **{n: tf.constant(v) for n, v in one.items()}
    )
    # Sums of 700 products come in another order for one example than for five.
    np.testing.assert_allclose(single["logit"], expected[:1], atol=3e-6, rtol=0)


@pytest.mark.parametrize("names", [["real", "Deepfakes", "FaceSwap"], ["cat", "dog", "bird"]])
def test_a_network_of_k_classes_serves_their_probabilities(tmp_path, monkeypatch, names):
    import tensorflow as tf

    folder, _ = saved(tmp_path, monkeypatch, temperature=2.0, num_classes=3, classes=names)
    served = export(folder, tmp_path / "served")
    frames = np.random.default_rng(0).integers(0, 256, (5, 12, 20, 3), np.uint8)
    outputs = tf.saved_model.load(str(served)).signatures["serving_default"](frames=tf.constant(frames))
    model, recipe = load_model(folder)
    expected = model.predict(frames, verbose=0)
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-6, rtol=0)
    assert json.loads((served / "assets.extra" / "recipe.json").read_text())["classes"] == names == recipe.classes
    if names[0] != "real":
        odds = np.exp(expected / 2.0)
        np.testing.assert_allclose(outputs["probabilities"], odds / odds.sum(1, keepdims=True), atol=1e-6, rtol=0)
        assert set(outputs) == {"logits", "probabilities"}
        with pytest.raises(InputError, match="gives 3 classes, of which the first is 'cat'; a detector needs"):
            check_model(model, recipe)
        return
    assert set(outputs) == {"logit", "probability", "logits", "probabilities"} and check_model(model, recipe) == "frame"
    np.testing.assert_allclose(outputs["logit"], log_odds(expected), atol=1e-5, rtol=0)
    np.testing.assert_allclose(outputs["probabilities"], class_probabilities(expected, 2.0), atol=1e-6, rtol=0)
    np.testing.assert_allclose(outputs["probability"], 1 - outputs["probabilities"][:, 0], atol=1e-6, rtol=0)


def test_names_of_classes_that_are_not_its_own_are_refused(tmp_path, monkeypatch):
    folder, _ = saved(tmp_path, monkeypatch, num_classes=3, classes=["real", "fake"])
    with pytest.raises(InputError, match=r"gives 3 outputs, the recipe names \['real', 'fake'\]"):
        export(folder, tmp_path / "served")
    for names in (["real", "real"], "real", [1, 2]):
        with pytest.raises(ValueError, match="classes needs a list of different names"):
            Recipe("small", classes=names)


def test_the_recipe_travels_and_nothing_half_written_stays(tmp_path, monkeypatch, capfd):
    folder, data = saved(tmp_path, monkeypatch)
    capfd.readouterr()
    served = export(folder, tmp_path / "served")
    said = capfd.readouterr()
    assert not said.out and "Endpoint" not in said.err, "the export is quiet"
    for recipe in (tmp_path / "served" / "recipe.json", served / "assets.extra" / "recipe.json"):
        assert DataRecipe(**json.loads(recipe.read_text())["data"]) == data
    names = ["1", "README.md", "batching.config", "client.py", "models.config", "recipe.json"]
    assert sorted(p.name for p in (tmp_path / "served").iterdir()) == names
    readme = (tmp_path / "served" / "README.md").read_text()
    assert "# served: small for TF Serving" in readme and "$" not in readme.replace("$PWD", "").replace('"$(base64', "")
    assert 'name: "served"' in (tmp_path / "served" / "models.config").read_text()
    assert "allowed_batch_sizes: 32" in (tmp_path / "served" / "batching.config").read_text()
    with pytest.raises(InputError, match="my model: needs letters, digits, '.', '_' and '-', got 'my model'"):
        export(folder, tmp_path / "my model")

    # The client asks for the model by its name wherever it lies, and ends with 1 where a video cannot be judged.
    (tmp_path / "served").rename(tmp_path / "elsewhere")
    asked = [sys.executable, tmp_path / "elsewhere" / "client.py", "http://127.0.0.1:9", tmp_path / "absent.mp4"]
    client = subprocess.run(asked, capture_output=True, text=True)
    assert client.returncode == 1 and "absent.mp4: does not exist." in client.stdout, client
    assert 'NAME = "served"' in (tmp_path / "elsewhere" / "client.py").read_text()


@pytest.mark.parametrize("shape, flow", [((12, 20), False), ((4, 12, 20), True)])
def test_jpeg_files_score_as_their_pixels_and_the_embedding_is_that_layer(tmp_path, monkeypatch, shape, flow):
    import tensorflow as tf

    folder, _ = saved(tmp_path, monkeypatch, shape, flow)
    loaded = tf.saved_model.load(str(export(folder, tmp_path / "served")))  # a reference, because it owns the weights
    named, rng = loaded.signatures, np.random.default_rng(1)
    assert set(named) == {"serving_default", "serve_jpeg", "embed", "attention"}
    images = rng.integers(0, 256, (2, *shape[:-2], 12, 20, 3), np.uint8)
    files = np.array([tf.io.encode_jpeg(i, quality=95).numpy() for i in images.reshape(-1, 12, 20, 3)], object)
    pixels = np.stack([tf.io.decode_jpeg(f, dct_method="INTEGER_ACCURATE").numpy() for f in files]).reshape(
        images.shape
    )
    more = {"flow": tf.constant(rng.normal(0, 3, (2, *shape, 2)).astype(np.float32))} if flow else {}
    of_pixels = named["serving_default"](frames=tf.constant(pixels), **more)
    of_files = named["serve_jpeg"](frames_bytes=tf.constant(files.reshape(images.shape[:-3])), **more)
    np.testing.assert_array_equal(of_files["logit"], of_pixels["logit"])
    assert np.ptp(of_pixels["logit"]) > 1e-3, "constant scores would prove nothing"
    model, _ = load_model(folder)
    inputs = {"frames": pixels} | {name: value.numpy() for name, value in more.items()}
    for signature, layer in (("embed", "embedding"), ("attention", "attention")):
        expected = keras.Model(model.inputs, model.get_layer(layer).output).predict(inputs, verbose=0)
        got = named[signature](frames=tf.constant(pixels), **more)[layer]
        assert got.shape == (expected.shape if layer == "embedding" else expected.shape[:-1])
        np.testing.assert_allclose(got, expected.reshape(got.shape), atol=1e-6, rtol=0)
    # A larger file is resized; one that would be too large is refused by its header, as is what is no JPEG file.
    ramp = np.linspace(0, 255, 20)[None, :, None] * np.ones((12, 1, 3))
    small, large = (np.kron(ramp, np.ones((k, k, 1))).astype(np.uint8) for k in (1, 8))
    rest = {name: value[:1] for name, value in more.items()}
    file = tf.fill((1, *shape[:-2]), tf.io.encode_jpeg(large, quality=99, chroma_downsampling=False))
    resized = named["serve_jpeg"](frames_bytes=file, **rest)
    alike = named["serving_default"](frames=tf.constant(np.broadcast_to(small, (1, *shape, 3))), **rest)
    np.testing.assert_allclose(resized["logit"], alike["logit"], atol=0.03)
    huge = bytearray(files[0])
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = b"\xff\xff\xff\xff"
    for bad in (b"no image", bytes(huge)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            named["serve_jpeg"](frames_bytes=tf.fill((1, *shape[:-2]), bad), **rest)


def test_warm_up_requests_are_answered_by_the_model(tmp_path, monkeypatch):
    import tensorflow as tf

    from tfdeepfake.serving.messages import messages

    folder, _ = saved(tmp_path, monkeypatch, (4, 12, 20), flow=True)
    served = export(folder, tmp_path / "served")
    loaded = tf.saved_model.load(str(served))
    path, asked = served / "assets.extra" / "tf_serving_warmup_requests", []
    for record in tf.data.TFRecordDataset(str(path)):
        request = messages().PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "served"
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        answer = loaded.signatures[request.model_spec.signature_name](**inputs)
        asked.append((request.model_spec.signature_name, len(next(iter(answer.values())))))
    assert asked == [("serving_default", 1), ("serve_jpeg", 1), ("embed", 1), ("attention", 1), ("serving_default", 4)]


def test_messages_are_those_of_tensorflow_serving():
    # Version 3 of "m", its signature "s", its output "o", x = float32 [[1, 2]]; and the metadata of the label "stable".
    import tensorflow as tf

    from tfdeepfake.serving.messages import fill_tensor, messages

    request = messages().PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "m", "s"
    request.model_spec.version.value = 3
    request.output_filter.append("o")
    fill_tensor(request.inputs["x"], np.float32([[1, 2]]))
    assert request.SerializeToString().hex() == PREDICT
    about = messages().GetModelMetadataRequest(metadata_field=["signature_def"])
    about.model_spec.version_label = "stable"
    assert about.SerializeToString().hex() == METADATA
    read = messages().PredictRequest.FromString(bytes.fromhex(PREDICT))
    np.testing.assert_array_equal(tf.make_ndarray(read.inputs["x"]), [[1, 2]])


def test_a_client_writes_and_reads_them_without_tensorflow():
    code = f"""
import sys
import numpy as np
from tfdeepfake.serving.messages import fill_tensor, predict_messages, scores_of
request = predict_messages().PredictRequest()
request.model_spec.name, request.model_spec.signature_name = "m", "s"
request.model_spec.version.value = 3
request.output_filter.append("o")
fill_tensor(request.inputs["x"], np.float32([[1, 2]]))
assert request.SerializeToString().hex() == "{PREDICT}"
# What a server answers: numbers one by one, as TF Serving sends them, or as bytes.
answer = predict_messages().PredictResponse.FromString(bytes.fromhex("{PREDICTED}"))
assert scores_of(answer.outputs["logit"]).tolist() == [0.5, -2.0]
fill_tensor(answer.outputs["votes"], np.float32([[1, 2]]))
assert scores_of(answer.outputs["votes"]).tolist() == [[1, 2]]
for wrong in (np.int64([1]), np.float64([1])):
    tensor = predict_messages().PredictResponse().outputs["logit"]
    fill_tensor(tensor, wrong)
    try:
        scores_of(tensor)
    except ValueError:
        continue
    raise AssertionError(wrong.dtype)
assert not {{"tensorflow", "keras"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_version_in_use_is_not_overwritten(tmp_path, monkeypatch):
    folder, _ = saved(tmp_path, monkeypatch)
    (tmp_path / "served" / "2").mkdir(parents=True)
    with pytest.raises(InputError, match="exists already"):
        export(folder, tmp_path / "served", version=2)
    for version in (0, "1", 1.5):
        with pytest.raises(InputError, match="positive integer"):
            export(folder, tmp_path / "served", version=version)


def test_a_full_disk_leaves_no_version(tmp_path, monkeypatch):
    import tensorflow as tf

    folder, _ = saved(tmp_path, monkeypatch)

    def full(*args, **options):
        raise errors[-1]

    errors = [
        OSError(errno.ENOSPC, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "served/1/variables; No space left on device"),
    ]
    while errors:
        monkeypatch.setattr(tf.saved_model, "save", full)
        with pytest.raises(InputError, match="disk is full"):
            export(folder, tmp_path / "served")
        assert not list((tmp_path / "served").iterdir())
        errors.pop()
