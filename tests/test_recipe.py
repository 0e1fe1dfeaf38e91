"""Recipes: what is refused, and that a saved model folder is whole or an error."""

import dataclasses
import json

import numpy as np
import pytest

from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json, write_json
from tfdeepfake.model_folder import copy_model, load_model, load_recipe, save_model
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.training.config import TrainConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_type": "video"},
        {"num_frames": 0},
        {"num_frames": 2.5},
        {"margin_frac": -0.1},
        {"num_clips": 2},
        {"input_type": "flow"},
    ],
)
def test_wrong_data_recipes_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DataRecipe(**wrong)


@pytest.mark.parametrize("detector", ["blazeface", "none"])
def test_alignment_needs_the_corners_of_the_mouth(detector):
    with pytest.raises(ValueError, match=f"corners of the mouth, which only the detector 'mtcnn' finds.*{detector}"):
        DataRecipe(alignment="gend", detector=detector)
    with pytest.raises(ValueError, match="alignment needs one of"):
        DataRecipe(alignment="ffhq")


def test_clip_span_counts_the_stride():
    assert DataRecipe(sampling="consecutive", num_frames=16, stride_frames=2).clip_span_frames == 31


def test_recipes_round_trip_through_dicts():
    data = DataRecipe(input_type="frame", num_frames=10, alignment="deepfakebench")
    recipe = Recipe("meso4", {"input_size": [64, 64]}, data, threshold=0.4)
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    # One written before there was alignment.
    values = data.to_dict()
    del values["alignment"]
    assert DataRecipe.from_dict(values).alignment == "none"
    with pytest.raises(InputError, match="unknown entries.*colour"):
        Recipe.from_dict({"network": "meso4", "colour": 1})


def test_a_recipe_with_the_other_polarity_is_refused():
    with pytest.raises(ValueError, match="label 1 = fake"):
        Recipe("meso4", positive="real")


