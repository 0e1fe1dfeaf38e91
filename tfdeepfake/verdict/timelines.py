"""Examples of one video to faces: what the network looks at, its scores over time, each face's mean."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tfdeepfake.data.examples import Example
from tfdeepfake.recipe import VerdictRecipe
from tfdeepfake.scoring.deciding import brief_and_weak, side_px
from tfdeepfake.scoring.interval import interval
from tfdeepfake.scoring.rules import probability, sum_up, vote
from tfdeepfake.scoring.unsure import face_doubts, label_of
from tfdeepfake.verdict.quality import measures_of
from tfdeepfake.verdict.windows import peak

LEAST_SIDE_PX = VerdictRecipe.least_side_px


class Shown(NamedTuple):
    """One input of the network, as it was shown.

    Args:
      face: number of the face in the verdict.
      example: that it is a part of.
      at: which of the example's frames, a number or a slice.
      logit: what the network said.
    """

    face: int
    example: Example
    at: int | slice
    logit: float


def ranked_faces(examples: list[Example], is_image: bool) -> list[int]:
    """Numbers of the faces, those to be judged first in front.

    In a video that is the face seen in most examples, of two the one the detector is surer of; in a still image, where
    every face is seen once, the largest.
    """
    if is_image:
        sides = {e.face: e.face_boxes_px[0, 2:] - e.face_boxes_px[0, :2] for e in examples}
        return sorted(sides, key=lambda face: -float(sides[face].prod()))
    seen = {}
    for example in examples:
        count, score = seen.get(example.face, (0, 0.0))
        seen[example.face] = count + 1, score + float(example.score)
    return sorted(seen, key=lambda face: (-seen[face][0], -seen[face][1]))


def network_inputs(examples: list[Example], input_type: str) -> Iterator[tuple[Example, int | slice]]:
    """Yields (example, which frames of it) for each input of the network.

    Clips of a short video overlap: a frame of two clips is one input of a network of single frames.
    """
    taken = set()
    for example in examples:
        if input_type == "clip":
            yield example, slice(0, len(example.frames))
            continue
        for t, frame in enumerate(example.indices):
            if (example.face, int(frame)) not in taken:
                taken.add((example.face, int(frame)))
                yield example, t


def point(example: Example, at: int | slice, logit: float | np.ndarray, temperature: float) -> dict:
    """One point of a face's timeline (docs/predictions.md); a clip also names boxes along its way, for drawing."""
    where = np.arange(len(example.frames))[at].reshape(-1)
    values = {
        "time_s": round(float(example.timestamps_s[where[0]]), 4),
        "end_s": round(float(example.timestamps_s[where[-1]]), 4),
        "frame": int(example.indices[where[0]]),
        "box": [round(float(v), 1) for v in example.face_boxes_px[where[0]]],
        "logit": float(vote(np.reshape(logit, -1))),
        "probability": float(np.mean(probability(logit, temperature))),
    }
    if np.size(logit) > 1:
        values["votes"] = [float(each) for each in logit]
    if len(where) > 1:
        along = where[np.unique(np.linspace(0, len(where) - 1, 5).round().astype(int))]
        values["boxes"] = [
            [int(example.indices[t]), round(float(example.timestamps_s[t]), 4)]
            + [round(float(v), 1) for v in example.face_boxes_px[t]]
            for t in along
        ]
        step_s = float(np.median(np.diff(example.timestamps_s[where])))
        values["clip_fps"] = round(1 / step_s, 3) if step_s > 0 else None
    return values


def look_of(inputs: list[tuple[Example, int | slice]]) -> dict:
    """How well a face can be seen, from its samples as `network_inputs` gives them.

    Returns:
      {"side_px": median over the samples of `side_px`, to a tenth, "confidence": the detector's, mean over them, to the
      fourth digit, "measures": see `quality.measures_of`}.
    """
    sides = [side_px(example.face_boxes_px[at]) for example, at in inputs]
    return {
        "side_px": round(float(np.median(sides)), 1),
        "confidence": round(float(np.mean([example.score for example, _ in inputs])), 4),
        "measures": measures_of(list({id(example): example for example, _ in inputs}.values())),
    }


def sampled(timelines: list[list[dict]], video_rule: str, temperature: float = 1.0) -> float:
    """Probability of the samples of one or several faces, taken together.

    Args:
      timelines: points of each face.
      video_rule, temperature: see `scoring.rules`.
    """
    points = [point for timeline in timelines for point in timeline]
    unit = "clip" if "boxes" in points[0] else "frame"
    times_s = [point["time_s"] for point in points]
    logits = [point.get("votes", point["logit"]) for point in points]
    return float(sum_up(logits, None, video_rule, temperature, times_s, unit)[0])


def table_of(timeline: list[dict]) -> dict:
    """{first frame of the sample: its logit, or those of the networks that vote}, for `interval.interval`."""
    return {point["frame"]: point.get("votes", point["logit"]) for point in timeline}


def faces_of(
    timelines: dict[int, list[dict]],
    looks: dict[int, dict],
    num_samples: int,
    threshold: float,
    video_rule: str,
    temperature: float = 1.0,
    limits: dict[str, float] | None = None,
    verdict: VerdictRecipe | None = None,
    looked_for: bool = True,
) -> list[dict]:
    """Timelines to faces: probability, mean and peak, label and doubts, fraction of the samples, whether it may decide.

    Args:
      timelines: {number of the face: its points}.
      looks: {number of the face: what `look_of` says of it}.
      num_samples: frames or clips of the video that were looked at.
      threshold: probability from which a face is called FAKE.
      video_rule, temperature: by which the face's probability comes about, see `scoring.rules`.
      limits: of the recipe, see `unsure.face_doubts`.
      verdict: of the recipe, stated; by it some faces do not decide, see `scoring.deciding`.
      looked_for: whether a detector found the faces.
    Returns:
      list of face dicts (docs/predictions.md), most suspicious first, brief and weak ones last; at least one is
      neither.
    """
    faces = []
    count, sides, confidences = (
        np.array([f(n) for n in timelines])
        for f in (
            lambda n: len(timelines[n]),
            lambda n: looks[n]["side_px"] if looked_for else np.nan,
            lambda n: looks[n]["confidence"] if looked_for else np.nan,
        )
    )
    zeros = np.zeros(len(count), np.int64)
    decided = brief_and_weak(zeros, count, np.array([num_samples]), sides, confidences, verdict or VerdictRecipe())
    for (number, timeline), brief, weak in zip(timelines.items(), *decided, strict=True):
        timeline = sorted(timeline, key=lambda p: p["time_s"])
        fraction = min(1.0, len(timeline) / num_samples)
        mean, value = (sampled([timeline], rule, temperature) for rule in ("mean", video_rule))
        table = table_of(timeline)
        spread = None if video_rule == "peak" else interval([table], video_rule, temperature=temperature)
        face = {
            "face": number,
            "probability": value,
            "label": None,
            "interval": None if spread is None else list(spread),
            "doubts": [],
            "mean": mean,
            "peak": peak(timeline),
            "fraction": round(fraction, 4),
            "brief": bool(brief),
            "weak": bool(weak),
            **looks[number],
            "timeline": timeline,
        }
        who = "the face" if len(timelines) == 1 else f"face {number}"
        face["doubts"] = face_doubts(face, threshold, limits or {}, who)
        face["label"] = label_of(value, threshold, face["doubts"])
        faces.append(face)
    return sorted(faces, key=lambda face: (face["brief"] or face["weak"], -face["probability"]))
