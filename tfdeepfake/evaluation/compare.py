"""Detectors on the same videos: differences with intervals and tests."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy import stats

from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import estimates, metrics
from tfdeepfake.evaluation.members import Member, Paired, pair, read_member

FEW = 30  # videos of a class below which a comparison is said to be of few


def compare(
    members: Sequence[str],
    columns: Mapping[str, str] | None = None,
    split: str = "test",
    out: str | Path | None = None,
    resamples: int = metrics.RESAMPLES,
    seed: int = 0,
) -> dict:
    """Compares detectors by their scores of the same videos.

    Args:
      members: two or more of PATH, NAME=PATH or NAME=PATH,PATH (seeds), see `members.read_member`.
      columns: of other people's files.
      split: the one whose evaluation is taken of run folders.
      out: folder for comparison.json, .csv, .md, .tex and roc.png; nothing is written when not given.
      resamples, seed: of the bootstrap that draws sources.
    Returns:
      What `compare_members` returns.
    Raises:
      InputError: a file is missing or wrong, or the files do not match.
    """
    if len(members) < 2:
        raise InputError("compare", f"needs two detectors or more, got {len(members)}.", "Give their score files.")
    read = _named_apart([read_member(text, columns, split) for text in members])
    paired = pair(read)
    report = compare_members(read, paired, resamples, seed)
    if out is not None:
        from tfdeepfake.evaluation.compare_plot import roc_curves
        from tfdeepfake.evaluation.compare_text import write_comparison

        write_comparison(out, report)
        roc_curves(Path(out) / "roc.png", paired.labels, paired.scores, report)
    return report


def compare_members(
    members: Sequence[Member], paired: Paired, resamples: int = metrics.RESAMPLES, seed: int = 0
) -> dict:
    """All pairs of detectors.

    AUC differences have DeLong's test with variances of Obuchowski for sources (`estimates.difference`), and a second
    interval by a bootstrap that draws sources. p (Holm) holds for all pairs together. McNemar's exact test is of the
    videos that one detector alone calls right; it takes videos as independent, which the interval of the accuracies'
    difference does not. Of several seeds AUC and accuracy are means over them, and McNemar's test is not defined.

    Args:
      members: detectors.
      paired: what `members.pair` returns for them.
      resamples, seed: of the bootstrap; 0 for none.
    Returns:
      JSON-able dict: videos (common, fake, real, sources), detectors, pairs, bootstrap, notes.
    """
    labels, groups = paired.labels.astype(np.int64), paired.groups
    areas = [_mean([estimates.auc(labels, row, groups) for row in scores]) for scores in paired.scores]
    right = [_right(member, scores, labels) for member, scores in zip(members, paired.scores, strict=True)]
    accuracies = [None if rows is None else _mean([_accuracy(labels, r, groups) for r in rows]) for rows in right]
    drawn = _resample(labels, paired.scores, groups, resamples, seed)
    detectors = [
        _detector(*parts, labels)
        for parts in zip(members, areas, accuracies, paired.scores, right, paired.left_out, strict=True)
    ]
    pairs = []
    for a, b in combinations(range(len(members)), 2):
        area = estimates.difference(areas[a], areas[b])
        area["bootstrap_interval"] = None if drawn is None else _percentiles(drawn[a] - drawn[b])
        accuracy = {"undefined": "a detector has no threshold: its scores are not within 0..1"}
        if accuracies[a] is not None and accuracies[b] is not None:
            accuracy = estimates.difference(accuracies[a], accuracies[b]) | {"mcnemar": mcnemar(right[a], right[b])}
        pairs.append({"a": members[a].name, "b": members[b].name, "auc": area, "accuracy": accuracy})
    for entry, p in zip(pairs, holm([entry["auc"]["p"] for entry in pairs]), strict=True):
        entry["auc"]["p_holm"] = p
    fake = int(labels.sum())
    videos = {
        "common": len(labels), "fake": fake, "real": len(labels) - fake, "sources": int(groups.max()) + 1,
        "unlabelled": paired.num_unlabelled,
    }  # fmt: skip
    return {
        "videos": videos,
        "detectors": detectors,
        "pairs": pairs,
        "bootstrap": {"resamples": resamples, "seed": seed, "unit": "source video or identity"},
        "notes": _notes(videos, paired, areas[0], detectors) + _notes_of_scores(members),
    }


def _named_apart(members):
    """Members of one name get numbers."""
    names, out = [member.name for member in members], []
    for number, member in enumerate(members):
        again = names[:number].count(member.name)
        out.append(replace(member, name=f"{member.name} ({again + 1})") if again else member)
    return out


def _mean(several):
    """The mean of estimates of the same items in the same groups: itself an estimate."""
    return replace(
        several[0],
        value=float(np.mean([e.value for e in several])),
        parts=np.mean([e.parts for e in several], axis=0),
    )


def _right(member, scores, labels):
    """bool [S, V]: which videos each run calls right; None without a threshold."""
    cuts = [file.threshold for file in member.files]
    if None in cuts:
        return None
    return (scores >= np.array(cuts)[:, None]) == (labels == 1)


def _accuracy(labels, right, groups):
    return estimates.counted(labels, right == (labels == 1), groups)["accuracy"]


def _detector(member, area, accuracy, scores, right, left_out, labels):
    alone = [estimates.auc(labels, row, np.arange(len(labels))).value for row in scores]
    out = {
        "name": member.name,
        "files": [str(file.path) for file in member.files],
        "auc": area.value,
        "auc_interval": estimates.interval(area),
        "accuracy": None if accuracy is None else accuracy.value,
        "accuracy_interval": None if accuracy is None else estimates.interval(accuracy),
        "thresholds": [file.threshold for file in member.files],
        "videos": max(len(file.videos) for file in member.files),
        "left_out": left_out,
        "seeds": len(scores),
        "auc_of_seeds": alone,
        "auc_spread": float(np.std(alone, ddof=1)) if len(alone) > 1 else None,
    }
    if right is not None and len(alone) > 1:
        out["accuracy_spread"] = float(np.std(right.mean(axis=1), ddof=1))
    return out


def mcnemar(a: np.ndarray, b: np.ndarray) -> dict:
    """McNemar's exact test that two detectors are right equally often.

    Args:
      a, b: bool [S, V], which videos are called right.
    Returns:
      {"only_a", "only_b": videos that one alone calls right, "p": two-sided, binomial}; None for several seeds.
    """
    if len(a) > 1 or len(b) > 1:
        return {"only_a": None, "only_b": None, "p": None}
    only_a, only_b = int(np.sum(a[0] & ~b[0])), int(np.sum(b[0] & ~a[0]))
    p = float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return {"only_a": only_a, "only_b": only_b, "p": p}


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p values that hold for all tests together (Holm 1979); None stays None."""
    known = sorted((p, number) for number, p in enumerate(values) if p is not None)
    out, most = [None] * len(values), 0.0
    for rank, (p, number) in enumerate(known):
        most = max(most, min(1.0, p * (len(known) - rank)))
        out[number] = most
    return out


