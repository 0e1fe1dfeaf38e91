"""Which manipulation it was: precision, recall, F1 and confusion of K classes over videos (P4 4.6).

A face's class probabilities are the mean over its frames or clips, a video's are those of the face that decides it
(the highest probability of FAKE), and its class is the most probable one; no threshold takes part. What cannot be
computed is None with the reason beside it, never 0.
"""

import numpy as np
from sklearn.metrics import roc_auc_score

from tfdeepfake.evaluation import estimates
from tfdeepfake.evaluation.aggregation import face_groups, source_groups, video_scores
from tfdeepfake.scoring.classes import class_numbers, class_probabilities
from tfdeepfake.scoring.table import Table, class_logits, class_names

METRICS = ("precision", "recall", "f1", "auc")
NO_VIDEOS = "no video of this class was scored"


def video_probabilities(rows: Table, temperature: float = 1.0) -> np.ndarray:
    """Class probabilities of each video, in the order of `aggregation.video_scores`.

    Args:
      rows: scores table with the logits of K classes.
      temperature: see `scoring.classes.class_probabilities`.
    Returns:
      float64 [V, K], NaN where a video was not scored.
    """
    scored, video, face = face_groups(rows)
    of_rows = class_probabilities(class_logits(rows)[scored], temperature)
    of_faces = np.zeros((len(video), of_rows.shape[1]))
    np.add.at(of_faces, face, of_rows)
    of_faces /= np.bincount(face, minlength=len(video))[:, None]
    out = np.full((len(video_scores(rows)["video"]), of_rows.shape[1]), np.nan)
    # The face of the highest probability of FAKE is written last; of equals the first one.
    order = np.lexsort((-np.arange(len(video)), 1 - of_faces[:, 0]))
    out[video[order]] = of_faces[order]
    return out


def measure(
    labels: np.ndarray, probabilities: np.ndarray, classes: list[str], groups: np.ndarray | None = None
) -> dict:
    """Metrics of items whose class is known.

    Args:
      labels: int [N], the true class, 0..K-1.
      probabilities: float64 [N, K]; the highest is the class that an item is called.
      classes: names of the K classes.
      groups: int [N], 0..G-1, each number there: the source of each item; each its own when not given.
    Returns:
      JSON-able dict:
      n, sources, accuracy; macro_precision, macro_recall, macro_f1, macro_auc: means over the classes where they are
      defined, None where none is; and `classes_with_items`, how many of the K have any;
      per_class: {name: {n, called (how many were called so), precision, recall, f1, auc (one against the rest),
        intervals: {metric: [low, high], 95 % by source, or None}, undefined: {metric: why it is None, "interval of
        metric": why that is}}}; intervals {"accuracy" and each macro_: [low, high] or
        None, also where one of the classes has no interval};
      confusion: [K][K] counts, a row for each true class, a column for each called one.
      A class without items has none of these metrics, also where others were called so.
    """
    labels, probabilities, count = np.asarray(labels), np.asarray(probabilities, np.float64), len(classes)
    called = probabilities.argmax(axis=1) if len(labels) else np.zeros(0, np.int64)
    confusion = np.bincount(labels * count + called, minlength=count * count).reshape(count, count)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    per_class, figures = {}, {metric: [] for metric in METRICS}
    for number, name in enumerate(classes):
        per_class[name], defined = _of_class(number, labels, probabilities, confusion, groups)
        for metric, figure in defined.items():
            figures[metric].append(figure)
    right = estimates.counted(labels == called, np.ones(len(labels), bool), groups) if len(labels) else {}
    out = {
        "n": len(labels),
        "sources": len(np.unique(groups)),
        # Of items that are "right", all called so: their precision is the accuracy.
        "intervals": {"accuracy": estimates.interval(right["precision"]) if right else None},
        "classes_with_items": int(np.sum(confusion.sum(axis=1) > 0)),
        "accuracy": float(np.trace(confusion) / len(labels)) if len(labels) else None,
    }
    for metric, of_classes in figures.items():
        macro = estimates.mean(of_classes) if of_classes else None
        out[f"macro_{metric}"] = macro.value if macro else None
        out["intervals"][f"macro_{metric}"] = estimates.interval(macro) if macro else None
    return out | {"per_class": per_class, "confusion": confusion.tolist()}


