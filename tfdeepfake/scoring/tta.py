"""Test-time augmentation: one logit from several views of the same input (P1 2.2.5 names it)."""

from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.vocabulary import TTA

if TYPE_CHECKING:
    import keras


def mirrored(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{"frames": [..., H, W, 3], "flow": [..., H, W, 2]} mirrored left and right: what moved right now moves left."""
    views = {"frames": batch["frames"][..., ::-1, :]}
    if "flow" in batch:
        views["flow"] = batch["flow"][..., ::-1, :] * np.float32([-1, 1])
    return views


def predict_logits(model: "keras.Model", batch: dict[str, np.ndarray], tta: str = "none") -> np.ndarray:
    """Logits of a batch.

    Args:
      model: keras.Model with one output [B, K].
      batch: {"frames", ...} as the network reads it, numpy.
      tta: "none", or "flip": the mean over the batch and its mirror image, flow included; takes twice the time.
    Returns:
      float32 [B, K].
    """
    if tta not in TTA:
        raise ValueError(f"tta needs one of {TTA}, got {tta!r}.")
    logits = np.asarray(model.predict_on_batch(batch), np.float32)
    if tta == "flip":
        logits = (logits + np.asarray(model.predict_on_batch(mirrored(batch)), np.float32)) / 2
    return logits
