"""P3's three protocols (arXiv number in docs/papers.md, Tables 2 to 5): trained on all methods, on one, on all but one.

One prepared set serves all of them: each run reads the fakes of its methods and all real videos, and is scored on the
whole split once; the tables are parts of that.
"""

import dataclasses
from collections.abc import Sequence
from fnmatch import fnmatchcase

from tfdeepfake.data.batches.classes import method_counts
from tfdeepfake.data.batches.prepared import PreparedData
from tfdeepfake.errors import InputError
from tfdeepfake.protocols.cells import FAILED
from tfdeepfake.protocols.figures import Figure, of_level, write_tables
from tfdeepfake.protocols.networks import notes_of
from tfdeepfake.protocols.roc import roc_plots
from tfdeepfake.protocols.rows import Row
from tfdeepfake.protocols.training_plan import Plan, Table
from tfdeepfake.protocols.work import Reports, Written

ALL = "all methods"
SHARED = "Each method alone stands against all real videos of the split, so columns share their reals."
TOLD = "Video level, each figure with its 95 % interval by source, numbers of scored videos, and coverage."
METRICS = {"auc": ("", "AUC"), "accuracy_at_half": ("_accuracy", "accuracy at 0.5, P3's true classification rate")}


def all_methods(rows: Sequence[Row], data: PreparedData) -> Table:
    """Trained on all methods together (Tables 2 and 3): a run for each preset."""
    return Table(rows, lambda plan, reports: _write(plan, reports, "trained on all methods", _Places(rows)))


def single(rows: Sequence[Row], data: PreparedData) -> Table:
    """Trained and tested on each method alone (Table 4): as many runs for each preset as there are methods."""
    places = _Places()
    for row in rows:
        for method in _methods(row, data):
            places.add(row, f"{row.name} on {method}", [method], method)
    return Table(places.rows, lambda plan, reports: _write(plan, reports, "trained and tested on one method", places))


def cross_manipulation(rows: Sequence[Row], data: PreparedData) -> Table:
    """Trained on all methods but one, and tested on that (Table 5).

    Raises:
      InputError: there are fewer than two methods.
    """
    places = _Places()
    for row in rows:
        methods = _methods(row, data)
        if len(methods) < 2:
            raise InputError(
                data.version, f"has fakes of {', '.join(methods)} only.", "Leaving one out needs two methods or more."
            )
        for method in methods:
            others = [other for other in methods if other != method]
            places.add(row, f"{row.name} without {method}", others, method)
    return Table(
        places.rows, lambda plan, reports: _write(plan, reports, "tested on a method never trained on", places)
    )


class _Places:
    """Runs and where their figures stand.

    Args:
      rows: of runs that stand in all columns, in the row of their own name.
    """

    def __init__(self, rows=()):
        self.rows, self.of = list(rows), {row.name: (row.name, None) for row in rows}

    def add(self, row, name, methods, column):
        self.rows.append(dataclasses.replace(row, name=name, config=dataclasses.replace(row.config, methods=methods)))
        self.of[name] = (row.name, column)


def _methods(row, data):
    """Methods of the training split's fakes that the preset reads."""
    _, fakes = method_counts(data, "train", data.recipe.input_type)
    patterns = row.config.methods
    methods = [name for name in sorted(fakes) if not patterns or any(fnmatchcase(name, one) for one in patterns)]
    if not all(methods) or not methods:
        raise InputError(data.version, "does not say of which method its fakes are.", "Name it when it is prepared.")
    return methods


def _write(plan: Plan, reports: Reports, what: str, places: _Places) -> Written:
    """AUC and accuracy where the paper has them, and the AUC of each run on every method."""
    sheets, every = [], []
    title = f"Networks {what}, {plan.where}"
    notes = [*notes_of(plan, reports), TOLD, SHARED]
    for metric, (suffix, shown) in METRICS.items():
        figures = []
        for cell, report in reports:
            row, column = places.of[cell.model]
            if FAILED in report:
                figures.append(Figure(row, column or ALL, failed=report[FAILED], metric=metric))
                continue
            levels = report["methods"]
            wanted = {column: levels.get(column)} if column else {**levels, ALL: report["levels"]["video"]}
            for name, level in wanted.items():
                figures.append(_figure(row, name, level, metric, plan.split))
        name = plan.name.replace("-", "_") + suffix
        sheets.append(write_tables(plan.run_dir, name, f"{title}: {shown}", notes, "network", figures))
        every += figures
    if any(column for _, column in places.of.values()):
        figures = []
        for cell, report in reports:
            levels = {} if FAILED in report else report["methods"]
            figures += [of_level(cell.model, name, level) for name, level in levels.items()]
            figures += [Figure(cell.model, places.of[cell.model][1], failed=report[FAILED])] if FAILED in report else []
        text = f"{title}: AUC of every run on every method"
        sheets.append(write_tables(plan.run_dir, f"{plan.name}_transfer", text, [TOLD, SHARED], "run", figures))
        every += figures
    return Written(sheets, every, roc_plots(plan.run_dir, reports))


def _figure(row, column, level, metric, split):
    if level is None:
        return Figure(row, column, remark=f"no scored fakes of it in {split}", metric=metric)
    return of_level(row, column, level, metric=metric)
