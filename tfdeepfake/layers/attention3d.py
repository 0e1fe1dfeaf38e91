"""Attention inside convolutional networks: squeeze-and-excitation and non-local blocks (P3 Sec. 2.2)."""

from typing import TYPE_CHECKING

from keras import layers, ops

from tfdeepfake.layers.exact import ExactBatchNormalization

if TYPE_CHECKING:
    import keras


def squeeze_excite(x: "keras.KerasTensor", reduction: int = 16, name: str = "se") -> "keras.KerasTensor":
    """Channels weighted by a gate computed from their means (P3 Eqs. 4-6; arXiv:1709.01507).

    Args:
      x: [B, ..., C] with two or three axes of space and time.
      reduction: r; the gate's hidden width is C // r, without biases as in P3 Eq. 5.
    Returns:
      Same shape as x.
    Raises:
      ValueError: the hidden width would be 0.
    """
    channels = x.shape[-1]
    if channels // reduction < 1:
        raise ValueError(f"reduction needs to be at most the {channels} channels, got {reduction}.")
    axes = tuple(range(1, len(x.shape) - 1))
    pool = layers.GlobalAveragePooling3D if len(axes) == 3 else layers.GlobalAveragePooling2D
    gate = pool(name=f"{name}_squeeze")(x)
    gate = layers.Dense(channels // reduction, "relu", use_bias=False, name=f"{name}_reduce")(gate)
    gate = layers.Dense(channels, "sigmoid", use_bias=False, name=f"{name}_expand")(gate)
    gate = layers.Reshape((*[1] * len(axes), channels), name=f"{name}_gate")(gate)
    return layers.Multiply(name=f"{name}_scale")([x, gate])


def nonlocal_block(x: "keras.KerasTensor", inner: int | None = None, name: str = "nonlocal") -> "keras.KerasTensor":
    """Self-attention over space and time, added to x (P3 Eqs. 2-3; arXiv:1711.07971, embedded Gaussian).

    The batch normalisation behind the output projection starts with scale zero, so the block is the identity until
    it is trained and can be put into a network with trained weights.

    Args:
      x: [B, T, H, W, C].
      inner: channels of theta, phi and g; C // 2 when not given.
    Returns:
      Same shape and dtype as x; equal to x at initialisation.
    """
    _, t, h, w, channels = x.shape
    inner = inner or channels // 2
    theta, phi, g = (
        layers.Reshape((-1, inner), name=f"{name}_{part}_flat")(layers.Conv3D(inner, 1, name=f"{name}_{part}")(x))
        for part in ("theta", "phi", "g")
    )
    # [B, N, N] with N = T*H*W; float32, because exponentials of unscaled products overflow in half precision.
    weights = layers.Softmax(dtype="float32", name=f"{name}_softmax")(ops.einsum("bnc,bmc->bnm", theta, phi))
    y = ops.einsum("bnm,bmc->bnc", ops.cast(weights, g.dtype), g)
    y = ops.reshape(y, (-1, t, h, w, inner))
    y = layers.Conv3D(channels, 1, name=f"{name}_W_0")(y)
    y = ExactBatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer="zeros", name=f"{name}_W_1")(y)
    return layers.Add(name=f"{name}_add")([y, x])
