"""Which manipulation it was, by networks with a class for each (arXiv:2403.10261, 4.6 and Fig. 8)."""

from collections.abc import Sequence
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.class_plot import class_confusion
from tfdeepfake.evaluation.multiclass import averaged_over
from tfdeepfake.protocols.cells import FAILED, members_of
from tfdeepfake.protocols.figures import Figure, Sheet, of_level
from tfdeepfake.protocols.prepared import cells_of, score_notes
from tfdeepfake.protocols.work import Options, Reports, Work, Written, kind_of_data

METRICS = ("precision", "recall", "f1")


def recognition(models: Sequence[str], data: Sequence[str], run_dir: Path, options: Options) -> Work:
    """The protocol of that name.

    Raises:
      InputError: a model has one logit only.
    """
    members = members_of(models)
    for member in members:
        if len(member.recipe.classes or ()) < 2:
            raise InputError(
                member.folder,
                "tells no methods apart: it has one logit.",
                "Train one: tfdeepfake train --target method",
            )
    cells = cells_of(members, data, options.data_dir, options.split, options.allow)
    return Work(cells, lambda reports: write(run_dir, reports, options.split))


def _text(entry, metric):
    if entry[metric] is None:
        return "undefined"
    bounds = entry["intervals"][metric]
    return f"{entry[metric]:.3f} " + ("[{:.3f}, {:.3f}]".format(*bounds) if bounds else "[no interval]")


def write(run_dir: Path, reports: Reports, split: str) -> Written:
    """A table of all classes, a confusion matrix of each model, and its plot."""
    kind, rows, notes, sheets, figures = kind_of_data(reports), [], [], [], []
    for cell, report in reports:
        if FAILED in report:
            figures.append(Figure(cell.model, cell.on, failed=report[FAILED]))
            notes.append(f"Failed: {cell.model} on {cell.on}: {report[FAILED]}")
            continue
        figures.append(of_level(cell.model, cell.on, report["levels"]["video"]))
        section, told = report["classes"], report["coverage"]
        for name, entry in section["per_class"].items():
            each = [_text(entry, metric) for metric in METRICS]
            rows.append([f"{cell.model}: {name}", *each, f"{entry['n']} videos, {entry['called']} called so"])
        means = [_text(section, f"macro_{metric}") + averaged_over(section, metric) for metric in METRICS]
        rows.append([f"{cell.model}: mean of classes", *means, f"accuracy {_text(section, 'accuracy')}"])
        notes.append(f"{cell.model}: {told['scored']} of {told['videos']} videos scored.")
        notes += [f"{cell.model}: prepared otherwise ({'; '.join(report['differs'])})." for _ in report["differs"][:1]]
        if section["other_methods"]:
            others = ", ".join(f"{name} {count}" for name, count in section["other_methods"].items())
            notes.append(f"{cell.model}: videos of methods that it does not know are left out: {others}.")
        names = list(section["per_class"])
        counts = [[name, *map(str, line)] for name, line in zip(names, section["confusion"], strict=True)]
        sheet = Sheet(f"confusion_{cell.folder.name}", f"{cell.model}: true class by row, called by column",
                      [], ["true class", *names], counts)  # fmt: skip
        sheet.write(run_dir)
        sheets.append(sheet)
        class_confusion(run_dir / cell.folder / "classes.png", section, f"{cell.model} on {cell.on} ({split}), {kind}")
    first = "A video is called the class that is most probable; intervals are 95 %, by source."
    title = f"Which manipulation: {reports[0][0].on}, on {kind} ({split})"
    sheet = Sheet(
        "recognition",
        title,
        [first, *notes, *score_notes(reports)],
        ["model: class", "precision", "recall", "F1", "videos"],
        rows,
    )
    sheet.write(run_dir)
    return Written([sheet, *sheets], figures)