def _resample(labels, scores, groups, resamples, seed):
    """AUC of each member in each resample, float64 [M, resamples]; None without resamples."""
    if resamples < 1 or groups.max() < 1:
        return None
    functions = [[metrics.weighted_auc(labels, row, groups) for row in rows] for rows in scores]
    blocks = []
    for counts in metrics.resampled_groups(int(groups.max()) + 1, resamples, seed, len(labels)):
        blocks.append([np.mean([area(counts) for area in mine], axis=0) for mine in functions])
    return np.concatenate(blocks, axis=1)


def _percentiles(values):
    values = values[np.isfinite(values)]
    tail = 50 * (1 - estimates.CONFIDENCE)
    return [float(v) for v in np.percentile(values, [tail, 100 - tail])] if len(values) else None


def _notes(videos, paired, area, detectors):
    notes = []
    if area.reason:
        notes.append(f"no intervals by variance: {area.reason}.")
    elif perfect := [entry["name"] for entry in detectors if entry["auc"] in (0, 1)]:
        notes.append(
            f"{' and '.join(perfect)}: with an AUC of 1 or 0 DeLong's variance is 0, so that p is too small; go by "
            "the interval of the difference."
        )
    if min(videos["fake"], videos["real"]) < FEW:
        notes.append(f"few videos: {videos['fake']} fakes and {videos['real']} reals; differences are hardly known.")
    if paired.num_sourceless:
        count = f"{paired.num_sourceless} of {videos['common']} videos"
        notes.append(f"{count} name no source and count as independent: intervals may be too narrow.")
    if paired.num_unlabelled:
        notes.append(f"{paired.num_unlabelled} videos that all scored have no label in any file and are left out.")
    return notes


def _notes_of_scores(members):
    """What the files beside the scores say that a difference may be of, and what is to be said of each detector."""
    notes = []
    for name, what in (("data", "prepared data"), ("split", "splits"), ("tta", "test-time augmentation")):
        told = {
            member.name: [str(file.facts[name]) for file in member.files if name in file.facts] for member in members
        }
        if len({value for values in told.values() for value in values}) > 1:
            each = "; ".join(f"{who}: {', '.join(dict.fromkeys(values))}" for who, values in told.items() if values)
            notes.append(f"the scores are of different {what}, and so is the difference ({each}).")
    for member in members:
        own = dict.fromkeys(note for file in member.files for note in file.facts.get("score_notes", ()))
        notes += [f"{member.name}: {note}" for note in own]
    return notes
