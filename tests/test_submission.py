"""Kaggle's submission: a row for each file, the clip by log loss, the prior where there is no score."""

import csv
import inspect

import numpy as np
import pytest
from scipy.special import expit

from tfdeepfake.cli.main import main
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.submission import choose_clip, submission, submission_lines
from tfdeepfake.files import write_json
from tfdeepfake.model_folder import write_recipe
from tfdeepfake.recipe import Recipe
from tfdeepfake.scoring.table import table
from tfdeepfake.scoring.table_file import write_scores


def write(path, logits, labels=None, no_face=(), temperature=2.0):
    """Scores of files f0.mp4 .. below a folder, two frames each; `no_face` are further names."""
    rows = []
    for n, value in enumerate(logits):
        row = {"data_set": "d", "video": f"part/f{n}.mp4", "label": None if labels is None else int(labels[n])}
        rows += [row | {"face": 0, "frame": t, "logit": value} for t in (0, 5)]
    rows += [{"data_set": "d", "video": f"part/{name}", "status": "no_face"} for name in no_face]
    write_scores(path, table(rows))
    write_json(path.parent / "metrics.json", {"thresholds": {"temperature": temperature, "threshold": 0.5}})
    return path


def read(path):
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["filename", "label"]
    return {name: float(value) for name, value in rows[1:]}


