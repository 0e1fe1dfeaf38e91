"""Networks under one budget as a table (P2, arXiv numbers in docs/papers.md): presets trained and tested on one set."""

from collections.abc import Sequence
from pathlib import Path

from tfdeepfake.data.batches.prepared import PreparedData
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import estimates
from tfdeepfake.evaluation.members import pair, read_member
from tfdeepfake.files import read_json
from tfdeepfake.protocols import runs
from tfdeepfake.protocols.cells import FAILED
from tfdeepfake.protocols.figures import DIFFERENCE, Figure, of_level, write_tables
from tfdeepfake.protocols.prepared import score_notes
from tfdeepfake.protocols.roc import roc_plots
from tfdeepfake.protocols.rows import Row
from tfdeepfake.protocols.training_plan import Plan, Table
from tfdeepfake.protocols.work import Reports, Written

LEVEL = "Video level, each figure with its 95 % interval by source, numbers of scored videos, and coverage."
# P2 Table 7 and P4's tables print accuracy; the classes are seldom of equal number, so that which is fair to both, too.
METRICS = {"auc": "AUC", "accuracy_at_half": "accuracy at 0.5", "balanced_accuracy": "balanced accuracy"}


def networks(rows: Sequence[Row], data: PreparedData) -> Table:
    """A row for each preset."""
    return Table(rows, write)


def write(plan: Plan, reports: Reports) -> Written:
    """The table."""
    title = f"Networks trained and tested alike, {plan.where}"
    figures = metric_figures(plan.run_dir, reports)
    sheet = write_tables(plan.run_dir, plan.name, title, [*notes_of(plan, reports), LEVEL, PAIRED], "network", figures)
    return Written([sheet], figures, roc_plots(plan.run_dir, reports))


PAIRED = "Differences are paired: of the videos that both scored, with the interval of the difference itself."


def metric_figures(run_dir: Path, reports: Reports, base: str | None = None) -> list[Figure]:
    """Figures of `METRICS` of each row, and the difference of its AUC from that of a row.

    Args:
      run_dir: the protocol's folder.
      reports: (cell, report) of each row.
      base: the row of which all others are compared with; the first that did not fail when not given.
    """
    cells = {cell.model: cell for cell, report in reports if FAILED not in report}
    base = base if base in cells else next(iter(cells), None)
    against = f"{DIFFERENCE}AUC from {base}"
    figures = []
    for cell, report in reports:
        name = cell.model
        if FAILED in report:
            figures += [Figure(name, shown, failed=report[FAILED], metric=m) for m, shown in METRICS.items()]
            continue
        level = report["levels"]["video"]
        figures += [of_level(name, shown, level, metric=metric, remark="") for metric, shown in METRICS.items()]
        if name != base:
            paths = (run_dir / cells[one].folder / "scores.csv" for one in (name, base))
            figures.append(difference(name, against, *paths))
    return figures


def difference(model: str, on: str, first: Path, second: Path) -> Figure:
    """The AUC of scores less that of other scores, of the videos that both have.

    Args:
      model, on: of the figure.
      first, second: scores.csv files.
    """
    metric = f"{DIFFERENCE}auc"
    try:
        both = pair([read_member(str(path)) for path in (first, second)])
    except InputError as error:
        return Figure(model, on, remark=error.problem, metric=metric)
    a, b = (estimates.auc(both.labels, scores[0], both.groups) for scores in both.scores)
    gap = estimates.difference(a, b)
    fake, num = int((both.labels == 1).sum()), len(both.labels)
    sources = int(both.groups.max()) + 1
    return Figure(model, on, gap["difference"], gap["interval"], fake, num - fake, sources, num, num, metric=metric)


def notes_of(plan: Plan, reports: Reports) -> list[str]:
    """How the runs went, a line each, what of the data is not the presets', and which scores are optimistic."""
    lines = plan.notes() + score_notes(reports)
    for row in plan.rows:
        folder = runs.folder_of(plan.run_dir, row.name)
        if not (folder / "result.json").is_file():
            continue
        ended, begun = read_json(folder / "result.json"), read_json(folder / "versions.json")
        seconds = sum(float(line.rsplit(",", 1)[1]) for line in (folder / "metrics.csv").read_text().splitlines()[1:])
        args = {key: value for key, value in row.config.network_args.items()}
        built = f"{row.config.network} {args}" if args else row.config.network
        lines.append(
            f"{row.name}: {built}, batches of {row.config.batch_size}, {ended['epochs']} of {row.config.epochs} epochs "
            f"in {seconds:.0f} s, the best is epoch {ended['best_epoch']}; "
            f"{' + '.join(f'{n} {label}' for label, n in begun['examples'].items())} training examples."
        )
    return lines
