"""Which faces decide, and when nothing can be told: alike in verdicts and in evaluations."""

import dataclasses

import numpy as np
import pytest
from support.prepared import write_prepared
from support.verdicts import brightness_network, example, no_detector, pretend, recipe

from tfdeepfake.data.batches import pipeline
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import unsure
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.text import format_metrics
from tfdeepfake.recipe import DataRecipe, VerdictRecipe
from tfdeepfake.scoring.deciding import brief_and_weak
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table import table
from tfdeepfake.scoring.table_file import read_scores, write_scores
from tfdeepfake.verdict.judging import judge
from tfdeepfake.verdict.looking import _slow
from tfdeepfake.verdict.results import score_rows
from tfdeepfake.vocabulary import UNSURE

LEAST = VerdictRecipe(least_confidence=0.97)


def one_by_one(count, num_samples, sides, confidences):
    """The rule as its description says it, of one video."""
    fraction = [min(1, n / num_samples) for n in count]
    brief = [num_samples >= 8 and (f < 0.1 or n < 2) for f, n in zip(fraction, count, strict=True)]
    if all(brief):
        brief = [f < max(fraction) for f in fraction]
    weak = [side < 48 or sure < 0.97 for side, sure in zip(sides, confidences, strict=True)]
    solid = [k for k, is_brief in enumerate(brief) if not is_brief]
    if all(weak[k] for k in solid):
        largest = max(sides[k] for k in solid)
        for k in solid:
            weak[k] = sides[k] < 0.7 * largest
    return [not (b or w) for b, w in zip(brief, weak, strict=True)]


def test_the_faces_of_many_videos_are_told_as_those_of_one():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 5, 300)
    video, total = np.repeat(np.arange(300), sizes), rng.choice([4, 8, 32], 300)
    count = np.array([rng.integers(1, total[v] + 1) if rng.random() < 0.5 else 1 for v in video])
    sides, sure = rng.uniform(20, 120, len(video)), rng.uniform(0.95, 1.0, len(video))
    brief, weak = brief_and_weak(video, count, total, sides, sure, LEAST)
    expected = []
    for v in range(300):
        mine = video == v
        expected += one_by_one(count[mine], total[v], sides[mine], sure[mine])
    assert (~(brief | weak)).tolist() == expected and 0.2 < np.mean(expected) < 0.9
    decides = np.bincount(video, weights=~(brief | weak), minlength=300)
    assert decides.min() >= 1
    nothing_known = np.full(len(video), np.nan)
    assert not brief_and_weak(video, count, total, nothing_known, nothing_known, LEAST)[1].any()


@pytest.fixture
def verdicts(monkeypatch):
    """(recipe, dicts) of 60 verdicts of videos with a clear, a small, a doubtful and a brief face."""
    used = dataclasses.replace(recipe(detector="mtcnn"), limits={"samples": 10, "side_px": 44, "confidence": 0.9})
    rng, out = np.random.default_rng(3), []
    for number in range(60):
        made, means = [], rng.uniform(0.3, 0.7, 4)
        for face, (side, sure, count) in enumerate([(90, 0.99, 16), (40, 0.99, 16), (80, 0.93, 16), (90, 0.99, 1)]):
            if face and rng.random() < 0.4:
                continue
            count, side = count if rng.random() < 0.8 else 9, side if rng.random() < 0.8 else 42
            values = np.clip(means[face] + rng.normal(0, 0.1, count), 0, 1)
            boxes = (0, 0, side, side)
            made += [example(v, face=face, frame=6 * k, box=boxes, score=sure) for k, v in enumerate(values)]
        pretend(monkeypatch, made)
        out.append({"name": f"{number}.mp4", **judge("v.mp4", brightness_network(), used, no_detector).to_dict()})
    return used, out


def test_an_evaluation_leaves_out_the_faces_that_a_verdict_does(verdicts, tmp_path):
    used, judged = verdicts
    labels = {v["name"]: {"label": int(v["probability"] >= 0.45)} for v in judged}
    write_scores(tmp_path / "scores.csv", list(score_rows(judged, labels)))
    rows = read_scores(tmp_path / "scores.csv")
    assert 0 < (rows["decides"] == 0).sum() < len(rows["decides"])
    videos = video_scores(rows)
    np.testing.assert_allclose(videos["score"], [v["probability"] for v in judged], atol=1e-6)
    doubted = unsure.measure(rows, videos, 0.5, limits=used.limits)
    of_verdicts = [v["label"] == UNSURE for v in judged]
    assert 5 < doubted["unsure"] == sum(of_verdicts) < 55
    reasons = {one["measure"] for v in judged for one in v["doubts"]}
    assert set(doubted["reasons"]) == reasons >= {"interval", "samples"}
    for name, count in doubted["reasons"].items():
        assert count == sum(name in {one["measure"] for one in v["doubts"]} for v in judged), name
    right = [(v["label"] == "FAKE") == labels[v["name"]]["label"] for v in judged if v["label"] != UNSURE]
    assert doubted["accuracy"] == pytest.approx(np.mean(right)) and doubted["coverage"] == len(right) / 60
    report = evaluate(rows, resamples=0, limits=used.limits | {"blocks": 2.0})
    assert report["selective"]["unsure"] == doubted | {"not_measured": ["blocks"]}
    assert report["levels"]["face"]["n"] < sum(len(v["faces"]) for v in judged)
    told = format_metrics(report)
    assert f"UNSURE as a verdict: {doubted['unsure']} of 60 videos (" in told and "Limits of blocks are not" in told
    assert "faces do not decide, as in verdicts" in told


