"""ROC curves of a protocol's cells for its page: a panel for each data set, a line for each model."""

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_curve

from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.protocols.cells import FAILED
from tfdeepfake.protocols.work import Plot, Reports, Series
from tfdeepfake.scoring.table_file import read_scores

# More steps than this cannot be told apart on a page.
MOST_POINTS = 200


def roc_plots(run_dir: Path, reports: Reports) -> list[Plot]:
    """Panels from the scores.csv of each cell, video level; a model without a curve there has an empty line."""
    models = list(dict.fromkeys(cell.model for cell, _ in reports))
    panels = {}
    for cell, report in reports:
        points = [] if FAILED in report else _points(run_dir / cell.folder / "scores.csv", report)
        panels.setdefault(cell.on, {})[cell.model] = points
    return [
        Plot(
            on,
            "fraction of reals called FAKE",
            "fraction of fakes called FAKE",
            [Series(model, of_model.get(model, [])) for model in models],
            diagonal=True,
        )
        for on, of_model in panels.items()
        if any(of_model.values())
    ]


def _points(path, report):
    cuts = report["thresholds"]
    videos = video_scores(
        read_scores(path), cuts["video_rule"], cuts["temperature"], report["unit"], cuts["faces_rule"]
    )
    usable = (videos["label"] >= 0) & np.isfinite(videos["score"])
    labels, scores = videos["label"][usable], videos["score"][usable]
    if len(set(labels.tolist())) < 2:
        return []
    x, y, _ = roc_curve(labels, scores)
    if len(x) > MOST_POINTS:
        keep = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))
        x, y = x[keep], y[keep]
    return list(zip(x.tolist(), y.tolist(), strict=True))
