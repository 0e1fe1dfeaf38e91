"""The classifier that Bonettini et al. train on an embedding learnt by triplets (arXiv:2004.07676, Sec. III-B)."""

from typing import TYPE_CHECKING

from keras import Model, layers

from tfdeepfake.layers import contract
from tfdeepfake.layers.exact import ExactBatchNormalization

if TYPE_CHECKING:
    import keras


# The layers trained in the second stage.
HEAD = ("classifier_0", "logits")


def siamese_head(
    name: str,
    frames: "keras.KerasTensor",
    x: "keras.KerasTensor",
    num_classes: int,
    dropout: float = 0.0,
    seed: int | None = None,
    head_only: bool = False,
    spare_head: bool = False,
) -> Model:
    """The model that ends in batch normalisation and a linear layer on an embedding.

    Args:
      name: of the model.
      frames: its input.
      x: [B, C], the layer `embedding`.
      num_classes: 1 for the logit of FAKE, K for K classes.
      dropout, seed: before the last layer.
      head_only: whether everything below the classifier is fixed.
      spare_head: adds a layer `feat_ext_classifier` [B, 1] whose output is multiplied by zero; the authors' files hold
        this layer of the embedding network.
    Returns:
      keras.Model {"frames": ...} -> float32 [B, num_classes].
    """
    spare = layers.Dense(1, dtype="float32", name="feat_ext_classifier")(x) if spare_head else None
    x = ExactBatchNormalization(momentum=0.9, epsilon=1e-5, name="classifier_0")(x)
    if spare_head:
        x = x + 0.0 * spare
    x = layers.Dropout(dropout, seed=seed, name="dropout")(x)
    model = Model({"frames": frames}, contract.logits(x, num_classes), name=name)
    if head_only:
        for layer in model.layers:
            layer.trainable = layer.name in HEAD
    return model
