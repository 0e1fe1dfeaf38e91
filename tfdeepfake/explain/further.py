"""Frames at a fixed distance on the contact sheet, also such as no verdict saw (P3 Fig. 7 has five, 24 apart)."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.explain.samples import Sample, most_suspicious, sample_of, with_maps
from tfdeepfake.scoring.rules import vote
from tfdeepfake.verdict.timelines import Shown, network_inputs

if TYPE_CHECKING:
    from tfdeepfake.verdict.batch import Network
    from tfdeepfake.verdict.settings import JudgeSettings


def frames_apart(samples: list[Sample], count: int, every: int, frame_count: int) -> list[int]:
    """Numbers of frames of a video, so far apart.

    Args:
      samples: of one face.
      count: at most so many, fewer in a video that is too short for them.
      every: distance of neighbours.
      frame_count: of the video.
    Returns:
      Rising; one is the first of the most suspicious sample, in the middle as far as the video's ends allow.
    """
    (worst,) = most_suspicious(samples).values()
    frame = int(worst.indices[0])
    before = min(count // 2, frame // every)
    after = min(count - 1 - before, (frame_count - 1 - frame) // every)
    before = min(count - 1 - after, frame // every)
    return [frame + every * step for step in range(-before, after + 1)]


def further_samples(
    path: Path | str,
    network: "Network",
    settings: "JudgeSettings",
    samples: list[Sample],
    face: int,
    wanted: Sequence[int],
    functions: list[Callable],
) -> list[Sample]:
    """Samples of frames that the verdict did not look at, with their maps; no verdict counts them.

    Args:
      path: video.
      network: `verdict.batch.Network`, loaded with runtime "keras"; settings: as the verdict's.
      samples: of all faces, as the verdict saw them; a face is the one that was nearest to its place before.
      face: number of the one that is wanted.
      wanted: numbers of frames.
      functions: see `samples.with_maps`.
    Returns:
      list of Sample, runs of frames with a wanted one in their middle; none where all are there, where the face is not
      seen, and of networks of chunks or of frames spread over the video, which have no sample of one place.
    """
    from tfdeepfake import model_inputs
    from tfdeepfake.data import examples
    from tfdeepfake.verdict.inference import score

    model, recipe = network.model, network.recipe
    seen = set(np.concatenate([sample.indices for sample in samples if sample.face == face]).tolist())
    missing = [frame for frame in wanted if frame not in seen]
    spaced = recipe.data.sampling == "spaced"
    if not missing or recipe.data.sampling == "chunks" or (spaced and recipe.data.input_type != "frame"):
        return []
    how = {"select": "all", "num_frames" if spaced else "num_clips": len(missing)}
    where = {"stream": settings.stream, "frame_rate": settings.frame_rate}
    detect = None if recipe.data.detector == "none" else network.detect
    places = np.array([[frame, frame + 1] for frame in missing])
    try:
        there = examples.extract(path, dataclasses.replace(recipe.data, **how), detect=detect, places=places, **where)
    except examples.NoFace:
        return []
    input_type = model_inputs.input_type(model)
    rows = [row for row in network_inputs(there, input_type) if set(missing) & set(row[0].indices[row[1]].reshape(-1))]
    rows = [(example, at) for example, at in rows if _face_at(samples, example, at) == face]
    if not rows:
        return []
    at_once = 2 if input_type == "clip" else 8
    logits = score(model, [(e.frames[at], None if e.flow is None else e.flow[at]) for e, at in rows], at_once)
    shown = [
        sample_of(Shown(face, example, at, float(vote(np.reshape(logit, -1)))), recipe)
        for (example, at), logit in zip(rows, logits, strict=True)
    ]
    return with_maps(shown, model, functions, at_once)


def _face_at(samples, example, at):
    """Number of the face that was nearest, by no more than its own side, when it was last seen; 0 for none."""
    rows = np.arange(len(example.indices))[at].reshape(-1)
    frame, box = example.indices[rows].mean(), example.face_boxes_px[rows].mean(axis=0)
    nearest = {}
    for sample in samples:
        apart = abs(sample.indices.mean() - frame)
        if sample.face not in nearest or apart < nearest[sample.face][0]:
            nearest[sample.face] = apart, sample.face_boxes_px.mean(axis=0)
    moved = {
        face: np.hypot(*(box[:2] + box[2:] - other[:2] - other[2:]) / 2) / max(other[2:] - other[:2])
        for face, (_, other) in nearest.items()
    }
    face = min(moved, key=moved.get)
    return face if moved[face] <= 1 else 0
