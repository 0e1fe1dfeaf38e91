"""Many files end in one line each, whatever happens to one of them: page, scores.csv, labels, exit codes."""

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.verdicts import brightness_network, example, grey, no_detector, pretend, recipe, sigmoid

from tfdeepfake.data import examples, faces, video
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json, write_json
from tfdeepfake.model_folder import save_model
from tfdeepfake.recipe import Recipe
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.scoring.unsure import doubt
from tfdeepfake.verdict import images
from tfdeepfake.verdict.batch import exit_code, judge_many, predict
from tfdeepfake.verdict.settings import JudgeSettings

NETWORK = brightness_network()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model folder and a tree of files whose name says what becomes of them."""
    monkeypatch.setattr("tfdeepfake.models.build", lambda network, **args: brightness_network())
    # The converter's process would not know this network.
    monkeypatch.setattr("tfdeepfake.compiled.choice.preferred", lambda recipe, num_files: "keras")
    save_model(
        tmp_path / "model", NETWORK, Recipe("brightness", data=recipe().data, data_version="nothing/frame:1.0.0")
    )
    monkeypatch.setattr(faces, "make_detector", lambda name, weights=None: no_detector)
    tree = tmp_path / "tree"
    for name in (
        "fake.mp4",
        "sub/real.mp4",
        "sub/noface.mp4",
        "sub/broken.mp4",
        "sub/odd.mp4",
        "sub/notes.txt",
        "list.csv",
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(name.encode())
    judged = []

    def made(path):
        judged.append(path.name)
        if path.stem == "noface":
            raise examples.NoFace(path, "no face.", "Choose another.")
        if path.stem == "broken":
            raise video.VideoError(path, "is damaged.", "Copy it again.")
        if path.stem == "odd":
            raise RuntimeError("odd")
        return [example(0.9 if "fake" in path.stem else 0.1, frame=k) for k in range(16)]

    pretend(monkeypatch, made)
    return tree, tmp_path / "model", tmp_path / "out", judged


def test_files_beyond_the_budget_are_named_and_judged_by_the_next_run(folder, monkeypatch):
    tree, model, out, judged = folder
    lines, ticks = [], iter([1.0, 4.0, 9.0, 9.0, 9.0])  # asked before each file; the slowest takes 5 s
    with monkeypatch.context() as patch:
        patch.setattr("tfdeepfake.verdict.budget.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
        stopped = judge_many([tree], model, out, budget_s=13.5, start=0.0, log=lines.append)
    assert judged == ["fake.mp4", "broken.mp4"] and stopped["counts"]["files"] == 2
    assert stopped["not_reached"] == ["sub/noface.mp4", "sub/odd.mp4", "sub/real.mp4"]
    note = "3 files were not reached within 13.5 s; the same command goes on there."
    assert note in lines and note in (out / "index.html").read_text() and exit_code(stopped) == 1
    assert len(read_json(out / "predictions.json")["verdicts"]) == 2
    whole = judge_many([tree], model, out)
    assert sorted(judged) == ["broken.mp4", "fake.mp4", "noface.mp4", "odd.mp4", "real.mp4"], "each once"
    assert whole["not_reached"] == [] and whole["counts"]["files"] == 5


def test_an_aligned_recipe_keeps_its_detector(folder):
    tree, model, out, judged = folder
    values = read_json(model / "recipe.json")
    values["data"] |= {"alignment": "gend"}
    write_json(model / "recipe.json", values)
    with pytest.raises(InputError, match="--detector: does not fit.*the mouth.*'mtcnn'.*Leave --detector out"):
        predict([tree], model, out, detector="blazeface")
    assert judged == [] and not out.exists()


def test_a_folder_ends_in_a_status_for_every_file(folder, capsys):
    tree, model, out, judged = folder
    assert predict([tree], model, out) == 1
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert re.match(
        r"FAKE 0\.98 \(0\.98-0\.98\) .*fake\.mp4: 1 face, most suspicious at 0\.0 s, its face is 40 px large$", lines[0]
    )
    for word, name in (("NO FACE", "noface"), ("UNREADABLE", "broken"), ("ERROR", "odd"), ("REAL 0.02", "real")):
        line = next(x for x in lines if f"{name}.mp4" in x)
        assert line.startswith(word)
        assert word.startswith("REAL") or not re.search(r"REAL|FAKE|0\.\d\d", line.replace(str(tree), ""))
    assert "2 of 5 scored (1 FAKE, 1 REAL, 0 UNSURE), 1 no face, 1 unreadable, 1 error." in text
    assert "2 are neither video nor image" in text and "notes.txt" in text
    result = json.loads((out / "predictions.json").read_text())
    assert result["counts"] == {
        "files": 5,
        "scored": 2,
        "no_face": 1,
        "unreadable": 1,
        "error": 1,
        "FAKE": 1,
        "REAL": 1,
        "UNSURE": 0,
        "right": 0,
        "wrong": 0,
    }
    assert [v["name"] for v in result["verdicts"]] == [
        "fake.mp4",
        "sub/broken.mp4",
        "sub/noface.mp4",
        "sub/odd.mp4",
        "sub/real.mp4",
    ]
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 5
    for image in (p for v in result["verdicts"] for p in v["images"]):
        assert (out / image["file"]).stat().st_size > 0
    assert [v["status"] for v in result["verdicts"] if v["images"]] == ["scored", "no_face", "scored"]
    assert "<svg" in (out / "index.html").read_text()


def test_scores_csv_is_what_evaluation_reads(folder):
    tree, model, out, _ = folder
    judge_many([tree], model, out)
    table = read_scores(out / "scores.csv")
    assert sorted(set(table["video"])) == [
        "fake.mp4",
        "sub/broken.mp4",
        "sub/noface.mp4",
        "sub/odd.mp4",
        "sub/real.mp4",
    ]
    assert (table["label"] == -1).all()
    bright = table["video"] == "fake.mp4"
    assert bright.sum() == 16
    np.testing.assert_allclose(sigmoid(table["logit"][bright]), grey(0.9), atol=1e-6)
    assert (table["video"] == "sub/odd.mp4").sum() == 1


def test_labels_reach_scores_csv_and_unmatched_ones_are_named(folder, capsys):
    tree, model, out, _ = folder
    (tree / "list.csv").write_text("file,label,method\nfake.mp4,FAKE,swap\nsub/real.mp4,0,\nother.mp4,real,\n")
    predict([tree], model, out, labels=tree / "list.csv")
    with open(out / "scores.csv", newline="") as stream:
        rows = {row["video"]: row for row in csv.DictReader(stream)}
    assert (rows["fake.mp4"]["label"], rows["fake.mp4"]["method"]) == ("1", "swap")
    assert rows["sub/real.mp4"]["label"] == "0" and rows["sub/odd.mp4"]["label"] == ""
    told = capsys.readouterr().out
    assert "1 of the labels is not among the files: other.mp4" in told
    assert "2 of 2 files that have a label and are judged FAKE or REAL are judged right." in told
    result = json.loads((out / "predictions.json").read_text())
    assert (result["counts"]["right"], result["counts"]["wrong"]) == (2, 0)
    assert [v.get("true_label") for v in result["verdicts"]] == ["FAKE", None, None, None, "REAL"]
    (tree / "list.csv").write_text("file,label\nfake.mp4,REAL\nsub/odd.mp4,FAKE\n")
    result = judge_many([tree], model, labels=tree / "list.csv")
    assert (result["counts"]["right"], result["counts"]["wrong"]) == (0, 1)
    for text, what in (
        ("file,label\nfake.mp4,maybe\n", "line 2: label 'maybe' is unknown"),
        ("name,y\n", "line 1"),
        ("file,label\nfake.mp4,1\nfake.mp4,1\n", "line 3.*twice"),
    ):
        (tree / "list.csv").write_text(text)
        with pytest.raises(InputError, match=what):
            judge_many([tree], model, labels=tree / "list.csv")


def test_a_stopped_run_goes_on_where_it_was(folder, monkeypatch):
    tree, model, out, judged = folder
    whole = judge_many([tree], model, out)["verdicts"]
    lines = (out / "predictions.jsonl").read_text().splitlines(keepends=True)
    # Killed in the middle of writing the third verdict.
    (out / "predictions.json").unlink()
    (out / "predictions.jsonl").write_text("".join(lines[:2]) + lines[2][:40])
    judged.clear()
    again = judge_many([tree], model, out)["verdicts"]
    assert judged == ["noface.mp4", "odd.mp4", "real.mp4"]

    def same(verdicts):
        return [{k: v for k, v in verdict.items() if k != "timings"} for verdict in verdicts]

    assert same(again) == same(whole)
    # A file that changed, other settings, or a finished run: judged anew.
    (out / "predictions.json").unlink()
    (tree / "fake.mp4").write_bytes(b"changed")
    judged.clear()
    judge_many([tree], model, out)
    assert judged == ["fake.mp4", "odd.mp4"]
    (out / "predictions.json").unlink()
    judged.clear()
    judge_many([tree], model, out, settings=JudgeSettings(max_faces=3))
    assert len(judged) == 5
    judged.clear()
    judge_many([tree], model, out, settings=JudgeSettings(max_faces=3))
    assert len(judged) == 5


def test_exit_codes(folder):
    tree, model, out, _ = folder
    assert predict([tree / "fake.mp4", tree / "sub/noface.mp4"], model) == 0
    assert predict([tree / "fake.mp4", tree / "sub/odd.mp4"], model) == 1
    assert predict([tree / "sub/broken.mp4", tree / "sub/odd.mp4"], model) == 2
    with pytest.raises(InputError, match="holds no video or image"):
        predict([model], model)


def test_results_inside_the_judged_folder_are_not_judged(folder):
    tree, model, _, judged = folder
    for _ in range(2):
        judged.clear()
        result = judge_many([tree], model, tree)
        assert len(judged) == 5 and len(result["other_files"]) == 2


def test_one_path_is_one_path(folder, capsys):
    tree, model, _, judged = folder
    for path in (tree / "fake.mp4", str(tree / "fake.mp4")):
        assert [v["file"] for v in judge_many(path, model)["verdicts"]] == [str(path)]
        assert predict(path, model) == 0
    assert judged == ["fake.mp4"] * 4


def test_settings_that_make_no_sense_are_refused_by_name():
    for name, value in (
        ("num_samples", 0),
        ("max_faces", 2.5),
        ("batch_size", -1),
        ("time_limit_s", 0),
        ("time_limit_s", float("nan")),
        ("tta", "rotate"),
    ):
        with pytest.raises(InputError, match=f"^{name}: needs"):
            JudgeSettings(**{name: value})


def test_files_given_twice_or_of_one_name_are_told_apart(folder, tmp_path):
    tree, model, out, judged = folder
    other = tmp_path / "other" / "fake.mp4"
    other.parent.mkdir()
    other.write_bytes(b"other")
    result = judge_many([tree / "fake.mp4", tree / "fake.mp4", other], model, out)
    assert len(judged) == 2
    assert len({v["name"] for v in result["verdicts"]}) == 2
    assert len({p["file"] for v in result["verdicts"] for p in v["images"]}) > 2


def test_every_key_of_predictions_json_is_documented(folder):
    tree, model, out, _ = folder
    (tree / "list.csv").write_text("file,label\nfake.mp4,FAKE\n")
    result = judge_many([tree], model, out, labels=tree / "list.csv")
    text = (Path(__file__).parents[1] / "docs" / "predictions.md").read_text()
    documented = set(re.findall(r"`(\w+)`", text))
    scored = next(v for v in result["verdicts"] if v["status"] == "scored")
    face = scored["faces"][0]
    keys = (
        set(result) | set(scored) | set(face) | set(face["timeline"][0]) | set(scored["video"]) | set(scored["timings"])
    )
    keys |= (
        set(doubt("", 0, 0, ""))
        | set(scored["peak"])
        | set(result["counts"])
        | {key for image in scored["images"] for key in image}
    )
    assert keys <= documented, keys - documented
    # ... and every key of the tables is there, but for those that only some verdicts have.
    told = set(re.findall(r"^\| `(\w+)`", text, re.M)) - {"images_problem", "traceback"}
    assert told <= keys | {"verdicts"}, told - keys


def test_images_that_cannot_be_drawn_cost_no_verdict(folder, monkeypatch):
    tree, model, out, _ = folder

    def fails(*args):
        raise ZeroDivisionError("odd box")

    monkeypatch.setattr(images, "annotate", fails)
    result = judge_many([tree / "fake.mp4"], model, out)
    assert result["counts"]["scored"] == 1 and "odd box" in result["verdicts"][0]["images_problem"]
    assert "<svg" in (out / "index.html").read_text()
