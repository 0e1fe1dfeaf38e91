"""Frame networks that others build on: RGB frames 0..255 -> the map `features`.

`resnet50` (arXiv:1512.03385) is the one of `keras.applications`, layer for layer, so that its ImageNet file fits;
`small` is a residual network that learns from scratch on a CPU in minutes.
"""

import re

import keras
from keras import layers, ops

from tfdeepfake.errors import InputError
from tfdeepfake.layers import contract
from tfdeepfake.layers.exact import ExactBatchNormalization
from tfdeepfake.weights import keras_h5

BACKBONES = ("resnet50", "small")
RESNET50_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
RESNET50_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{RESNET50_FILE}"
RESNET50_MD5 = "4d473c1dd8becc155b73f8504c6f6626"


def frame_map(x: keras.KerasTensor, backbone: str = "resnet50", width: int = 16) -> keras.KerasTensor:
    """The map `features` of single frames.

    Args:
      x: float32 [B, H, W, 3] RGB 0..255.
      backbone: "resnet50" or "small".
      width: channels of the first stage of "small"; the last has 8 times as many.
    Returns:
      [B, h, w, C]: ceil(H/32), ceil(W/32), 2048 for "resnet50"; ceil(H/16), ceil(W/16), 8 * width for "small".
    """
    if backbone == "resnet50":
        return resnet50(x)
    if backbone == "small":
        return small(x, width)
    raise ValueError(f"backbone needs one of {BACKBONES}, got {backbone!r}.")


def load(model: keras.Model, backbone: str, weights: str | None) -> keras.Model:
    """Loads published weights into the backbone's layers of `model`; other layers keep theirs.

    Args:
      model: keras.Model built on `frame_map`.
      weights: None (random), "imagenet" (the file of `keras.applications`, downloaded once), or the path of that file.
    Returns:
      The model.
    Raises:
      InputError: the file cannot be fetched, or is not ResNet50's.
      ValueError: the backbone has no published weights.
    """
    if weights is None:
        return model
    if backbone != "resnet50":
        raise ValueError(f"weights needs None with backbone {backbone!r} (only resnet50 has any), got {weights!r}.")
    path = imagenet_file() if weights == "imagenet" else weights
    ours = keras_h5.variables(layer for layer in model.layers if re.match(r"conv[1-5]_", layer.name))
    # The file with the 1000-class head is as good as the one without.
    keras_h5.load(path, ours, ignore=("predictions", "fc1000"))
    return model


def imagenet_file() -> str:
    """Path of ResNet50's ImageNet file, downloaded on first use."""
    try:
        return keras.utils.get_file(RESNET50_FILE, RESNET50_URL, cache_subdir="models", file_hash=RESNET50_MD5)
    except Exception as error:  # get_file raises bare Exception for every kind of failed download
        raise InputError(
            "weights='imagenet'",
            f"cannot be downloaded from {RESNET50_URL} ({error}).",
            "Fetch that file on a machine with network and give its path as `weights`, or train from scratch with "
            "weights=None.",
        ) from None


def resnet50(x: keras.KerasTensor) -> keras.KerasTensor:
    """ResNet50 up to its last map. Normalisation is that of its ImageNet file (BGR minus means) with any weights.

    Args:
      x: float32 [B, H, W, 3] RGB 0..255.
    Returns:
      [B, ceil(H/32), ceil(W/32), 2048]: 7 x 7 at 224 x 224. P2's tables print 7 x 7 for 108 x 192 too,
      where it is 4 x 6; pooled, both are 2048 features.
    """
    x = ops.flip(x, axis=-1)
    x = layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68], dtype="float32", name="normalize")(x)
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = layers.ReLU(name="conv1_relu")(_conv_norm(x, 64, 7, "conv1", strides=2, padding="valid"))
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=2):
        for block in range(1, blocks + 1):
            name = f"conv{stage}_block{block}"
            # The first block of stages 3 to 5 halves the map, in its first convolution as in the original.
            strides = 2 if block == 1 and stage > 2 else 1
            short = _conv_norm(x, 4 * width, 1, f"{name}_0", strides) if block == 1 else x
            x = layers.ReLU(name=f"{name}_1_relu")(_conv_norm(x, width, 1, f"{name}_1", strides))
            x = layers.ReLU(name=f"{name}_2_relu")(_conv_norm(x, width, 3, f"{name}_2"))
            x = layers.Add(name=f"{name}_add")([short, _conv_norm(x, 4 * width, 1, f"{name}_3")])
            x = layers.ReLU(name="features" if (stage, block) == (5, 3) else f"{name}_out")(x)
    return x


def _conv_norm(x, filters, kernel, name, strides=1, padding="same"):
    x = layers.Conv2D(filters, kernel, strides, padding, name=f"{name}_conv")(x)
    return ExactBatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(x)


def small(x: keras.KerasTensor, width: int = 16) -> keras.KerasTensor:
    """Four residual blocks for small crops (64 to 128 px); 0.3 M parameters at width 16.

    Args:
      x: float32 [B, H, W, 3] RGB 0..255.
    Returns:
      [B, ceil(H/16), ceil(W/16), 8 * width].
    """
    x = contract.pixels_between(x, -1, 1)
    x = layers.ReLU(name="stem_relu")(_small_conv(x, width, "stem", strides=2))
    # The last block keeps the map's size, so that a heat map over a 64 px crop still has 4 x 4 cells.
    for block, (factor, strides) in enumerate(((1, 2), (2, 2), (4, 2), (8, 1)), start=1):
        name = f"block{block}"
        filters = factor * width
        short = _small_conv(x, filters, f"{name}_short", strides, kernel=1)
        x = layers.ReLU(name=f"{name}_relu")(_small_conv(x, filters, f"{name}_1", strides))
        x = layers.Add(name=f"{name}_add")([short, _small_conv(x, filters, f"{name}_2")])
        x = layers.ReLU(name="features" if block == 4 else f"{name}_out")(x)
    return x


def _small_conv(x, filters, name, strides=1, kernel=3):
    x = layers.Conv2D(filters, kernel, strides, "same", use_bias=False, name=f"{name}_conv")(x)
    # Momentum 0.9: the running statistics must settle within the few hundred steps of a short training.
    return ExactBatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
