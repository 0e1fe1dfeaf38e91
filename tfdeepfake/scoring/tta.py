"""Test-time augmentation: one logit from several views of the same input (P1 2.2.5 names it)."""

from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.data.batches import augment, augment_policies
from tfdeepfake.errors import InputError
from tfdeepfake.vocabulary import TTA

if TYPE_CHECKING:
    import keras

# Views beside the input itself that `p1` draws; the paper says not how many it takes.
P1_VIEWS = 4


def mirrored(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{"frames": [..., H, W, 3], "flow": [..., H, W, 2]} mirrored left and right: what moved right now moves left."""
    views = {"frames": batch["frames"][..., ::-1, :]}
    if "flow" in batch:
        views["flow"] = batch["flow"][..., ::-1, :] * np.float32([-1, 1])
    return views


def drawn(batch: dict[str, np.ndarray], view: int) -> dict[str, np.ndarray]:
    """{"frames": uint8 [B, (T,) H, W, 3]} changed as P1 2.2.5 lists.

    One draw for all examples, by the view's number: a score does not depend on which are scored together.

    Raises:
      InputError: the batch has flow, whose vectors these changes would have to turn.
    """
    if "flow" in batch:
        raise InputError("tta", "p1 changes frames alone, and this network reads flow.", "Use --tta flip.")
    frames, steps = np.asarray(batch["frames"], np.uint8), augment_policies.steps("p1")
    clips = frames.reshape(len(frames), -1, *frames.shape[-3:])
    changed = [augment.augment(clip, (), steps, np.random.default_rng(view))[0][0] for clip in clips]
    return {"frames": np.stack(changed).reshape(frames.shape)}


def predict_logits(model: "keras.Model", batch: dict[str, np.ndarray], tta: str = "none") -> np.ndarray:
    """Logits of a batch.

    Args:
      model: keras.Model with one output [B, K].
      batch: {"frames", ...} as the network reads it, numpy.
      tta: "none"; "flip": the mean over the batch and its mirror image, flow included, takes twice the time; "p1": the
        mean over the batch and `P1_VIEWS` views of it that are `drawn`.
    Returns:
      float32 [B, K].
    """
    if tta not in TTA:
        raise ValueError(f"tta needs one of {TTA}, got {tta!r}.")
    logits = np.asarray(model.predict_on_batch(batch), np.float32)
    if tta == "none":
        return logits
    views = [mirrored(batch)] if tta == "flip" else [drawn(batch, view) for view in range(P1_VIEWS)]
    more = [np.asarray(model.predict_on_batch(view), np.float32) for view in views]
    return sum(more, logits) / np.float32(1 + len(more))