def validation(path, n=60, boast=4.0, seed=0):
    """Scores that are right four times in five, and too sure of it."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3 > 0
    right = rng.random(n) < 0.8
    return write(path, boast * np.where(labels == right, 1, -1) + rng.normal(size=n), labels)


def test_every_file_has_a_row_clipped_by_the_validation_scores(tmp_path):
    test = write(tmp_path / "test" / "scores.csv", [20.0, -20.0, 0.2], no_face=["x.mp4", "y.mp4"])
    facts = submission([test], tmp_path / "out.csv", [validation(tmp_path / "val" / "scores.csv")])
    rows, clip = read(tmp_path / "out.csv"), facts["clip"]
    assert list(rows) == ["f0.mp4", "f1.mp4", "f2.mp4", "x.mp4", "y.mp4"]
    assert 0.02 < clip < 0.4 and facts["log_loss"] < facts["log_loss_unclipped"]
    assert rows["f0.mp4"] == pytest.approx(1 - clip) and rows["f1.mp4"] == pytest.approx(clip)
    assert rows["f2.mp4"] == pytest.approx(expit(0.1))
    assert rows["x.mp4"] == rows["y.mp4"] == pytest.approx(2 / 3) == facts["prior"]
    assert facts["without_score"] == [("x.mp4", "no_face"), ("y.mp4", "no_face")]


def test_the_clip_is_the_best_and_separated_scores_do_not_ask_for_none():
    rng = np.random.default_rng(1)
    labels = rng.random(4000) < 0.5
    right = rng.random(4000) < 0.9
    # Sure of everything and wrong in a tenth: 0.9 is the honest probability.
    assert choose_clip(labels.astype(int), np.where(labels == right, 1.0, 0.0)) == pytest.approx(0.1, rel=0.2)
    few = choose_clip(np.array([0, 1] * 5), np.array([0.0, 1.0] * 5))
    many = choose_clip(np.array([0, 1] * 5000), np.array([0.0, 1.0] * 5000))
    assert many < 0.001 < 0.05 < few < 0.2


def test_several_detectors_are_averaged_and_a_list_says_what_is_asked_for(tmp_path):
    paths = [write(tmp_path / n / "scores.csv", [1.0 + i, -1.0], no_face=["x.mp4"]) for i, n in enumerate("ab")]
    (tmp_path / "sample.csv").write_text("filename,label\nf0.mp4,0.5\nx.mp4,0.5\nz.mp4,0.5\n")
    facts = submission(paths, tmp_path / "out.csv", prior=0.8, clip=0.01, files=tmp_path / "sample.csv")
    rows = read(tmp_path / "out.csv")
    assert rows["f0.mp4"] == pytest.approx((expit(0.5) + expit(1.0)) / 2) and rows["z.mp4"] == 0.8
    assert facts["without_score"] == [("x.mp4", "no_face"), ("z.mp4", "not among the scores")]
    assert facts["not_asked_for"] == ["f1.mp4"] and facts["clip_chosen_on"] is None


def test_command_says_what_files_without_a_face_got(tmp_path, capsys):
    test = write(tmp_path / "test" / "scores.csv", [20.0, -20.0], no_face=["x.mp4"])
    scores = validation(tmp_path / "val" / "scores.csv")
    command = ["submission", str(test), "--validation", str(scores), "--out", str(tmp_path / "s.csv")]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "s.csv: 3 files" in text and "chosen on 60 validation videos: log loss 0." in text
    assert "Files without a score: 1. A submission needs a number: they got 0.6667, the fraction of fakes in" in text
    assert "  x.mp4 (no_face)" in text


def test_a_clip_that_costs_on_the_very_videos_says_why(tmp_path):
    # Scores that separate a few videos: the loss is lowest without a clip, which is chosen by less sure labels.
    logits = np.where(np.arange(8) % 2, 6.0, -6.0)
    rows = [{"video": f"f{i}", "label": i % 2, "face": 0, "frame": 0, "logit": x} for i, x in enumerate(logits)]
    write_scores(tmp_path / "scores.csv", rows)
    facts = submission([tmp_path / "scores.csv"], tmp_path / "out.csv", validation=[tmp_path / "scores.csv"])
    assert facts["log_loss"] > facts["log_loss_unclipped"]
    assert "higher on these very videos" in submission_lines(facts, "out.csv")[1]


def test_a_run_brings_its_validation_scores_and_its_prior(tmp_path, monkeypatch, capsys):
    from tfdeepfake.verdict import batch

    run = tmp_path / "run"
    (run / "best").mkdir(parents=True)
    write_recipe(run / "best", Recipe("meso4"))
    validation(run / "scores_validation.csv")
    for name, content in (("config", {}), ("versions", {"examples": {"real": 10, "swap": 20, "reenact": 10}})):
        write_json(run / f"{name}.json", content)
    judged, budgets, real = [], [], inspect.signature(batch.judge_many)
    clips = tmp_path / "clips"
    clips.mkdir()

    def judge_many(videos, model, out_dir, *, budget_s, **options):
        real.bind(videos, model, out_dir, budget_s=budget_s, **options)  # it takes what it is given
        judged.append((videos, model, options["settings"] and options["settings"].num_samples))
        write(out_dir / "scores.csv", [0.3], no_face=["x.mp4"])
        budgets.append(budget_s)
        return {"not_reached": ["sub/late.mp4"] if budget_s else []}

    monkeypatch.setattr(batch, "judge_many", judge_many)
    command = ["submission", str(run), "--videos", str(clips), "--out", str(tmp_path / "s.csv")]
    assert main(command) == 0
    assert judged == [(str(clips), run, None)] and read(tmp_path / "s.csv")["x.mp4"] == 0.75
    assert main([*command, "--budget-s", "1e6", "--samples", "3"]) == 0
    assert judged[-1][-1] == 3
    assert budgets[0] is None and 0 < 1e6 - budgets[1] < 1e5, "what the start took is gone"
    assert read(tmp_path / "s.csv")["late.mp4"] == 0.75
    assert "  late.mp4 (not reached in time)" in capsys.readouterr().out


def test_what_is_missing_is_asked_for(tmp_path, capsys):
    test = write(tmp_path / "test" / "scores.csv", [20.0, -20.0])
    with pytest.raises(InputError, match="--prior: is needed"):
        submission([test], tmp_path / "out.csv")
    with pytest.raises(InputError, match="--clip: cannot be chosen"):
        submission([test], tmp_path / "out.csv", prior=0.5)
    with pytest.raises(InputError, match="needs a file for each of 1 detectors, got 2"):
        submission([test], tmp_path / "out.csv", [test, test])
    twice = table([{"video": f"{part}/a.mp4", "status": "no_face"} for part in ("p", "q")])
    write_scores(tmp_path / "twice" / "scores.csv", twice)
    with pytest.raises(InputError, match="has two files called a.mp4"):
        submission([tmp_path / "twice" / "scores.csv"], tmp_path / "out.csv", prior=0.5, clip=0.1)
    (tmp_path / "model").mkdir()
    assert main(["submission", str(tmp_path / "model")]) == 2 and "Add --videos DIR" in capsys.readouterr().err
    for more, text in (
        (["gend_clip_l14", "--videos", str(tmp_path / "absent")], "does not exist"),
        ([str(test), "--samples", "3"], "--num-samples: is not used with scores"),
        (["gend_clip_l14", "--videos", str(tmp_path), "--samples", "0"], "needs a whole number from 1 on"),
    ):
        assert main(["submission", *more]) == 2 and text in capsys.readouterr().err
    assert main(["submission", str(test), "--clip", "0.7"]) == 2 and "--clip: needs a number" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
