"""What a network costs beside what it detects: parameters, FLOPs, latency, AUC (arXiv:2403.10261, Table 6)."""

import math
from collections.abc import Sequence
from pathlib import Path

from tfdeepfake.protocols.cells import FAILED, Member, members_of
from tfdeepfake.protocols.figures import Figure, Sheet, of_level
from tfdeepfake.protocols.prepared import cells_of, score_notes
from tfdeepfake.protocols.work import Options, Plot, Reports, Series, Work, Written, kind_of_data

HEADER = ["model on data", "parameters", "GMACs", "GFLOPs", "ms", "AUC"]


def cost(models: Sequence[str], data: Sequence[str], run_dir: Path, options: Options) -> Work:
    """The protocol of that name; each model's latency is measured on this machine when its first cell is scored."""
    members = members_of(models)
    cells = cells_of(members, data, options.data_dir, options.split, options.allow)
    at, measured = {member.name: member for member in members}, {}
    for place, cell in enumerate(cells):

        def score(cell=cell, inner=cell.score):
            rows, told = inner()
            if cell.model not in measured:
                measured[cell.model] = profile(at[cell.model])
            return rows, told | {"cost": measured[cell.model]}

        # Its scores are those of cross_data, but its report says more.
        cells[place] = type(cell)(cell.model, cell.on, cell.facts | {"cost": True}, score, cell.recipe, cell.measure)
    return Work(cells, lambda reports: write(run_dir, reports, options.split))


def profile(member: Member) -> dict:
    """{"parameters", "gmacs", "latency_ms", "machine", "inputs"} of one example, all members of several that vote."""
    from tfdeepfake.model_folder import load_voting
    from tfdeepfake.profiling import macs
    from tfdeepfake.profiling.table import latency_ms, machine

    model, _ = load_voting(member.folder)
    parts = getattr(model, "models", None) or [model]
    inputs = " + ".join("x".join(map(str, tensor.shape[1:])) for tensor in parts[0].inputs)
    return {
        "parameters": sum(part.count_params() for part in parts),
        "gmacs": sum(sum(macs.count(part).values()) for part in parts) / 1e9,
        "latency_ms": sum(latency_ms(part) for part in parts),
        "machine": machine(),
        "inputs": inputs,
    }


def write(run_dir: Path, reports: Reports, split: str) -> Written:
    """A row for each model and data set, and AUC over GMACs and over milliseconds."""
    rows, figures, known, failed = [], [], [], []
    for cell, report in reports:
        name = f"{cell.model} on {cell.on}"
        if FAILED in report:
            figures.append(Figure(cell.model, cell.on, failed=report[FAILED]))
            failed.append(f"Failed: {name}: {report[FAILED]}")
            rows.append([name, "", "", "", "", "failed"])
            continue
        figure, facts = of_level(cell.model, cell.on, report["levels"]["video"]), report["cost"]
        figures.append(figure)
        known.append((name, figure, facts))
        gmacs = facts["gmacs"]
        numbers = f"{facts['parameters']:,}", f"{gmacs:.3g}", f"{2 * gmacs:.3g}", f"{facts['latency_ms']:.1f}"
        rows.append([name, *numbers, figure.text()])
    notes = [
        "Of one example, a face's frame or clip: a video has many. 1 MAC = 2 FLOPs; papers often print MACs as FLOPs."
    ]
    machines = sorted({facts["machine"] for _, _, facts in known})
    notes += [f"ms: a forward pass of one example on {name}, median." for name in machines]
    notes += [f"{name}: input {facts['inputs']}." for name, _, facts in known]
    notes += score_notes(reports)
    title = f"Cost and detection, on {kind_of_data(reports)} ({split})"
    sheet = Sheet("cost", title, [*notes, *failed], HEADER, rows)
    sheet.write(run_dir)
    panels = [
        _panel("AUC over GMACs", "GMACs of an example", [(n, f, c["gmacs"]) for n, f, c in known]),
        _panel("AUC over milliseconds", "ms of an example", [(n, f, c["latency_ms"]) for n, f, c in known]),
    ]
    return Written([sheet], figures, [one for one in panels if one])


def _panel(title, x, places):
    """Points on a logarithmic axis: powers of ten are its numbers."""
    places = [
        (name, figure, math.log10(max(value, 1e-9))) for name, figure, value in places if figure.value is not None
    ]
    if not places:
        return None
    low, high = (side(value for _, _, value in places) for side in (min, max))
    ends = (math.floor(low - 0.1), math.ceil(high + 0.1))
    series = [
        Series(name, [(value, figure.value)], [(value, *figure.interval)] if figure.interval else [])
        for name, figure, value in places
    ]
    return Plot(title, x, "AUC, video level", series, ends, is_scatter=True, is_logarithmic=True)
