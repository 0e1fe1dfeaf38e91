"""What `evaluate.evaluate` returns, as text for a terminal."""

from tfdeepfake.evaluation.multiclass import format_classes
from tfdeepfake.evaluation.selective import selective_lines
from tfdeepfake.vocabulary import STATUSES

_LINES = (
    ("AUC", "auc"),
    ("accuracy", "accuracy"),
    ("accuracy at 0.5", "accuracy_at_half"),
    ("  unscored as wrong", "accuracy_counting_unscored_as_wrong"),
    ("balanced accuracy", "balanced_accuracy"),
    ("precision (FAKE)", "precision"),
    ("recall (FAKE)", "recall"),
    ("F1 (FAKE)", "f1"),
    ("average precision", "average_precision"),
    ("EER", "eer"),
    ("TPR at FPR 1 %", "0.01"),
    ("TPR at FPR 10 %", "0.10"),
    ("log loss", "log_loss"),
    ("Brier", "brier"),
    ("calibration error", "calibration_error"),
)


def _number(level, key):
    value = level["tpr_at_fpr"].get(key) if key[0] == "0" else level.get(key)
    if value is None:
        return "-"
    interval = level["intervals"].get(key)
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _grid(header, body):
    widths = [max(len(row[i]) for row in [header, *body]) for i in range(len(header))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in [header, *body]]


def _part(title, levels):
    """Table of videos taken apart: a row for each manipulation, data set or value of a subgroup."""
    header = [title, "videos scored", "fake/real", "video AUC", "accuracy", "at 0.5", "recall"]
    body = [
        [
            name,
            f"{level['coverage']['scored']} of {level['coverage']['videos']}",
            f"{level['n_fake']}/{level['n_real']}",
            *(_number(level, key) for key in ("auc", "accuracy", "accuracy_at_half", "recall")),
        ]
        for name, level in levels.items()
    ]
    return _grid(header, body)


def _rule(cuts):
    together = ", all faces together" if cuts["faces_rule"] == "all" else ""
    return cuts["video_rule"].replace("_", " ") + together


def format_metrics(report: dict) -> str:
    """Text of what `evaluate` returns: figures with intervals and coverage, and why some are missing."""
    seen, cuts, unit = report["coverage"], report["thresholds"], report["unit"]
    others = ", ".join(f"{name} {seen[name]}" for name in STATUSES[1:])
    head = " ".join(str(report[name]) for name in ("network", "data", "split") if name in report)
    lines = [head] if head else []
    lines.append(f"Scored {seen['scored']} of {seen['videos']} videos ({others}); metrics are of the scored ones.")
    if "excluded" in seen:
        lines.append(f"{seen['excluded']} more videos of the split are excluded by {seen['excluded_by']}.")
    if seen["scored_without_label"]:
        lines.append(f"{seen['scored_without_label']} scored videos have no label and are left out.")
    chosen = "" if cuts["fraction_threshold_was_chosen"] else " (not chosen on validation data)"
    lines.append(
        f"Video is FAKE from probability {cuts['threshold']:.4g} (temperature {cuts['temperature']:.3g}), or from a "
        f"fraction of {unit}s of {cuts['fraction_threshold']:.1f}{chosen}; a single {unit} from 0.5."
    )
    if report.get("calibration"):
        lines.append(f"Threshold and temperature: {report['calibration'].rstrip('.')}.")
    levels = dict(report["levels"])
    if levels["face"]["n"] == levels["video"]["n"]:
        del levels["face"]  # one face in every video: the same figures twice
    names = {"video": f"video ({_rule(cuts)})", "video_fraction": f"video (fraction of {unit}s)"}
    names |= {"face": "face", "frame": unit}
    counts = [f"{v['n']} ({v['n_fake']}/{v['n_real']})" for v in levels.values()]
    cells = [v["confusion"] for v in levels.values()]
    scored = [f"{v['coverage']['scored']} of {v['coverage']['videos']}" for v in levels.values()]
    body = [["videos scored", *scored], ["n (fake/real)", *counts]]
    body += [[title, *(_number(v, key) for v in levels.values())] for title, key in _LINES]
    body.append(["reals called REAL / FAKE", *(f"{c['true_real']} / {c['false_fake']}" for c in cells)])
    body.append(["fakes called REAL / FAKE", *(f"{c['false_real']} / {c['true_fake']}" for c in cells)])
    lines += ["", *_grid(["", *(names[name] for name in levels)], body)]
    lines += ["", *selective_lines(report["selective"])]
    sections = {"method, against all reals": report["methods"], "data set": report["data_sets"], **report["subgroups"]}
    for title, part in sections.items():
        lines += ["", *_part(title, part)] if part else []
    if "classes" in report:
        lines += ["", *format_classes(report["classes"])]
    boot = report["bootstrap"]
    lines += ["", f"[ ]: {boot['interval']}, {boot['resamples']} resamples by {boot['unit']} "
              f"({levels['video']['sources']} at video level), seed {boot['seed']}."]  # fmt: skip
    reasons = {}
    for name, level in levels.items():
        for what, why in level["undefined"].items():
            reasons.setdefault((why, what), []).append(names[name])
    grouped = {}
    for (why, what), where in reasons.items():
        grouped.setdefault((why, ", ".join(where)), []).append(what)
    lines += [f"Not defined, {why}: {', '.join(what)} ({where})." for (why, where), what in grouped.items()]
    return "\n".join(lines + [f"Note: {note}" for note in report["notes"]])


def coverage_lines(report: dict, least: float | None, where: str = "") -> list[str]:
    """Says that fewer than the fraction `least` of the videos have a score, and names those without; [] otherwise.

    Args:
      report: of `evaluate.evaluate`.
      least: 0..1, or None for any.
      where: such as " (model on data)", behind the figures.
    """
    seen = report["coverage"]
    if least is None or seen["scored"] >= least * seen["videos"]:
        return []
    lines = [f"Coverage {seen['scored']} of {seen['videos']} is below {least:g}{where}. Without a score:"]
    for video in report["unscored"]:
        name = "/".join(video[part] for part in ("data_set", "method", "video") if video[part])
        lines.append(f"  {name} ({video['status']})")
    return lines
