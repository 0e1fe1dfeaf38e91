"""Presets: each describes a run that can start; the grid has a run per cell and a table."""

import csv
import importlib
import inspect

import pytest
from support.prepared import write_prepared

from tfdeepfake import models
from tfdeepfake.cli.presets import load_preset, presets
from tfdeepfake.errors import InputError
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.grid import grid


def test_there_is_a_preset_for_every_experiment():
    assert {"baseline", "two_stream_frame", "two_stream_video", "cnn_rnn", "demo", "demo_baseline"} <= set(presets())
    assert "grid" not in presets()


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_a_config_of_a_network_that_exists(name):
    config = load_preset(name)
    assert isinstance(config, TrainConfig)
    assert set(config.network_args) <= set(inspect.signature(models.MODELS[config.network]).parameters)
    assert TrainConfig.from_dict(config.to_dict()) == config
    text = importlib.import_module(f"train_scripts.{name}").__doc__
    for needed in (f"tfdeepfake train --preset {name}", "hardware", "time", "expected score"):
        assert needed in text.lower()


@pytest.mark.parametrize(
    ("name", "batch_size", "loss"),
    [
        ("baseline", 16, "bce"),
        ("two_stream_frame", 16, "bce"),
        ("two_stream_video", 4, "bce_f1"),
        ("cnn_rnn", 4, "bce_f1"),
    ],
)
def test_the_papers_settings(name, batch_size, loss):
    """P2 Sec. 4.2: batches of 16 frames or 4 videos, Adam at "10e-3", class weights, BCE or BCE + F1."""
    config = load_preset(name)
    assert (config.batch_size, config.loss, config.class_weights) == (batch_size, loss, "balanced")
    assert config.learning_rate == 0.01 and config.schedule == "constant"


def test_the_demo_and_its_counterpart_have_the_same_budget():
    demo, baseline = load_preset("demo"), load_preset("demo_baseline")
    differ = {"network", "network_args", "batch_size"}
    a, b = ({n: v for n, v in c.to_dict().items() if n not in differ} for c in (demo, baseline))
    assert a == b
    assert baseline.batch_size == 16 * demo.batch_size  # clips of 16 frames
    for shared in ("backbone", "width"):
        assert demo.network_args.get(shared) == baseline.network_args.get(shared)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(InputError, match="did you mean two_stream_video.*cnn_rnn"):
        load_preset("two_streem_video")


@pytest.mark.slow
def test_a_grid_makes_a_run_per_cell_and_continues_after_a_failure(tmp_path):
    data_dir, data = write_prepared(tmp_path / "data")
    config = TrainConfig(
        network="baseline", network_args={"backbone": "small", "width": 4}, data=data, data_dir=data_dir, epochs=1
    )
    cells = grid(config, [8, 1000], [1e-2, 1e-5], tmp_path / "grid", log=lambda line: None)
    assert [(row["batch_size"], row["learning_rate"]) for row in cells] == [
        (8, 1e-2),
        (8, 1e-5),
        (1000, 1e-2),
        (1000, 1e-5),
    ]
    assert [row["status"] == "finished" for row in cells] == [True, True, False, False]
    assert "only 64 examples" in cells[2]["status"]
    assert cells[0]["val_loss"] != cells[1]["val_loss"]
    with open(tmp_path / "grid" / "grid.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["val_auc"] for row in table] == [str(row.get("val_auc", "")) for row in cells]
    written_ns = (tmp_path / "grid" / cells[0]["run"] / "result.json").stat().st_mtime_ns
    again = grid(config, [8], [1e-2], tmp_path / "grid", log=lambda line: None)
    assert again == cells[:1]
    assert (tmp_path / "grid" / cells[0]["run"] / "result.json").stat().st_mtime_ns == written_ns
