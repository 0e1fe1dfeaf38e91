"""Protocols on prepared data: across data sets (arXiv:2403.10261, Table 3), and by manipulation method."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.optimism import doubt, optimism, trained_on
from tfdeepfake.evaluation.run import differing_fields, open_fitting
from tfdeepfake.protocols.cells import FAILED, Cell, Member, members_of
from tfdeepfake.protocols.figures import Figure, of_level, write_tables
from tfdeepfake.protocols.roc import roc_plots
from tfdeepfake.protocols.work import Options, Reports, Work, Written, kind_of_data
from tfdeepfake.recipe import DataRecipe

LEVEL = "Video-level AUC with its 95 % interval by source, numbers of scored videos, and coverage."
ALL = "all methods"


def cross_data(models: Sequence[str], data: Sequence[str], run_dir: Path, options: Options) -> Work:
    """The protocol `cross_data`."""
    cells = cells_of(members_of(models), data, options.data_dir, options.split, options.allow)
    return Work(cells, lambda reports: write_cross_data(run_dir, reports, options.split))


def manipulations(models: Sequence[str], data: Sequence[str], run_dir: Path, options: Options) -> Work:
    """The protocol `manipulations`."""
    cells = cells_of(members_of(models), data, options.data_dir, options.split, options.allow)
    return Work(cells, lambda reports: write_manipulations(run_dir, reports, options.split))


def check_allowed(names: Sequence[str]) -> None:
    """Raises InputError unless all are fields of a data recipe in which prepared data may differ."""
    fields = [field.name for field in dataclasses.fields(DataRecipe) if field.name != "input_type"]
    for name in names:
        if name not in fields:
            raise InputError(
                "--allow", f"needs a field of the data recipe, got {name!r}.", f"One of {', '.join(fields)}."
            )


def cells_of(
    members: Sequence[Member], data: Sequence[str], data_dir: str | None, split: str, allow: Sequence[str] = (),
    batch_size: int = 16,
) -> list[Cell]:  # fmt: skip
    """Every model on every prepared data set.

    Args:
      members: of `cells.members_of`.
      data, data_dir, split: prepared data sets by name, where they lie, and the split that is scored.
      allow: fields of the data recipe in which data may differ from what a model was trained on.
      batch_size: examples scored at a time.
    Raises:
      InputError: a data set has no examples in the split, or `allow` names no field.
    """
    check_allowed(allow)
    for name in dict.fromkeys(data):
        _check_split(name, data_dir, split)
    where = None if data_dir is None else str(Path(data_dir).expanduser().absolute())
    loaded = {}  # the one network in use
    cells = []
    for member in members:
        for name in dict.fromkeys(data):
            facts = member.facts | {"data": name, "data_dir": where, "split": split, "allow": sorted(allow)}

            def score(member=member, name=name):
                return _score(member, name, data_dir, split, allow, batch_size, loaded)

            def measure(member=member, name=name):
                return _measure(member, name, data_dir, split, allow, batch_size, loaded)

            cells.append(Cell(member.name, name, facts, score, member.recipe, measure))
    return cells


def _check_split(name, data_dir, split):
    """Raises InputError where a data set has no such split; what else is wrong with it is a matter of its cells."""
    from tfdeepfake.data.batches.prepared import open_data

    try:
        prepared = open_data(name, data_dir)
    except InputError:
        return
    prepared.split(split)


def _loaded(member, loaded):
    """(its network, which is kept until another one is asked for; input type, whether it wants flow)."""
    from tfdeepfake import models
    from tfdeepfake.model_folder import load_voting

    if member.name not in loaded:
        loaded.clear()
        loaded[member.name] = load_voting(member.folder)[0]
    model = loaded[member.name]
    return model, models.input_type(model), models.wants_flow(model)


def _measure(member, name, data_dir, split, allow, batch_size, loaded):
    """Seconds that `_score` takes, from its second batch: the first one compiles the network."""
    from tfdeepfake.data.batches import pipeline
    from tfdeepfake.scoring.tta import predict_logits

    model, input_type, with_flow = _loaded(member, loaded)
    prepared, _ = _open(name, data_dir, member.recipe, input_type, with_flow, member.folder, allow)
    batches = pipeline.scoring_batches(prepared, split, input_type, batch_size, with_keys=True, with_flow=with_flow)
    total, times = pipeline.example_count(prepared, split, input_type), []
    start = time.perf_counter()
    for inputs, label, _ in batches.take(2).as_numpy_iterator():
        predict_logits(model, inputs, "none")
        times.append((time.perf_counter() - start, len(label)))
        start = time.perf_counter()
    seconds, count = times[-1]
    return times[0][0] + seconds / count * max(total - times[0][1], 0)


def _score(member, name, data_dir, split, allow, batch_size, loaded):
    from tfdeepfake.scoring.classes import check_detector
    from tfdeepfake.scoring.score import score_data

    model, *reads = _loaded(member, loaded)
    recipe = member.recipe
    classes = check_detector(recipe.network, model.outputs[0].shape[-1], recipe.classes)
    prepared, different = _open(name, data_dir, recipe, *reads, member.folder, allow)
    rows = score_data(model, prepared, split, batch_size, "none", classes, recipe.verdict)
    told = {"version": prepared.version, "split": split, "trained_on": recipe.data_version, "differs": different}
    told["score_notes"] = optimism(member.folder, rows, split, recipe, prepared.version)
    told |= {"prepared": {"recipe": prepared.recipe.to_dict(), "options": prepared.metadata.get("options") or {}}}
    return rows, told


def _open(name, data_dir, recipe, input_type, wants_flow, folder, allow):
    """(prepared data, fields in which they differ from the recipe as text), all of these allowed."""
    from tfdeepfake.data.batches.prepared import open_data

    try:
        return open_fitting(name, data_dir, recipe, input_type, wants_flow, folder), []
    except InputError:
        if not allow:
            raise
        prepared = open_data(name, data_dir, input_type, wants_flow)
        different = differing_fields(recipe.data, prepared.recipe, input_type, wants_flow)
        if not different or any(field.partition(":")[0] not in allow for field in different):
            raise
        return prepared, different


def remarks_of(reports: Reports) -> tuple[list[str], list[str]]:
    """(remark of each report, notes below the table): what was prepared otherwise, and which data trained a model."""
    remarks, notes = [], []
    for cell, report in reports:
        words = []
        if report.get("differs"):
            words.append("prepared otherwise")
            notes.append(
                f"{cell.model} on {cell.on}: prepared otherwise than its recipe ({'; '.join(report['differs'])})."
            )
        if not report.get(FAILED) and trained_on(report["trained_on"], report["version"]):
            words.append(f"its training data set{doubt(report['version'])}")
        remarks.append("; ".join(words))
    return remarks, notes + score_notes(reports)


def score_notes(reports: Reports) -> list[str]:
    """Notes below a table on scores of videos that served training or calibration."""
    return [f"{cell.model} on {cell.on}: {note}" for cell, report in reports for note in report.get("score_notes", ())]


def write_cross_data(run_dir: Path, reports: Reports, split: str) -> Written:
    """The matrix of models and data sets."""
    remarks, notes = remarks_of(reports)
    figures = [
        Figure(cell.model, cell.on, failed=report[FAILED])
        if FAILED in report
        else of_level(cell.model, cell.on, report["levels"]["video"], remark)
        for (cell, report), remark in zip(reports, remarks, strict=True)
    ]
    title = f"Across data sets, on {kind_of_data(reports)} ({split})"
    sheet = write_tables(run_dir, "cross_data", title, [LEVEL, *notes], "model", figures)
    return Written([sheet], figures, roc_plots(run_dir, reports))


def write_manipulations(run_dir: Path, reports: Reports, split: str) -> Written:
    """Models by manipulation, from one scores.csv each."""
    remarks, notes = remarks_of(reports)
    methods = sorted({method for _, report in reports for method in report.get("methods", ())})
    figures = []
    for (cell, report), remark in zip(reports, remarks, strict=True):
        if FAILED in report:
            figures += [Figure(cell.model, name, failed=report[FAILED]) for name in (*methods, ALL)]
            continue
        levels = {**report["methods"], ALL: report["levels"]["video"]}
        figures += [of_level(cell.model, name, levels[name], remark) for name in levels]
        notes += [f"{cell.model}: {note}" for note in report["notes"]]
    told = [LEVEL, "Each method alone stands against all real videos of its data set, so columns share their reals."]
    if len(methods) == 1:
        told.append(f"The data hold fakes of one method only ({methods[0]}): both columns are the same.")
    title = f"Manipulations of {reports[0][0].on}, on {kind_of_data(reports)} ({split})"
    sheet = write_tables(run_dir, "manipulations", title, [*told, *notes], "model", figures)
    return Written([sheet], figures, roc_plots(run_dir, reports))
