"""Network + prepared data -> scores table (`scoring.table`)."""

from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from tfdeepfake.counting import moving
from tfdeepfake.recipe import VerdictRecipe
from tfdeepfake.scoring.classes import log_odds
from tfdeepfake.scoring.deciding import with_deciding
from tfdeepfake.scoring.rules import vote
from tfdeepfake.scoring.table import (
    CLASS_PREFIX,
    CLIP_FPS,
    COLUMNS,
    EMPTY,
    LOOKS,
    MASK_FRACTION,
    Table,
    concatenate,
    empty_cell,
    more_columns,
    optional_columns,
    select,
    table,
    video_codes,
    vote_columns,
)
from tfdeepfake.scoring.tta import predict_logits

if TYPE_CHECKING:
    import keras

    from tfdeepfake.data.batches.prepared import PreparedData

# Of clips in one batch: 16 of 64 frames, or 4 chunks of 250.
MOST_FRAMES = 1024


def score_data(
    model: "keras.Model",
    prepared: "PreparedData",
    split: str,
    batch_size: int = 16,
    tta: str = "none",
    classes: list[str] | None = None,
    verdict: VerdictRecipe | None = None,
) -> Table:
    """Scores every example of a split of a prepared data set, the uneven last batch included.

    Where two clips of a video overlap, a frame network meets a frame twice; its first score counts.
    A video for which the network gives a logit that is not finite is not scored: its status is "error".
    Videos the preparation could not use (no face, unreadable, too short: "error") come from the data set's
    metadata, so that they are counted. Memory grows with the number of scored frames, not with pixels.

    Args:
      model: network of `frames` (and `flow`) with one logit [B, 1], or with K [B, K], or several that vote
        (`model_folder.Members`); input type frame, flow or clip.
      prepared: what `tfdeepfake.data.batches.prepared.open_data` returns.
      split: "train", "validation" or "test".
      batch_size: examples scored at a time; fewer where clips are so long that they have more than `MOST_FRAMES`.
      tta: "none" or "flip", see `tta.predict_logits`.
      classes: names of the K classes, `real` first (`classes.check_detector`); None for one logit.
      verdict: of the network's recipe; it says which faces decide, as of `deciding.with_deciding`.
    Returns:
      A scores table; a row of a clip network is a clip, named by its first frame. With `classes` it has their columns.
    Raises:
      InputError: the split is empty, damaged, or cannot feed the network.
      ValueError: the network has other outputs than one, or than there are classes.
    """
    from tfdeepfake import models
    from tfdeepfake.data.batches import pipeline

    input_type, with_flow = models.input_type(model), models.wants_flow(model)
    if input_type == "clip":
        batch_size = max(1, min(batch_size, MOST_FRAMES // prepared.recipe.num_frames))
    dataset = pipeline.scoring_batches(prepared, split, input_type, batch_size, with_keys=True, with_flow=with_flow)
    parts, shared = [], {}
    total = pipeline.example_count(prepared, split, input_type)
    bar = tqdm(total=total, desc=f"scoring {split}", unit=input_type if input_type == "clip" else "frame", disable=None)
    with bar, moving(bar), pipeline.reading(prepared, split):
        for inputs, label, keys in dataset.as_numpy_iterator():
            logits = predict_logits(model, inputs, tta)
            # Of networks that vote, the columns stand beside their vote.
            votes = logits if getattr(model, "votes", False) else None
            logits = logits if votes is None else vote(votes)[:, None]
            parts.append(
                _scored_batch(logits, label, keys, shared, classes) | ({} if votes is None else vote_columns(votes))
            )
            bar.update(len(label))
    rows = _without_broken(_first_of_each(concatenate(parts)))
    asked_for = prepared.recipe.num_clips * (1 if input_type == "clip" else prepared.recipe.num_frames)
    rows = with_deciding(rows, asked_for, (verdict or VerdictRecipe()).stated(prepared.recipe))
    return concatenate([rows, table(unscored_rows(prepared, split))])


def _scored_batch(logits, label, keys, shared, classes):
    """Table of one batch. `shared` keeps one object per distinct text."""
    shape = (len(label), len(classes) if classes else 1)
    if logits.shape != shape:
        need = f"a logit of each of {classes}" if classes else "one logit"
        raise ValueError(f"the network needs {need} per example, {list(shape)}, got {logits.shape}.")
    out = {}
    for name in ("data_set", "method", "video", "source"):
        texts = [value.decode("utf-8") for value in keys[name]]
        out[name] = np.array([shared.setdefault(text, text) for text in texts], dtype=object)
    out["face"], out["frame"] = keys["face"].astype(np.int32), keys["frame"].astype(np.int64)
    # Stored as float32, which holds no more than 0.1 ms for videos of half an hour.
    out["timestamp_s"] = np.round(keys["timestamp_s"].astype(np.float64), 4)
    out["label"] = label[:, 0].astype(np.int8)
    out["logit"] = log_odds(logits)
    out["status"] = np.full(len(label), "scored", dtype=object)
    numbers = [name for name in (*LOOKS, MASK_FRACTION, CLIP_FPS) if name in keys]
    out |= {name: keys[name].astype(np.float32) for name in numbers}
    for name in keys.keys() - {*COLUMNS, *numbers}:  # subgroups
        texts = [value.decode("utf-8") for value in keys[name]]
        out[name] = np.array([shared.setdefault(text, text) for text in texts], dtype=object)
    for number, name in enumerate(classes or ()):
        out[CLASS_PREFIX + name] = logits[:, number].astype(np.float32)
    return out


def _first_of_each(rows):
    video, _ = video_codes(rows)
    order = np.lexsort((np.arange(len(video)), rows["frame"], rows["face"], video))
    new = np.ones(len(order), bool)
    keys = (video, rows["face"], rows["frame"])
    new[1:] = np.logical_or.reduce([np.diff(values[order]) != 0 for values in keys])
    return select(rows, np.sort(order[new]))


def _without_broken(rows):
    """Videos with a logit that is not finite get one row of status "error" in the place of their rows."""
    video, first = video_codes(rows)
    finite = np.logical_and.reduce([np.isfinite(rows[name]) for name in ("logit", *more_columns(rows))])
    broken = np.unique(video[~finite])
    if not len(broken):
        return rows
    errors = select(rows, first[broken])
    for name in [*EMPTY, *more_columns(rows), *optional_columns(rows)]:
        if name != "label":
            errors[name] = np.full(len(broken), *empty_cell(name))
    errors["status"] = np.full(len(broken), "error", dtype=object)
    return concatenate([select(rows, ~np.isin(video, broken)), errors])


def unscored_rows(prepared: "PreparedData", split: str) -> list[dict]:
    """Row dicts of the videos that the preparation met and could not use, from the data set's metadata."""
    met = prepared.metadata.get("coverage", {}).get(split, {})
    covers = prepared.selection.covers if prepared.selection else lambda split, method: True
    rows = []
    for reason, status in (("no_face", "no_face"), ("unreadable", "unreadable"), ("too_short", "error")):
        for entry in met.get(reason, ()):
            if isinstance(entry, dict) and not covers(split, entry.get("method", "")):
                continue
            names = (*COLUMNS, *(prepared.metadata.get("subgroups") or ()))
            data_set = prepared.version.partition("/")[0].partition(":")[0]
            rows.append(_unscored(entry, data_set, names) | {"status": status})
    return rows


def _unscored(entry, data_set, names):
    """Row of one metadata entry: a dict of table columns (`names`), [name, reason] or a name."""
    if isinstance(entry, dict):
        return {"data_set": data_set} | {name: entry[name] for name in names if name in entry}
    name = entry if isinstance(entry, str) else entry[0]
    return {"data_set": data_set, "video": name}
