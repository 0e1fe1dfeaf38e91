"""`xception` as FaceForensics++ trained it, and its siamese form (arXiv:1610.02357, 1901.08971; P0 Sec. IV-B).

Layer names are those of the published PyTorch files with "_" for "." (`module_name`).
`keras.applications` has another Xception: it pads, and so pools, differently at even sizes.
"""

import functools
import math
from typing import TYPE_CHECKING

from keras import Model, config, layers, ops, saving

from tfdeepfake.layers import contract
from tfdeepfake.layers.exact import ExactBatchNormalization
from tfdeepfake.layers.siamese import siamese_head

if TYPE_CHECKING:
    import keras


def xception(
    input_size: tuple = (299, 299),
    num_classes: int = 1,
    dropout: float = 0.5,
    width: float = 1.0,
    middle_blocks: int = 8,
    embedding_units: int | None = None,
    mean: tuple = (0.5, 0.5, 0.5),
    std: tuple = (0.5, 0.5, 0.5),
) -> Model:
    """Scores one face crop; 20,809,001 parameters.

    Args:
      input_size: (height, width) in px.
      num_classes: 1 for the logit of FAKE, K for K classes.
      dropout: before the last layer.
      width: multiplier of all channels, for small networks.
      middle_blocks: blocks of the middle flow.
      embedding_units: width of a linear layer `embedding` behind the pooled 2048 features; None for those themselves.
      mean, std: of the input, on pixels / 255.
    Returns:
      keras.Model {"frames": [B, H, W, 3]} -> float32 [B, num_classes]; `features` is [B, 10, 10, 2048] at 299 px.
    Raises:
      ValueError: an argument is out of range.
    """
    frames, x = _embedding(input_size, width, middle_blocks, embedding_units, mean, std)
    x = layers.Dropout(dropout, name="dropout")(x)
    return Model({"frames": frames}, contract.logits(x, num_classes), name="xception")


def xception_st(
    input_size: tuple = (299, 299),
    num_classes: int = 1,
    dropout: float = 0.0,
    width: float = 1.0,
    middle_blocks: int = 8,
    embedding_units: int | None = None,
    mean: tuple = (0.5, 0.5, 0.5),
    std: tuple = (0.5, 0.5, 0.5),
    head_only: bool = False,
    spare_head: bool = False,
) -> Model:
    """The siamese form of `xception`: an embedding trained by triplets, then a classifier on it (arXiv:2004.07676).

    Args:
      head_only, spare_head, dropout: see `efficientnet.efficientnet_siamese`.
      input_size, num_classes, width, middle_blocks, embedding_units, mean, std: see `xception`.
    Returns:
      keras.Model {"frames": [B, H, W, 3]} -> float32 [B, num_classes].
    """
    frames, x = _embedding(input_size, width, middle_blocks, embedding_units, mean, std)
    return siamese_head("xception_st", frames, x, num_classes, dropout, None, head_only, spare_head)


def _embedding(input_size, width, middle_blocks, embedding_units, mean, std):
    """Input `frames` and the tensor `embedding`."""
    if not isinstance(middle_blocks, int) or middle_blocks < 0:
        raise ValueError(f"middle_blocks needs an integer of at least 0, got {middle_blocks!r}.")

    def channels(count):
        return math.ceil(count * width)

    frames = contract.frames_input(input_size)
    if min(input_size) < 7:
        raise ValueError(f"input_size needs at least 7 px for the two convolutions without padding, got {input_size}.")
    x = contract.pixels_standardised(frames, mean, std)
    x = layers.Conv2D(channels(32), 3, 2, use_bias=False, name="conv1")(x)
    x = layers.ReLU(name="relu1")(_norm(x, "bn1"))
    x = layers.Conv2D(channels(64), 3, use_bias=False, name="conv2")(x)
    x = layers.ReLU(name="relu2")(_norm(x, "bn2"))
    x = _block(x, (channels(128), channels(128)), "block1", relu_first=False)
    x = _block(x, (channels(256), channels(256)), "block2")
    x = _block(x, (channels(728), channels(728)), "block3")
    for number in range(4, 4 + middle_blocks):
        x = _block(x, (channels(728),) * 3, f"block{number}", pool=False)
    x = _block(x, (channels(728), channels(1024)), f"block{4 + middle_blocks}")
    x = layers.ReLU(name="relu3")(_norm(_separable(x, channels(1536), "conv3"), "bn3"))
    x = layers.ReLU(name="features")(_norm(_separable(x, channels(2048), "conv4"), "bn4"))
    x = layers.GlobalAveragePooling2D(name="pool" if embedding_units else "embedding")(x)
    if embedding_units:
        x = layers.Dense(embedding_units, name="embedding")(x)
    return frames, x


