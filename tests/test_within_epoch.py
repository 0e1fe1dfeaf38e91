"""State inside an epoch: a run killed there goes on there, and a finished one goes on with more epochs."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from support.prepared import write_prepared

from tfdeepfake.data.batches import pipeline
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import load_model
from tfdeepfake.training import checkpoint, run_folder, within_epoch
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train

pytestmark = pytest.mark.usefixtures("tiny_networks_by_name")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_prepared(tmp_path_factory.mktemp("data"), splits={"train": (7, 9), "validation": (3, 3)})[0]


@pytest.fixture(scope="module")
def config(data_dir):
    return TrainConfig(
        network="tiny_clip", data="tiny", data_dir=data_dir, epochs=2, batch_size=4, augment="flip", seed=3,
        checkpoint_minutes=0.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """A run that nothing disturbed, and that wrote no state inside an epoch."""
    return train(config, tmp_path_factory.mktemp("whole") / "run", progress=False)


def change(config, **fields):
    return dataclasses.replace(config, **fields)


def same(run, other):
    """Whether two runs have the same state and the same curves."""
    with np.load(run / "checkpoint" / "state.npz") as a, np.load(other / "checkpoint" / "state.npz") as b:
        assert a.files == b.files
        for name in set(a.files) - {"progress"}:
            np.testing.assert_array_equal(a[name], b[name])
    tables = []
    for path in (run, other):
        with open(path / "metrics.csv", newline="") as file:
            tables.append([{n: v for n, v in row.items() if n != "seconds"} for row in csv.DictReader(file)])
    return tables[0] == tables[1]


@pytest.mark.parametrize(("saves", "place"), [(2, (0, 2)), (5, (1, 2))], ids=["first epoch", "second epoch"])
def test_a_run_killed_inside_an_epoch_goes_on_there(config, whole, tmp_path, monkeypatch, saves, place):
    real, calls = checkpoint.save_state, []

    def stop(*args, **kwargs):
        real(*args, **kwargs)
        calls.append(1)
        if len(calls) == saves + place[0]:  # one more at the end of each finished epoch
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_state", stop)
    monkeypatch.setattr(within_epoch, "_LEAST_PART", 0)
    often = change(config, checkpoint_minutes=1e-9)
    with pytest.raises(KeyboardInterrupt):
        train(often, tmp_path / "run", progress=False)
    monkeypatch.undo()
    with np.load(tmp_path / "run" / "checkpoint" / "state.npz") as saved:
        progress = json.loads(str(saved["progress"]))
    assert (len(progress["rows"]), progress["batches"]) == place and progress["seconds"] > 0
    told = []
    monkeypatch.setattr("builtins.print", lambda *args, **kwargs: told.append(args[0]))
    train(often, tmp_path / "run")
    monkeypatch.undo()
    assert f"resumed after epoch {place[0]}, and {place[1]} of 4 steps of the next" in told[0]
    assert same(tmp_path / "run", whole)
    for a, b in zip(*(load_model(run / "best")[0].weights for run in (tmp_path / "run", whole)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_of_triplets_killed_inside_an_epoch_goes_on_there(config, tmp_path, monkeypatch):
    config = change(config, network="tiny_frame", loss="triplet", batch_size=6, epochs=1, checkpoint_minutes=1e-9)
    whole = train(config, tmp_path / "whole", progress=False)
    real = checkpoint.save_state

    def stop(*args, **kwargs):
        real(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_state", stop)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", progress=False)
    monkeypatch.undo()
    assert same(train(config, tmp_path / "run", progress=False), whole)


@pytest.mark.parametrize("cache_bytes", [0, 1 << 30])
@pytest.mark.parametrize(
    ("input_type", "augment", "mix"), [("clip", "flip", "cutmix"), ("frame", "flip", "none"), ("clip", "none", "none")]
)
def test_skipped_batches_change_none_of_the_others(data_dir, input_type, augment, mix, cache_bytes):
    prepared = pipeline.open_data("tiny", data_dir)
    settings = pipeline.BatchSettings(5, augment, mix, cache_bytes=cache_bytes)

    def batches(skip):
        given = pipeline.training_batches(
            prepared, "train", input_type, 4, settings, first_epoch=2, epochs=2, with_flow=False, skip_batches=skip
        )
        return list(given.as_numpy_iterator())

    every, some = batches(0), batches(3)
    assert len(every) == len(some) + 3
    for (inputs, label), (expected, expected_label) in zip(some, every[3:], strict=True):
        np.testing.assert_array_equal(inputs["frames"], expected["frames"])
        np.testing.assert_array_equal(label, expected_label)


def test_a_finished_run_goes_on_with_more_epochs(config, whole, tmp_path, monkeypatch):
    run = train(change(config, epochs=1), tmp_path / "run", progress=False)
    real = run_folder.write_json
    # Killed between the two files that this changes.
    monkeypatch.setattr(run_folder, "write_json", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(config, run, progress=False)
    monkeypatch.setattr(run_folder, "write_json", real)
    train(config, run, progress=False)
    assert same(run, whole) and read_json(run / "config.json")["epochs"] == 2
    assert read_json(run / "result.json")["epochs"] == 2


def test_a_run_that_cannot_go_on_names_the_way_from_its_weights(config, whole, tmp_path):
    with pytest.raises(InputError, match=r"epochs .2 there, 1 now.*go on from these weights.*--start-from .*best"):
        train(change(config, epochs=1), whole)
    run = train(change(config, epochs=1, schedule="cosine"), tmp_path / "run", progress=False)
    with pytest.raises(InputError, match=r"epochs .1 there, 2 now.*--start-from"):
        train(change(config, schedule="cosine"), run)
