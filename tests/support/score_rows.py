"""Rows of scores as tests need them: overlapping, tied, of sources that resemble each other."""

import numpy as np
from scipy.special import expit, logit

from tfdeepfake.scoring.table import table


def draw(n=200, seed=0, gap=1.0, ties=False):
    """Labels and probabilities that overlap; with many ties when asked for."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = expit(rng.normal(gap * (2 * labels - 1), 1.5))
    return labels, np.round(scores, 1) if ties else scores


def make_rows(videos=40, frames=6, sources=10, seed=0, unscored=0, gap=1.0):
    """A table in which frames of a video and videos of a source resemble each other."""
    rng = np.random.default_rng(seed)
    mood, rows = rng.normal(0, 1.0, sources), []
    for v in range(videos):
        fake, source = int(rng.random() < 0.5), int(rng.integers(sources))
        middle = gap * (2 * fake - 1) + mood[source] + rng.normal()
        for t in range(frames):
            rows.append(
                {
                    "data_set": "d", "method": "swap" if fake else "original", "video": f"{v}", "source": f"id{source}",
                    "face": 0, "frame": t, "label": fake, "logit": middle + rng.normal(),
                }
            )  # fmt: skip
    for v in range(unscored):
        rows.append({"data_set": "d", "method": "swap", "video": f"none{v}", "label": 1, "status": "no_face"})
    return table(rows)


def row(video="v", method="m", face=0, frame=0, label=1, probability=0.5, data_set="d", source="", status="scored"):
    return {
        "data_set": data_set, "method": method, "video": video, "source": source, "label": label, "status": status,
        **({"face": face, "frame": frame, "logit": logit(probability)} if status == "scored" else {}),
    }  # fmt: skip


def table_of(labels, logits):
    return table(
        [row(str(i), label=int(y)) | {"logit": x} for i, (y, x) in enumerate(zip(labels, logits, strict=True))]
    )
