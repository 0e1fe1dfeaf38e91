"""`i3d`: Inception I3D (arXiv:1705.07750), in the form of its Kinetics checkpoints (P0 III-B, P3 Sec. 4).

Layer names are those of the common PyTorch file with "_" for "." (`module_name`). Everything is padded as TensorFlow
does, where the network comes from.
"""

import re

import keras
import numpy as np
from keras import Model, layers, ops

from tfdeepfake.errors import InputError
from tfdeepfake.files import sha256
from tfdeepfake.layers import contract
from tfdeepfake.layers.conv3d import norm, triple
from tfdeepfake.layers.inflate import inflate
from tfdeepfake.weights import torch_assign

# Channels of an inception block: 1x1x1 | 1x1x1, 3x3x3 | 1x1x1, 3x3x3 | max-pool, 1x1x1.
BLOCKS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# The 2D Inception with batch normalisation whose ImageNet weights can be inflated.
IMAGENET_FILE = "googlenet-1378be20.pth"
IMAGENET_URL = f"https://download.pytorch.org/models/{IMAGENET_FILE}"


def i3d(
    input_size: tuple = (224, 224),
    num_frames: int = 64,
    num_classes: int = 1,
    dropout: float = 0.5,
    width: int = 64,
    weights: str | None = None,
) -> keras.Model:
    """Scores a clip.

    Args:
      input_size: (height, width) of a frame in px.
      num_frames: T, frames of a clip; P3 has 64.
      num_classes: 1 for the logit of FAKE, K for K classes.
      dropout: before the last layer.
      width: channels of the first convolution, a multiple of 8; all others change with it.
      weights: None (random), "imagenet" (2D weights of torchvision's GoogLeNet, downloaded once and inflated), or the
        path of that file.
    Returns:
      keras.Model {"frames": [B, T, H, W, 3]} -> float32 [B, num_classes]. `features` is [B, ceil(T/8), ceil(H/32),
      ceil(W/32), 16 * width].
    Raises:
      InputError: `weights` cannot be fetched or do not fit.
      ValueError: an argument is out of range.
    """
    if not isinstance(width, int) or width < 8 or width % 8:
        raise ValueError(f"width needs a positive multiple of 8, got {width!r}.")
    clip = contract.frames_input(input_size, num_frames)
    x = contract.pixels_between(clip, -1, 1)
    x = _unit(x, width, 7, 2, "Conv3d_1a_7x7")
    x = _pool(x, (1, 3, 3), (1, 2, 2), "MaxPool3d_2a_3x3")
    x = _unit(x, width, 1, 1, "Conv3d_2b_1x1")
    x = _unit(x, 3 * width, 3, 1, "Conv3d_2c_3x3")
    x = _pool(x, (1, 3, 3), (1, 2, 2), "MaxPool3d_3a_3x3")
    for name, channels in BLOCKS.items():
        if name == "Mixed_4b":
            x = _pool(x, 3, 2, "MaxPool3d_4a_3x3")
        if name == "Mixed_5b":
            x = _pool(x, 2, 2, "MaxPool3d_5a_2x2")
        x = _inception(x, [width * n // 64 for n in channels], name)
    x = layers.Activation("linear", name="features")(x)
    x = ops.mean(x, axis=(2, 3))
    # The published head averages pairs of times, then classifies each pair, then takes the mean; the classifier is
    # linear, so its turn may come last.
    x = layers.AveragePooling1D(min(2, x.shape[1]), 1, name="pairs")(x)
    x = layers.GlobalAveragePooling1D(name="embedding")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    model = Model({"frames": clip}, contract.logits(x, num_classes), name="i3d")
    if weights is not None:
        path = _imagenet_file() if weights == "imagenet" else weights
        load_imagenet(model, torch_assign.read(path), path)
    return model


def _unit(x, filters, kernel, strides, name):
    x = layers.Conv3D(filters, triple(kernel), triple(strides), "same", use_bias=False, name=f"{name}_conv3d")(x)
    return layers.ReLU(name=name)(norm(x, f"{name}_bn", epsilon=1e-3, momentum=0.99))


def _pool(x, size, strides, name):
    # The published network pads pools with zeros; the maps have no negative values, so Keras' padding is as good.
    return layers.MaxPooling3D(size, strides, "same", name=name)(x)


def _inception(x, channels, name):
    one, three_in, three, five_in, five, pooled = channels
    branches = [
        _unit(x, one, 1, 1, f"{name}_b0"),
        _unit(_unit(x, three_in, 1, 1, f"{name}_b1a"), three, 3, 1, f"{name}_b1b"),
        _unit(_unit(x, five_in, 1, 1, f"{name}_b2a"), five, 3, 1, f"{name}_b2b"),
        _unit(_pool(x, 3, 1, f"{name}_b3a"), pooled, 1, 1, f"{name}_b3b"),
    ]
    return layers.Concatenate(name=name)(branches)


def module_name(layer: str) -> str:
    """PyTorch module of a layer: "Mixed_3b_b1a_conv3d" -> "Mixed_3b.b1a.conv3d"."""
    return "logits.conv3d" if layer == "logits" else re.sub(r"_(?=b\d[ab]?_|conv3d$|bn$)", ".", layer)


def module_name_imagenet(layer: str) -> str:
    """Module of the 2D Inception in torchvision's file: "Mixed_3b_b1a_conv3d" -> "inception3a.branch2.0.conv"."""
    unit, kind = re.fullmatch(r"(.+)_(conv3d|bn)", layer).groups()
    kind = kind.removesuffix("3d")
    if stem := re.fullmatch(r"Conv3d_(1a|2b|2c)_.*", unit):
        return f"conv{('1a', '2b', '2c').index(stem[1]) + 1}.{kind}"
    stage, letter, branch = re.fullmatch(r"Mixed_(\d)(\w)_(.*)", unit).groups()
    branch = {"b0": "1", "b1a": "2.0", "b1b": "2.1", "b2a": "3.0", "b2b": "3.1", "b3b": "4.1"}[branch]
    return f"inception{stage}{chr(ord(letter) - 1)}.branch{branch}.{kind}"


def load_imagenet(model: keras.Model, tensors: dict, subject: str) -> None:
    """Gives `model` the 2D weights of torchvision's GoogLeNet, inflated; the head keeps its own.

    That network reads -1..1 as well. Its first convolution is padded by (3, 3) px where this one is by (2, 3), so its
    maps lie one pixel further; the other layers are the same.

    Args:
      tensors: dict name -> array.
      subject: the file, for errors.
    Raises:
      InputError: the tensors do not fit.
    """
    extra = {}
    for layer in model.layers:
        if isinstance(layer, layers.Conv3D):
            change = _inflation(layer.kernel.shape[0])
            extra[f"{layer.name}/kernel"] = (f"{module_name_imagenet(layer.name)}.weight", change)
    # The classifier, and the two that only its training used.
    tensors = {name: array for name, array in tensors.items() if not name.startswith(("fc.", "aux1.", "aux2."))}
    torch_assign.assign(model, tensors, module_name_imagenet, subject, extra, keep=("logits",))


def _inflation(time):
    return lambda array: inflate(np.moveaxis(array, (0, 1), (-1, -2)), time)


def _imagenet_file():
    try:
        path = keras.utils.get_file(IMAGENET_FILE, IMAGENET_URL, cache_subdir="models")
    except Exception as error:  # get_file raises bare Exception for every kind of failed download
        raise InputError(
            "weights='imagenet'",
            f"cannot be downloaded from {IMAGENET_URL} ({error}).",
            "Fetch that file on a machine with network and give its path as `weights`, or train from scratch with "
            "weights=None.",
        ) from None
    # The file's name states the first digits of its checksum.
    if not sha256(path).startswith(IMAGENET_FILE.removesuffix(".pth").split("-")[1]):
        raise InputError(path, "is not the file its name says: the checksum differs.", "Delete it and try again.")
    return path