def test_train_config_round_trip_and_refusals():
    config = TrainConfig(network="baseline", epochs=2)
    assert TrainConfig.from_dict(config.to_dict()) == config
    for wrong in ({"epochs": 0}, {"loss": "hinge"}, {"learning_rate": 0.0}, {"precision": "int8"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            dataclasses.replace(config, **wrong)


@pytest.fixture
def folder(tmp_path):
    from tfdeepfake import models

    args = {"input_size": [64, 64]}
    model = models.build("meso4", **args)
    save_model(tmp_path / "m", model, Recipe("meso4", args, DataRecipe(input_type="frame")))
    return tmp_path / "m", model


def test_saved_model_folder_gives_the_same_scores(folder):
    path, model = folder
    loaded, recipe = load_model(path)
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    before, after = (m.predict({"frames": frames}, verbose=0) for m in (model, loaded))
    np.testing.assert_array_equal(before, after)
    assert recipe.versions["tfdeepfake"] and recipe.weights_sha256


def test_folder_errors_name_file_and_next_step(folder, tmp_path):
    path, _ = folder
    with pytest.raises(InputError, match="is not a saved model folder"):
        load_model(tmp_path / "none")
    values = read_json(path / "recipe.json")

    (path / "recipe.json").unlink()
    with pytest.raises(InputError, match="has no recipe.json"):
        load_model(path)

    assert values["schema"] == 1
    for schema, named, remedy in (
        (2, "is of schema 2", "Update tfdeepfake"),
        (None, "names no schema", "Write the folder again"),
        ("1", "is of schema 1", "Write the folder again"),
    ):
        write_json(path / "recipe.json", values | {"schema": schema})
        with pytest.raises(InputError, match=f"recipe.json: {named}; this .* schema 1. {remedy}"):
            load_model(path)

    write_json(path / "recipe.json", values | {"threshold": 2})
    with pytest.raises(InputError, match="threshold"):
        load_model(path)

    write_json(path / "recipe.json", values | {"network": "meso_inception4", "network_args": {"input_size": [64, 64]}})
    with pytest.raises(InputError, match="no weights of meso_inception4"):
        load_model(path)

    write_json(path / "recipe.json", values)
    data = (path / "model.weights.h5").read_bytes()
    (path / "model.weights.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="checksum"):
        load_model(path)

    (path / "model.weights.h5").unlink()
    with pytest.raises(InputError, match="missing"):
        load_model(path)


def test_a_run_folder_stands_for_its_best_network(folder, tmp_path):
    path, model = folder
    run = tmp_path / "run"
    run.mkdir()
    write_json(run / "config.json", {})
    with pytest.raises(InputError, match="run folder without best/"):
        load_recipe(run)
    copy_model(path, run / "best")
    loaded, recipe = load_model(run)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    assert recipe == load_recipe(path)
    copy_model(run, tmp_path / "copy")
    assert sorted(p.name for p in (tmp_path / "copy").iterdir()) == ["model.weights.h5", "recipe.json"]


def test_a_missing_demo_network_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(InputError, match="make demo"):
        load_recipe(tmp_path / "saved_models" / "demo")


def test_recipe_json_says_all_that_a_verdict_does(tmp_path, monkeypatch):
    """Crops extracted as the file alone says are those that the network of a verdict is shown, each face's."""
    from support.verdicts import brightness_network, example, no_detector, pretend

    from tfdeepfake.verdict.judging import judge
    from tfdeepfake.verdict.settings import JudgeSettings

    data = DataRecipe("clip", "consecutive", num_frames=4, num_clips=2, height_px=8, width_px=8, select="largest")
    save_model(tmp_path, brightness_network(4), Recipe("x", data=data))
    values = json.loads((tmp_path / "recipe.json").read_text())
    verdict = {"num_samples": 8, "select": "all", "brief_fraction": 0.1, "least_side_px": 48, "least_confidence": 0.97}
    assert values["verdict"] == verdict
    asked = []

    def made(path, data, **_):
        asked.append(data)
        return [
            example(0.5, face=f, frame=10 * k, count=4, score=0.9, box=(0, 0, 40, 40)) for f in (0, 1) for k in range(8)
        ]

    def judged(recipe, **settings):
        pretend(monkeypatch, [])
        monkeypatch.setattr("tfdeepfake.data.examples.extract", made)
        return judge("clip.mp4", brightness_network(4), recipe, no_detector, JudgeSettings(**settings))

    judged(load_recipe(tmp_path))
    assert asked[-1] == dataclasses.replace(data, num_clips=8, select="all")
    # And what the file says is done.
    values["verdict"] |= {"num_samples": 5, "select": "most_confident", "least_side_px": 30, "least_confidence": 0.5}
    (tmp_path / "recipe.json").write_text(json.dumps(values))
    said = judged(load_recipe(tmp_path))
    assert asked[-1] == dataclasses.replace(data, num_clips=5, select="most_confident")
    assert not any(face["weak"] for face in said.faces)
    judged(load_recipe(tmp_path), num_samples=3)
    assert asked[-1].num_clips == 3, "the user goes before the recipe"
    other = load_recipe(tmp_path).with_detector("blazeface")
    assert other.verdict.stated(other.data).least_confidence == 0.7
    wrongs = ({"num_samples": 0}, {"num_samples": 10**9}, {"brief_fraction": -5}, {"least_side_px": 1e299})
    for wrong in (*wrongs, {"least_confidence": -1.0}, {"select": "best"}, {"unknown": 1}):
        (tmp_path / "recipe.json").write_text(json.dumps(values | {"verdict": wrong}))
        with pytest.raises(InputError):
            load_recipe(tmp_path)
    # Frames are as many as the recipe's; a clip of frames spaced over the video is one input.
    assert Recipe("x", data=DataRecipe("frame", num_frames=32)).verdict.stated(DataRecipe("frame")).num_samples == 16
    assert Recipe("x").verdict.stated(DataRecipe()).num_samples is None
