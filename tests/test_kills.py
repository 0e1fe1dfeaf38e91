"""SIGKILL in runs of every kind: each ends with the weights of one left alone. Plain ones: see test_training."""

import dataclasses
import signal
import time

import numpy as np
import pytest
from support import prepared as prepared_support
from support import train_process
from support.prepared import random_example, write_prepared

from tfdeepfake.files import read_json, sha256
from tfdeepfake.model_folder import RECIPE_FILE, WEIGHTS_FILE, load_recipe
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.ensemble import ensemble
from tfdeepfake.training.train import train

FRAME = DataRecipe(input_type="frame", num_frames=1, detector="none", height_px=32, width_px=40)


pytestmark = pytest.mark.usefixtures("tiny_networks_by_name")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    def named(recipe, label, number, rng, contrast):
        methods = ("swap", "lips")[number % 2] if label else "original"
        return random_example(recipe, label, number, rng, contrast) | {"method": methods}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared_support, "random_example", named)
        splits = {"train": (60, 90), "validation": (8, 8)}
        data_dir, data = write_prepared(tmp_path_factory.mktemp("data"), FRAME, splits, contrast=20)
    return TrainConfig("tiny_frame", data=data, data_dir=data_dir, epochs=4, batch_size=6, augment="flip", seed=5)


def same_after_a_kill(config, folder):
    """Trains in a process that is killed behind its first epoch, goes on, and holds the state against one left alone.

    Returns:
      Folder of the run left alone.
    """
    child, lines = train_process.start(dataclasses.replace(config, checkpoint_minutes=1e-4), folder / "killed")
    assert next(line for line in lines if line.startswith("epoch")).startswith("epoch 1/4")
    time.sleep(0.1)
    child.kill()
    lines.close()
    child.join()
    assert child.exitcode == -signal.SIGKILL and not (folder / "killed" / "result.json").exists()
    states = []
    for name in ("killed", "whole"):
        train(config, folder / name, progress=False)
        with np.load(folder / name / "checkpoint" / "state.npz") as saved:
            states.append({key: saved[key] for key in saved.files if key != "progress"})
    assert states[0].keys() == states[1].keys() and len(states[0]) > 5
    for key, value in states[0].items():
        np.testing.assert_allclose(value, states[1][key], atol=1e-6, err_msg=key)
    return folder / "whole"


@pytest.mark.slow
def test_k_classes(config, tmp_path):
    whole = same_after_a_kill(dataclasses.replace(config, target="method", loss="ce"), tmp_path)
    assert load_recipe(whole).classes == ["real", "lips", "swap"]


@pytest.mark.slow
def test_triplets_the_second_stage_on_them_and_an_ensemble(config, tmp_path):
    embedding = same_after_a_kill(dataclasses.replace(config, loss="triplet"), tmp_path / "embedding")
    head = dataclasses.replace(config, start_from=str(embedding / "best"), train_only=["logits"], loss="bce")
    same_after_a_kill(head, tmp_path / "head")
    members = [tmp_path / "head" / "whole", tmp_path / "head" / "killed"]
    for stop in ("", WEIGHTS_FILE):
        child, lines = train_process.start_ensemble(members, tmp_path / "out")
        list(zip(range(3), lines, strict=False))  # its weights are chosen
        while stop and not (tmp_path / "out" / stop).exists() and child.is_alive():
            time.sleep(0.001)
        child.kill()
        lines.close()
        child.join()
    recipe = ensemble(members, tmp_path / "out", log=lambda line: None)
    assert ensemble(members, tmp_path / "alone", log=lambda line: None).weights_sha256 == recipe.weights_sha256
    assert read_json(tmp_path / "out" / RECIPE_FILE) == read_json(tmp_path / "alone" / RECIPE_FILE)
    assert sha256(tmp_path / "out" / WEIGHTS_FILE) == recipe.weights_sha256
