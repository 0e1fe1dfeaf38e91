"""Images by GANs and diffusion models as pseudo-videos of 200 (arXiv:2403.10261, 4.7 and Table 5)."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfdeepfake.evaluation import estimates
from tfdeepfake.evaluation.aggregation import source_groups, video_scores
from tfdeepfake.protocols.cells import FAILED, members_of
from tfdeepfake.protocols.figures import Figure, of_level, write_tables
from tfdeepfake.protocols.prepared import ALL, cells_of, remarks_of
from tfdeepfake.protocols.roc import roc_plots
from tfdeepfake.protocols.work import Options, Reports, Work, Written, kind_of_data
from tfdeepfake.scoring.table import select
from tfdeepfake.scoring.table_file import read_scores

# Without a face there is nothing to search, align or cut around: in these fields such data differ from any of faces.
FACES = ("detector", "select", "margin_frac", "crop", "box_smoothing", "alignment", "sampling", "stride_frames")
# P4's order, as the data set's folders are called; other generators stand behind.
GANS = ("ProGAN", "StyleGAN", "ProjectedGAN", "Diff-StyleGAN2", "Diff-ProjectedGAN")
DIFFUSION = ("DDPM", "IDDPM", "ADM", "PNDM", "LDM")


def pseudo_videos(models: Sequence[str], data: Sequence[str], run_dir: Path, options: Options) -> Work:
    """The protocol of that name: a model of faces may score these images, which have none."""
    allow = (*options.allow, *FACES)
    cells = cells_of(members_of(models), data, options.data_dir, options.split, allow)
    return Work(cells, lambda reports: write(run_dir, reports, options.split))


def _known(name):
    return re.sub("[^a-z0-9]", "", name.lower())


def order_of(methods: Sequence[str]) -> list[str]:
    """Generators as P4 orders them, others behind."""
    places = [_known(name) for name in (*GANS, *DIFFUSION)]
    return sorted(methods, key=lambda m: (places.index(_known(m)) if _known(m) in places else len(places), m))


def family_figure(model: str, name: str, videos: dict, methods: Sequence[str]) -> Figure:
    """AUC of the pseudo-videos of several generators against all real ones.

    Args:
      model, name: of the figure; videos: of `aggregation.video_scores`; methods: generators.
    """
    chosen = (videos["label"] == 0) | ((videos["label"] == 1) & np.isin(videos["method"].astype(str), list(methods)))
    scored = chosen & np.isfinite(videos["score"])
    labels, scores = videos["label"][scored], videos["score"][scored]
    counts = {"fake": int((labels == 1).sum()), "real": int((labels == 0).sum()), "scored": int(scored.sum())}
    counts["videos"] = int(chosen.sum())
    if not counts["fake"] or not counts["real"]:
        return Figure(model, name, **counts, remark="needs fakes and reals that were scored")
    _, groups = np.unique(source_groups(select(videos, scored))[0], return_inverse=True)
    area = estimates.auc(labels, scores, groups)
    sources = int(groups.max()) + 1
    return Figure(model, name, area.value, estimates.interval(area), **counts, sources=sources, remark=area.reason)


def write(run_dir: Path, reports: Reports, split: str) -> Written:
    """A column for each generator, for GANs, for diffusion models, and for all."""
    remarks, notes = remarks_of(reports)
    methods = order_of({method for _, report in reports for method in report.get("methods", ())})
    families = {"GANs": GANS, "diffusion models": DIFFUSION}
    families = {
        name: there
        for name, known in families.items()
        if (there := [m for m in methods if _known(m) in map(_known, known)]) and 1 < len(there) < len(methods)
    }
    figures = []
    for (cell, report), remark in zip(reports, remarks, strict=True):
        if FAILED in report:
            figures += [Figure(cell.model, name, failed=report[FAILED]) for name in (*methods, *families, ALL)]
            continue
        figures += [of_level(cell.model, name, report["methods"][name], remark) for name in methods
                    if name in report["methods"]]  # fmt: skip
        cuts, rows = report["thresholds"], read_scores(run_dir / cell.folder / "scores.csv")
        videos = video_scores(rows, cuts["video_rule"], cuts["temperature"], report["unit"], cuts["faces_rule"])
        figures += [family_figure(cell.model, name, videos, there) for name, there in families.items()]
        figures.append(of_level(cell.model, ALL, report["levels"]["video"], remark))
        notes += [f"{cell.model}: {note}" for note in report["notes"] if "source" not in note]
    told = [
        "AUC over pseudo-videos (groups of images whose scores are averaged) with its 95 % interval, numbers and "
        "coverage. Pseudo-videos share no image, and each counts as a source of its own.",
        "Each generator stands against all real pseudo-videos. P4's total is the mean over generators: with as many "
        f"pseudo-videos of each, that is the column {ALL}.",
    ]
    title = f"Generated images as pseudo-videos, on {kind_of_data(reports)} ({split})"
    sheet = write_tables(run_dir, "pseudo_videos", title, [*told, *notes], "model", figures)
    return Written([sheet], figures, roc_plots(run_dir, reports))
