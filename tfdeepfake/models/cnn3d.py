"""`cnn3d`: ResNet50 inflated into time (P2 Table 6): (16, 224, 224, 3) -> (4, 7, 7, 2048) -> 2048 -> 1."""

import re

from keras import Model, layers, ops

from tfdeepfake.layers import contract
from tfdeepfake.layers.exact import ExactBatchNormalization
from tfdeepfake.layers.inflate import Inflated
from tfdeepfake.models import backbones
from tfdeepfake.weights import keras_h5


def cnn3d(
    input_size: tuple = (224, 224),
    num_frames: int = 16,
    num_classes: int = 1,
    dropout: float = 0.5,
    weights: str | None = None,
    width: int = 64,
    blocks: tuple = (3, 4, 6, 3),
) -> Model:
    """Scores a clip.

    P2 gives the sizes of Table 6 and says that a trained network was expanded in time. Those sizes are met when the
    stem and the first pool each halve time and the stages leave it; every kernel is inflated (1, 3 or 7 long in
    time), and the hidden layers the paper adds elsewhere are absent in its table.

    Args:
      input_size: (height, width) of a frame in px.
      num_frames: T, frames of a clip.
      num_classes: 1 for the logit of FAKE, K for K classes.
      dropout: before the last layer; the paper names dropout without a rate.
      weights: None (random), "imagenet" (the ResNet50 file of `keras.applications`, downloaded once and inflated), or
        the path of that file.
      width: channels of the stem; the last map has 32 times as many.
      blocks: of each stage.
    Returns:
      keras.Model {"frames": [B, T, H, W, 3]} -> float32 [B, num_classes]. `features` is [B, ceil(T/4), ceil(H/32),
      ceil(W/32), 32 * width].
    Raises:
      InputError: `weights` cannot be fetched or do not fit.
    """
    clip = contract.frames_input(input_size, num_frames)
    # Normalised as the ImageNet file wants it, with any weights: BGR minus means.
    x = ops.flip(clip, axis=-1)
    x = layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68], dtype="float32", name="normalize")(x)
    x = layers.ZeroPadding3D(3, name="conv1_pad")(x)
    x = layers.ReLU(name="conv1_relu")(_conv_norm(x, width, 7, "conv1", 2, "valid"))
    x = layers.MaxPooling3D(3, 2, name="pool1_pool")(layers.ZeroPadding3D(1, name="pool1_pad")(x))
    for stage, count in enumerate(blocks, start=2):
        inner = width * 2 ** (stage - 2)
        for block in range(1, count + 1):
            name = f"conv{stage}_block{block}"
            strides = (1, 2, 2) if block == 1 and stage > 2 else 1
            short = _conv_norm(x, 4 * inner, 1, f"{name}_0", strides) if block == 1 else x
            x = layers.ReLU(name=f"{name}_1_relu")(_conv_norm(x, inner, 1, f"{name}_1", strides))
            x = layers.ReLU(name=f"{name}_2_relu")(_conv_norm(x, inner, 3, f"{name}_2"))
            x = layers.Add(name=f"{name}_add")([short, _conv_norm(x, 4 * inner, 1, f"{name}_3")])
            x = layers.ReLU(name=f"{name}_out")(x)
    x = layers.Activation("linear", name="features")(x)
    x = layers.GlobalAveragePooling3D(name="embedding")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    model = Model({"frames": clip}, contract.logits(x, num_classes), name="cnn3d")
    return model if weights is None else load_imagenet(model, weights)


def _conv_norm(x, filters, kernel, name, strides=1, padding="same"):
    x = layers.Conv3D(filters, kernel, strides, padding, name=f"{name}_conv")(x)
    return ExactBatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(x)


def load_imagenet(model: Model, weights: str) -> Model:
    """Gives `model` the weights of a 2D ResNet50, inflated; the head keeps its own.

    Args:
      weights: "imagenet" or the path of a file of `keras.applications`.
    Returns:
      The model.
    """
    path = backbones.imagenet_file() if weights == "imagenet" else weights
    variables = keras_h5.variables(layer for layer in model.layers if re.match(r"conv[1-5]_", layer.name))
    inflated = {name: Inflated(variable) for name, variable in variables.items()}
    keras_h5.load(path, inflated, ignore=("predictions", "fc1000"))
    return model
