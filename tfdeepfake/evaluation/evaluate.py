"""Scores table -> metrics with intervals and coverage, as a dict."""

from collections.abc import Sequence

import numpy as np

from tfdeepfake.evaluation import metrics, multiclass, selective, unsure
from tfdeepfake.evaluation.aggregation import (
    coverage,
    face_groups,
    face_scores,
    frame_scores,
    source_groups,
    video_scores,
)
from tfdeepfake.evaluation.parts import data_set_parts, few_notes, method_parts, shared_notes, subgroup_parts
from tfdeepfake.scoring.classes import methods_of
from tfdeepfake.scoring.table import DECIDES, Table, class_names, deciding_rows, select, video_codes


def evaluate(
    rows: Table,
    threshold: float = 0.5,
    fraction_threshold: float | None = None,
    temperature: float = 1.0,
    resamples: int = metrics.RESAMPLES,
    seed: int = 0,
    unit: str = "frame",
    video_rule: str = "mean",
    faces_rule: str = "max",
    subgroups: Sequence[str] | None = None,
    limits: dict[str, float] | None = None,
) -> dict:
    """Metrics of a scores table at frame, face and video level.

    Levels, each a dict as `metrics.measure` describes, with `intervals` and `coverage`:
      video        `video_rule`, `faces_rule` and `threshold`
      video_fraction  fraction-of-frames rule and `fraction_threshold`
      face         `video_rule` over the face's frames, `threshold`
      frame        single frames or clips, cut at 0.5
    Faces that would not decide a verdict, brief and weak ones (`decides` of the table), have no part in any of them.
    A frame-level AUC is not a video-level AUC: the level stands in the key and in the text.

    Videos that were not scored have no part in any metric, but are counted: `coverage` stands in every level,
    and `accuracy_counting_unscored_as_wrong` at the video levels is the accuracy over all videos whose label is
    known or which were not scored. Videos scored without a label are counted and left out.

    Args:
      rows: scores table (see `tfdeepfake.scoring.table`).
      threshold, fraction_threshold, temperature: of the model's recipe, chosen on validation data. A
        `fraction_threshold` of None is taken as 0.5.
      resamples: of the bootstrap; 0 for no intervals.
      seed: of the bootstrap.
      unit: what one row is, "frame" or "clip".
      video_rule, faces_rule: of the recipe, see `scoring.rules`.
      subgroups: columns of the table by whose values videos are measured apart; all such columns when not given.
      limits: of the recipe, by which videos are UNSURE.
    Returns:
      Dict that JSON can hold (no NaN): coverage, levels, methods, selective, thresholds, bootstrap, notes. `methods`
      has the video level of each manipulation against all reals of its data set, `data_sets` (of several) and
      `subgroups` {column: {value: level}} those of their videos, `unscored` the videos without a score, `selective`
      what is right of the videos whose score is farthest from the threshold (`selective.measure`), in it `unsure` what
      is right of those that a verdict would not call UNSURE (`unsure.measure`). `classes`, of a network that tells
      methods apart: see `multiclass.evaluate_classes`.
    """
    rows, notes = _of_deciding(rows)
    videos = video_scores(rows, video_rule, temperature, unit, faces_rule)
    fractions = video_scores(rows, "fraction", faces_rule=faces_rule)["score"]
    faces = face_scores(rows, video_rule, temperature, unit)
    groups, num_sourceless = source_groups(videos)
    counted = coverage(videos)
    fraction_cut = 0.5 if fraction_threshold is None else fraction_threshold

    def level(labels, scores, group, cut, probabilities=True, seen=counted):
        usable = (labels >= 0) & np.isfinite(scores)
        labels, scores, group = labels[usable], scores[usable], group[usable]
        out = metrics.measure(labels, scores, cut, probabilities)
        out["intervals"], reasons = metrics.intervals(labels, scores, group, cut, resamples, seed, probabilities)
        out["undefined"] |= {f"interval of {k}": why for k, why in reasons.items() if out[k] is not None}
        out["sources"] = len(np.unique(group))
        out["coverage"] = {name: seen[name] for name in ("scored", "videos")}
        return out

    def video_level(chosen, scores, cut, probabilities=True):
        labels, seen = videos["label"][chosen], coverage(select(videos, chosen))
        out = level(labels, scores[chosen], groups[chosen], cut, probabilities, seen)
        unscored = seen["videos"] - seen["scored"]
        right = out["confusion"]["true_real"] + out["confusion"]["true_fake"]
        total = out["n"] + unscored
        out["accuracy_counting_unscored_as_wrong"] = right / total if total else None
        return out

    row_video, _ = video_codes(rows)
    everything = np.ones(len(groups), bool)
    levels = {
        "video": video_level(everything, videos["score"], threshold),
        "video_fraction": video_level(everything, fractions, fraction_cut, probabilities=False),
        "face": level(faces["label"], faces["score"], groups[faces["video"]], threshold),
        "frame": level(rows["label"], frame_scores(rows, "mean", temperature), groups[row_video], 0.5),
    }

    def rows_of(parts):
        return {name: video_level(chosen, videos["score"], threshold) for name, chosen in parts.items()}

    methods, data_sets = rows_of(method_parts(videos)), rows_of(data_set_parts(videos))
    of_subgroup = subgroup_parts(rows, subgroups)
    by_subgroup = {name: rows_of(parts) for name, parts in of_subgroup.items()}
    usable = (videos["label"] >= 0) & np.isfinite(videos["score"])
    if num_sourceless:
        notes.append(f"{num_sourceless} of {len(groups)} videos name no source and were resampled one by one.")
    notes += shared_notes(of_subgroup)
    notes += few_notes({"methods": methods, "data_sets": data_sets, **by_subgroup})
    doubts = unsure.measure(rows, videos, threshold, temperature, unit, video_rule, faces_rule, limits or {})
    selection = selective.measure(videos["label"][usable], videos["score"][usable], threshold)
    known = methods_of(class_names(rows))
    classes = {"classes": multiclass.evaluate_classes(rows, temperature)} if known else {}
    return {
        "coverage": counted,
        "levels": levels,
        "methods": methods,
        "data_sets": data_sets,
        "subgroups": by_subgroup,
        "unscored": _unscored(videos),
        **classes,
        "selective": selection | {"unsure": doubts},
        "unit": unit,
        "thresholds": {
            "threshold": float(threshold),
            "fraction_threshold": float(fraction_cut),
            "fraction_threshold_was_chosen": fraction_threshold is not None,
            "temperature": float(temperature),
            "video_rule": video_rule,
            "faces_rule": faces_rule,
            "limits": dict(limits or {}),
        },
        "bootstrap": {
            "resamples": resamples,
            "seed": seed,
            "unit": "source video or identity",
            "interval": "95 %, by source; log loss and Brier: percentile bootstrap",
        },
        "notes": notes,
    }


def _of_deciding(rows):
    """(table without the faces that do not decide, what is to be said of that)."""
    kept = deciding_rows(rows) | (rows["status"] != "scored")
    if kept.all():
        return rows, []
    kept_rows = select(rows, kept)
    faces = len(face_groups({name: column for name, column in rows.items() if name != DECIDES})[1])
    left_out = faces - len(face_groups(kept_rows)[1])
    note = f"{left_out} of {faces} faces do not decide, as in verdicts (brief, small or doubtful), and are left out."
    return kept_rows, [note]


def _unscored(videos):
    """[{data_set, method, video, status}] of the videos without a score."""
    names = ("data_set", "method", "video", "status")
    return [{name: str(videos[name][at]) for name in names} for at in np.flatnonzero(videos["status"] != "scored")]
