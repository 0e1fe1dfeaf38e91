"""Runs and score files evaluated: figures, their parts, and what is refused."""

import json
import shlex

import numpy as np
import pytest
from support.prepared import write_prepared
from support.score_rows import make_rows

from tfdeepfake.cli.main import main, parser
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import plots
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.run import differing_fields, evaluate_run
from tfdeepfake.evaluation.score_file import evaluate_file
from tfdeepfake.evaluation.text import format_metrics
from tfdeepfake.model_folder import copy_model
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table import VIDEO, concatenate, select
from tfdeepfake.scoring.table_file import read_scores, write_scores


def test_thresholds_are_the_recipes_and_levels_are_named():
    rows = make_rows()
    report = evaluate(rows, threshold=0.8, fraction_threshold=0.3, temperature=2.0, resamples=50, unit="clip")
    cuts = {name: level["threshold"] for name, level in report["levels"].items()}
    assert cuts == {"video": 0.8, "video_fraction": 0.3, "face": 0.8, "frame": 0.5}
    assert report["levels"]["frame"]["auc"] != report["levels"]["video"]["auc"]
    text = format_metrics(report)
    head = next(line for line in text.splitlines() if "video (mean)" in line)
    assert head.split("  ")[-1] == "clip" and "50 resamples by source" in text and "AUC" in text
    low, high = report["levels"]["video"]["intervals"]["auc"]
    assert f"{report['levels']['video']['auc']:.3f} [{low:.3f}, {high:.3f}]" in text
    json.dumps(report, allow_nan=False)


def test_data_of_another_recipe_is_told_by_field():
    mine = DataRecipe(input_type="clip", detector="mtcnn", margin_frac=0.3, flow="dis")

    def differing(input_type, wants_flow=False, /, **changes):
        other = DataRecipe.from_dict(mine.to_dict() | changes)
        return differing_fields(mine, other, input_type, wants_flow)

    assert differing("clip") == []
    assert differing("clip", margin_frac=0.1, detector="blazeface") == [
        "detector: network 'mtcnn', data 'blazeface'", "margin_frac: network 0.3, data 0.1",
    ]  # fmt: skip
    assert differing("clip", num_frames=8) and not differing("frame", num_frames=8)
    assert differing("clip", input_type="frame") == ["input_type: network 'clip', data 'frame'"]
    assert differing("clip", True, flow="farneback") and not differing("clip", False, flow="farneback")
    assert differing("flow", True, stride_frames=2) and not differing("frame", stride_frames=2)


