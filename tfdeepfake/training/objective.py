"""What a run minimises and what it counts while it does: the loss of a config, and metrics for its outputs."""

from collections.abc import Callable

import keras
from keras import ops

from tfdeepfake import losses
from tfdeepfake.errors import InputError
from tfdeepfake.training.config import TrainConfig

# The whole-video networks of P2 4.2.1, which trains its frame networks by BCE.
P2_WHOLE_VIDEO = ("two_stream_video", "cnn_rnn", "cnn3d")


def loss_name(config: TrainConfig, num_classes: int) -> str:
    """The loss that `auto` stands for, or the one that was chosen.

    Args:
      config: TrainConfig.
      num_classes: outputs of the network.
    Raises:
      InputError: the loss is one of a single logit, and the network has K.
    """
    name = config.loss
    if name == "auto":
        if num_classes > 1:
            return "ce"
        return "bce_f1" if config.network in P2_WHOLE_VIDEO and config.mix == "none" else "bce"
    if num_classes > 1 and name.startswith("bce"):
        raise InputError(
            "loss", f"{name} needs one logit of FAKE, the network gives {num_classes} classes.", "Use --loss ce."
        )
    return name


def loss(config: TrainConfig, num_classes: int) -> Callable:
    """The loss function for `model.compile`."""
    return losses.get(loss_name(config, num_classes), config.alpha, config.beta, config.margin)


def metrics(config: TrainConfig, num_classes: int) -> list[keras.metrics.Metric]:
    """Metrics `auc` and `accuracy` of training: of one logit, of K classes, or, for triplets, accuracy alone.

    The AUC of K classes is the mean over the classes of each one's against the rest (for two of them that of the
    difference of their logits); it ranks and needs no threshold, like that of one logit.
    """
    if config.loss == "triplet":
        return [keras.metrics.MeanMetricWrapper(_nearer, name="accuracy")]
    if num_classes > 1:
        return [_MacroAUC(num_classes), keras.metrics.MeanMetricWrapper(_most_probable, name="accuracy")]
    return [
        keras.metrics.AUC(from_logits=True, name="auc"),
        keras.metrics.MeanMetricWrapper(_right, name="accuracy"),
    ]


def _right(labels, logits):
    """Whether each example is on its label's side; a mixed one has the label of its larger part."""
    return ops.cast(ops.equal(labels > 0.5, logits > 0), "float32")


def _numbers(labels):
    """Numbers of classes [B] of labels [B, 1], or [B, K] where they were mixed: that of the larger part."""
    return ops.argmax(labels, axis=-1) if labels.shape[-1] > 1 else ops.cast(ops.round(labels[:, 0]), "int32")


def _most_probable(labels, logits):
    """Whether each example's class has the highest logit."""
    called = ops.cast(ops.argmax(logits, axis=-1), "int32")
    return ops.cast(ops.equal(called, ops.cast(_numbers(labels), "int32")), "float32")


def _nearer(labels, embeddings):
    """Whether each triplet's positive is nearer to its anchor than its negative is."""
    nearer, farther = losses.triplet_distances(embeddings)
    return ops.cast(nearer < farther, "float32")


class _MacroAUC(keras.metrics.AUC):
    """Keras's AUC of several labels, of numbers of classes and logits of them."""

    def __init__(self, num_classes):
        super().__init__(multi_label=True, num_labels=num_classes, name="auc")

    def update_state(self, labels, logits, sample_weight=None):
        """Labels [B, 1] or [B, K], logits [B, K]; all examples weigh the same."""
        chosen = ops.one_hot(ops.cast(_numbers(labels), "int32"), logits.shape[-1])
        super().update_state(chosen, ops.softmax(ops.cast(logits, "float32")))
