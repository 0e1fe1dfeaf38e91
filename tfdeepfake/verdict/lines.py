"""What the command line prints: a line for each verdict, and the last lines about all of them."""

from collections.abc import Iterator
from pathlib import Path

from tfdeepfake.verdict.remarks import remarks
from tfdeepfake.verdict.results import PAGE, printable_path
from tfdeepfake.vocabulary import FAKE, REAL, STATUS_TEXT, UNSURE


def line(verdict: dict, threshold: float | None = None) -> str:
    """One line of text for a verdict dict; a file that was not scored gets neither REAL nor FAKE.

    An UNSURE names its doubts first.
    """
    name = printable_path(verdict["file"])
    if verdict["status"] != "scored":
        said = f"{STATUS_TEXT[verdict['status']]}  {name}: {verdict['reason']} {verdict['remedy']}".rstrip()
        beside = remarks(verdict, threshold).removeprefix(", ")
        return f"{said} Note: {beside}" if beside else said
    interval = verdict["interval"]
    spread = "" if not interval else " ({:.2f}-{:.2f})".format(*interval)
    count = len(verdict["faces"]) + verdict["faces_not_judged"]
    faces = "whole frame" if verdict["whole_frame"] else f"{count} face{'' if count == 1 else 's'}"
    timeline = verdict["faces"][0]["timeline"]
    worst = max(timeline, key=lambda point: point["probability"])
    when = f", most suspicious at {worst['time_s']:.1f} s" if len(timeline) > 1 else ""
    doubts = "".join(f"{doubt['text']}; " for doubt in verdict["doubts"])
    told = ""
    if verdict.get("true_label", verdict["label"]) != verdict["label"]:
        told = f", {'' if verdict['label'] == UNSURE else 'wrong: '}it is labelled {verdict['true_label']}"
    more = f"{when}{remarks(verdict, threshold)}{told}"
    return f"{verdict['label']} {verdict['probability']:.2f}{spread} {name}: {doubts}{faces}{more}"


def summary(result: dict, out_dir: Path | str | None = None) -> Iterator[str]:
    """Yields the last lines: coverage, what was skipped, where the page is."""
    count = result["counts"]
    rest = [f"{count[status]} {STATUS_TEXT[status].lower()}" for status in STATUS_TEXT if count[status]]
    yield (
        f"{count['scored']} of {count['files']} scored ({count[FAKE]} FAKE, {count[REAL]} REAL, {count[UNSURE]} UNSURE)"
        + "".join(f", {text}" for text in rest)
        + "."
    )
    if labelled := count["right"] + count["wrong"]:
        yield f"{count['right']} of {labelled} files that have a label and are judged FAKE or REAL are judged right."
    for what, names in (
        ("{} neither video nor image", result["other_files"]),
        ("of the labels {} not among the files", result["unmatched_labels"]),
    ):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            what = what.format("is" if len(names) == 1 else "are")
            yield f"{len(names)} {what}: {', '.join(printable_path(n) for n in names[:5])}{more}."
    if out_dir:
        yield f"Page: {printable_path(Path(out_dir) / PAGE)}"
