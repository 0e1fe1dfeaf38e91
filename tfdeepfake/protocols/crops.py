"""The same videos with several margins and numbers of frames (P1 2.2.2 and 2.2.4), scored by the same models."""

from collections.abc import Sequence
from pathlib import Path

from tfdeepfake.protocols.cells import FAILED, members_of
from tfdeepfake.protocols.figures import Figure, of_level, write_tables
from tfdeepfake.protocols.prepared import LEVEL, cells_of, remarks_of
from tfdeepfake.protocols.work import Options, Plot, Reports, Series, Work, Written, kind_of_data

FIELDS = ("margin_frac", "num_frames", "num_clips")
WORDS = {
    "margin_frac": ("margin, part of the box on each side", "margin {:g}"),
    "num_frames": ("frames of a video, or of a clip", "{} frames"),
    "num_clips": ("clips of a video", "{} clips"),
}


def crops(models: Sequence[str], data: Sequence[str], run_dir: Path, options: Options) -> Work:
    """The protocol of that name; the data may differ from a model's recipe in `FIELDS`."""
    allow = (*options.allow, *FIELDS)
    cells = cells_of(members_of(models), data, options.data_dir, options.split, allow)
    return Work(cells, lambda reports: write(run_dir, reports, options.split))


def write(run_dir: Path, reports: Reports, split: str) -> Written:
    """A column for each way of preparing, and a panel for each field that varies alone."""
    recipes = {cell.on: report["prepared"]["recipe"] for cell, report in reports if FAILED not in report}
    varied = [name for name in FIELDS if len({recipe[name] for recipe in recipes.values()}) > 1]

    def column(on):
        if on not in recipes or not varied:
            return on
        return ", ".join(WORDS[name][1].format(recipes[on][name]) for name in varied) + f" ({on})"

    remarks, notes = remarks_of(reports)
    figures = [
        Figure(cell.model, column(cell.on), failed=report[FAILED])
        if FAILED in report
        else of_level(cell.model, column(cell.on), report["levels"]["video"], remark)
        for (cell, report), remark in zip(reports, remarks, strict=True)
    ]
    by_place = {(cell.model, cell.on): figure for (cell, _), figure in zip(reports, figures, strict=True)}
    models = list(dict.fromkeys(cell.model for cell, _ in reports))
    # A field's curve is over data that differ in it alone.
    plots = [_panel(name, recipes, models, by_place) for name in varied if len(varied) == 1]
    title = f"Margins and frame counts, on {kind_of_data(reports)} ({split})"
    told = [LEVEL, "Columns are of the same videos: tfdeepfake compare tells whether two of them differ."]
    if len(varied) > 1:
        told.append(f"Several fields vary ({', '.join(varied)}), so that no column shows the effect of one alone.")
    sheet = write_tables(run_dir, "crops", title, [*told, *notes], "model", figures)
    return Written([sheet], figures, plots)


def _panel(name, recipes, models, by_place):
    values = [recipe[name] for recipe in recipes.values()]
    series = []
    for model in models:
        known = sorted((recipes[on][name], by_place[model, on]) for on in recipes if (model, on) in by_place)
        known = [(float(x), figure) for x, figure in known if figure.value is not None]
        bars = [(x, *figure.interval) for x, figure in known if figure.interval]
        series.append(Series(model, [(x, figure.value) for x, figure in known], bars))
    pad = 0.08 * (max(values) - min(values))
    ends = (min(values) - pad, max(values) + pad)
    return Plot(WORDS[name][0], WORDS[name][0], "AUC, video level", series, ends)
