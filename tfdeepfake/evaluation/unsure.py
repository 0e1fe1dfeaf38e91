"""What is right of the videos that a verdict would not call UNSURE, from a scores table: by the rules of verdicts.

The doubts are those of `scoring.unsure`: the interval over the samples of a video holds the threshold, or a measure of
a face lies beyond a limit of the recipe, or the video shows fewer frames/s than the network's training videos. A table
tells of `margin`, `samples`, `side_px`, `confidence` and `clip_fps`; limits of what is measured on pixels are named and
not obeyed.
"""

from collections.abc import Iterator

import numpy as np

from tfdeepfake.data.video.rate import least_clip_fps
from tfdeepfake.evaluation.aggregation import face_groups
from tfdeepfake.recipe import Recipe
from tfdeepfake.scoring.deciding import looks_of_faces
from tfdeepfake.scoring.interval import face_intervals, interval
from tfdeepfake.scoring.rules import sum_up
from tfdeepfake.scoring.table import CLIP_FPS, LOOKS, Table, sample_logits
from tfdeepfake.scoring.unsure import face_doubts, label_of, rate_doubts, video_doubts
from tfdeepfake.vocabulary import FAKE, UNSURE

OF_TABLE = ("margin", "samples", *LOOKS)
# Among limits, the least frames/s of a clip (`data.video.rate.least_clip_fps`), which is of the video and no face.
FRAME_RATE = "frame_rate"


def limits_of(recipe: Recipe) -> dict[str, float]:
    """The limits of a recipe, with that of `FRAME_RATE` where it has one."""
    least = least_clip_fps(recipe.data)
    return dict(recipe.limits) | ({} if least is None else {FRAME_RATE: round(least, 3)})


def measure(
    rows: Table,
    videos: dict[str, np.ndarray],
    threshold: float,
    temperature: float = 1.0,
    unit: str = "frame",
    video_rule: str = "mean",
    faces_rule: str = "max",
    limits: dict[str, float] | None = None,
) -> dict:
    """How many videos are UNSURE, why, and what is right of the others.

    Args:
      rows: scores table of faces that decide.
      videos: what `aggregation.video_scores` returns of it.
      threshold, temperature, unit, video_rule, faces_rule, limits: as of `evaluate.evaluate`; a limit may be that
        of `FRAME_RATE`.
    Returns:
      Dict that JSON can hold, of the videos that are scored and labelled: `n`, `unsure` (how many), `coverage`
      (fraction of the others), `accuracy` of the others (None without any), `reasons` {measure: videos}, `not_measured`
      (measures of the limits that a table does not tell of).
    """
    limits = limits or {}
    known = [name for name in OF_TABLE if name not in LOOKS or name in rows]
    obeyed = {name: limit for name, limit in limits.items() if name in known}
    labels, right, reasons = videos["label"], [], {}
    least_fps = limits.get(FRAME_RATE) if CLIP_FPS in rows else None
    clips_fps = {} if least_fps is None else _clips_fps(rows)
    for video, faces in faces_of_table(rows, threshold, temperature, unit, video_rule, obeyed):
        if labels[video] < 0:
            continue
        spread = spread_of(faces, video_rule, faces_rule, temperature)
        value = float(videos["score"][video])
        doubts = video_doubts(value, spread, threshold, 0, faces)
        if least_fps is not None:
            doubts += rate_doubts(clips_fps[video], least_fps)
        label = label_of(value, threshold, doubts)
        right += [] if label == UNSURE else [(label == FAKE) == (labels[video] == 1)]
        for name in {doubt["measure"] for doubt in doubts}:
            reasons[name] = reasons.get(name, 0) + 1
    n = int(((labels >= 0) & np.isfinite(videos["score"])).sum())
    return {
        "n": n,
        "unsure": n - len(right),
        "coverage": len(right) / n if n else None,
        "accuracy": float(np.mean(right)) if right else None,
        "reasons": dict(sorted(reasons.items())),
        "not_measured": sorted(set(limits) - set(obeyed) - ({FRAME_RATE} if least_fps is not None else set())),
    }


def _clips_fps(rows):
    """{number of a video: rates of its clips that are known}."""
    scored, video, face = face_groups(rows)
    order = np.argsort(video[face], kind="stable")
    fps, (numbers, starts) = rows[CLIP_FPS][scored][order], np.unique(video[face][order], return_index=True)
    parts = np.split(fps, starts[1:])
    return {number: part[part > 0] for number, part in zip(numbers.tolist(), parts, strict=True)}


def spread_of(faces: list[dict], video_rule: str, faces_rule: str, temperature: float) -> tuple[float, float] | None:
    """The interval of a video's probability, of what `faces_of_table` yields of it."""
    if len(faces) > 1 and video_rule != "peak":
        return interval([face["table"] for face in faces], video_rule, faces_rule, temperature)
    return faces[0]["interval"]


def faces_of_table(
    rows: Table, threshold: float, temperature: float, unit: str, video_rule: str, limits: dict[str, float]
) -> Iterator[tuple[int, list[dict]]]:
    """Yields (number of a video, face dicts as `scoring.unsure` takes them, the most suspicious first).

    Args:
      rows, threshold, temperature, unit, video_rule, limits: as of `measure`. Of the dicts `face` is the number in the
        table, and `measures` is empty.
    """
    scored, video, face = face_groups(rows)
    logits, times_s, frames = sample_logits(rows)[scored], rows["timestamp_s"][scored], rows["frame"][scored]
    scores = sum_up(logits, face, video_rule, temperature, times_s, unit)
    sides, confidences = looks_of_faces(rows, scored, face, len(video))
    order = np.lexsort((frames, face))
    parts = np.split(order, np.cumsum(np.bincount(face, minlength=len(video)))[:-1]) if len(video) else []
    of_faces = [logits[samples] for samples in parts]
    peak = video_rule == "peak"
    spreads = [None] * len(parts) if peak else face_intervals(of_faces, video_rule, temperature)
    faces, current = [], None
    for number, (of_video, samples) in enumerate(zip(video.tolist(), parts, strict=True)):
        if faces and of_video != current:
            yield current, sorted(faces, key=lambda one: -one["probability"])
            faces = []
        current = of_video
        table = dict(zip(frames[samples].tolist(), logits[samples].tolist(), strict=True))
        one = {
            "face": int(rows["face"][scored[samples[0]]]),
            "probability": float(scores[number]),
            "interval": spreads[number],
            "timeline": samples,
        }
        one |= {"side_px": _known(sides[number]), "confidence": _known(confidences[number]), "measures": {}}
        one |= {"table": table, "brief": False, "weak": False}
        one["doubts"] = face_doubts(one, threshold, limits)
        one["label"] = label_of(one["probability"], threshold, one["doubts"])
        faces.append(one)
    if faces:
        yield current, sorted(faces, key=lambda one: -one["probability"])


def _known(value):
    return None if np.isnan(value) else float(value)


def unsure_lines(report: dict | None) -> list[str]:
    """What `measure` returned, as text."""
    if not report or not report["n"]:
        return []
    reasons = ", ".join(f"{name} {count}" for name, count in report["reasons"].items())
    others = "nothing is left" if report["accuracy"] is None else f"of the others {report['accuracy']:.3f} are right"
    why = f" ({reasons})" if reasons else ""
    lines = [f"UNSURE as a verdict: {report['unsure']} of {report['n']} videos{why}; {others}."]
    if report["not_measured"]:
        lines.append(f"Limits of {', '.join(report['not_measured'])} are not obeyed: scores do not tell of them.")
    return lines
