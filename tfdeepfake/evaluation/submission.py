"""Kaggle's submission of the Deepfake Detection Challenge: filename,label for every test file, log loss in mind.

The log loss punishes a sure error without bound, so probabilities are cut to clip .. 1 - clip, and the clip is chosen
on validation scores (P1 3.5). A file without a score must have a number there, the only place in this package where it
gets one: the fraction of fakes in training, named, counted and listed. Several detectors are averaged.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfdeepfake.csv_lists import FILE_NAMES, read_list
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.evaluation.score_file import read_score_file
from tfdeepfake.files import atomic_path
from tfdeepfake.report.tables import as_csv

CLIPS = np.concatenate([[0.0], np.geomspace(1e-6, 0.4, 80)])
EXACT = 1e-15  # how near to 0 and 1 the challenge itself let a probability come


def submission(
    scores: Sequence[str | Path],
    out: str | Path,
    validation: Sequence[str | Path] = (),
    prior: float | None = None,
    clip: float | None = None,
    files: str | Path | None = None,
    not_reached: Sequence[str] = (),
) -> dict:
    """Writes submission.csv.

    Args:
      scores: scores.csv of the test files, one of each detector, as `predict` or `evaluate` writes it.
      out: CSV file to write.
      validation: labelled scores of the same detectors, in their order, such as RUN/scores_validation.csv; they are
        summed up as the test scores are.
      prior: fraction of fakes in training; that of the validation videos when not given.
      clip: 0 .. 0.5 when not to be chosen.
      files: CSV file whose column filename lists the files that are asked for, such as sample_submission.csv; those of
        the scores, and those not reached, when not given.
      not_reached: names of test files that no detector came to in its time.
    Returns:
      {"rows", "clip", "clip_chosen_on": validation videos or None, "log_loss", "log_loss_unclipped": on them or None,
      "prior", "prior_of": text, "without_score": [(filename, why)], "not_asked_for": [filename]}.
    Raises:
      InputError: a file is wrong, two test files share a name, or neither validation scores nor numbers are given.
    """
    if validation and len(validation) != len(scores):
        raise InputError("--validation", f"needs a file for each of {len(scores)} detectors, got {len(validation)}.")
    settings, tables = [], []
    for path in scores:
        rows, cuts, _ = read_score_file(path)
        settings.append({name: cuts[name] for name in ("temperature", "unit", "faces_rule") if name in cuts})
        settings[-1] |= {"rule": cuts["video_rule"]} if "video_rule" in cuts else {}
        tables.append(_by_name(path, video_scores(rows, **settings[-1])))
    known = _validation(validation, settings)
    if prior is None and not len(known[0]):
        raise InputError("--prior", "is needed for files without a score.", "Give it, or labelled --validation scores.")
    if clip is None and (not len(known[0]) or len(set(known[0])) < 2):
        raise InputError("--clip", "cannot be chosen.", "Give --validation scores of fakes and reals, or a number.")
    chosen = choose_clip(*known) if clip is None else clip
    is_of_validation = prior is None
    prior = float(np.mean(known[0])) if prior is None else prior
    late = {Path(name.replace("\\", "/")).name for name in not_reached}
    asked = list(dict.fromkeys([*(n for table in tables for n in table), *late])) if files is None else _asked(files)
    rows, without = [], []
    for name in sorted(asked):
        there = [table[name][0] for table in tables if name in table and np.isfinite(table[name][0])]
        if not there:
            why = "not reached in time" if name in late else "not among the scores"
            why = next((table[name][1] for table in tables if name in table), why)
            without.append((name, why))
        probability = float(np.mean(there)) if there else prior
        low = max(chosen, EXACT)
        rows.append([name, f"{np.clip(probability, low, 1 - low) if there else probability:.9g}"])
    with atomic_path(out) as temporary:
        Path(temporary).write_text(as_csv(("filename", "label"), rows), encoding="utf-8")
    return {
        "rows": len(rows),
        "clip": chosen,
        "clip_chosen_on": len(known[0]) if clip is None else None,
        "log_loss": _log_loss(*known, chosen) if len(known[0]) else None,
        "log_loss_unclipped": _log_loss(*known, 0.0) if len(known[0]) else None,
        "prior": prior,
        "prior_of": "the validation videos" if is_of_validation else "training",
        "without_score": without,
        "not_asked_for": sorted({name for table in tables for name in table} - set(asked)),
    }


def choose_clip(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The clip of the lowest log loss, 0 .. 0.4; of equals the largest.

    As `calibration.fit_temperature` does, the targets are (n_fake + 1) / (n_fake + 2) and 1 / (n_real + 2): scores that
    separate a few validation videos are no reason to be sure of all others.

    Args:
      labels: int [V], both classes; probabilities: float64 [V].
    """
    n_fake, n_real = np.sum(labels == 1), np.sum(labels == 0)
    target = np.where(labels == 1, (n_fake + 1) / (n_fake + 2), 1 / (n_real + 2))
    losses = np.array([_log_loss(target, probabilities, clip) for clip in CLIPS])
    return float(CLIPS[np.flatnonzero(losses <= losses.min() + 1e-12)[-1]])


