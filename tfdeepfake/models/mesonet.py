"""`meso4` and `meso_inception4`: small frame networks for faked faces (MesoNet, arXiv:1809.00888).

The authors' trained weights load through `tfdeepfake convert`. Their output near 1 means real; that is turned round.
"""

import re
from pathlib import Path

from keras import Model, layers

from tfdeepfake.layers import contract
from tfdeepfake.layers.exact import ExactBatchNormalization
from tfdeepfake.weights import keras_h5


def meso4(input_size: tuple = (256, 256), dropout: float = 0.5, num_classes: int = 1) -> Model:
    """Four convolutions and two linear layers; 28,073 parameters at 256 x 256.

    Args:
      input_size: (height, width) of a face crop in px.
      dropout: before each linear layer.
      num_classes: 1 for the logit of FAKE, K for K classes.
    Returns:
      keras.Model {"frames": [B, H, W, 3]} -> float32 [B, num_classes].
    """
    frames = contract.frames_input(input_size)
    x = contract.pixels_between(frames, 0, 1)
    x = _stage(_conv(x, 8, 3, "conv1"), 1)
    x = _stage(_conv(x, 8, 5, "conv2"), 2)
    return _head(frames, x, dropout, num_classes, "meso4")


def meso_inception4(input_size: tuple = (256, 256), dropout: float = 0.5, num_classes: int = 1) -> Model:
    """`meso4` with its first two convolutions replaced by branches of growing reach; 28,725 parameters at 256 x 256.

    For arguments and return see `meso4`.
    """
    frames = contract.frames_input(input_size)
    x = contract.pixels_between(frames, 0, 1)
    x = _stage(_inception(x, (1, 4, 4, 2), "conv1"), 1)
    x = _stage(_inception(x, (2, 4, 4, 2), "conv2"), 2)
    return _head(frames, x, dropout, num_classes, "meso_inception4")


def _conv(x, filters, kernel, name, dilation=1):
    return layers.Conv2D(filters, kernel, padding="same", dilation_rate=dilation, activation="relu", name=name)(x)


def _inception(x, widths, name):
    """A 1 x 1 convolution, and 3 x 3 ones at dilation 1, 2, 3 behind 1 x 1 ones of the same width, side by side.

    Names sort in the order of the authors' file, branch by branch, which `convert` relies on.
    """
    branches = [_conv(x, widths[0], 1, f"{name}_1_1")]
    for dilation, filters in enumerate(widths[1:], start=1):
        y = _conv(x, filters, 1, f"{name}_{dilation + 1}_1")
        branches.append(_conv(y, filters, 3, f"{name}_{dilation + 1}_2", dilation))
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _stage(x, number, pool=2):
    x = ExactBatchNormalization(name=f"bn{number}")(x)
    return layers.MaxPooling2D(pool, padding="same", name=f"pool{number}")(x)


def _head(frames, x, dropout, num_classes, name):
    """The second half of both networks."""
    x = _stage(_conv(x, 16, 5, "conv3"), 3)
    x = ExactBatchNormalization(name="bn4")(_conv(x, 16, 5, "conv4"))
    x = layers.Activation("linear", name="features")(x)
    x = layers.MaxPooling2D(4, padding="same", name="pool4")(x)
    x = layers.Dropout(dropout)(layers.Flatten(name="flatten")(x))
    x = layers.Dense(16, name="dense")(x)
    x = layers.LeakyReLU(negative_slope=0.1, name="embedding")(x)
    x = layers.Dropout(dropout)(x)
    return Model({"frames": frames}, contract.logits(x, num_classes), name=name)


def load_keras_weights(model: Model, file: str | Path) -> None:
    """Loads the authors' Keras 2 file and turns its polarity round: its output is the logit of real.

    Their layers are named by counters of the session that made them (conv2d_5 is the first of a file that starts at
    5), so the n-th convolution, normalisation and dense layer of the file is the n-th of the network. They trained 1 =
    real; sigmoid(-z) = 1 - sigmoid(z), so negating the last layer gives the logit of FAKE.
    """
    kinds = {"conv2d": layers.Conv2D, "batch_normalization": layers.BatchNormalization, "dense": layers.Dense}
    weighted = [layer for layer in model.layers if layer.weights]
    order = {name: [layer.name for layer in weighted if isinstance(layer, kind)] for name, kind in kinds.items()}
    # model.layers is ordered by depth; the file counts branch by branch, as the names sort.
    order["conv2d"].sort()

    def rename(names):
        numbered = {}
        for name in names:
            layer, weight = name.split("/")
            if match := re.fullmatch(r"(conv2d|batch_normalization|dense)_(\d+)", layer):
                numbered.setdefault(match[1], {}).setdefault(int(match[2]), []).append((name, weight))
        return {
            name: f"{ours}/{weight}"
            for kind, by_number in numbered.items()
            for (_, entries), ours in zip(sorted(by_number.items()), order[kind], strict=False)
            for name, weight in entries
        }

    keras_h5.load(file, keras_h5.variables(weighted), rename)
    logits = model.get_layer("logits")
    for variable in (logits.kernel, logits.bias):
        variable.assign(-variable)
