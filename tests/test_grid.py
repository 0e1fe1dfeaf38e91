"""The grid: a run per cell in a process of its own; cells that fail or die are counted, killed grids go on."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from support.prepared import write_prepared

from tfdeepfake.cli import grid as verb
from tfdeepfake.cli.main import parser
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import estimates
from tfdeepfake.files import write_json, write_text
from tfdeepfake.model_folder import load_recipe
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.training import grid as module
from tfdeepfake.training import run_folder
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.grid import best_cell, cells, grid

ARGS = {"backbone": "small", "width": 4}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    data_dir, data = write_prepared(tmp_path_factory.mktemp("data"))
    return TrainConfig(network="baseline", network_args=ARGS, data=data, data_dir=data_dir, epochs=1)


@pytest.mark.slow
def test_cells_side_by_side_one_of_which_fails_and_one_dies(config, tmp_path, monkeypatch):
    started, lines = module._started, []

    def dying(folder, cell):
        process = started(folder, cell)
        if folder.name == "batch_size-8":
            process.kill()
        return process

    monkeypatch.setattr(module, "_started", dying)
    rows = grid(config, {"batch_size": [8, 1000]}, tmp_path / "grid", lines.append, at_once=2)
    assert [row["batch_size"] for row in rows] == [8, 1000] and len(lines) == 4 and best_cell(rows) is None
    assert "its process died (signal 9)" in rows[0]["status"] and "only 64 examples" in rows[1]["status"]
    assert "0 of 2 cells finished, 2 failed." in (tmp_path / "grid" / "grid.md").read_text()
    # Given again: what died is trained.
    monkeypatch.setattr(module, "_started", started)
    rows = grid(config, {"batch_size": [8]}, tmp_path / "grid", lines.append)
    table = (tmp_path / "grid" / "grid.md").read_text()
    assert "1 of 1 cells finished. 9 validation videos of 5 sources" in table and "(best)" in table
    with open(tmp_path / "grid" / "grid.csv", newline="") as file:
        assert [row["video_auc"] for row in csv.DictReader(file)] == [repr(rows[0]["video_auc"])]
    folder = tmp_path / "grid" / rows[0]["run"]
    scores = read_scores(folder / "scores_validation.csv")
    scored = {}
    for video, label, logit in zip(scores["video"], scores["label"], scores["logit"], strict=True):
        if np.isfinite(logit):
            scored.setdefault((video, label), []).append(1 / (1 + np.exp(-logit / load_recipe(folder).temperature)))
    labels, values = np.array([label for _, label in scored]), np.array([np.mean(v) for v in scored.values()])
    groups = np.array([int(video[1:]) % 5 for video, _ in scored])
    auc = estimates.auc(labels, values, groups)
    assert rows[0]["video_auc"] == pytest.approx(auc.value)
    assert (rows[0]["low"], rows[0]["high"]) == pytest.approx(estimates.interval(auc))
    # What is finished stays.
    written_ns = (folder / "result.json").stat().st_mtime_ns
    assert grid(config, {"batch_size": [8]}, tmp_path / "grid", lines.append) == rows and best_cell(rows) is rows[0]
    assert (folder / "result.json").stat().st_mtime_ns == written_ns


def test_room_for_two_cells(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    monkeypatch.setattr(module, "free_bytes", lambda: 1 << 40)
    assert module._room(0, 0) == 1 and module._room(1, 0) == module._room(1, 1) == 2
    monkeypatch.setattr(module, "free_bytes", lambda: 0)
    assert module._room(1, 0) == 1
    monkeypatch.setattr(module, "free_bytes", lambda: 1 << 40)
    monkeypatch.setattr(module.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert module._room(1, 0) == 1


def test_any_fields_by_flags(config):
    def fields(*flags):
        return verb.read_fields(parser().parse_args(["grid", "demo", "runs/grid", *flags]), config)

    assert fields() == {"batch_size": [4, 16, 32], "learning_rate": [10e-3, 10e-6]}
    assert fields("--try", "loss=bce, ce", "--try", "clip-norm=1", "--learning-rates", "0.1") == {
        "loss": ["bce", "ce"], "clip_norm": [1.0], "learning_rate": [0.1],
    }  # fmt: skip
    made = fields("--try", 'network_args=[{"width": 2}, {"width": 8}]')
    assert made == {"network_args": [ARGS | {"width": 2}, ARGS | {"width": 8}]}
    names = [name for name, _, _ in cells(config, made)]
    assert len(set(names)) == 2 and all(len(name) < 100 and "/" not in name for name in names)
    for flag, problem in (
        ("loss", "needs FIELD=VALUE"), ("rate=1", "knows no field 'rate'. Did you mean learning_rate"),
        ("epochs=one", "epochs needs whole numbers joined by commas, got 'one'"), ("batch_size=,", "batch_size needs"),
        ("augment_validation=maybe", "needs true or false"), ("clip_norm=[", "needs numbers"), ("seed=[]", "needs"),
        ("methods=A,B", "needs a JSON list of lists"), ('network_args={"width": 2}', "needs a JSON list of objects"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=problem):
            fields("--try", flag)
    with pytest.raises(InputError, match="has seed twice"):
        fields("--try", "seed=1,2", "--try", "seed=3")
    with pytest.raises(InputError, match="loss: needs one of"):
        cells(config, {"loss": ["bce", "nonsense"]})
    with pytest.raises(InputError, match="has the cell batch_size-4 twice"):
        cells(config, {"batch_size": [4, 4]})


def test_folders_that_are_refused_before_anything_is_trained(tmp_path):
    config, begun = TrainConfig(data="nowhere"), tmp_path / "grid"

    def check(config, fields, folder=begun):
        module.check_folder(folder, cells(config, fields))

    cell = dataclasses.replace(config, seed=1)
    for folder in (begun / "seed-1", tmp_path / "run"):
        write_json(folder / "config.json", cell.to_dict())
    write_text(begun / "grid.csv", f"seed,{','.join(module.FIGURES)}\n")
    check(config, {"seed": [1, 2]})
    check(dataclasses.replace(config, checkpoint_minutes=1.0), {"seed": [1]})  # changes nothing in what it becomes
    with pytest.raises(InputError, match=r"seed-1: holds a run of another config: epochs \(10 there, 3 now\)"):
        check(dataclasses.replace(config, epochs=3), {"seed": [2, 1]})
    with pytest.raises(InputError, match="holds a grid over seed; this one is over seed, loss"):
        check(config, {"seed": [1], "loss": ["bce"]})
    with pytest.raises(InputError, match="is the folder of one run"):
        check(config, {"seed": [1]}, tmp_path / "run")


@pytest.mark.slow
def test_a_killed_grid_takes_its_cells_along_and_goes_on_to_the_same_weights(config, tmp_path):
    several = dataclasses.replace(config, epochs=4, augment="flip")
    code = """
import json, sys
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.grid import grid
grid(TrainConfig.from_dict(json.loads(sys.argv[1])), {"seed": [1]}, sys.argv[2])
"""
    folder = tmp_path / "grid" / "seed-1"
    state = folder / "checkpoint" / "state.npz"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, json.dumps(several.to_dict()), str(folder.parent)]
    killed, deadline = subprocess.Popen(command, env=environment), time.monotonic() + 300
    while not state.exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert state.exists() and not (folder / "result.json").exists()
    # Its cell goes with it: the lock of the folder is free.
    while True:
        try:
            with run_folder.hold(folder):
                break
        except InputError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    (row,) = grid(several, {"seed": [1]}, folder.parent, log=lambda line: None)
    (alone,) = grid(several, {"seed": [1]}, tmp_path / "alone", log=lambda line: None)
    assert row["status"] == alone["status"] == "finished"
    with np.load(state) as a, np.load(tmp_path / "alone" / "seed-1" / "checkpoint" / "state.npz") as b:
        arrays = [name for name in a.files if name != "progress"]
        assert len(arrays) > 5 and all(np.array_equal(a[name], b[name]) for name in arrays)
