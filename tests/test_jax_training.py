"""`train` on the JAX backend: several devices and several processes have the curve of one, and TensorFlow's."""

import csv
import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from support import tiny_networks
from support.prepared import write_prepared
from support.tiny_models import recipe_of

from tfdeepfake import models
from tfdeepfake.cli.main import main
from tfdeepfake.cli.train import use_backend
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import load_recipe, save_model
from tfdeepfake.training import jax_devices
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train

SCRIPT = Path(__file__).parent / "support" / "jax_train_process.py"
NAMES = ("loss", "auc", "accuracy", "val_loss", "val_auc", "val_accuracy")
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")


def started(devices, *tasks, **variables):
    command = [sys.executable, str(SCRIPT), str(devices), *map(json.dumps, tasks)]
    environment = os.environ | variables
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def ended(*processes):
    """What each said; all have to end well."""
    said = [process.communicate(timeout=600) for process in processes]
    assert [p.returncode for p in processes] == [0] * len(processes), "\n".join(error[-3000:] for _, error in said)
    return [out for out, _ in said]


def curve(run_dir):
    """float [epochs, metrics] of metrics.csv."""
    with open(run_dir / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row[name] or "nan") for name in NAMES] for row in rows])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of the runs {on}_{what}; said is what the two processes printed."""
    folder, before = tmp_path_factory.mktemp("jax_training"), dict(models.MODELS)
    tiny_networks.register()
    write_prepared(folder / "data", splits={"train": (10, 16), "validation": (6, 7)}, contrast=15)
    for name, dropout in (("plain", 0.0), ("dropped", 0.5)):
        keras.utils.set_random_seed(0)
        model = models.build("tiny_clip", dropout=dropout)
        save_model(folder / name, model, recipe_of(model, {"dropout": dropout}))
    fields = {"network": "tiny_clip", "data": "tiny", "data_dir": str(folder / "data"), "epochs": 3, "seed": 3}
    fields |= {"batch_size": 8, "learning_rate": 3e-3, "augment": "flip", "start_from": str(folder / "plain")}
    triplets = fields | {"loss": "triplet", "batch_size": 12, "schedule": "cosine"}
    dropped = fields | {"start_from": str(folder / "dropped"), "checkpoint_minutes": 1e-9, "clip_norm": 0.5}

    def task(run, config, **more):
        return {"run_dir": str(folder / run), "config": config | {"backend": "jax"}} | more

    several = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    for number in (0, 1):
        variables = {"JOB_ADDRESSES": address, "NUM_PROCESSES": "2", "PROCESS_ID": str(number)}
        variables = {f"KERAS_DISTRIBUTION_{name}": value for name, value in variables.items()}
        tasks = [task("hosts_f1", fields | {"devices": 0}), task("hosts_triplet", triplets | {"devices": 2})]
        several.append(started(2, *tasks, **variables))
    said = ended(*several)
    alone = started(
        2,
        task("one_f1", fields),
        task("one_triplet", triplets),
        task("one_dropped", dropped),
        task("two_stopped", dropped | {"devices": 2}, stop_at=[1, 2]),
    )
    train(TrainConfig(**fields), folder / "tensorflow_f1", progress=False)
    train(TrainConfig(**triplets), folder / "tensorflow_triplet", progress=False)
    ended(alone)
    yield folder, said
    models.MODELS.clear()
    models.MODELS.update(before)


@needs_jax
@pytest.mark.slow
@pytest.mark.jax
def test_devices_and_processes_have_the_curve_of_one_device(runs):
    folder, said = runs
    for what in ("f1", "triplet"):
        one, several = curve(folder / f"one_{what}"), curve(folder / f"hosts_{what}")
        assert len(one) == 3 and np.ptp(one[:, 0]) > 0.01, "a loss that stands still would prove nothing"
        # Sums of devices come in another order, which one processor was seen to round 2.5e-4 apart.
        np.testing.assert_allclose(several, one, rtol=4e-4, atol=1e-6)
    said = [text.splitlines() for text in said]
    assert any(line.startswith("epoch 3/3") for line in said[0]) and not said[1], "the first process speaks, and writes"
    # Not the weights: a bias before batch normalisation has no gradient but rounding, of which Adam makes steps.
    recipe = load_recipe(folder / "hosts_f1" / "best")
    assert recipe.versions["backend"] == "jax" and read_json(folder / "hosts_f1" / "result.json")["epochs"] == 3


@needs_jax
@pytest.mark.slow
@pytest.mark.jax
@pytest.mark.parametrize("what", ["f1", "triplet"])
def test_the_curve_is_tensorflows(runs, what):
    folder, _ = runs
    # TensorFlow's fused kernel sums batch statistics in another order (`layers.exact`), which validation shows.
    np.testing.assert_allclose(
        curve(folder / f"one_{what}"), curve(folder / f"tensorflow_{what}"), rtol=2e-3, atol=1e-5
    )


@needs_jax
@pytest.mark.slow
@pytest.mark.jax
def test_a_run_on_two_devices_stopped_inside_an_epoch_has_the_curve_of_one_that_was_not(runs):
    folder, _ = runs
    np.testing.assert_allclose(curve(folder / "two_stopped"), curve(folder / "one_dropped"), rtol=2e-4, atol=1e-6)


def test_the_backend_is_chosen_before_keras_is_loaded(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "")  # what is not there before it is not put back
    monkeypatch.delenv("KERAS_BACKEND")
    use_backend("jax")
    assert os.environ["KERAS_BACKEND"] == "jax"
    with pytest.raises(InputError, match="KERAS_BACKEND: is jax; this run is on tensorflow.*--backend jax"):
        use_backend("tensorflow")
    with monkeypatch.context() as missing:
        missing.setattr("tfdeepfake.cli.train.find_spec", lambda name: None)
        with pytest.raises(InputError, match=r'not installed \(jax\). pip install "tfdeepfake\[jax\]"'):
            use_backend("jax")
    command = ["train", "meso4", "--data", "none", "--run-dir", str(tmp_path / "run"), "--backend", "jax"]
    assert main(command) == 2 and "backend: is jax, but Keras runs on tensorflow" in capsys.readouterr().err
    monkeypatch.setenv(jax_devices.NUMBER, "2")
    monkeypatch.delenv(jax_devices.ADDRESS, raising=False)
    if importlib.util.find_spec("jax"):
        with pytest.raises(InputError, match="JOB_ADDRESSES: is not set, but .* is 2"):
            jax_devices.jax_devices(1)
