"""Self-attention of a Vision Transformer, computed for the places that are asked for only."""

from typing import TYPE_CHECKING

from keras import layers, ops, saving

from tfdeepfake.layers.attention import attend, weights_of

if TYPE_CHECKING:
    import keras


@saving.register_keras_serializable("tfdeepfake")
class SelfAttention(layers.Layer):
    """softmax(q k^T / sqrt(d)) v among all places (arXiv:1706.03762 Sec. 3.2).

    Plain products, and one `unstack` for query, key and value: its gradient is one copy, where that of three slices
    is three maps of zeros and their sum.

    Args:
      heads: attention heads.
      num_queries: so many of the first places look at all, the others are only looked at; None for all.
    """

    def __init__(self, heads: int, num_queries: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.num_queries = heads, num_queries

    def call(self, qkv, training=None) -> "keras.KerasTensor":
        """[B, N, 3 C], query, key and value side by side -> [B, num_queries or N, C]."""
        x = ops.transpose(attend(*self._parts(qkv), training=training), (0, 2, 1, 3))
        return ops.reshape(x, (-1, x.shape[1], qkv.shape[-1] // 3))

    def weights_of(self, qkv: "keras.KerasTensor") -> "keras.KerasTensor":
        """How much each place looks at each: float32 [B, heads, num_queries or N, N], rows that sum to 1."""
        return weights_of(*self._parts(qkv)[:2])

    def _parts(self, qkv):
        """Query, scaled, key and value."""
        _, count, channels = qkv.shape
        channels = channels // 3
        if self.num_queries is None:
            query, key, value = self._of_heads(qkv, count, 3)
        else:
            (query,) = self._of_heads(qkv[:, : self.num_queries, :channels], self.num_queries, 1)
            key, value = self._of_heads(qkv[..., channels:], count, 2)
        return query * (channels // self.heads) ** -0.5, key, value

    def _of_heads(self, x, count, parts):
        """[B, N, parts C] -> parts times [B, heads, N, C / heads]."""
        depth = x.shape[-1] // parts // self.heads
        x = ops.reshape(x, (-1, count, parts, self.heads, depth))
        return ops.unstack(ops.transpose(x, (2, 0, 3, 1, 4)), parts, axis=0)

    def compute_output_shape(self, input_shape) -> tuple:
        batch, count, channels = input_shape
        return (batch, count if self.num_queries is None else self.num_queries, channels // 3)

    def get_config(self) -> dict:
        return super().get_config() | {"heads": self.heads, "num_queries": self.num_queries}
