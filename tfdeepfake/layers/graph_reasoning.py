"""TALL++'s graph reasoning block and the layer that adds its semantic consistency loss (P4 Secs. 3.3, 3.4)."""

import threading
from typing import TYPE_CHECKING

from keras import layers, ops, saving

from tfdeepfake.layers.thumbnail import cell_regions

if TYPE_CHECKING:
    import keras


def graph_reasoning(x: "keras.KerasTensor", inner: int = 512, name: str = "graph") -> "keras.KerasTensor":
    """Places of a map as nodes of a complete graph that learn from each other; the result is added to the map.

    P4 names the steps and gives neither widths nor formulas. Here, for the nodes X [N, C]:

        G   = X W_theta (X W_phi)^T / sqrt(inner)    1 x 1 convolutions into the adjacency matrix, [N, N]
        G_w = softmax(G)                             edges into each node sum to 1
        Y   = X + relu(G_w X W_g) W_out              a graph convolution (P4 [61]), and back to C channels

    With 512 for C of 768 and 1024, and 256 for 1792 and 2048, this adds 1.6 to 2.1 million parameters: P4 Table 6
    prints 2 million for all four networks. It prints 5 to 20 GFLOPs more as well, which a graph of 49 or 196 nodes of
    that width cannot take (0.2 at most).

    Args:
      x: [B, h, w, C].
      inner: width of the four projections.
      name: prefix of the layers.
    Returns:
      [B, h, w, C], layer `name`.
    """
    _, height, width, channels = x.shape
    nodes = layers.Reshape((height * width, channels), name=f"{name}_nodes")(x)
    theta, phi, g = (layers.Dense(inner, name=f"{name}_{part}")(nodes) for part in ("theta", "phi", "g"))
    edges = ops.matmul(theta, ops.transpose(phi, (0, 2, 1))) * inner**-0.5
    # float32: exponentials in half precision lose the differences between close edges.
    edges = layers.Softmax(dtype="float32", name=f"{name}_edges")(edges)
    y = layers.ReLU(name=f"{name}_convolution")(ops.matmul(ops.cast(edges, g.dtype), g))
    y = layers.Dense(channels, name=f"{name}_out")(y)
    return layers.Add(name=name)([x, layers.Reshape((height, width, channels), name=f"{name}_map")(y)])


@saving.register_keras_serializable("tfdeepfake")
class SemanticConsistency(layers.Layer):
    """Gives its input back and, in training, adds alpha * the semantic consistency loss to the network's loss (Eq. 4).

    Which part of the map is which frame's: `thumbnail.cell_regions`.

    Args:
      rows, columns, snake: of the thumbnail.
      alpha: weight of the loss; 0.5 in P4.
    """

    def __init__(self, rows=2, columns=2, snake=False, alpha=0.5, **kwargs):
        super().__init__(**kwargs)
        self.rows, self.columns, self.snake, self.alpha = rows, columns, snake, alpha
        self._added = threading.local()

    def call(self, x, training=False) -> "keras.KerasTensor":
        """[B, h, w, C] -> the same."""
        if training:
            frames = cell_regions(x, self.rows, self.columns, self.snake)
            self._added.loss = self.alpha * ops.mean(semantic_consistency(frames))
            self.add_loss(self._added.loss)
        return x

    def _get_own_losses(self):
        # Replicas of a MirroredStrategy are threads that take turns. While one waits for the others (F1's sums), the
        # next one's call has put its loss in this one's place, where it has no gradient.
        losses = super()._get_own_losses()
        return [self._added.loss] if losses and hasattr(self._added, "loss") else losses

    def get_config(self) -> dict:
        own = {"rows": self.rows, "columns": self.columns, "snake": self.snake, "alpha": self.alpha}
        return super().get_config() | own


def semantic_consistency(features: "keras.KerasTensor") -> "keras.KerasTensor":
    """How much the features of neighbouring frames differ (P4 Eqs. 1, 2): squares averaged over features and pairs.

    Args:
      features: [B, T, ...], T of 2 or more.
    Returns:
      float32 [B], 0 where all frames have the same features.
    Raises:
      ValueError: there is one frame only.
    """
    features = ops.cast(ops.convert_to_tensor(features), "float32")
    if len(features.shape) < 3 or features.shape[1] < 2:
        raise ValueError(f"features needs [B, T, ...] with 2 frames or more, got shape {tuple(features.shape)}.")
    squares = ops.square(features[:, 1:] - features[:, :-1])
    return ops.mean(squares, axis=tuple(range(1, len(squares.shape))))
