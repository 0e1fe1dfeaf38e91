"""Losses on raw logits of FAKE (P2 Sec. 4.2.1) or of K classes (P4 Eq. 3), and on embeddings of triplets.

Each is a function (labels, logits) -> float32 [B]: a vector, because Keras weights its elements by class and averages
them over replicas; a scalar would count once per replica.
"""

from collections.abc import Callable

import keras
from keras import ops, saving

LOSSES = ("bce", "bce_f1", "bce_f1_fake", "ce", "triplet")
EPSILON = 1e-7
# Added to each difference, as PyTorch's distance does: its root has a gradient at a distance of 0 then.
DISTANCE_EPSILON = 1e-6


def get(name: str, alpha: float = 1.0, beta: float = 1.0, margin: float = 1.0) -> Callable:
    """The loss of a name, for `model.compile`.

    Args:
      name: "bce"; "bce_f1" for alpha * BCE + beta * F1 loss of both classes, "bce_f1_fake" for that of FAKE alone (P2
        Eq. 4; the paper gives no values); "ce" for K classes; "triplet" for embeddings. TALL++'s loss (P4 Eq. 4) is
        "bce" or "ce": the network adds its second term itself.
      alpha, beta: weights in "bce_f1" and "bce_f1_fake", not negative.
      margin: of "triplet", above 0.
    """
    if name in ("bce", "ce"):
        return {"bce": bce, "ce": ce}[name]
    if name not in LOSSES:
        raise ValueError(f"loss needs one of {LOSSES}, got {name!r}.")
    return _WithNumbers(name, alpha, beta, margin)


@saving.register_keras_serializable("tfdeepfake")
class _WithNumbers:
    """A loss that has numbers of its own; a class, so that a .keras file of a compiled network holds them."""

    def __init__(self, name, alpha, beta, margin):
        if alpha < 0 or beta < 0:
            raise ValueError(f"alpha and beta need to be 0 or more, got {alpha} and {beta}.")
        if not margin > 0:
            raise ValueError(f"margin needs to be above 0, got {margin}.")
        self.__name__, self._alpha, self._beta, self._margin = name, alpha, beta, margin

    def __call__(self, labels, outputs):
        if self.__name__ == "triplet":
            return triplet(labels, outputs, self._margin)
        score = f1 if self.__name__ == "bce_f1" else f1_fake
        return self._alpha * bce(labels, outputs) + self._beta * score(labels, outputs)

    def get_config(self):
        return {"name": self.__name__, "alpha": self._alpha, "beta": self._beta, "margin": self._margin}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _columns(labels, logits):
    """Both as float32 [B]."""
    labels, logits = ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)
    if len(logits.shape) != 2 or logits.shape[-1] != 1:
        raise ValueError(f"logits needs [B, 1] (one logit of FAKE), got shape {tuple(logits.shape)}.")
    return ops.cast(ops.reshape(labels, (-1,)), "float32"), ops.cast(ops.reshape(logits, (-1,)), "float32")


@saving.register_keras_serializable("tfdeepfake")
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


@saving.register_keras_serializable("tfdeepfake")
def ce(labels: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Cross-entropy of each example over K classes (P4 Eq. 3, Sec. 4.6); with one logit the same as `bce`.

    Args:
      labels: [B, 1] or [B]: the number of the class, of two classes also the fraction of the second; or [B, K]: the
        fraction of each class.
      logits: [B, K].
    Returns:
      float32 [B].
    """
    logits = ops.cast(ops.convert_to_tensor(logits), "float32")
    count = logits.shape[-1]
    if count == 1:
        return bce(labels, logits)
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) != 2 or labels.shape[-1] != count:
        labels = ops.reshape(labels, (-1,))
        if count == 2:
            labels = ops.cast(labels, "float32")
            labels = ops.stack([1 - labels, labels], axis=-1)
        else:
            labels = ops.one_hot(ops.cast(labels, "int32"), count, dtype="float32")
    return -ops.sum(ops.cast(labels, "float32") * ops.log_softmax(logits), axis=-1)


@saving.register_keras_serializable("tfdeepfake")
def triplet(labels: keras.KerasTensor, embeddings: keras.KerasTensor, margin: float = 1.0) -> keras.KerasTensor:
    """max(0, |a - p| - |a - n| + margin) of each triplet of embeddings, Euclidean (arXiv:2004.07676, Sec. III-B).

    The authors' code takes embeddings as they are, not scaled to length 1, and the margin 1.

    Args:
      labels: not read: which rows belong together is told by their order.
      embeddings: [3 N, C]: anchor, positive (of its class), negative (of the other), anchor, ...
      margin: by which the negative shall be farther than the positive.
    Returns:
      float32 [3 N]: each triplet's loss at its three rows.
    """
    nearer, farther = triplet_distances(embeddings)
    return ops.repeat(ops.maximum(nearer - farther + margin, 0.0), 3)


def triplet_distances(embeddings: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Distances of anchor to positive and of anchor to negative, float32 [N] each; embeddings as of `triplet`."""
    embeddings = ops.convert_to_tensor(embeddings)
    if len(embeddings.shape) != 2 or (embeddings.shape[0] or 3) % 3:
        raise ValueError(f"embeddings needs [3 N, C], rows of triplets, got shape {tuple(embeddings.shape)}.")
    rows = ops.reshape(ops.cast(embeddings, "float32"), (-1, 3, embeddings.shape[-1]))

    def distance(other):
        return ops.sqrt(ops.sum(ops.square(rows[:, 0] - rows[:, other] + DISTANCE_EPSILON), axis=-1))

    return distance(1), distance(2)


@saving.register_keras_serializable("tfdeepfake")
def f1_fake(labels: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """1 - F1 of FAKE on probabilities, as P2 Eqs. 2 and 3 write it; `f1` is the mean over both classes.

    It is flat (no gradient) on a batch without fakes. Sums run over all replicas as in `f1`.

    Args, returns: as `bce`; every element is the same number.
    """
    labels, logits = _columns(labels, logits)
    fake = ops.sigmoid(logits)
    sums = _over_replicas(ops.stack([ops.sum(labels * fake), ops.sum(labels) + ops.sum(fake)]))
    return ops.ones_like(logits) * (1 - 2 * sums[0] / (sums[1] + EPSILON))


@saving.register_keras_serializable("tfdeepfake")
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