def test_run_folder_without_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        evaluate_run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no recipe.json"):
        evaluate_run(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="without best/: its training has not ended an epoch"):
        evaluate_run(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder as training leaves it: an untrained tiny clip network and a tiny prepared data set."""
    import dataclasses

    import keras
    from support import prepared, tiny_networks

    from tfdeepfake import files, models, recipe
    from tfdeepfake.data.batches import pipeline
    from tfdeepfake.model_folder import save_model

    root = tmp_path_factory.mktemp("run")
    tiny_networks.register()
    data_dir, data = prepared.write_prepared(root / "data")
    opened = pipeline.open_data(data, data_dir)
    keras.utils.set_random_seed(0)
    model = models.build("tiny_clip")
    description = recipe.Recipe(
        "tiny_clip",
        {},
        opened.recipe,
        threshold=0.45,
        fraction_threshold=0.4,
        temperature=1.5,
        data_version=opened.version,
    )
    save_model(root / "best", model, description)
    files.write_json(root / "config.json", {"data": data, "data_dir": data_dir})
    write_scores(root / "scores_validation.csv", score_data(model, opened, "validation", 4))
    other = dataclasses.replace(opened.recipe, margin_frac=0.7)
    prepared.write_prepared(root / "data", other, name="other")
    return root


def test_a_run_is_scored_measured_and_imaged(run, capsys):
    from tfdeepfake.data.batches import pipeline
    from tfdeepfake.model_folder import load_model

    report = evaluate_run(run, batch_size=3, resamples=30)
    out = run / "evaluation" / "test"
    names = {"scores.csv", "metrics.json", "roc.png", "pr.png", "confusion.png", "histogram.png", "reliability.png"}
    names |= {"selective.png"}
    assert {path.name for path in out.iterdir()} == names
    assert json.loads((out / "metrics.json").read_text()) == report
    # The same logits as `predict`, for every example of the split, and the videos without a face counted.
    model, description = load_model(run / "best")
    data = pipeline.scoring_batches(pipeline.open_data("tiny/clip", run / "data"), "test", "clip", 8)
    expected = model.predict(data, verbose=0)[:, 0]
    rows = read_scores(out / "scores.csv")
    scored = rows["status"] == "scored"
    assert rows["logit"][scored] == pytest.approx(expected, abs=1e-5)  # other batch sizes sum in another order
    assert report["coverage"]["videos"] == 9 and report["coverage"]["no_face"] == 1
    assert report["weights_sha256"] == description.weights_sha256 and report["unit"] == "clip"
    assert report["data"] == "tiny/clip:1.0.0" and report["split"] == "test"
    assert report["levels"]["video"]["threshold"] == 0.45 and report["thresholds"]["temperature"] == 1.5
    said = capsys.readouterr().out
    assert "Scored 8 of 9 videos (no_face 1" in said and "tiny/clip:1.0.0 test" in said
    assert "Threshold and temperature: not calibrated.\n" in said


def test_listed_videos_are_excluded_and_counted(run, tmp_path, capsys):
    whole = evaluate_run(run, out=tmp_path / "whole", resamples=0)
    rows = read_scores(tmp_path / "whole" / "scores.csv")
    last = int(np.flatnonzero(rows["status"] == "scored")[-1])
    key = ",".join(str(rows[name][last]) for name in ("data_set", "method", "video"))
    leaking = tmp_path / "leaking.csv"
    leaking.write_text(f"data_set,method,video\n{key}\ntiny,elsewhere,v0000\n")
    capsys.readouterr()
    report = evaluate_run(run, exclude=leaking, resamples=0)
    assert report["coverage"]["excluded"] == 1 and report["coverage"]["videos"] == whole["coverage"]["videos"] - 1
    assert report["levels"]["video"]["n"] == whole["levels"]["video"]["n"] - 1
    assert "1 more videos of the split are excluded by" in capsys.readouterr().out
    left = read_scores(run / "evaluation" / "test-without-leaking" / "scores.csv")
    assert rows["video"][last] not in left["video"] and len(left["video"]) == len(rows["video"]) - 1
    for text, said in (("video\nv\n", "data_set"), ("\xff", "line 1|UTF-8")):
        leaking.write_text(text)
        with pytest.raises(InputError, match=said):
            evaluate_run(run, exclude=leaking)
    leaking.write_text(
        "data_set,method,video\n"
        + "".join(f"{d},{m},{v}\n" for d, m, v in zip(rows["data_set"], rows["method"], rows["video"], strict=True))
    )
    with pytest.raises(InputError, match="lists all 9 videos"):
        evaluate_run(run, exclude=leaking)


def test_each_data_set_has_a_folder_and_a_model_folder_stays_as_it_is(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plots, "write_plots", lambda *args: None)  # most of the time
    write_prepared(tmp_path / "more", name="third")
    there = {"data": "third", "data_dir": tmp_path / "more", "resamples": 0}
    own, before = evaluate_run(run, resamples=0), sorted((run / "best").iterdir())
    other = evaluate_run(run, **there)
    assert json.loads((run / "evaluation" / "test" / "metrics.json").read_text()) == own
    assert json.loads((run / "evaluation" / "third-clip-test" / "metrics.json").read_text()) == other
    evaluate_run(run / "best", split="validation", **there)
    copy_model(run / "best", tmp_path / "models" / "mine")
    evaluate_run(tmp_path / "models" / "mine", tta="flip", **there)
    names = [f"{run.name}-best-third-clip-validation", "mine-third-clip-test-tta-flip"]
    assert sorted(path.name for path in (tmp_path / "evaluation").iterdir()) == sorted(names)
    assert sorted((run / "best").iterdir()) == before and len(list((tmp_path / "models" / "mine").iterdir())) == 2
    # The run's own data set by its name, and another one of that name.
    evaluate_run(run, data="tiny/clip", resamples=0)
    write_prepared(tmp_path / "more")
    evaluate_run(run, **there | {"data": "tiny"})
    folders = {"test", "third-clip-test", "tiny-clip-test"}
    assert folders <= {path.name for path in (run / "evaluation").iterdir()}
    evaluate_run(run, **there | {"data": "tiny"})  # again, over the former
    write_prepared(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=f"tiny-clip-test: holds an evaluation on {tmp_path / 'more'}.*--out FOLDER"):
        evaluate_run(run, **there | {"data": "tiny", "data_dir": tmp_path / "elsewhere"})
    (tmp_path / "more").rename(tmp_path / "moved")
    evaluate_run(run, **there | {"data": "tiny", "data_dir": tmp_path / "moved"})
    capsys.readouterr()
    with pytest.raises(InputError, match="names no data set. Add --data NAME"):
        evaluate_run(run / "best")


def test_data_prepared_otherwise_is_refused_by_field(run):
    with pytest.raises(InputError) as error:
        evaluate_run(run, data="other/clip")
    assert "margin_frac: network 0.3, data 0.7" in str(error.value) and "other/clip:1.0.0" in str(error.value)
    command = str(error.value).partition("with the network's recipe: ")[2]
    args = parser().parse_args(shlex.split(command)[1:])
    assert (args.name, args.dir, args.like, args.data_dir) == ("other", "FOLDER", str(run), str(run / "data"))


def test_the_split_that_chose_the_thresholds_is_called_optimistic(run, capsys):
    evaluate_run(run, split="validation", out=run / "elsewhere", resamples=0)
    assert "optimistic: 10 of 10 videos also served to choose" in capsys.readouterr().out
    assert (run / "elsewhere" / "metrics.json").exists()


@pytest.mark.parametrize("batch_size", [5, 32])
def test_frame_network_scores_every_frame_of_the_clips(run, batch_size):
    from support import tiny_networks

    from tfdeepfake.data.batches import pipeline

    rows = score_data(tiny_networks.tiny_frame(), pipeline.open_data("tiny/clip", run / "data"), "test", batch_size)
    assert np.sum(rows["status"] == "scored") == 8 * 4
    assert len({(v, f) for v, f in zip(rows["video"], rows["frame"], strict=True) if f >= 0}) == 32
    assert video_scores(rows)["frames"].tolist() == [4] * 8 + [0]


# Parts of the videos ------------------------------------------------------------------------------------------------


def test_accuracy_at_half_stands_beside_the_one_at_the_threshold():
    rows = make_rows()
    video = evaluate(rows, threshold=0.97, resamples=20)["levels"]["video"]
    at_half = evaluate(rows, threshold=0.5, resamples=20)["levels"]["video"]
    assert video["accuracy_at_half"] == at_half["accuracy"] != video["accuracy"]
    assert video["intervals"]["accuracy_at_half"] == at_half["intervals"]["accuracy"]
    assert "accuracy_at_half" not in evaluate(rows, resamples=0)["levels"]["video_fraction"]


def test_subgroups_are_measured_apart_and_few_are_warned_of(tmp_path):
    rows = make_rows(videos=90, sources=30, unscored=2)
    number = {name: n for n, name in enumerate(dict.fromkeys(rows["source"]))}
    rows["gender"] = np.array([("F", "M", "M", "")[number[s] % 4] for s in rows["source"]], object)
    rows["skin_tone"] = np.array([("light", "dark")[number[s] % 2] for s in rows["source"]], object)
    write_scores(tmp_path / "scores.csv", rows)
    again = read_scores(tmp_path / "scores.csv")
    assert all(np.array_equal(again[name], rows[name]) for name in ("gender", "skin_tone"))
    report = evaluate(again, resamples=50)
    json.dumps(report, allow_nan=False)
    genders = report["subgroups"]["gender"]
    assert list(genders) == ["(not told)", "F", "M"] and sum(level["n"] for level in genders.values()) == 90
    women = evaluate(select(rows, rows["gender"] == "F"), resamples=50)["levels"]["video"]
    for name in ("auc", "accuracy", "n_fake", "intervals"):
        assert genders["F"][name] == women[name], name
    text = format_metrics(report)
    assert f"gender of fewer than 30 scored videos: (not told) ({genders['(not told)']['n']}), F" in text
    assert f"of {genders['M']['coverage']['videos']}" in text and "skin_tone" in text
    assert list(evaluate(rows, resamples=0, subgroups=["gender"])["subgroups"]) == ["gender"]
    assert [entry["video"] for entry in report["unscored"]] == ["none0", "none1"]
    with pytest.raises(InputError, match="race: is no subgroup of the scores. There is gender, skin_tone"):
        evaluate(rows, subgroups=["race"])
    rows["gender"][0] = "X"
    with pytest.raises(InputError, match="has two values for the video d/"):
        evaluate(rows)


def test_subgroups_that_fakes_alone_have_stand_against_all_reals():
    rows = make_rows(videos=90, sources=30)
    fake = rows["label"] == 1
    swap = np.array([int(video) % 2 == 0 for video in rows["video"]])
    rows["scenario"] = np.where(fake, np.where(swap, "swap", "talk"), "real").astype(object)
    report = evaluate(rows, resamples=0)
    levels, whole = report["subgroups"]["scenario"], report["levels"]["video"]
    assert "real" not in levels and {level["n_real"] for level in levels.values()} == {whole["n_real"]}
    assert sum(level["n_fake"] for level in levels.values()) == whole["n_fake"]
    assert all(level["auc"] is not None for level in levels.values())
    assert any(note.startswith("scenario: no value holds fakes and reals") for note in report["notes"])
    rows["scenario"][:] = "one"
    assert not any("against all reals" in note for note in evaluate(rows, resamples=0)["notes"])


def test_several_data_sets_have_a_row_each():
    rows, other = make_rows(), make_rows(seed=1)
    other["data_set"] = np.full(len(other["video"]), "e", object)
    report = evaluate(concatenate([rows, other | {"race": other["source"]}]), resamples=0)
    assert {name: level["n"] for name, level in report["data_sets"].items()} == {"d": 40, "e": 40}
    assert report["data_sets"]["d"]["auc"] == evaluate(rows, resamples=0)["levels"]["video"]["auc"]
    assert evaluate(rows, resamples=0)["data_sets"] == {} and report["subgroups"]["race"]["(not told)"]["n"] == 40


# Scores that are there ----------------------------------------------------------------------------------------------


def test_a_score_file_is_measured_as_the_run_that_wrote_it(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "write_plots", lambda *args: None)
    known = evaluate_run(run, out=tmp_path / "run")
    report = evaluate_file(tmp_path / "run" / "scores.csv")
    assert report["levels"] == known["levels"] and report["thresholds"] == known["thresholds"]
    assert report["network"] == "tiny_clip" and report["unit"] == "clip" and "run" in report
    assert json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text()) == report


def test_a_score_file_measured_again_keeps_what_was_said_of_its_scores(run, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "write_plots", lambda *args: None)
    evaluate_run(run, split="validation", out=tmp_path / "whole", resamples=0)
    videos = dict.fromkeys(zip(*(read_scores(tmp_path / "whole" / "scores.csv")[name] for name in VIDEO), strict=True))
    lists = [tmp_path / "first.csv", tmp_path / "second.csv"]
    for path, video in zip(lists, videos, strict=False):
        path.write_text(",".join(VIDEO) + "\n" + ",".join(video) + "\n")
    known = evaluate_run(run, split="validation", out=tmp_path / "run", tta="flip", exclude=lists[0], resamples=0)
    again = evaluate_file(tmp_path / "run" / "scores.csv", resamples=0)
    assert again["notes"] == known["notes"] and "optimistic: 9 of 9 videos" in again["notes"][-1]
    assert again["coverage"] == known["coverage"] and again["coverage"]["excluded"] == 1
    less = evaluate_file(tmp_path / "run" / "scores.csv", exclude=lists[1], resamples=0)
    assert less["coverage"]["excluded"] == 2 and less["coverage"]["excluded_by"] == f"{lists[0]}, {lists[1]}"


def test_coverage_below_what_was_asked_for_ends_with_3_and_names_videos(tmp_path, capsys):
    write_scores(tmp_path / "scores.csv", make_rows(unscored=3))
    command = ["evaluate", str(tmp_path / "scores.csv"), "--min-coverage"]
    assert main([*command, "0.9"]) == 0
    assert "mean rule, threshold 0.5" in capsys.readouterr().out
    assert main([*command, "0.95"]) == 3
    error = capsys.readouterr().err
    assert "Coverage 40 of 43 is below 0.95" in error and "  d/swap/none2 (no_face)" in error
    assert main([*command, "95"]) == 2 and "needs a fraction 0..1" in capsys.readouterr().err
    assert main([*command[:2], "--tta", "flip"]) == 2 and "--tta: is not used" in capsys.readouterr().err
    write_scores(tmp_path / "scores.csv", make_rows() | {"label": np.full(240, -1, np.int8)})
    assert main(command[:2]) == 2 and "has no video with a label. Give" in capsys.readouterr().err
