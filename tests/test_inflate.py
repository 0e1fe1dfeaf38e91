"""Inflation: on a clip of one repeated frame a 3D network gives the features of the 2D network it came from."""

import keras
import numpy as np
import pytest
from keras import layers

from tfdeepfake import models
from tfdeepfake.errors import InputError
from tfdeepfake.layers.inflate import inflate
from tfdeepfake.models.i3d import BLOCKS, IMAGENET_FILE, load_imagenet, module_name_imagenet


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()


def test_inflated_kernel_sums_to_the_kernel():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 5)).astype("float32")
    for time in (1, 3, 7):
        assert inflate(kernel, time).shape == (time, 3, 3, 2, 5) and inflate(kernel, time).dtype == np.float32
        np.testing.assert_allclose(inflate(kernel, time).sum(axis=0), kernel, rtol=1e-6)
    with pytest.raises(ValueError, match="kernel needs the shape"):
        inflate(kernel[0], 3)


def repeated(frames, size, seed=1):
    """An image, and a clip of it."""
    image = np.random.default_rng(seed).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    return image, np.repeat(image[:, None], frames, axis=1)


def features(model, value):
    return np.asarray(keras.Model(model.input, model.get_layer("features").output)(value, training=False))


def randomise(model, seed=2):
    """Statistics and scales of normalisation that are not 0 and 1."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            for variable in layer.weights:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))


def test_cnn3d_gives_the_features_of_resnet50(tmp_path):
    original = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(32, 48, 3))
    randomise(original)
    original.save(tmp_path / "resnet50.h5")
    # Half the receptive field in time is 3 (stem) + 2 * 1 (pool) + 4 * 16 (3x3x3) of 1/4 frames: 72 frames at each end.
    frames = 168
    model = models.build("cnn3d", input_size=(32, 48), num_frames=frames, weights=str(tmp_path / "resnet50.h5"))
    image, clip = repeated(frames, (32, 48))
    expected = np.asarray(original(keras.applications.resnet50.preprocess_input(image.astype("float32"))))
    got = features(model, {"frames": clip})
    assert got.shape == (1, 42, 1, 2, 2048) and expected.std() > 0
    np.testing.assert_allclose(
        got[:, 18:24], np.repeat(expected[:, None], 6, axis=1), rtol=1e-3, atol=1e-4 * expected.max()
    )
    # Padding with zeros in time shows at the ends.
    assert np.abs(got[:, 0] - expected).max() > 0.01 * expected.max()


def inception_2d(width):
    """The 2D Inception, written with 2D layers under the same names."""

    def unit(x, filters, kernel, strides, name):
        x = layers.Conv2D(filters, kernel, strides, "same", use_bias=False, name=f"{name}_conv3d")(x)
        return layers.ReLU()(layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x))

    frames = keras.Input((64, 64, 3), name="frames")
    x = unit(layers.Rescaling(2 / 255, -1.0)(frames), width, 7, 2, "Conv3d_1a_7x7")
    x = unit(layers.MaxPooling2D(3, 2, "same")(x), width, 1, 1, "Conv3d_2b_1x1")
    x = layers.MaxPooling2D(3, 2, "same")(unit(x, 3 * width, 3, 1, "Conv3d_2c_3x3"))
    for name, channels in BLOCKS.items():
        x = layers.MaxPooling2D(3, 2, "same")(x) if name == "Mixed_4b" else x
        x = layers.MaxPooling2D(2, 2, "same")(x) if name == "Mixed_5b" else x
        a, b, c, d, e, f = (width * n // 64 for n in channels)
        pooled = layers.MaxPooling2D(3, 1, "same")(x)
        x = layers.Concatenate()(
            [
                unit(x, a, 1, 1, f"{name}_b0"),
                unit(unit(x, b, 1, 1, f"{name}_b1a"), c, 3, 1, f"{name}_b1b"),
                unit(unit(x, d, 1, 1, f"{name}_b2a"), e, 3, 1, f"{name}_b2b"),
                unit(pooled, f, 1, 1, f"{name}_b3b"),
            ]
        )
    return keras.Model(frames, layers.Activation("linear", name="features")(x))


def imagenet_file(original):
    """The tensors of `original` under the names of torchvision's file, with the heads it has beside them."""
    tensors = {}
    endings = {"kernel": "weight", "gamma": "weight", "beta": "bias"}
    endings |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    for layer in original.layers:
        for variable in layer.weights:
            short = variable.path.rsplit("/", 1)[-1]
            array = np.asarray(variable)
            array = np.moveaxis(array, (-1, -2), (0, 1)) if short == "kernel" else array
            tensors[f"{module_name_imagenet(layer.name)}.{endings[short]}"] = array
    return tensors | {"fc.weight": np.zeros((1000, 128)), "aux1.conv.conv.weight": np.zeros((4, 4, 1, 1))}


def test_i3d_gives_the_features_of_inception():
    original = inception_2d(8)
    randomise(original)
    tensors = imagenet_file(original)
    assert tensors["inception3a.branch2.1.conv.weight"].shape == (16, 12, 3, 3) and "conv3.bn.bias" in tensors
    frames = 192
    model = models.build("i3d", input_size=(64, 64), num_frames=frames, width=8)
    head = model.get_layer("logits").get_weights()
    load_imagenet(model, tensors, "googlenet.pth")
    image, clip = repeated(frames, (64, 64))
    expected, got = features(original, image), features(model, {"frames": clip})
    assert got.shape == (1, 24, 2, 2, 128) and expected.std() > 0
    np.testing.assert_allclose(
        got[:, 9:15], np.repeat(expected[:, None], 6, axis=1), rtol=1e-3, atol=1e-4 * expected.max()
    )
    assert np.abs(got[:, 0] - expected).max() > 0.01 * expected.max()
    assert all(np.array_equal(a, b) for a, b in zip(head, model.get_layer("logits").get_weights(), strict=True))


def test_a_2d_file_that_lacks_a_tensor_is_refused():
    tensors = imagenet_file(inception_2d(8))
    del tensors["inception4e.branch4.1.bn.bias"]
    model = models.build("i3d", input_size=(64, 64), num_frames=8, width=8)
    before = model.get_weights()
    with pytest.raises(InputError, match="missing inception4e.branch4.1.bn.bias"):
        load_imagenet(model, tensors, "googlenet.pth")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_imagenet_without_network_says_where_the_file_is(monkeypatch):
    def fails(*args, **kwargs):
        raise Exception(f"URL fetch failure on {args[1]}: None -- no route to host")

    monkeypatch.setattr(keras.utils, "get_file", fails)
    with pytest.raises(InputError, match="download.pytorch.org.*googlenet.*no route.*path as `weights`.*weights=None"):
        models.build("i3d", input_size=(32, 32), num_frames=8, width=8, weights="imagenet")


def test_a_downloaded_file_with_another_checksum_is_refused(monkeypatch, tmp_path):
    (tmp_path / IMAGENET_FILE).write_bytes(b"half a file")
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: str(tmp_path / IMAGENET_FILE))
    with pytest.raises(InputError, match="the checksum differs.*Delete it"):
        models.build("i3d", input_size=(32, 32), num_frames=8, width=8, weights="imagenet")
