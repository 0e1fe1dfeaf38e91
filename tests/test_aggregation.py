"""From frames to faces and videos, and what of it is counted."""

import numpy as np
import pytest
from support.score_rows import make_rows, row

from tfdeepfake.evaluation.aggregation import face_scores, video_scores
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.text import format_metrics
from tfdeepfake.scoring.table import select, table


def test_video_is_the_mean_of_frames_and_the_maximum_of_faces():
    frames = [(0, 0.1), (0, 0.5), (1, 0.6), (1, 0.9), (1, 0.9), (2, 0.7)]
    rows = table([row(face=f, frame=i, probability=p) for i, (f, p) in enumerate(frames)])
    videos = video_scores(rows)
    assert videos["score"] == pytest.approx([0.8], abs=1e-6) and videos["face"].tolist() == [1]
    assert videos["faces"].tolist() == [3] and videos["frames"].tolist() == [3]
    assert video_scores(rows, "fraction")["score"].tolist() == [1.0]
    assert face_scores(rows)["score"] == pytest.approx([0.3, 0.8, 0.7], abs=1e-6)
    assert face_scores(rows, "fraction")["score"].tolist() == [0.5, 1.0, 1.0]


def test_aggregation_ignores_the_order_of_rows():
    rows = make_rows(unscored=3)
    order = np.random.default_rng(1).permutation(len(rows["video"]))
    mixed = select(rows, order)
    a, b = video_scores(rows), video_scores(mixed)
    by_name = dict(zip(b["video"], b["score"], strict=True))
    assert [by_name[v] for v in a["video"]] == pytest.approx(a["score"].tolist(), nan_ok=True, abs=1e-12)


def test_temperature_moves_probabilities_but_not_fractions_and_not_half():
    rows = make_rows()
    plain, warm = video_scores(rows), video_scores(rows, temperature=3.0)
    assert np.abs(warm["score"] - 0.5).mean() < np.abs(plain["score"] - 0.5).mean()
    fractions = [video_scores(rows, "fraction", t)["score"] for t in (1.0, 3.0)]
    assert np.array_equal(*fractions)
    with pytest.raises(ValueError, match="temperature needs to be above 0, got 0"):
        video_scores(rows, temperature=0)
    with pytest.raises(ValueError, match="rule needs one of"):
        video_scores(rows, "median")


def test_videos_of_four_methods_with_one_file_name_stay_four():
    """Merged by name alone, good and bad methods of a pair would average into one video (0.913 for 0.854)."""
    methods = {"Deepfakes": 0.9, "Face2Face": 0.2, "FaceSwap": 0.8, "NeuralTextures": 0.1}
    rows = []
    for pair in range(6):
        name = f"{pair:03d}_{pair + 1:03d}.mp4"
        rows += [row(name, m, frame=t, probability=p, data_set="ff") for m, p in methods.items() for t in range(3)]
        rows += [row(f"{pair:03d}.mp4", "youtube", frame=t, label=0, probability=0.3, data_set="ff") for t in range(3)]
    rows.append(row("000_001.mp4", "Deepfakes", probability=0.9, data_set="another"))  # nor across data sets
    report = evaluate(table(rows), resamples=0)
    assert report["levels"]["video"]["n"] == 6 * 5 + 1
    ff = evaluate(table(rows[:-1]), resamples=0)
    assert ff["levels"]["video"]["auc"] == pytest.approx(0.5)  # two methods of four are above every real
    assert {m: v["auc"] for m, v in ff["methods"].items()} == {
        "Deepfakes": 1.0, "Face2Face": 0.0, "FaceSwap": 1.0, "NeuralTextures": 0.0,
    }  # fmt: skip
    assert all(v["n_real"] == 6 and v["n_fake"] == 6 for v in ff["methods"].values())
    assert set(report["methods"]) == {f"ff/{m}" for m in methods} | {"another/Deepfakes"}


def test_unscored_videos_are_counted_never_scored():
    rows = make_rows(videos=40, unscored=10)
    report = evaluate(rows, resamples=20)
    bare = evaluate(make_rows(videos=40), resamples=20)
    video = report["levels"]["video"]
    assert report["coverage"] == {
        "videos": 50, "scored": 40, "no_face": 10, "unreadable": 0, "error": 0, "fraction_scored": 0.8,
        "scored_without_label": 0,
    }  # fmt: skip
    assert all(level["coverage"] == {"scored": 40, "videos": 50} for level in report["levels"].values())
    assert report["methods"]["swap"]["coverage"] == {"scored": 40, "videos": 50}
    for name in ("auc", "accuracy", "log_loss", "confusion"):
        assert video[name] == bare["levels"]["video"][name]
    assert video["accuracy_counting_unscored_as_wrong"] == pytest.approx(0.8 * video["accuracy"])
    assert np.isnan(video_scores(rows)["score"][-10:]).all()


def test_scored_videos_without_label_are_left_out_and_said_so():
    rows = make_rows(videos=20)
    for name, value in (("label", -1), ("video", "stranger")):
        rows[name] = rows[name].copy()
        rows[name][:6] = value
    report = evaluate(rows, resamples=0)
    assert report["levels"]["video"]["n"] == 19 and report["coverage"]["scored_without_label"] == 1
    assert "1 scored videos have no label" in format_metrics(report)
