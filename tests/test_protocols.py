"""`tfdeepfake protocol`: cells scored once and resumed, failed ones named, intervals and coverage in every figure."""

import csv
import dataclasses
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from support import tiny_networks
from support.prepared import write_prepared
from support.score_rows import make_rows
from support.verdicts import brightness_network
from support.verdicts import recipe as brightness_recipe

from tfdeepfake import models
from tfdeepfake.cli.main import main
from tfdeepfake.data import faces
from tfdeepfake.evaluation.optimism import optimism
from tfdeepfake.evaluation.run import evaluate_run
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import save_model
from tfdeepfake.protocols.cells import Cell
from tfdeepfake.protocols.figures import Figure, write_tables
from tfdeepfake.protocols.plan import duration
from tfdeepfake.protocols.prepared import remarks_of
from tfdeepfake.protocols.work import kind_of_data
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.scoring.table_file import read_scores

DATA = DataRecipe(input_type="frame", num_frames=16, detector="mtcnn", height_px=32, width_px=40)
SPLITS = {"test": (10, 14)}


def lines_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two models, and data sets one of which was prepared otherwise; the first has two methods."""
    root = tmp_path_factory.mktemp("protocols")
    tiny_networks.register()

    def facts(number, label):
        return {"data_set": "first", "method": ("swap", "reenact")[number % 2] if label else "original"}

    write_prepared(root / "data", DATA, SPLITS, name="first", facts=facts, contrast=20)
    write_prepared(root / "data", DATA, SPLITS, name="second", seed=1, contrast=5)
    write_prepared(root / "data", dataclasses.replace(DATA, margin_frac=0.7), SPLITS, name="wider", seed=2)
    for seed, name in enumerate(("a", "b")):
        keras.utils.set_random_seed(seed)
        described = Recipe("tiny_frame", {}, DATA, data_version="first/frame:1.0.0")
        save_model(root / name, models.build("tiny_frame"), described)
    return root


def command(root, name, out, *more):
    where = ["--models", str(root / "a"), str(root / "b"), "--data-dir", str(root / "data"), "--resamples", "20"]
    return ["protocol", name, *where, "--run-dir", str(out), *more]


def test_videos_that_chose_a_threshold_are_said_to_be_no_test(root, tmp_path, capsys):
    """`calibrate --split test` leaves its scores in the copy that it writes: that copy on the same split is no test."""
    model, data = tmp_path / "mine", {"data": "first", "data_dir": str(root / "data")}
    evaluate_run(root / "a", out=tmp_path / "scores", resamples=0, **data)
    shutil.copytree(root / "a", model)
    (model / "calibration").mkdir()
    shutil.copy(tmp_path / "scores" / "scores.csv", model / "calibration")
    said = "optimistic: 25 of 25 videos also served to choose threshold and temperature."
    assert said in evaluate_run(model, out=tmp_path / "again", resamples=0, **data)["notes"]
    wanted = [str(model) if word == str(root / "a") else word for word in command(root, "cross_data", tmp_path / "run")]
    assert main([*wanted, "--data", "first", "second"]) == 0
    text = (tmp_path / "run" / "cross_data.md").read_text()
    assert f"- mine on first: {said}" in text and text.count("optimistic") == 1
    assert f"mine on first: {said}" in (tmp_path / "run" / "index.html").read_text()


def test_data_of_one_name_that_may_hold_any_videos_are_not_surely_those_of_training(root, tmp_path):
    report = {"trained_on": "first/frame:1.0.0; video_folder/frame:1.0.0", "version": "video_folder/frame:1.0.0"}
    doubted = "if these are its training's videos (video_folder may hold any)"
    recipe = Recipe("tiny_frame", {}, DATA, data_version=report["trained_on"])
    cell = Cell("a", "mine", {}, None, recipe)
    remarks, _ = remarks_of([(cell, report), (cell, report | {"version": "first/frame:1.0.0"})])
    assert remarks == [f"its training data set, {doubted}", "its training data set"]
    save_model(tmp_path / "a", models.build("tiny_frame"), recipe)
    (note,) = optimism(tmp_path / "a", make_rows(), "train", recipe, report["version"])
    assert note == f"optimistic, {doubted}: the network was trained on this split."


def test_every_model_on_every_data_set(root, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    wanted = command(root, "cross_data", out, "--data", "first", "second", "wider")
    assert main([*wanted, "--plan"]) == 0
    planned = capsys.readouterr().out
    assert "6 of 6 cells" in planned and not out.exists()
    # A first batch was measured, and what cannot be scored is known before.
    assert "a on first: about " in planned and planned.count("cannot be scored: wider/frame:1.0.0") == 2

    assert main(wanted) == 1  # the data prepared otherwise are refused, the others are scored
    text = (out / "cross_data.md").read_text()
    assert "on this data" in text and "Failed: a on wider" in text and "margin_frac" in text
    cells = {(line["model"], line["on"]): line for line in lines_of(out / "cross_data_cells.csv")}
    assert len(cells) == 6 and cells["b", "wider"]["value"] == "" and cells["b", "wider"]["failed"]
    alone = evaluate_run(root / "b", data="second", data_dir=str(root / "data"), out=tmp_path / "alone", resamples=20)
    level, cell = alone["levels"]["video"], cells["b", "second"]
    assert float(cell["value"]) == pytest.approx(level["auc"], abs=1e-6)
    assert [float(cell[end]) for end in ("low", "high")] == pytest.approx(level["intervals"]["auc"], abs=1e-6)
    assert [cell[name] for name in ("fake", "real", "scored", "videos")] == ["14", "10", "24", "25"]
    assert cell["remark"] == "" and cells["a", "first"]["remark"] == "its training data set"
    assert f"{level['auc']:.3f} [" in text and "24 of 25 scored" in text
    page = (out / "index.html").read_text()
    assert f"<b>{level['auc']:.3f}</b> <span" in page
    assert "24 of 25 scored" in page and "tiny/original/landscape" in page
    assert page.count("<b>a on wider</b>") == 1 and "margin_frac: network 0.3, data 0.7" in page
    assert "tfdeepfake protocol cross_data --models" in page and page.count("<figcaption>") == 2
    assert "drawn" not in page and "src=" not in page and "http" not in page.replace("http-equiv", "")
    capsys.readouterr()

    # One cell is lost, and those that failed are allowed: the others are not scored again.
    (lost,) = (path for path in (out / "cells").iterdir() if path.name.startswith("a-second"))
    shutil.rmtree(lost)
    assert main([*wanted, "--plan"]) == 0
    planned = capsys.readouterr()
    assert "3 of 6 cells" in planned.out and "measuring" not in planned.err  # cells that are there tell the time
    assert main(wanted) == 1
    assert capsys.readouterr().err.count("kept ") == 3

    other = command(root, "cross_data", tmp_path / "allowed", "--data", "first", "wider", "--allow", "margin_frac")
    assert main(other) == 0
    text = (tmp_path / "allowed" / "cross_data.md").read_text()
    assert "prepared otherwise" in text and "margin_frac: network" in text
    assert r"\toprule" in (tmp_path / "allowed" / "cross_data.tex").read_text()


def test_each_method_alone_from_one_scoring(root, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(command(root, "manipulations", out, "--data", "first")) == 0
    assert len(list((out / "cells").iterdir())) == 2  # one scoring a model
    lines = {(line["model"], line["on"]): line for line in lines_of(out / "manipulations_cells.csv")}
    assert {on for _, on in lines} == {"reenact", "swap", "all methods"}
    assert (out / "index.html").is_file()
    assert [lines["a", on]["fake"] for on in ("reenact", "swap", "all methods")] == ["7", "7", "14"]
    # All reals stand against each method, so the AUC of all is the mean by numbers of fakes.
    assert float(lines["a", "all methods"]["value"]) == pytest.approx(
        np.mean([float(lines["a", on]["value"]) for on in ("reenact", "swap")]), abs=1e-5
    )
    assert "fewer than 30" in (out / "manipulations.md").read_text()
    assert main(command(root, "cross_data", out, "--data", "first")) == 2
    assert "holds the protocol manipulations" in capsys.readouterr().err


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A network of brightness, and labelled images whose fakes are brighter; one file is damaged."""
    monkeypatch.setattr("tfdeepfake.models.build", lambda network, **args: brightness_network())
    one = faces.make_detections(
        [[8, 8, 88, 88]], [0.99], np.float32([[[30, 35], [66, 35], [48, 50], [34, 70], [62, 70]]])
    )
    monkeypatch.setattr(faces, "make_detector", lambda name, weights=None: lambda frames: [one] * len(frames))
    save_model(tmp_path / "model", brightness_network(), Recipe("brightness", data=brightness_recipe().data))
    rng = np.random.default_rng(0)
    for label, middle in (("real", 110), ("fake", 125)):
        (tmp_path / "images" / label).mkdir(parents=True)
        for name in ("ada", "bo", "cleo", "dan", "eve", "finn"):  # numbered ones would be frames of one video
            level = middle + rng.normal(0, 12)
            pixels = np.clip(rng.normal(level, 15, (96, 96, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{name}.png")
    (tmp_path / "images" / "real" / "damaged.png").write_bytes(b"no image")
    return tmp_path


def test_perturbed_copies_are_judged_and_deleted(images, capsys):
    out, data = images / "run", str(images / "images")
    wanted = ["protocol", "robustness", "--models", f"mine={images / 'model'}", "--data", data, "--run-dir", str(out)]
    wanted += ["--resamples", "20", "--perturbations", "contrast", "gaussian_noise", "--severities", "1", "5"]
    assert main([*wanted, "--plan"]) == 0
    assert "5 of 5 cells" in capsys.readouterr().out
    assert main(wanted) == 0
    assert not (out / "copies").exists() and (out / "severities.png").stat().st_size > 5000
    steps = {line["on"]: line for line in lines_of(out / "severities_cells.csv")}
    means = {line["on"]: line for line in lines_of(out / "robustness_cells.csv")}
    assert list(steps) == ["unperturbed", "contrast 1", "contrast 5", "gaussian_noise 1", "gaussian_noise 5"]
    assert list(means) == ["unperturbed", "contrast", "gaussian_noise"]
    for line in (*steps.values(), *means.values()):
        assert (line["scored"], line["videos"]) == ("12", "13") and float(line["low"]) < float(line["value"])
    for name in ("contrast", "gaussian_noise"):
        both = [float(steps[f"{name} {severity}"]["value"]) for severity in (1, 5)]
        assert float(means[name]["value"]) == pytest.approx(np.mean(both), abs=1e-5)
    # Nobody said whom the images show, so that intervals "by source" are of images: the table says it, and `evaluate`.
    assert "- 13 of 13 videos name no source and count as independent" in (out / "robustness.md").read_text()
    report = read_json(next((out / "cells").glob("mine-unperturbed-*")) / "metrics.json")
    assert "13 of 13 videos name no source and were resampled one by one." in report["notes"]
    # Copies differ from what they were made of, and videos keep their names.
    clean, noisy = (
        read_scores(next((out / "cells").glob(f"mine-{on}-*")) / "scores.csv") for on in ("unperturbed", "contrast-5")
    )
    assert sorted(clean["video"]) == sorted(noisy["video"])
    assert not np.allclose(np.sort(clean["logit"])[:12], np.sort(noisy["logit"])[:12], atol=0.01)
    capsys.readouterr()
    assert main([*wanted, "--keep-copies", "--min-coverage", "0.9"]) == 0
    assert capsys.readouterr().err.count("kept ") == 5
    assert main([*wanted, "--min-coverage", "0.95"]) == 3
    told = capsys.readouterr().err
    assert "Coverage 12 of 13 is below 0.95 (mine on contrast 5). Without a score:" in told
    assert "damaged.png (unreadable)" in told
    assert main([*wanted, "--min-coverage", "95"]) == 2
    assert "--min-coverage: needs a fraction 0..1, got 95." in capsys.readouterr().err
    assert read_json(out / "protocol.json")["failed"] == 0


def test_copies_of_a_stopped_run_are_used_and_those_of_other_steps_deleted(images, monkeypatch):
    from tfdeepfake.protocols import robustness

    written, write = [], robustness.write_perturbed

    def counted(path, out, *more):
        if len(written) == 5:
            raise KeyboardInterrupt
        done = write(path, out, *more)
        written.append(out)
        return done

    monkeypatch.setattr(robustness, "write_perturbed", counted)
    copies = robustness.Copies(images / "images", images / "run", severities=[1])
    (images / "images" / "real" / "damaged.png").unlink()
    with pytest.raises(KeyboardInterrupt):
        copies.write("contrast", 1)
    written.append(None)  # past the stop
    assert len(robustness.Copies(images / "images", images / "run").write("contrast", 1)[0]) == 12
    assert len(written) == 5 + 1 + 7
    copies.write("saturation", 1)
    assert [path.name for path in (images / "run" / "copies").iterdir()] == ["saturation-1"]
    small, told = ["block_wise", "contrast"], robustness.Copies(images / "images", images / "run", ["contrast"])
    assert not told.unchanged()
    (told,) = robustness.Copies(images / "images", images / "run", small).unchanged()
    assert told.startswith("block_wise changes nothing below 256 px") and "12 of 12 videos" in told


def test_a_perturbation_that_fails_is_named(images, monkeypatch):
    from tfdeepfake.protocols import robustness

    write = robustness.write_perturbed

    def fails(path, out, name, *more):
        if name == "contrast":
            raise RuntimeError("no such luck")
        return write(path, out, name, *more)

    monkeypatch.setattr(robustness, "write_perturbed", fails)
    out = images / "run"
    wanted = ["protocol", "robustness", "--models", str(images / "model"), "--data", str(images / "images")]
    wanted += ["--run-dir", str(out), "--perturbations", "contrast", "saturation", "--severities", "2", "--keep-copies"]
    assert main(wanted) == 1
    text = (out / "robustness.md").read_text()
    assert "Failed: model on contrast" in text and "no such luck" in (out / "severities.md").read_text()
    assert len(list((out / "copies" / "saturation-2").iterdir())) == 12


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["cross_data", "--severities", "1"], "--severities"),
        (["manipulations", "--data", "first", "second"], "takes one"),
        (["cross_data", "--allow", "margin"], "margin_frac"),
        (["robustness", "--split", "test"], "--split"),
        (["robustness", "--perturbations", "fog", "--data", "."], "gaussian_blur"),
        (["cross_data", "--models", "nowhere"], "nowhere"),
        (
            ["cross_data", "--data", "wider", "second", "--split", "tset"],
            "no examples in a split 'tset'; it has ['test']",
        ),
    ],
)
def test_wrong_arguments_are_named(root, tmp_path, capsys, more, said):
    name, *more = more
    given = ["protocol", name, "--models", str(root / "a"), "--data", "first", "--run-dir", str(tmp_path / "x"), *more]
    given += [] if name == "robustness" else ["--data-dir", str(root / "data")]
    assert main(given) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_data_that_were_drawn_are_named_in_the_title(root):
    recipe = Recipe("tiny_frame", data=DATA)
    cells = [(Cell("a", on, {}, None, recipe), {"version": on}) for on in ("synthetic_faces/clip:1.0.0", "dfdc/clip:1")]
    assert kind_of_data(cells[:1]) == "drawn faces" and kind_of_data(cells[1:]) == "this data"
    assert "some of it drawn" in kind_of_data(cells)


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (610, "10 min"), (12_345, "3 h 26 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_an_undefined_figure_is_no_number(tmp_path):
    figures = [Figure("a", "x", remark="one class only", fake=3, scored=3, videos=3), Figure("b", "x", 1.0, None)]
    text = write_tables(tmp_path, "t", "Title", [], "model", figures).markdown()
    assert "undefined; 3 fake + 0 real; 3 of 3 scored; one class only" in text and "1.000 [no interval]" in text
    assert lines_of(tmp_path / "t_cells.csv")[0]["value"] == ""


def test_cells_that_were_half_written_are_scored_again_and_damaged_ones_named(root, tmp_path, capsys):
    out = tmp_path / "run"
    wanted = ["protocol", "manipulations", "--models", str(root / "a"), "--data", "first", "--resamples", "0"]
    wanted += ["--data-dir", str(root / "data"), "--run-dir", str(out)]
    assert main(wanted) == 0
    report = next((out / "cells").iterdir()) / "metrics.json"
    whole = report.read_text()
    report.unlink()  # it is written last
    assert main([*wanted, "--plan"]) == 0
    assert "1 of 1 cells" in capsys.readouterr().out
    report.write_text(whole[:100])
    assert main(wanted) == 2
    said = capsys.readouterr().err
    assert str(report) in said and "Delete the cell's folder" in said
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert main([*wanted[:-1], str(tmp_path / "other")]) == 2
    assert "they are no protocol's" in capsys.readouterr().err


def test_data_without_fakes_have_no_figure(root, tmp_path):
    write_prepared(tmp_path / "data", DATA, {"test": (6, 0)}, name="genuine")
    out = tmp_path / "run"
    wanted = ["protocol", "cross_data", "--models", str(root / "a"), "--data", "genuine", "--resamples", "20"]
    assert main([*wanted, "--data-dir", str(tmp_path / "data"), "--run-dir", str(out)]) == 0
    (line,) = lines_of(out / "cross_data_cells.csv")
    assert (line["value"], line["fake"], line["real"]) == ("", "0", "6") and "both classes" in line["remark"]
    page = (out / "index.html").read_text()
    assert "<b>undefined</b>" in page and "Curves" not in page
