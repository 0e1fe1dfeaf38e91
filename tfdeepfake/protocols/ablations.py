"""Ablations: one network under one budget with a setting changed (arXiv:2403.10261, Tables 7 to 11), a table each."""

import dataclasses
from collections.abc import Sequence

from tfdeepfake.data.batches.prepared import PreparedData
from tfdeepfake.protocols.figures import DIFFERENCE, write_tables
from tfdeepfake.protocols.networks import LEVEL, PAIRED, metric_figures, notes_of
from tfdeepfake.protocols.roc import roc_plots
from tfdeepfake.protocols.rows import Row
from tfdeepfake.protocols.training_plan import Plan, Table
from tfdeepfake.protocols.work import Reports, Written

# The tables that hold ablations; presets stand in others, too.
TABLES = tuple(f"P4 Table {number}" for number in (5, 7, 8, 9, 10, 11))


def ablations(rows: Sequence[Row], data: PreparedData) -> Table:
    """A row for each preset; the first one is what all others are compared with."""
    return Table(rows, write)


def paper_tables(rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    """{table: {row: its name there}} of `TABLES`, in their order, of those that two rows or more stand in."""
    of_table = {}
    for row in rows:
        for label in row.labels:
            table, _, name = label.partition(": ")
            of_table.setdefault(table, {}).setdefault(row.name, f"{name} ({row.name})")
    return {table: of_table[table] for table in TABLES if len(of_table.get(table, ())) > 1}


def write(plan: Plan, reports: Reports) -> Written:
    """A table of all rows, then one for each of the paper's tables, with its rows as the paper names them."""
    figures = metric_figures(plan.run_dir, reports)
    base = plan.rows[0].name
    title = f"Ablations, trained and tested {plan.where}"
    sheets = [
        write_tables(plan.run_dir, plan.name, title, [*notes_of(plan, reports), LEVEL, PAIRED], "preset", figures)
    ]
    for table, labels in paper_tables(plan.rows).items():
        labels = labels if base in labels else {base: f"({base})", **labels}
        named = [dataclasses.replace(one, model=labels[one.model]) for one in figures if one.model in labels]
        notes = [f"Rows are those of {table}; {DIFFERENCE}AUC is paired."]
        file = f"{plan.name}_{table.lower().replace(' ', '_').replace('.', '')}"
        sheets.append(write_tables(plan.run_dir, file, f"{table}: {title}", notes, "row", named))
    return Written(sheets, figures, roc_plots(plan.run_dir, reports))