def test_prepared_data_tell_which_faces_decide(tmp_path):
    data = DataRecipe(input_type="frame", num_frames=16, select="all", height_px=8, width_px=8)

    def facts(number, label):
        """Eight videos of 18 examples: a clear face, and a small and a brief one, bright whatever the label is."""
        video, at = divmod(number, 18)
        face = 0 if at < 9 else 1 if at < 17 else 2
        bright = 200 if face else 40 + 150 * label
        return {
            "video": f"v{video}", "source": f"p{video}", "face": face, "confidence": np.float32(0.99),
            "frame_indices": np.array([at % 9 + 40 * (face == 2)]), "frames": np.full((8, 8, 3), bright, np.uint8),
            "face_side_px": np.float32([30 if face == 1 else 90]),
        }  # fmt: skip

    root, name = write_prepared(tmp_path, data, {"test": (72, 72)}, facts=facts)
    prepared = pipeline.open_data(name, root)
    rows = score_data(brightness_network(), prepared, "test")
    scored = rows["status"] == "scored"
    assert rows["side_px"][0] == 90
    np.testing.assert_array_equal(rows["decides"][scored], rows["face"][scored] == 0)
    report = evaluate(rows, resamples=0)
    assert report["levels"]["video"]["accuracy"] == 1 and report["levels"]["face"]["n"] == 8
    assert any("16 of 24 faces do not decide" in note for note in report["notes"])
    whatever = score_data(
        brightness_network(), prepared, "test", verdict=VerdictRecipe(least_side_px=0, brief_fraction=0.0)
    )
    assert evaluate(whatever, resamples=0)["levels"]["video"]["accuracy"] == 0.5
    write_scores(tmp_path / "scores.csv", rows)
    again = read_scores(tmp_path / "scores.csv")
    for column in ("side_px", "confidence", "decides"):
        np.testing.assert_array_equal(again[column], rows[column])


def test_a_table_in_which_no_face_decides_is_refused(tmp_path):
    row = {"video": "a", "face": 0, "frame": 0, "logit": 1.0, "decides": 1}
    with pytest.raises(ValueError, match="video //a has no face that decides"):
        write_scores(tmp_path / "scores.csv", [row | {"decides": 0}])
    with pytest.raises(ValueError, match="decides in some rows only"):
        write_scores(tmp_path / "scores.csv", [row, row | {"frame": 1, "decides": 0}])
    write_scores(tmp_path / "scores.csv", [row, row | {"face": 1, "decides": 0}])
    text = (tmp_path / "scores.csv").read_text()
    assert table([row])["decides"].dtype == np.int8
    (tmp_path / "scores.csv").write_text(text.replace(",0\n", ",2\n"))
    with pytest.raises(InputError, match="decides needs 0, 1 or nothing"):
        read_scores(tmp_path / "scores.csv")


def test_an_evaluation_calls_a_slow_video_unsure_as_a_verdict_does(tmp_path):
    data = DataRecipe(input_type="clip", num_frames=4, height_px=8, width_px=8, detector="none")
    data = dataclasses.replace(data, sampling="consecutive", runs_fps=25.0)

    def facts(number, label):
        """A clip of a video each; every other one at 12.5 frames/s."""
        times = np.arange(4, dtype=np.float32) / (12.5 if number % 2 else 25) + 1800
        return {"video": f"v{number}", "source": f"p{number}", "timestamps_s": times}

    root, name = write_prepared(tmp_path, data, {"test": (20, 20)}, facts=facts)
    rows = score_data(brightness_network(4), pipeline.open_data(name, root), "test")
    scored = rows["status"] == "scored"
    np.testing.assert_allclose(np.unique(np.round(rows["clip_fps"][scored], 1)), [12.5, 25], atol=0.1)
    write_scores(tmp_path / "scores.csv", rows)
    np.testing.assert_allclose(read_scores(tmp_path / "scores.csv")["clip_fps"], rows["clip_fps"], rtol=1e-5)
    used = dataclasses.replace(recipe(), data=data)
    report = evaluate(rows, resamples=0, unit="clip", limits=unsure.limits_of(used))
    told = report["selective"]["unsure"]
    assert told["reasons"]["frame_rate"] == 20 and told["unsure"] == 20 and not told["not_measured"]
    # The same clips, as a verdict sees them.
    for fps, count in ((12.5, 1), (25.0, 0)):
        assert len(_slow([example(0.5, count=4, fps=fps)], data)) == count
    del rows["clip_fps"]
    assert evaluate(rows, resamples=0, unit="clip", limits=unsure.limits_of(used))["selective"]["unsure"][
        "not_measured"
    ]