def _separable(x, filters, name):
    """3 x 3 by channel, then 1 x 1 across channels."""
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_conv1")(x)
    return PointwiseConv2D(filters, 1, use_bias=False, name=f"{name}_pointwise")(x)


@saving.register_keras_serializable("tfdeepfake")
class PointwiseConv2D(layers.Conv2D):
    """A convolution of 1 x 1 without bias, trained as a product of matrices on TensorFlow.

    The same sums; oneDNN's product and its gradients take less time at 728 channels than its convolution's.
    """

    def call(self, inputs, training=None) -> "keras.KerasTensor":
        if not training or config.backend() != "tensorflow":
            return super().call(inputs)
        return ops.matmul(inputs, ops.reshape(self.kernel, self.kernel.shape[2:]))


def _block(x, widths, name, relu_first=True, pool=True):
    """Separable convolutions with a shortcut around them, halving the map when `pool`.

    Layers are numbered as in the authors' sequence of ReLU, convolution and normalisation.
    """
    short, number = x, 0
    for filters in widths:
        if number or relu_first:
            x = layers.ReLU(name=f"{name}_rep_{number}")(x)
            number += 1
        x = _separable(x, filters, f"{name}_rep_{number}")
        x = _norm(x, f"{name}_rep_{number + 1}")
        number += 2
    if pool:
        x = _pool(x, f"{name}_pool")
        short = layers.Conv2D(widths[-1], 1, 2, use_bias=False, name=f"{name}_skip")(short)
        short = _norm(short, f"{name}_skipbn")
    return layers.Add(name=name)([x, short])


def _pool(x, name):
    """3 x 3 max-pool with stride 2 over windows that begin one px outside the map, as PyTorch places them."""
    # Keras "same" does that at odd sizes and begins inside at even ones. Minus infinity, as values may be negative.
    even = [(1 - size % 2, 0) for size in x.shape[1:3]]
    if any(sum(pad) for pad in even):
        # An odd axis beside an even one gets both its pads here.
        pads = [pad if sum(pad) else (1, 1) for pad in even]
        x = ops.pad(x, [(0, 0), *pads, (0, 0)], constant_values=float("-inf"))
        return layers.MaxPooling2D(3, 2, name=name)(x)
    return layers.MaxPooling2D(3, 2, padding="same", name=name)(x)


def _norm(x, name):
    return ExactBatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def module_name(layer: str, prefix: str = "", head: str = "fc") -> str:
    """PyTorch module of a layer: "block1_rep_0_conv1" -> "block1.rep.0.conv1"."""
    return head if layer == "logits" else prefix + layer.replace("_", ".")


module_name_polimi = functools.partial(module_name, prefix="xception.", head="xception.last_linear")


module_name_faceforensics = functools.partial(module_name, prefix="model.", head="model.last_linear.1")


module_name_faceforensics_plain = functools.partial(module_name, prefix="model.", head="model.last_linear")
module_name_deepfakebench = functools.partial(module_name, prefix="backbone.", head="backbone.last_linear")


def module_name_siamese(layer: str) -> str:
    """The siamese form of Bonettini et al., a classifier on an embedding network that has its own."""
    own = {"classifier_0": "classifier.0", "feat_ext_classifier": "feat_ext.xception.last_linear"}
    return own[layer] if layer in own else module_name(layer, "feat_ext.xception.", "classifier.1")
