"""One network and the crops of one video: do they fit, which samples to look at, logits, probability."""

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake import model_inputs
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import LEAST_CLIPS, DataRecipe, Recipe
from tfdeepfake.scoring.classes import check_detector, log_odds
from tfdeepfake.scoring.tta import predict_logits

if TYPE_CHECKING:
    import keras


def check_model(model: "keras.Model", recipe: Recipe, one_logit: bool = True) -> str:
    """Compares the network with the recipe; a mismatch is an error, not a worse score.

    Args:
      model: keras.Model; recipe: of its saved model folder.
      one_logit: whether the network has to give one logit of FAKE, or K classes that make one, as a verdict needs.
    Returns:
      The network's input type: `frame`, `flow` or `clip`.
    Raises:
      InputError: crop size, clip length or flow of the recipe are not what the network takes, its outputs are not as
        many as wanted or as the recipe names.
    """
    data, wants = recipe.data, {i.name: tuple(i.shape) for i in model.inputs}
    input_type, shape = model_inputs.input_type(model), wants["frames"]
    remedy = "The folder's recipe.json and its weights do not belong together: copy both from one training run."
    size = tuple(
        want if want else have for want, have in zip(shape[-3:-1], (data.height_px, data.width_px), strict=True)
    )
    if size != (data.height_px, data.width_px):
        raise InputError(
            recipe.network,
            f"takes {size[0]} x {size[1]} px (height x width), the recipe crops {data.height_px} x {data.width_px}.",
            remedy,
        )
    if input_type == "clip" and (data.input_type != "clip" or shape[1] not in (None, data.num_frames)):
        have = (
            f"clips of {data.num_frames} frames"
            if data.input_type == "clip"
            else f"single examples (input_type {data.input_type!r})"
        )
        raise InputError(recipe.network, f"takes clips of {shape[1]} frames, the recipe makes {have}.", remedy)
    classes = model.outputs[0].shape[-1]
    if one_logit:
        check_detector(recipe.network, classes, recipe.classes)
    if recipe.classes is not None and len(recipe.classes) != classes:
        raise InputError(recipe.network, f"gives {classes} outputs, the recipe names {list(recipe.classes)}.", remedy)
    if "flow" in wants and data.flow == "none":
        raise InputError(recipe.network, "takes optical flow, the recipe makes none.", remedy)
    return input_type


def sampling(data: DataRecipe, input_type: str, num_samples: int | None = None, select: str = "all") -> DataRecipe:
    """The recipe for looking at one video: every face, and enough samples for a timeline.

    Args:
      data: of training. Input type, size, margin and clip length stay.
      input_type: of the network, `frame`, `flow` or `clip`.
      num_samples: samples to look at: runs of frames (`consecutive`) or single frames (`spaced`, frame networks).
      select: of `recipe.VerdictRecipe`.
    Raises:
      InputError: the network takes frames spaced over the whole video as one input, so there is one sample.
    """
    if data.sampling == "consecutive":
        return dataclasses.replace(data, select=select, num_clips=num_samples or max(data.num_clips, LEAST_CLIPS))
    if num_samples is None:
        return dataclasses.replace(data, select=select)
    if data.sampling == "chunks":
        raise InputError(
            "num_samples",
            f"cannot be chosen: this network takes all frames, in chunks of {data.num_frames}.",
            "Leave it out.",
        )
    if input_type != "frame":
        # Other spacing would change the motion between neighbouring frames, and with it the score.
        raise InputError(
            "num_samples",
            f"cannot be chosen: this network takes {data.num_frames} frames spaced over the whole video.",
            "Leave it out.",
        )
    return dataclasses.replace(data, select=select, num_frames=num_samples)


def score(
    model: "keras.Model",
    inputs: list[tuple],
    batch_size: int,
    check: Callable[[], None] = lambda: None,
    tta: str = "none",
    progress: Callable[[int, int, float | None], None] | None = None,
) -> np.ndarray:
    """Raw logits of FAKE, as `of_fake`. For arguments see `class_logits`."""
    return of_fake(model, class_logits(model, inputs, batch_size, check, tta, progress))


def of_fake(model: "keras.Model", outputs: np.ndarray) -> np.ndarray:
    """Outputs of `class_logits` -> logits of FAKE float32 [N], of K classes their log-odds; [N, M] where M vote."""
    return outputs if getattr(model, "votes", False) else log_odds(outputs)


def class_logits(
    model: "keras.Model",
    inputs: list[tuple],
    batch_size: int,
    check: Callable[[], None] = lambda: None,
    tta: str = "none",
    progress: Callable[[int, int, float | None], None] | None = None,
) -> np.ndarray:
    """Raw logits of the network's outputs.

    Args:
      model: keras.Model or `compiled.folder.CompiledModel`.
      inputs: list of (frames uint8 [(T,) h, w, 3], flow float32 [(T,) h, w, 2] or None).
      batch_size: the last batch is padded to a power of two, so that a Keras network is traced once or twice, not
        once per video. Networks that are `one_by_one` get single inputs.
      check: called before each batch; what it raises passes, as when the time is up.
      tta: "none" or "flip", see `scoring.tta.predict_logits`.
      progress: called before the first batch and after each: inputs that are scored, all of them, seconds of the batch.
    Returns:
      float32 [N, K] of K outputs, [N, M] where M networks vote.
    Raises:
      ValueError: the network gave NaN or infinity.
    """
    names, logits = {i.name for i in model.inputs}, []
    one_by_one = getattr(model, "one_by_one", False)
    progress = progress or (lambda done, total, seconds: None)
    progress(0, len(inputs), None)
    step = 1 if one_by_one else batch_size  # a batch of a large network may take half a minute
    for start in range(0, len(inputs), step):
        check()
        began = time.perf_counter()
        part = inputs[start : start + step]
        size = min(step, 1 << (len(part) - 1).bit_length())
        rows = part + [part[-1]] * (size - len(part))
        batch = {"frames": np.stack([row[0] for row in rows])}
        if "flow" in names:
            batch["flow"] = np.stack([row[1] for row in rows])
        logits.append(predict_logits(model, batch, tta).reshape(size, -1)[: len(part)])
        progress(start + len(part), len(inputs), time.perf_counter() - began)
    logits = np.concatenate(logits)
    broken = ~np.isfinite(logits).all(axis=1)
    if broken.any():
        raise ValueError(f"the network gave {int(broken.sum())} of {len(logits)} scores that are no number.")
    return logits
