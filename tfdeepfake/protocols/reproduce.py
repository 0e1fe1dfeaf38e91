"""Published detectors on data one has: the printed AUC beside the measured one, and what differs between them."""

from collections.abc import Sequence
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.protocols.cells import FAILED, Member, members_of
from tfdeepfake.protocols.figures import Figure, Sheet, of_level, write_tables
from tfdeepfake.protocols.prepared import cells_of, check_allowed, score_notes
from tfdeepfake.protocols.roc import roc_plots
from tfdeepfake.protocols.work import Options, Reports, Work, Written, kind_of_data
from tfdeepfake.published.printed import ALWAYS, OTHERS, PRINTED, Printed
from tfdeepfake.published.sources import SOURCES

HEADER = ["detector and data", "printed", "measured", "printed is", "settings that differ"]


def reproduce(models: Sequence[str], data: Sequence[str], run_dir: Path, options: Options) -> Work:
    """The protocol of that name; models are names of published detectors, or saved model folders of them."""
    check_allowed(options.allow)
    members = [_member(model) for model in models]
    names = [member.name for member in members]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(twice[0], "is given twice.", "Name it: OTHER=FOLDER.")
    cells = cells_of(members, data, options.data_dir, options.split, options.allow)
    sources = {member.name: source_of(member) for member in members}
    return Work(cells, lambda reports: write(run_dir, reports, sources, options.split))


def _member(model: str) -> Member:
    """A folder, or a published detector: fetched and converted where it is not here."""
    from tfdeepfake.verdict.named import locate

    name, _, path = model.partition("=")
    given = path or model
    if Path(given).exists() or given not in SOURCES:
        return members_of([model])[0]
    folder = locate(given, log=print).ready(print)
    return members_of([f"{name}={folder}"])[0]


def source_of(member: Member) -> str:
    """The published name that a saved model folder was converted from.

    Raises:
      InputError: it is of none, or was trained on since.
    """
    source = str(member.recipe.parent or "").partition(" ")[0]
    if source not in SOURCES:
        raise InputError(
            member.folder,
            "was not converted from a published detector: there is no printed figure to set beside it.",
            "`tfdeepfake detectors` lists the names; other networks go into cross_data.",
        )
    return source


def printed_for(source: str, version: str, options: dict) -> list[Printed]:
    """What is printed of a detector on a prepared data set.

    Args:
      source: published name; version: "name/config:1.0.0" of the data; options: of its builder.
    """
    name = version.partition("/")[0].partition(":")[0]
    methods = options.get("methods")
    there = [one for one in PRINTED.get(source, ()) if one.data_set == name]
    return [one for one in there if not one.method or methods is None or one.method in methods]


def differences(source: str, printed: Printed | None, report: dict) -> list[str]:
    """Settings of a measured figure that are not those of the printed one, as phrases."""
    wanted, there = SOURCES[source].data.to_dict(), report["prepared"]["recipe"]
    named = {field.partition(":")[0] for field in report["differs"]}
    phrases = list(report["differs"])
    # How many frames are scored is free, but it changes a video's figure.
    for name in ("sampling", "num_frames", "num_clips", "stride_frames"):
        if name not in named and wanted[name] != there[name]:
            phrases.append(f"{name}: the authors {wanted[name]!r}, here {there[name]!r}")
    if printed is not None and printed.split != report["split"]:
        phrases.append(f"split: printed of {printed.split}, here {report['split']}")
    compression = report["prepared"]["options"].get("compression")
    if printed is not None and printed.compression and compression != printed.compression:
        phrases.append(f"compression: printed of {printed.compression}, here {compression or 'not told'}")
    phrases += [text for start, text in ALWAYS if source.startswith(start)]
    coverage = report["coverage"]
    if coverage["scored"] < coverage["videos"]:
        phrases.append(f"videos: {coverage['videos'] - coverage['scored']} of {coverage['videos']} have no score here")
    return phrases


def verdict(printed: float, figure: Figure) -> str:
    """Where a printed figure lies, such as "inside the interval"; an interval does not cover the printed one's own."""
    if figure.interval is None:
        return "not comparable"
    low, high = figure.interval
    # As printed: 0.96 may be anything that rounds to it.
    places = max(len(f"{printed:g}".partition(".")[2]), 2)
    if round(low, places) <= printed <= round(high, places):
        return "inside the interval"
    return "above the interval" if printed > high else "below the interval"


def write(run_dir: Path, reports: Reports, sources: dict[str, str], split: str) -> Written:
    """The table of printed and measured figures, and that of all measured ones."""
    rows, figures, own, others = [], [], False, False
    elsewhere = {cell.model: list(PRINTED.get(sources[cell.model], ())) for cell, _ in reports}
    for cell, report in reports:
        source, row = sources[cell.model], f"{cell.model} on {cell.on}"
        if FAILED in report:
            rows.append([row, "", "failed", "", ""])
            figures.append(Figure(cell.model, cell.on, failed=report[FAILED]))
            continue
        measured = of_level(cell.model, cell.on, report["levels"]["video"])
        figures.append(measured)
        known = printed_for(source, report["version"], report["prepared"]["options"])
        if not known:
            told = "; ".join(differences(source, None, report))
            rows.append([row, "none of this data set", measured.text(), "", told])
        for one in known:
            level = report["levels"][one.level]
            if one.method:
                key = next((k for k in report["methods"] if k.rpartition("/")[2] == one.method), None)
                level = report["methods"].get(key)
            if level is None:
                rows.append([f"{row}, {one.on}", _text(one), "no fakes of it", "", ""])
                continue
            figure = of_level(cell.model, cell.on, level)
            told = "; ".join(differences(source, one, report))
            said = figure.text() if one.level == "video" else f"{figure.text()}; over frames"
            rows.append([f"{row}, {one.on}", _text(one), said, verdict(one.auc, figure), told])
            own, others = own or one.own_data, others or one.by.startswith(OTHERS)
        elsewhere[cell.model] = [one for one in elsewhere[cell.model] if one not in known]
    notes = [
        "AUC with its 95 % interval by source, at the level of the printed one (over videos where nothing is said). "
        "The interval is that of the measured figure; the printed one has its own, which nobody printed.",
        *(
            f"{model}, printed of other data: {'; '.join(_text(one, with_set=True) for one in some)}."
            for model, some in elsewhere.items()
            if some
        ),
    ]
    notes += ["On FaceForensics++ a printed figure is of its own training data's test split."] if own else []
    notes += ["Figures that others measured may be of other weights than these."] if others else []
    notes += [f"Failed: {figure.model} on {figure.on}: {figure.failed}" for figure in figures if figure.failed]
    notes += score_notes(reports)
    kind = kind_of_data(reports)
    sheet = Sheet("reproduce", f"Printed and measured, on {kind} ({split})", notes, HEADER, rows)
    sheet.write(run_dir)
    title = f"Measured over videos, on {kind} ({split})"
    measured = write_tables(run_dir, "measured", title, [], "detector", figures)
    return Written([sheet, measured], figures, roc_plots(run_dir, reports))


def _text(printed, with_set=False):
    what = f"{printed.on} {printed.auc:.3f}" if with_set else f"{printed.auc:.3f}"
    return f"{what} over {printed.level}s ({printed.by})"
