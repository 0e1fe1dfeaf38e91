"""Losses on raw logits of FAKE (P2 Sec. 4.2.1) or of K classes, and TALL++'s consistency of frames (P4 Sec. 3.4).

Each is a function (labels, logits) -> float32 [B]: a vector, because Keras weights its elements by class and averages
them over replicas; a scalar would count once per replica.
"""

from collections.abc import Callable

import keras
from keras import ops

LOSSES = ("bce", "bce_f1", "ce")
EPSILON = 1e-7


def get(name: str, alpha: float = 1.0, beta: float = 1.0) -> Callable:
    """The loss of a name, for `model.compile`.

    Args:
      name: "bce"; "bce_f1" for alpha * BCE + beta * F1 loss (P2 Eq. 4; the paper gives no values); or "ce" for K
        classes. TALL++'s loss (P4 Eq. 4) is "bce" or "ce": the network adds its second term itself.
      alpha, beta: weights in "bce_f1", not negative.
    """
    if name == "bce":
        return bce
    if name == "ce":
        return ce
    if name == "bce_f1":
        if alpha < 0 or beta < 0:
            raise ValueError(f"alpha and beta need to be 0 or more, got {alpha} and {beta}.")

        def bce_f1(labels, logits):
            return alpha * bce(labels, logits) + beta * f1(labels, logits)

        return bce_f1
    raise ValueError(f"loss needs one of {LOSSES}, got {name!r}.")


def _columns(labels, logits):
    """Both as float32 [B]."""
    labels, logits = ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)
    if len(logits.shape) != 2 or logits.shape[-1] != 1:
        raise ValueError(f"logits needs [B, 1] (one logit of FAKE), got shape {tuple(logits.shape)}.")
    return ops.cast(ops.reshape(labels, (-1,)), "float32"), ops.cast(ops.reshape(logits, (-1,)), "float32")


def bce(labels: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Binary cross-entropy of each example (P2 Eq. 1).

    Args:
      labels: [B, 1] or [B], 1 = fake, 0 = real.
      logits: [B, 1].
    Returns:
      float32 [B].
    """
    labels, logits = _columns(labels, logits)
    return ops.maximum(logits, 0.0) - labels * logits + ops.log1p(ops.exp(-ops.abs(logits)))


def ce(labels: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Cross-entropy of each example over K classes (P4 Eq. 3, Sec. 4.6); with one logit the same as `bce`.

    Args:
      labels: [B, 1] or [B]: the number of the class.
      logits: [B, K].
    Returns:
      float32 [B].
    """
    logits = ops.cast(ops.convert_to_tensor(logits), "float32")
    if logits.shape[-1] == 1:
        return bce(labels, logits)
    labels = ops.cast(ops.reshape(ops.convert_to_tensor(labels), (-1,)), "int32")
    chosen = ops.one_hot(labels, logits.shape[-1], dtype="float32")
    return -ops.sum(chosen * ops.log_softmax(logits), axis=-1)


def f1(labels: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """1 - F1 on probabilities, the mean of F1 for "fake" and for "real" (P2 Eqs. 2, 3; arXiv:1402.1892).

    With true positives sum(y * p) it has a gradient: F1 = 2 * sum(y * p) / (sum(y) + sum(p)). The paper's F1 is that of
    one class, which is flat (no gradient) on a batch without positives; the mean over both classes is not.

    F1 of a batch is not the mean of F1 over its parts, so the sums run over all replicas: loss and gradient equal
    those of one device with the whole batch. (Under the JAX backend the sums are global by themselves.)

    Args, returns: as `bce`; every element is the same number.
    """
    labels, logits = _columns(labels, logits)
    fake, real = ops.sigmoid(logits), ops.sigmoid(-logits)
    sums = ops.stack(
        [
            ops.sum(labels * fake),
            ops.sum(labels) + ops.sum(fake),
            ops.sum((1 - labels) * real),
            ops.sum(1 - labels) + ops.sum(real),
        ]
    )
    sums = _over_replicas(sums)
    score = sums[0] / (sums[1] + EPSILON) + sums[2] / (sums[3] + EPSILON)
    return ops.ones_like(logits) * (1 - score)


def _over_replicas(sums):
    """`sums` added over the replicas of a tf.distribute strategy; differentiable."""
    if keras.backend.backend() != "tensorflow":
        return sums
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return sums
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, sums)
