"""From a scores table to one score per face and per video, and which videos have none.

Rules turn frames (or clips) into a face, and faces into a video: those of `scoring.rules`, which verdicts obey too, and
  fraction  the face's score is the fraction of its frames with a probability of at least 0.5 (P2 4.2.2); no
            temperature can change it
"""

import numpy as np

from tfdeepfake.scoring.rules import check_rules, probability, sum_up
from tfdeepfake.scoring.table import Table, codes, deciding_rows, sample_logits, video_codes
from tfdeepfake.vocabulary import STATUSES, VIDEO_RULES

RULES = (*VIDEO_RULES, "fraction")


def frame_scores(rows: Table, rule: str = "mean", temperature: float = 1.0) -> np.ndarray:
    """Scores of single frames: probability of FAKE, or 1.0 / 0.0 under the fraction rule.

    Args:
      rows: a scores table (see `tfdeepfake.scoring.table`).
      rule: one of RULES; of a single frame all but "fraction" say the same.
      temperature: divides the logit.
    Returns:
      float64 [N], NaN where the row was not scored.
    """
    if rule not in RULES:
        raise ValueError(f"rule needs one of {RULES}, got {rule!r}.")
    if not temperature > 0:
        raise ValueError(f"temperature needs to be above 0, got {temperature}.")
    logit = rows["logit"].astype(np.float64)
    if rule == "fraction":
        return np.where(np.isnan(logit), np.nan, logit >= 0)
    with np.errstate(invalid="ignore"):  # what was not scored
        return probability(logit, temperature)


def face_scores(
    rows: Table, rule: str = "mean", temperature: float = 1.0, unit: str = "frame", faces_rule: str = "max"
) -> dict[str, np.ndarray]:
    """One entry per face of every scored video; with `faces_rule` "all" one per video, its faces taken as one.

    Args:
      rows: a scores table (see `tfdeepfake.scoring.table`).
      rule, temperature, unit, faces_rule: see `video_scores`.
    Returns:
      Dict of arrays [F]: `video` int64 (index into `video_scores`), `face` int32, `label` int8, `score` float64,
      `frames` int64 (how many rows were averaged).
    """
    scored, video, face = face_groups(rows, faces_rule)
    frames = np.bincount(face, minlength=len(video))
    if rule == "fraction":
        called = frame_scores({"logit": rows["logit"][scored]}, rule)
        score = np.bincount(face, weights=called, minlength=len(video)) / np.maximum(frames, 1)
    else:
        score = sum_up(sample_logits(rows)[scored], face, rule, temperature, rows["timestamp_s"][scored], unit)
    any_row = np.zeros(len(video), np.int64)
    any_row[face] = scored
    faces, labels = rows["face"][any_row], rows["label"][any_row]
    return {"video": video, "face": faces, "label": labels, "score": score, "frames": frames}


def face_groups(rows: Table, faces_rule: str = "max") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers the faces of scored videos that decide, sorted by video.

    Args:
      rows: a scores table (see `tfdeepfake.scoring.table`).
      faces_rule: "all" takes the faces of a video as one.
    Returns:
      (int64 [S] rows that are scored and of such faces, int64 [F] video of each face, int64 [S] face each of those rows
      shows).
    """
    video, _ = video_codes(rows)
    scored = np.flatnonzero(deciding_rows(rows))
    key = video[scored] << 31
    if faces_rule != "all":
        key = key + rows["face"][scored].astype(np.int64)
    faces, face = np.unique(key, return_inverse=True)
    return scored, faces >> 31, face


def video_scores(
    rows: Table, rule: str = "mean", temperature: float = 1.0, unit: str = "frame", faces_rule: str = "max"
) -> dict[str, np.ndarray]:
    """One entry per video, in order of first appearance; videos without a score included.

    Args:
      rows: a scores table (see `tfdeepfake.scoring.table`).
      rule: one of RULES, see the head of this file and `scoring.rules`.
      temperature: divides the logit (not for "fraction").
      unit: what a row is, "frame" or "clip".
      faces_rule: "max", the highest of its faces is a video's score, or "all", that of their frames together.
    Returns:
      Dict of arrays [V]: `data_set`, `method`, `video`, `source`, `status` object, `label` int8 (-1 unknown),
      `score` float64 (NaN unless the status is "scored"), `face` int32 (the face with the highest score; -1 without
      one, and where several are taken together), `faces` and `frames` int64 (how many faces; rows of that face, or of
      all).
    """
    check_rules("mean", faces_rule)
    _, first = video_codes(rows)
    out = {name: rows[name][first] for name in ("data_set", "method", "video", "source", "status", "label")}
    faces = face_scores(rows, rule, temperature, unit, faces_rule)
    count = len(first)
    out["score"], out["face"] = np.full(count, np.nan), np.full(count, -1, np.int32)
    _, of_face, _ = face_groups(rows)
    out["faces"] = np.bincount(of_face, minlength=count)
    out["frames"] = np.zeros(count, np.int64)
    order = np.lexsort((-faces["face"], faces["score"]))  # the best face is written last; of equals the first face
    for name, values in (("score", "score"), ("face", "face"), ("frames", "frames")):
        out[name][faces["video"][order]] = faces[values][order]
    if faces_rule == "all":
        out["face"] = np.where(out["faces"] > 1, -1, out["face"]).astype(np.int32)
    return out


def coverage(videos: dict[str, np.ndarray]) -> dict:
    """How many videos there are, and how many of each status.

    Args:
      videos: what `video_scores` returns.
    """
    counts = {status: int(np.sum(videos["status"] == status)) for status in STATUSES}
    total = len(videos["status"])
    unlabelled = int(np.sum((videos["status"] == "scored") & (videos["label"] < 0)))
    fraction = counts["scored"] / total if total else None
    return {"videos": total, **counts, "fraction_scored": fraction, "scored_without_label": unlabelled}


def source_groups(videos: dict[str, np.ndarray]) -> tuple[np.ndarray, int]:
    """Numbers what resampling draws as one: all videos of a source, of a data set.

    A video without a source stands for itself.

    Returns:
      (int64 [V], number of videos without a source).
    """
    sourceless = videos["source"] == ""
    method = np.where(sourceless, videos["method"], "")
    video = np.where(sourceless, videos["video"], "")
    groups, _ = codes(videos["data_set"], videos["source"], method, video)
    return groups, int(sourceless.sum())