def _of_class(number, labels, probabilities, confusion, groups):
    """(metrics of one class, {metric: Estimate} of those that are defined)."""
    right, there, called = (
        int(v) for v in (confusion[number, number], confusion[number].sum(), confusion[:, number].sum())
    )
    out, undefined = {"n": there, "called": called}, {}

    def ratio(name, above, below, reason):
        out[name] = above / below if there and below else None
        if out[name] is None:
            undefined[name] = reason if there else NO_VIDEOS

    ratio("precision", right, called, "nothing was called so")
    ratio("recall", right, there, NO_VIDEOS)
    ratio("f1", 2 * right, there + called, NO_VIDEOS)
    rest = len(labels) - there
    out["auc"] = float(roc_auc_score(labels == number, probabilities[:, number])) if there and rest else None
    if out["auc"] is None:
        undefined["auc"] = "no video of another class was scored" if there else NO_VIDEOS
    mine, called_so = labels == number, probabilities.argmax(axis=1) == number
    found = estimates.counted(mine, called_so, groups) if len(labels) else {}
    if out["auc"] is not None:
        found["auc"] = estimates.auc(mine.astype(int), probabilities[:, number], groups)
    defined = {metric: found[metric] for metric in METRICS if out[metric] is not None}
    intervals = dict.fromkeys(METRICS) | {metric: estimates.interval(figure) for metric, figure in defined.items()}
    undefined |= {f"interval of {metric}": figure.reason for metric, figure in defined.items() if figure.reason}
    return out | {"intervals": intervals, "undefined": undefined}, defined


def evaluate_classes(rows: Table, temperature: float = 1.0) -> dict:
    """`measure` of the videos of a scores table.

    Args:
      rows: scores table with the logits of K classes.
      temperature: of the model's recipe.
    Returns:
      What `measure` returns, with `other_methods` {method: scored fakes of it}, which the network does not know and
      which have no part in the figures, and `without_label`, scored videos without one.
    """
    videos, classes = video_scores(rows, temperature=temperature), class_names(rows)
    probabilities = video_probabilities(rows, temperature)
    truth = class_numbers(videos["label"], videos["method"], classes)
    scored = videos["status"] == "scored"
    others, counts = np.unique(
        videos["method"][scored & (truth < 0) & (videos["label"] == 1)].astype(str), return_counts=True
    )
    usable = scored & (truth >= 0)
    groups = np.unique(source_groups(videos)[0][usable], return_inverse=True)[1]
    return measure(truth[usable], probabilities[usable], classes, groups) | {
        "other_methods": dict(zip(others.tolist(), counts.tolist(), strict=True)),
        "without_label": int(np.sum(scored & (videos["label"] < 0))),
    }


def averaged_over(section: dict, metric: str) -> str:
    """ " (3 of 5 classes)" behind a mean that not all classes have part in, else ""; of what `measure` returns."""
    defined, count = (
        sum(entry[metric] is not None for entry in section["per_class"].values()),
        len(section["per_class"]),
    )
    return "" if defined in (0, count) else f" ({defined} of {count} classes)"


def format_classes(section: dict) -> list[str]:
    """Lines for a terminal of what `evaluate_classes` returns."""

    def number(value):
        return "-" if value is None else f"{value:.3f}"

    def with_interval(entry, metric):
        bounds = entry["intervals"][metric]
        return number(entry[metric]) + ("" if bounds is None else f" [{bounds[0]:.3f}, {bounds[1]:.3f}]")

    body = [
        [name, str(entry["n"]), str(entry["called"]), *(with_interval(entry, metric) for metric in METRICS)]
        for name, entry in section["per_class"].items()
    ]
    of_all = [with_interval(section, f"macro_{metric}") + averaged_over(section, metric) for metric in METRICS]
    means = ["mean of classes", str(section["n"]), "", *of_all]
    names = list(section["per_class"])
    lines = _grid(
        [["class of a video", "n", "called", "precision", "recall", "F1", "AUC, against the rest"], *body, means]
    )
    lines[-1] += f"   (accuracy {with_interval(section, 'accuracy')})"
    cells = [[name, *map(str, row)] for name, row in zip(names, section["confusion"], strict=True)]
    lines += ["", *_grid([["true \\ called", *names], *cells])]
    reasons = {}
    for name, entry in section["per_class"].items():
        for metric, why in entry["undefined"].items():
            reasons.setdefault((why, name), []).append(metric)
    lines += [f"Not defined of {name}, {why}: {', '.join(missing)}." for (why, name), missing in reasons.items()]
    if section["other_methods"]:
        others = ", ".join(f"{name or '(no method)'} {count}" for name, count in section["other_methods"].items())
        lines.append(f"Videos of methods that the network does not know, left out here: {others}.")
    return lines


def _grid(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
