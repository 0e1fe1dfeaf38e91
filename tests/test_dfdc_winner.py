"""The DFDC winner's seven networks as one detector: fetched file by file, summed up as their authors do."""

import dataclasses
import importlib.util
import json
import shutil

import keras
import numpy as np
import pytest
from support import loopback
from support.prepared import write_prepared
from support.published_files import noisy_crops, publish
from support.verdicts import no_detector, pretend
from test_rules import confident

from tfdeepfake.cli.main import main
from tfdeepfake.data import faces
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.evaluation.run import evaluate_run
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import Members, copy_model, load_model, load_recipe, load_voting
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.scoring.rules import probability
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.serving.remote import ServableModel
from tfdeepfake.serving.servable import Servable
from tfdeepfake.verdict import named
from tfdeepfake.verdict.judging import judge
from tfdeepfake.weights import cache

WINNER = SOURCES["dfdc_winner"]


class Signed:
    """Random weights of both signs, by which crops of different brightness get logits of both signs."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def uniform(self, low, high, shape):
        return self.rng.uniform(-6, 6, shape)


def brighter_and_brighter(size, count=20):
    return [
        dataclasses.replace(crop, frames=(crop.frames * (k / count)).astype(np.uint8))
        for k, crop in enumerate(noisy_crops(size, count))
    ]


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    loopback.isolate(monkeypatch, tmp_path / "home")
    monkeypatch.setattr(named, "has_accelerator", lambda: False)
    # The converter's process would not know the shallow networks.
    monkeypatch.setattr("tfdeepfake.compiled.choice.preferred", lambda recipe, num_files: "keras")
    yield
    keras.backend.clear_session()


@pytest.fixture
def site():
    with loopback.Site() as site:
        yield site


@pytest.fixture
def seven(monkeypatch, site, tmp_path):
    """Small files of all seven on the server; returns the crops' size."""
    for seed, source in enumerate(WINNER.members):
        _, size = publish(monkeypatch, site, source, tmp_path, name=source, rng=Signed(seed))
    small = dataclasses.replace(WINNER, data=SOURCES[source].data)
    monkeypatch.setitem(SOURCES, "dfdc_winner", small)
    return size


def test_seven_files_as_one_detector(monkeypatch, site, seven, tmp_path, capsys):
    pretend(monkeypatch, brighter_and_brighter(seven))
    monkeypatch.setattr(faces, "make_detector", lambda name, weights=None: no_detector)
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    monkeypatch.setattr("tfdeepfake.compiled.choice.compile_ahead", lambda folder, log: None)
    # A single one of them serves by its own name, and its file is not fetched again.
    assert main(["detectors", "fetch", WINNER.members[2]]) == 0
    assert main(["detectors", "list", "dfdc_winner"]) == 0
    assert "1 of 7 files" in capsys.readouterr().out
    out = tmp_path / "results"
    command = ["predict", str(tmp_path / "clip.mp4"), "--model", "dfdc_winner", "--out", str(out)]
    assert main([*command, "--num-samples", "20"]) == 0
    told = capsys.readouterr()
    assert "1 of 1 scored" in told.out and "7 files, 1.9 GB together" in told.err.replace("about 1869 MB", "1.9 GB")
    assert len(site.asked) == 7 and named.is_ready("dfdc_winner")
    recipe = load_recipe(cache.home() / "models" / "dfdc_winner")
    assert recipe.members == list(WINNER.members) and recipe.parent.count("sha256:") == 7
    assert (recipe.video_rule, recipe.faces_rule, recipe.licence) == ("confident", "all", "MIT")
    (verdict,) = read_json(out / "predictions.json")["verdicts"]
    points = verdict["faces"][0]["timeline"]
    p = probability(np.array([point["votes"] for point in points]))
    assert p.shape == (20, 7) and ((p > 0.8).any(axis=0) & (p < 0.2).any(axis=0)).sum() > 2
    assert verdict["probability"] == pytest.approx(np.mean([confident(column) for column in p.T]), abs=1e-9)
    assert [point["probability"] for point in points] == pytest.approx(p.mean(axis=1), abs=1e-9)
    # Each network says in the ensemble what it says alone.
    main(["predict", str(tmp_path / "clip.mp4"), "--model", WINNER.members[2], "--out", str(tmp_path / "one")])
    (alone,) = read_json(tmp_path / "one" / "predictions.json")["verdicts"]
    assert alone["probability"] == pytest.approx(confident(p[:, 2]), abs=1e-6) and len(site.asked) == 7
    # scores.csv holds the votes, and gives the same figure.
    rows = read_scores(out / "scores.csv")
    assert "vote_7" in rows and "vote_8" not in rows
    assert video_scores(rows, "confident", faces_rule="all")["score"][0] == pytest.approx(verdict["probability"])
    assert named.locate("dfdc_winner", log=pytest.fail).file is None
    assert named.remove("dfdc_winner") > 0 and not named.is_ready("dfdc_winner")
    assert not any(cache.is_here(row.name) for row in cache.listing())


