"""What `compare.compare_members` returns, as text for a terminal, Markdown, LaTeX, CSV and JSON."""

from pathlib import Path

from tfdeepfake.files import atomic_path, write_json
from tfdeepfake.report import tables

PAIRS = (
    "a", "b", "AUC a - b", "p (DeLong)", "p (Holm)", "accuracy a - b", "only a right", "only b right", "p (McNemar)",
)  # fmt: skip
DETECTORS = ("detector", "AUC", "accuracy", "FAKE from", "scored", "seeds", "AUC, spread over seeds")
BELOW = "[ ]: 95 %, by source. p (Holm): for all pairs together."
NAMED = 20  # videos that the text names; the JSON names all


def _number(value, bounds=None, sign=""):
    if value is None:
        return "-"
    text = f"{value:{sign}.3f}"
    return text + (f" [{bounds[0]:{sign}.3f}, {bounds[1]:{sign}.3f}]" if bounds else "")


def _p(value):
    return "-" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def pair_rows(report: dict) -> list[list[str]]:
    """Cells of the table of pairs, under `PAIRS`."""
    rows = []
    for entry in report["pairs"]:
        area, accuracy = entry["auc"], entry["accuracy"]
        tested = accuracy.get("mcnemar", {"only_a": None, "only_b": None, "p": None})
        only = ["-" if tested[key] is None else str(tested[key]) for key in ("only_a", "only_b")]
        rows.append(
            [
                entry["a"],
                entry["b"],
                _number(area["difference"], area["interval"], "+"),
                _p(area["p"]),
                _p(area["p_holm"]),
                _number(accuracy.get("difference"), accuracy.get("interval"), "+"),
                *only,
                _p(tested["p"]),
            ]
        )
    return rows


def detector_rows(report: dict) -> list[list[str]]:
    """Cells of the table of detectors, under `DETECTORS`."""
    rows = []
    for entry in report["detectors"]:
        cuts = sorted({f"{cut:.3g}" for cut in entry["thresholds"] if cut is not None})
        missing = len(entry["left_out"]["missing"]) + len(entry["left_out"]["unscored"])
        total = entry["videos"] + len(entry["left_out"]["missing"])
        rows.append(
            [
                entry["name"],
                _number(entry["auc"], entry["auc_interval"]),
                _number(entry["accuracy"], entry["accuracy_interval"]),
                ", ".join(cuts) or "-",
                f"{total - missing} of {total}",
                str(entry["seeds"]),
                _number(entry["auc_spread"]),
            ]
        )
    return rows


def format_comparison(report: dict) -> str:
    """Text of a comparison for a terminal."""
    lines = [
        _of_what(report),
        "",
        tables.as_text(*_shown(DETECTORS, detector_rows(report), report)),
        "",
        tables.as_text(PAIRS, pair_rows(report)),
        "",
    ]
    missing = {tuple(entry["left_out"]["missing"]) for entry in report["detectors"]}
    for entry in report["detectors"]:
        for key, what in (("only_here", "only in"), ("missing", "not in"), ("unscored", "without a score in")):
            names = entry["left_out"][key]
            if key == "only_here" and tuple(names) in missing:
                continue  # of two detectors: the other's list says it
            if names:
                more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
                some = "1 video" if len(names) == 1 else f"{len(names)} videos"
                lines.append(f"{some} {what} {entry['name']}: {', '.join(names[:NAMED])}{more}")
    lines.append(BELOW)
    return "\n".join(lines + [f"Note: {note}" for note in report["notes"]])


def _of_what(report):
    videos = report["videos"]
    return (
        f"{videos['common']} videos have a score in all files: {videos['fake']} fake, {videos['real']} real, of "
        f"{videos['sources']} sources."
    )


def _shown(header, rows, report):
    """Without the columns on seeds where there are none."""
    width = len(header) if any(entry["seeds"] > 1 for entry in report["detectors"]) else len(header) - 2
    return header[:width], [row[:width] for row in rows]


def write_comparison(folder: str | Path, report: dict) -> None:
    """Writes comparison.json, comparison.csv (the pairs), comparison.md and comparison.tex (both tables)."""
    folder, pairs, detectors = Path(folder), pair_rows(report), _shown(DETECTORS, detector_rows(report), report)
    write_json(folder / "comparison.json", report)
    # Tables leave their terminal: what all figures are of goes with them.
    above, below = f"Figures are of these videos alone: {_of_what(report)}", [BELOW, *report["notes"]]
    counts = [str(report["videos"][name]) for name in ("fake", "real", "sources")]
    tex = [tables.as_latex(*detectors), "", tables.as_latex(PAIRS, pairs)]
    markdown = [above, tables.as_markdown(*detectors), tables.as_markdown(PAIRS, pairs)]
    texts = {
        "comparison.csv": tables.as_csv((*PAIRS, "fake", "real", "sources"), [[*row, *counts] for row in pairs]),
        "comparison.md": "\n\n".join([*markdown, "\n".join(f"- {note}" for note in below)]),
        "comparison.tex": "\n".join([*(f"% {' '.join(line.split())}" for line in (above, *below)), *tex]),
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            Path(temporary).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