def _log_loss(target, probabilities, clip):
    p = np.clip(probabilities, max(clip, EXACT), 1 - max(clip, EXACT))
    return float(-np.mean(target * np.log(p) + (1 - target) * np.log(1 - p)))


def _by_name(path, videos):
    """{file name: (probability or NaN, status)}."""
    out = {}
    for video, score, status in zip(videos["video"], videos["score"], videos["status"], strict=True):
        name = Path(video.replace("\\", "/")).name
        if name in out:
            raise InputError(path, f"has two files called {name}.", "A submission knows files by their names alone.")
        out[name] = (float(score), str(status))
    return out


def _validation(paths, settings):
    """(labels [V], mean probabilities [V]) of the videos that are labelled and scored in all files."""
    parts = []
    for path, how in zip(paths, settings, strict=False):
        videos = video_scores(read_score_file(path)[0], **how)
        keys = zip(*(videos[name].tolist() for name in ("data_set", "method", "video")), strict=True)
        usable = (videos["label"] >= 0) & np.isfinite(videos["score"])
        parts.append({k: v for k, *v, use in zip(keys, videos["label"], videos["score"], usable, strict=True) if use})
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0)
    common = [key for key in parts[0] if all(key in part for part in parts)]
    if not common:
        raise InputError(paths[0], "has no labelled, scored video that the other validation scores have too.")
    labels = np.array([parts[0][key][0] for key in common], np.int64)
    return labels, np.mean([[part[key][1] for key in common] for part in parts], axis=0)


def _asked(path):
    names = [cells["file"] for _, cells in read_list(path, {"file": FILE_NAMES}, ["file"])]
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice or not names:
        raise InputError(path, f"lists {twice[0]} twice." if twice else "lists no file.")
    return names


def submission_lines(facts: dict, out: str | Path) -> list[str]:
    """What `submission` returns, for people."""
    lines = [f"{out}: {facts['rows']} files"]
    if facts["clip_chosen_on"]:
        lines.append(
            f"Clipped to {facts['clip']:.3g} .. {1 - facts['clip']:.3g}, chosen on {facts['clip_chosen_on']} "
            f"validation videos: log loss {facts['log_loss']:.4f}, without clipping {facts['log_loss_unclipped']:.4f}"
        )
        if facts["log_loss"] > facts["log_loss_unclipped"]:
            lines[-1] += " (higher on these very videos: the choice is for others, of which so few tell little)"
    else:
        lines.append(f"Clipped to {facts['clip']:.3g} .. {1 - facts['clip']:.3g}, as given")
    if facts["without_score"]:
        lines.append(
            f"Files without a score: {len(facts['without_score'])}. A submission needs a number: they got "
            f"{facts['prior']:.4g}, the fraction of fakes in {facts['prior_of']}, which is no verdict:"
        )
        lines += [f"  {name} ({why})" for name, why in facts["without_score"]]
    if facts["not_asked_for"]:
        names = ", ".join(facts["not_asked_for"][:20])
        lines.append(f"{len(facts['not_asked_for'])} scored files are not asked for: {names}")
    return lines