def test_a_stopped_conversion_goes_on_and_a_missing_file_is_named(monkeypatch, site, seven, tmp_path):
    located = named.locate("dfdc_winner", progress=False)
    assert sorted(located.file) == sorted(WINNER.members)
    from tfdeepfake.published import convert as converting

    whole, done = converting.convert, []

    def stop_at_the_fourth(source, *args, **kwargs):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(source)
        return whole(source, *args, **kwargs)

    monkeypatch.setattr(converting, "convert", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        located.ready()
    done.clear()
    monkeypatch.setattr(converting, "convert", lambda source, *a, **k: (done.append(source), whole(source, *a, **k))[1])
    folder = located.ready()
    assert done == list(WINNER.members[3:]) and isinstance(load_voting(folder)[0], Members)
    # From files that somebody carried here, as their authors call them.
    stick = tmp_path / "stick"
    monkeypatch.setattr("tfdeepfake.compiled.choice.compile_ahead", lambda folder, log: None)
    assert main(["detectors", "fetch", "dfdc_winner", "--to", str(stick)]) == 0
    assert main(["convert", "dfdc_winner", str(stick), "--out", str(tmp_path / "carried")]) == 0
    assert load_recipe(tmp_path / "carried") == load_recipe(folder)
    next(stick.glob("dfdc_winner_b7_777_31")).unlink()
    with pytest.raises(InputError, match="dfdc_winner_b7_777_31: this file is missing. Get it first: http"):
        converting.convert("dfdc_winner", stick, tmp_path / "x")
    with pytest.raises(InputError, match="is seven files|is 7 files"):
        named.locate(tmp_path / "any", "dfdc_winner")


def test_it_is_exported_as_one_graph_whose_votes_the_client_sums_up(monkeypatch, seven, tmp_path):
    folder = named.locate("dfdc_winner", progress=False).ready()
    assert main(["export", str(folder), "--out", str(tmp_path / "served")]) == 0
    servable, recipe = Servable(tmp_path / "served"), load_recipe(tmp_path / "served")
    crops = np.concatenate([crop.frames for crop in brighter_and_brighter(seven, 5)])
    voting, _ = load_voting(folder)
    votes = voting.predict_on_batch({"frames": crops})
    answered = servable.predict(1, "", {"frames": crops})
    np.testing.assert_allclose(answered["votes"], votes, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answered["probability"], probability(votes).mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(probability(answered["logit"]), answered["probability"], atol=1e-5)
    assert set(servable.signature_defs(1)) >= {"serving_default", "serve_jpeg"}
    # The rule over a video is the recipe's, whoever answers.
    pretend(monkeypatch, brighter_and_brighter(seven))
    here, there = (judge("v.mp4", model, recipe, no_detector) for model in (voting, ServableModel(servable, recipe)))
    assert here.video_rule == "confident" and len(there.faces[0]["timeline"][0]["votes"]) == 7
    assert there.probability == pytest.approx(here.probability, abs=1e-5)
    if importlib.util.find_spec("tf2onnx"):
        assert main(["export", str(folder), "--out", str(tmp_path / "onnx"), "--format", "onnx"]) == 0
        session = importlib.import_module("onnxruntime").InferenceSession(tmp_path / "onnx" / "model.onnx")
        assert session.run(["votes"], {"frames": crops})[0] == pytest.approx(votes, abs=1e-3)


def test_it_is_evaluated_and_is_no_single_network(site, seven, tmp_path):
    folder = named.locate("dfdc_winner", progress=False).ready()
    copy_model(folder, tmp_path / "copy")
    data = tmp_path / "data"
    write_prepared(data, load_recipe(folder).data, {"test": (6, 6)})
    report = evaluate_run(tmp_path / "copy", data="tiny", data_dir=data, out=tmp_path / "out", resamples=0)
    assert report["thresholds"]["video_rule"] == "confident"
    rows = read_scores(tmp_path / "out" / "scores.csv")
    votes = np.stack([rows[f"vote_{n}"] for n in range(1, 8)], axis=1)
    expected = np.mean([confident(probability(votes[:1, m])) for m in range(7)])
    first = video_scores(rows, "confident", faces_rule="all")["score"][0]
    assert first == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InputError, match="holds 7 networks that vote.* Give one of them"):
        load_model(folder)
    shutil.rmtree(tmp_path / "copy" / "members" / WINNER.members[0])
    with pytest.raises(InputError, match="is not a saved model folder"):
        load_voting(tmp_path / "copy")
    values = json.loads((folder / "recipe.json").read_text())
    for wrong in (["../elsewhere", "b"], ["one"], "text"):
        (folder / "recipe.json").write_text(json.dumps(values | {"members": wrong}))
        with pytest.raises(InputError, match="members"):
            load_recipe(folder)
