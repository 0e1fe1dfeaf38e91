"""`tfdeepfake ensemble`: weights from validation scores, and a folder that scores as its members' vote."""

import dataclasses
import shutil

import numpy as np
import pytest
from support.prepared import write_prepared

from tfdeepfake.cli.main import main
from tfdeepfake.data.batches.prepared import open_data
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.evaluation.calibration import choose_threshold
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import load_model, load_recipe, write_recipe
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.scoring.score import score_data
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.ensemble import WEIGHT_3D, _data, ensemble, fit_weights, validation_scores
from tfdeepfake.training.train import train

TINY_3D = {"width": 8, "blocks": (1, 1, 1, 1)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_weights_follow_what_helps():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    good, bad = (sigmoid(s * (2 * labels - 1) + rng.normal(0, 1, 200)) for s in (2.0, 0.0))
    weights = fit_weights(labels, np.stack([bad, good], 1), np.array([True, False]))
    assert weights.sum() == pytest.approx(1) and weights[1] > 0.9, "a 3D network that knows nothing loses its weight"
    equal = fit_weights(labels, np.stack([good, good, good], 1), np.array([True, False, False]))
    assert equal == pytest.approx([WEIGHT_3D, (1 - WEIGHT_3D) / 2, (1 - WEIGHT_3D) / 2], abs=1e-3)


def test_members_with_and_without_flow_vote_together():
    shared = {"height_px": 32, "width_px": 32}
    still = Recipe("meso4", {}, DataRecipe(input_type="frame", flow="none", **shared))
    moving = Recipe("two_stream_video", {}, DataRecipe(input_type="clip", num_frames=4, flow="dis", **shared))
    longer = Recipe("r3d_18", {}, DataRecipe(input_type="clip", num_frames=8, flow="none", **shared))
    for recipes in ([still, moving], [moving, still], [longer, moving, still]):
        assert _data(["run"] * len(recipes), recipes).flow == "dis"
    assert _data(["a", "b"], [still, longer]).flow == "none"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    data = DataRecipe(
        input_type="clip", sampling="consecutive", num_frames=4, detector="none", height_px=32, width_px=32, flow="none"
    )
    data_dir, name = write_prepared(root / "data", data)
    base = TrainConfig(data=name, data_dir=data_dir, epochs=1, batch_size=4)
    for network, args in (("meso4", {}), ("mc3_18", TINY_3D)):
        train(dataclasses.replace(base, network=network, network_args=args), root / network, progress=False)
    return root


@pytest.mark.slow
def test_the_folder_scores_as_its_members_vote(runs, tmp_path):
    lines = []
    recipe = ensemble([runs / "meso4", runs / "mc3_18"], tmp_path / "both", "adaptive", lines.append)
    assert len(lines) == 3 and "weight" in lines[0] and "AUC" in lines[2]
    model, saved = load_model(tmp_path / "both")
    assert dataclasses.replace(saved, verdict=recipe.verdict) == recipe
    assert recipe.gmacs > 0
    assert saved.network == "ensemble" and saved.data.num_frames == 4
    clips = np.random.default_rng(0).integers(0, 256, (3, 4, 32, 32, 3), np.uint8)
    frames, video = (load_model(runs / name / "best")[0] for name in ("meso4", "mc3_18"))
    of_frames = sigmoid(frames.predict_on_batch({"frames": clips.reshape(12, 32, 32, 3)})).reshape(3, 4).mean(1)
    of_clips = sigmoid(video.predict_on_batch({"frames": clips}))[:, 0]
    weights = saved.network_args["weights"]
    expected = weights[0] * of_frames + weights[1] * of_clips
    np.testing.assert_allclose(sigmoid(model.predict_on_batch({"frames": clips}))[:, 0], expected, atol=1e-5)
    assert (
        main(["ensemble", str(runs / "meso4"), str(runs / "mc3_18"), "--vote", "hard", "--out", str(tmp_path / "h")])
        == 0
    )
    assert load_recipe(tmp_path / "h").network_args["rule"] == "hard"


@pytest.mark.slow
def test_the_threshold_is_of_what_the_folder_says(runs, tmp_path):
    """Members of other temperatures vote by calibrated probabilities, as they did when weights were fitted."""
    folders, before = [runs / "meso4", runs / "mc3_18"], {}
    for folder, temperature in zip(folders, (0.3, 5.0), strict=True):
        before[folder] = load_recipe(folder)
        write_recipe(folder / "best", dataclasses.replace(before[folder], temperature=temperature))
    try:
        recipe = ensemble(folders, tmp_path / "both", "soft", lambda line: None)
        labels, of_members = validation_scores(folders, [load_recipe(folder) for folder in folders])
        hard = ensemble(folders, tmp_path / "hard", "hard", lambda line: None)
    finally:
        for folder, old in before.items():
            write_recipe(folder / "best", old)
    config = TrainConfig.from_dict(read_json(folders[0] / "config.json"))
    rows = score_data(load_model(tmp_path / "both")[0], open_data(config.data, config.data_dir), "validation")
    videos = video_scores(rows, recipe.video_rule, recipe.temperature, "clip")
    keys = zip(videos["data_set"], videos["method"], videos["video"], videos["score"], strict=True)
    scores = [score for *_, score in sorted(keys) if np.isfinite(score)]
    assert scores == pytest.approx(of_members.mean(1), abs=1e-5)
    assert recipe.threshold == choose_threshold(labels, of_members.mean(1))
    assert hard.threshold == 0.5 and hard.calibration.startswith("by majority of 2 members")


def test_what_cannot_vote_together_is_said(runs, tmp_path):
    with pytest.raises(InputError, match="needs two runs or more"):
        ensemble([runs / "meso4"], tmp_path / "out")
    with pytest.raises(InputError, match="vote: needs one of soft, hard, adaptive"):
        ensemble([runs / "meso4", runs / "mc3_18"], tmp_path / "out", "mean")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "dataset_info.json").write_text("{}")
    with pytest.raises(InputError, match="taken: holds other files, and no saved model"):
        ensemble([runs / "meso4", runs / "mc3_18"], tmp_path / "taken")
    shutil.copytree(runs / "meso4" / "best", tmp_path / "alone" / "model")
    with pytest.raises(InputError, match="has no scores_validation.csv"):
        ensemble([tmp_path / "alone" / "model", runs / "mc3_18"], tmp_path / "out")
    folder = runs / "mc3_18" / "best"
    recipe = load_recipe(folder)
    write_recipe(folder, dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, margin_frac=0.1)))
    try:
        with pytest.raises(InputError, match="cuts faces otherwise: margin_frac is 0.1, 0.3 in"):
            ensemble([runs / "meso4", runs / "mc3_18"], tmp_path / "out")
    finally:
        write_recipe(folder, recipe)
    assert not (tmp_path / "out").exists()
