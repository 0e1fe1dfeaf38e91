"""Every image is written whole, opens as PNG, and holds what it speaks of; odd inputs give an image too."""

import cv2
import numpy as np
import pytest

from tfdeepfake.evaluation import metrics, plots
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.report import figure
from tfdeepfake.scoring.table import concatenate, table

IMAGES = ("confusion.png", "histogram.png", "pr.png", "reliability.png", "roc.png", "selective.png")


def rows_of(n_fake=30, n_real=20, frames=3, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([1] * n_fake + [0] * n_real, frames)
    count = len(labels)
    video = np.repeat(np.arange(n_fake + n_real), frames)
    return table([
        {
            "data_set": "d", "method": "m", "video": str(video[i]), "source": f"id{video[i] % 9}", "face": 0,
            "frame": i, "label": labels[i], "logit": rng.normal(2 * labels[i] - 1, spread),
        }
        for i in range(count)
    ])  # fmt: skip


def pixels(path, colour):
    """How many pixels of an image have a colour given as #RRGGBB."""
    image = cv2.imread(str(path))
    assert image is not None and min(image.shape[:2]) > 300
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int(np.all(image == rgb[::-1], axis=-1).sum())


def test_images_of_an_evaluation(tmp_path):
    rows = rows_of()
    report = evaluate(rows, threshold=0.4, temperature=1.3, resamples=50)
    plots.write_plots(tmp_path / "new", rows, report)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == list(IMAGES)
    assert pixels(tmp_path / "new" / "roc.png", figure.CURVE) > 500
    assert pixels(tmp_path / "new" / "pr.png", figure.CURVE) > 500
    histogram = tmp_path / "new" / "histogram.png"
    assert pixels(histogram, figure.REAL) > 2000 and pixels(histogram, figure.FAKE) > 2000


@pytest.mark.parametrize("n_fake, n_real", [(5, 0), (0, 5), (1, 1), (0, 0)])
def test_one_class_one_video_and_none_give_images(tmp_path, n_fake, n_real):
    rows = rows_of(n_fake, n_real)
    if not n_fake + n_real:
        rows = table([{"video": "v", "label": 1, "status": "no_face"}])
    plots.write_plots(tmp_path, rows, evaluate(rows, resamples=20))
    for name in IMAGES:
        assert pixels(tmp_path / name, "#FFFFFF") > 10_000
    if not (n_fake and n_real):
        assert pixels(tmp_path / "roc.png", figure.CURVE) == 0  # no curve is drawn that is not there


def test_title_says_data_split_level_count_and_coverage():
    rows = concatenate([rows_of(), table([{"video": "gone", "status": "unreadable"}])])
    report = evaluate(rows, resamples=0) | {"network": "n", "data": "set/clip:1.0.0", "split": "test"}
    text = plots.describe(report)
    for words in ("set/clip:1.0.0", "test", "video level", "30 fake, 20 real", "50 of 51 videos scored"):
        assert words in text


def test_band_holds_the_curve_and_shrinks_with_more_sources():
    widths = []
    grid = np.linspace(0, 1, 21)[1:-1]
    for count in (40, 640):
        rng = np.random.default_rng(1)
        labels = np.tile([0, 1], count // 2)
        scores = rng.normal(labels, 1)
        low, high = metrics.roc_band(labels, scores, np.arange(count), grid, resamples=200)
        fpr = [np.mean(scores[labels == 0] >= cut) for cut in np.sort(scores)[::-1]]
        tpr = [np.mean(scores[labels == 1] >= cut) for cut in np.sort(scores)[::-1]]
        curve = np.interp(grid, fpr, tpr)
        assert np.mean((low <= curve + 1e-9) & (curve <= high + 1e-9)) > 0.9
        widths.append(np.mean(high - low))
    # Sixteen times the sources: a quarter of the width, give or take the ends where the curve is at 1.
    assert 0.15 < widths[1] / widths[0] < 0.4
