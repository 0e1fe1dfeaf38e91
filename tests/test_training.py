"""Training: what a run folder holds, resuming, replicas, early stopping, and everything a user can get wrong."""

import csv
import dataclasses
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score
from support import tiny_networks, train_process
from support.prepared import write_prepared
from support.tiny_models import TINY

from tfdeepfake import losses, models
from tfdeepfake.data.batches import pipeline
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import load_model, load_recipe, save_model
from tfdeepfake.model_inputs import READS
from tfdeepfake.profiling import macs
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.training import checkpoint, devices, network, objective, optimizer, run_folder, run_setup
from tfdeepfake.training import train as loop
from tfdeepfake.training import validation as validation_module
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train

pytestmark = pytest.mark.usefixtures("tiny_networks_by_name")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_prepared(root, splits={"train": (10, 16), "validation": (6, 7), "test": (3, 3)}, contrast=15)
    small = {"num_frames": 4, "detector": "none", "height_px": 32, "width_px": 40}
    write_prepared(root, DataRecipe(**small), name="noflow")
    write_prepared(root, DataRecipe(**small, flow="dis"), {"train": (8, 8)}, name="train_only")
    write_prepared(root, DataRecipe(**small, flow="dis"), {"train": (0, 8), "validation": (4, 4)}, name="fakes")
    return str(root)


@pytest.fixture
def config(data_dir):
    return TrainConfig(
        network="tiny_clip", data="tiny", data_dir=data_dir, epochs=4, batch_size=4, learning_rate=3e-3,
        loss="bce_f1", augment="flip", schedule="cosine", warmup_epochs=0.5, seed=3,
    )  # fmt: skip


def change(config, **fields):
    return dataclasses.replace(config, **fields)


def state(run_dir):
    """{name: array} of the run's state: weights, batch statistics, dropout seeds, optimizer."""
    with np.load(Path(run_dir) / "checkpoint" / "state.npz") as saved:
        return {name: saved[name] for name in saved.files if name != "progress"}


def rows(run_dir):
    with open(Path(run_dir) / "metrics.csv", newline="") as file:
        return [{n: float(v) for n, v in row.items() if n != "seconds" and v} for row in csv.DictReader(file)]


def difference(a, b):
    """Largest difference between the states of two runs, in any variable."""
    a, b = state(a), state(b)
    assert a.keys() == b.keys()
    return max(float(np.abs(a[name].astype(np.float64) - b[name]).max(initial=0)) for name in a)


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
    """A run that nothing disturbed."""
    config = TrainConfig(
        network="tiny_clip", data="tiny", data_dir=data_dir, epochs=4, batch_size=4, learning_rate=3e-3,
        loss="bce_f1", augment="flip", schedule="cosine", warmup_epochs=0.5, seed=3,
    )  # fmt: skip
    return train(config, tmp_path_factory.mktemp("whole") / "run", progress=False)


def test_the_run_folder_holds_what_repeats_it(whole, config):
    assert TrainConfig.from_dict(read_json(whole / "config.json")) == config
    versions = read_json(whole / "versions.json")
    assert versions["data"] == "tiny/clip:1.0.0" and versions["seed"] == 3
    assert versions["examples"] == {"real": 10, "fake": 16}
    assert versions["software"]["tensorflow"] == tf.__version__
    assert [row["epoch"] for row in rows(whole)] == [1, 2, 3, 4]
    recipe = load_recipe(whole / "best")
    assert recipe.positive == "fake" and recipe.data_version == "tiny/clip:1.0.0"
    counted = sum(macs.count(load_model(whole / "best")[0]).values())
    assert recipe.gmacs == pytest.approx(counted / 1e9, rel=1e-3) and counted
    assert load_recipe(whole / "last").gmacs == recipe.gmacs
    assert (recipe.data.height_px, recipe.data.width_px, recipe.data.num_frames) == (32, 40, 4)
    assert "13" not in recipe.calibration.split()  # 7 fake and 6 real, not all of them of one class
    assert "7 fake and 6 real validation videos" in recipe.calibration
    assert list((whole / "tensorboard" / "train").iterdir()) and list((whole / "tensorboard" / "validation").iterdir())
    assert not list(whole.rglob(".tmp-*"))


def test_best_is_the_epoch_of_the_highest_validation_auc(whole):
    result, table = read_json(whole / "result.json"), rows(whole)
    best = max(table, key=lambda row: (row["val_auc"], -row["val_loss"]))
    assert result["best_epoch"] == best["epoch"]
    # The weights of best/ score what that epoch scored: they are its weights, and the metrics are over every example.
    scores = read_scores(whole / "scores_validation.csv")
    scored = scores["status"] == "scored"
    assert scored.sum() == 13
    assert roc_auc_score(scores["label"][scored], scores["logit"][scored]) == pytest.approx(best["val_auc"])
    accuracy = np.mean((scores["logit"][scored] > 0) == (scores["label"][scored] == 1))
    assert accuracy == pytest.approx(best["val_accuracy"])


def test_last_holds_the_weights_of_the_state(whole):
    model, _ = load_model(whole / "last")
    saved = state(whole)
    for number, weight in enumerate(model.variables):
        if "seed" not in weight.path:  # not part of a weights file
            np.testing.assert_array_equal(saved[f"v{number:05d}"], weight)


def test_validation_loss_is_that_of_the_loss_function(whole):
    model, _ = load_model(whole / "last")
    prepared = pipeline.open_data("tiny", read_json(whole / "config.json")["data_dir"])
    loss, total = losses.get("bce_f1", 1.0, 1.0), 0.0
    for inputs, label in pipeline.scoring_batches(prepared, "validation", "clip", 4):
        total += float(np.mean(loss(label, model(inputs, training=False)))) * len(label)
    assert total / 13 == pytest.approx(rows(whole)[-1]["val_loss"], rel=1e-5)


def test_a_finished_run_does_nothing_and_says_so(whole, config, capsys):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file() and path.name != ".lock"}
    assert train(config, whole) == whole
    assert "finished" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_another_config_is_refused_with_the_fields_that_differ(whole, config):
    other = change(config, epochs=9, learning_rate=0.5, network_args={"width": 8})
    with pytest.raises(InputError) as caught:
        train(other, whole)
    message = str(caught.value)
    assert "epochs (4 there, 9 now)" in message and "learning_rate (0.003 there, 0.5 now)" in message
    assert "network_args" in message and "batch_size" not in message


class Killed(BaseException):
    pass


@pytest.mark.parametrize("where", ["before the state", "after the state", "inside best", "after the last epoch"])
def test_a_run_stopped_in_an_epochs_end_resumes_exactly(whole, config, tmp_path, monkeypatch, where):
    """Every moment between the files of an epoch's end; the moments between steps are killed for real below."""
    module, name, call = {
        "before the state": (checkpoint, "save_state", 2),
        "after the state": (run_folder, "write_curves", 2),
        "inside best": (loop, "save_model", 1),
        "after the last epoch": (loop, "score_data", 1),
    }[where]
    real, calls = getattr(module, name), []

    def stop(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, stop)
    with pytest.raises(Killed):
        train(config, tmp_path / "run", progress=False)
    monkeypatch.undo()
    train(config, tmp_path / "run", progress=False)
    assert difference(tmp_path / "run", whole) == 0
    assert rows(tmp_path / "run") == rows(whole)
    a, b = load_model(tmp_path / "run" / "best")[0], load_model(whole / "best")[0]
    for x, y in zip(a.weights, b.weights, strict=True):
        np.testing.assert_array_equal(x, y)
    recipes = [load_recipe(r / "best") for r in (tmp_path / "run", whole)]
    assert recipes[0] == recipes[1]


def test_a_resumed_run_keeps_its_data(config, tmp_path, monkeypatch):
    """What the config's short name means may have changed since: another config of the set was prepared."""
    data_dir = write_prepared(tmp_path / "data", contrast=15)[0]
    config = change(config, data_dir=data_dir, epochs=2)
    monkeypatch.setattr(run_folder, "write_curves", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(config, tmp_path / "run", progress=False)
    monkeypatch.undo()
    write_prepared(data_dir, config="clip_other")
    with pytest.raises(InputError, match="several ways"):
        train(config, tmp_path / "new", progress=False)
    train(config, tmp_path / "run", progress=False)
    assert load_recipe(tmp_path / "run" / "best").data_version == "tiny/clip:1.0.0"


def test_another_seed_gives_another_run(whole, config, tmp_path):
    """Without this, the comparisons above would hold for a run that ignores its data."""
    run = train(change(config, seed=4, epochs=1), tmp_path / "run", progress=False)
    assert rows(run)[0]["loss"] != rows(whole)[0]["loss"]


def run_process(config, run_dir, cpus=1):
    """Trains to the end in a process of its own."""
    process, lines = train_process.start(config, run_dir, cpus)
    with lines:
        printed = lines.read()
    process.join()
    assert process.exitcode == 0, printed


@pytest.mark.slow
def test_six_sigkills_change_nothing_and_lose_no_finished_epoch(config, tmp_path):
    """Real kills at moments spread over more than an epoch, its end and its writes included; more are in test_kills.

    The killed run writes its state inside epochs too, after nearly every step, and the one beside it never does.
    """
    config = change(config, epochs=24, network_args={"width": 1000})
    run_process(config, tmp_path / "whole")
    with open(tmp_path / "whole" / "metrics.csv", newline="") as file:
        epoch_s = float(np.median([float(row["seconds"]) for row in csv.DictReader(file)]))
    rng, finished, kills = np.random.default_rng(0), 0, 0
    while kills < 6:
        child, lines = train_process.start(change(config, checkpoint_minutes=1e-4), tmp_path / "killed")
        told, stop_at = 0, finished + int(rng.integers(1, 3))
        for line in lines:
            if line.startswith("epoch"):
                told = int(line.split()[1].split("/")[0])
                if told >= stop_at:
                    break
        time.sleep(float(rng.uniform(0, 1.5 * epoch_s)))
        child.kill()
        lines.close()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        kills += 1
        with np.load(tmp_path / "killed" / "checkpoint" / "state.npz") as saved:
            saved_epochs = len(json.loads(str(saved["progress"]))["rows"])
        assert saved_epochs >= told > finished, "an epoch that was announced as finished is lost"
        finished = saved_epochs
        assert finished < config.epochs
    run_process(config, tmp_path / "killed")
    assert difference(tmp_path / "killed", tmp_path / "whole") < 1e-6
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob(".tmp-*"))


@pytest.mark.slow
@pytest.mark.parametrize("network", ["tiny_frame", "tiny_clip"])
def test_two_replicas_follow_one_device(config, tmp_path, network):
    """The same global batch on two devices, for BCE and for BCE + F1 (whose sums go over the replicas).

    Without batch statistics and dropout the gradient is the same sum in another order, so the curves differ by
    float32 rounding (1e-7 of the loss, measured), which training may amplify: 1e-4 is asked for. With batch
    normalisation each replica normalises by its own part of the batch, and with dropout it draws other masks:
    that is another, equally valid run, which no tolerance could tell from a mistake.
    """
    config = change(
        config, network=network, network_args={"batch_norm": False, "dropout": 0.0}, batch_size=8, epochs=6,
        augment="flip", learning_rate=0.02, schedule="constant",
    )  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    run_process(config, one)
    run_process(change(config, devices=2), two, 2)
    for a, b in zip(rows(one), rows(two), strict=True):
        assert b == pytest.approx(a, rel=1e-4, abs=1e-5)
    assert rows(one)[-1]["loss"] < 0.9 * rows(one)[0]["loss"], "a curve that stands still proves nothing"
    scores = [read_scores(run / "scores_validation.csv")["logit"] for run in (one, two)]
    np.testing.assert_allclose(*scores, atol=1e-3, equal_nan=True)


@pytest.mark.slow
def test_a_resumed_run_of_two_replicas_is_validated_by_the_same_batch_statistics(config, tmp_path):
    """Each replica has statistics of its own, and the state their mean."""
    config = change(config, devices=2, epochs=2, schedule="constant", warmup_epochs=0.0)
    run_process(config, tmp_path / "whole", 2)
    run_process(change(config, epochs=1), tmp_path / "run", 2)
    run_process(config, tmp_path / "run", 2)
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    assert difference(tmp_path / "run", tmp_path / "whole") == 0


@pytest.mark.parametrize(
    ("aucs", "losses_", "best", "epochs"),
    [
        ([0.6, 0.9, 0.8, 0.9, 0.95], [0.5] * 5, 2, 4),  # as good as the best is not better
        ([0.6, 0.9, 0.9, 0.8, 0.8], [0.5, 0.5, 0.4, 0.1, 0.1], 3, 5),  # a tie is decided by the loss
    ],
)
def test_early_stopping_ends_the_run_and_keeps_the_best(
    config, tmp_path, monkeypatch, capsys, aucs, losses_, best, epochs
):
    told = iter(zip(aucs, losses_, strict=True))

    def validation(run):
        def validate():
            auc, loss = next(told)
            return {"val_loss": loss, "val_auc": auc, "val_accuracy": 0.5}

        return validate

    monkeypatch.setattr(validation_module, "validation", validation)
    written, save = [], save_model
    monkeypatch.setattr(loop, "save_model", lambda folder, *args: written.append(folder.name) or save(folder, *args))
    config = change(config, epochs=9, early_stopping_epochs=2)
    run = train(config, tmp_path / "run")
    assert len(rows(run)) == epochs and read_json(run / "result.json")["best_epoch"] == best
    assert written == ["best"] * best + ["last"]
    assert "stopped" in capsys.readouterr().out


def test_without_validation_the_last_epoch_is_the_best(config, tmp_path, capsys):
    run = train(change(config, data="train_only", epochs=2), tmp_path / "run")
    said = capsys.readouterr().out
    assert "no validation split" in said
    assert "threshold 0.500 (not calibrated: the data set has no validation split)." in said
    assert read_json(run / "result.json")["best_epoch"] == 2
    assert not (run / "scores_validation.csv").exists()
    assert "no validation split" in load_recipe(run / "best").calibration


def test_a_frame_network_trains_on_a_clip_data_set(config, tmp_path):
    run = train(change(config, network="tiny_frame", epochs=1), tmp_path / "run", progress=False)
    recipe = load_recipe(run / "best")
    assert (recipe.data.input_type, recipe.data.flow) == ("frame", "none"), "what inference has to extract"
    assert read_json(run / "versions.json")["examples"] == {"real": 40, "fake": 64}


@pytest.mark.parametrize(
    ("network", "fields", "num_classes", "expected"),
    [
        ("baseline", {}, 1, "bce"),
        ("two_stream_video", {}, 1, "bce_f1"),
        ("cnn3d", {}, 1, "bce_f1"),
        ("cnn_rnn", {"mix": "cutmix"}, 1, "bce"),
        ("i3d", {}, 1, "bce"),
        ("i3d", {}, 2, "ce"),
        ("cnn3d", {}, 6, "ce"),
        ("i3d", {"loss": "bce_f1_fake"}, 1, "bce_f1_fake"),
    ],
)
def test_auto_loss_is_the_papers(network, fields, num_classes, expected):
    assert objective.loss_name(TrainConfig(network=network, **fields), num_classes) == expected


def test_the_loss_has_the_weights_of_the_config(config, tmp_path, monkeypatch):
    asked, real = [], losses.get
    monkeypatch.setattr(losses, "get", lambda *args: asked.append(args) or real(*args))
    run_setup.build(change(config, alpha=0.7, beta=0.2), tmp_path / "run")
    assert asked == [("bce_f1", 0.7, 0.2, 1.0)]


def test_a_policy_and_cutmix_train_on_mixed_labels(config, tmp_path):
    """The accuracy of a mixed example is about its larger part: exact equality with a fraction is always wrong."""
    train(change(config, loss="auto", augment="p1", mix="cutmix", epochs=1), tmp_path / "run", progress=False)
    assert rows(tmp_path / "run")[0]["accuracy"] > 0
    labels, logits = np.float32([[1], [0.7], [0.3], [0]]), np.float32([[2], [-1], [-1], [0.5]])
    assert objective._right(labels, logits).numpy()[:, 0].tolist() == [1, 0, 1, 0]


def test_learning_rate_warms_up_and_decays(config):
    cosine = optimizer.learning_rate(change(config, learning_rate=1.0, epochs=10, warmup_epochs=1.0), steps=10)
    values = np.array([float(cosine(step)) for step in (0, 5, 10, 55, 100)])
    np.testing.assert_allclose(values, [0.1, 0.55, 1.0, 0.5, 0.0], atol=1e-6)
    flat = optimizer.learning_rate(change(config, learning_rate=1.0, schedule="constant", warmup_epochs=0.2), steps=10)
    np.testing.assert_allclose([float(flat(step)) for step in (0, 1, 2, 30)], [0.5, 0.75, 1.0, 1.0], atol=1e-6)
    assert optimizer.learning_rate(change(config, schedule="constant", warmup_epochs=0.0), 10) == config.learning_rate


@pytest.mark.slow
@pytest.mark.parametrize("network", ["baseline", "r3d_18", "tall_vit"])
def test_bfloat16_runs_are_finite_and_learn(tmp_path, network):
    """A 2D network, a 3D one and a thumbnail over a transformer."""
    args = {name: value for name, value in TINY[network].items() if name not in ("input_size", "num_frames")}
    recipe = DataRecipe(num_frames=4, detector="none", height_px=32, width_px=32)
    data_dir, data = write_prepared(tmp_path / "data", recipe, {"train": (8, 8), "validation": (4, 4)}, contrast=120)
    config = TrainConfig(
        network, network_args=args, data=data, data_dir=data_dir, epochs=3, batch_size=4, precision="bfloat16",
        learning_rate=2e-3,
    )  # fmt: skip
    run_dir = tmp_path / "run"
    if network == "r3d_18":
        # TensorFlow's own kernels are wrong with oneDNN, which is chosen before it is loaded.
        with pytest.raises(InputError, match="TF_ENABLE_ONEDNN_OPTS=0"):
            train(config, run_dir, progress=False)
        code = "from tfdeepfake.training.train import TrainConfig, train; import json, sys; "
        code += "train(TrainConfig.from_dict(json.loads(sys.argv[1])), sys.argv[2], progress=False)"
        environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", code, json.dumps(config.to_dict()), str(run_dir)]
        subprocess.run(command, check=True, env=environment)
    else:
        train(config, run_dir, progress=False)
    of_epochs = rows(run_dir)
    assert len(of_epochs) == 3 and all(np.isfinite(list(row.values())).all() for row in of_epochs)
    assert of_epochs[-1]["loss"] < of_epochs[0]["loss"]


def test_bfloat16_keeps_float32_weights_and_the_policy_of_the_process(config, tmp_path):
    run = train(change(config, precision="bfloat16", epochs=1), tmp_path / "run", progress=False)
    assert keras.config.dtype_policy().name == "float32"
    assert {a.dtype for a in state(run).values()} <= {np.dtype(t) for t in ("float32", "int32", "int64", "uint32")}
    assert np.isfinite(rows(run)[0]["loss"])


def test_a_run_from_published_weights_keeps_its_own(config, tmp_path, monkeypatch):
    """Loading best/, or going on, must not fetch the published weights again and put them over the trained ones."""
    built = []

    def from_weights(weights=None, **kwargs):
        built.append(weights)
        return tiny_networks.tiny_clip(**kwargs)

    # The signature is what training reads the arguments from.
    def network(input_size=(32, 40), num_frames=4, weights=None):
        return from_weights(weights, input_size=input_size, num_frames=num_frames)

    monkeypatch.setitem(models.MODELS, "published", network)
    monkeypatch.setitem(READS, "published", ("clip", True))
    config = change(config, network="published", network_args={"weights": "/somewhere/resnet.h5"}, epochs=2)
    monkeypatch.setattr(loop, "save_model", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(config, tmp_path / "run", progress=False)
    monkeypatch.undo()
    monkeypatch.setitem(models.MODELS, "published", network)
    monkeypatch.setitem(READS, "published", ("clip", True))
    train(config, tmp_path / "run", progress=False)
    recipe = load_recipe(tmp_path / "run" / "best")
    assert built[0] == "/somewhere/resnet.h5" and set(built[1:]) == {None}
    assert "weights" not in recipe.network_args and recipe.parent == "resnet.h5"


def test_an_ensemble_keeps_the_weights_of_its_votes_and_not_the_files_of_its_members():
    members = [["i3d", {"weights": "imagenet", "width": 8}], ["r3d_18", {}]]
    assert network.without_weights({"members": members, "weights": [2, 1], "rule": "soft"}) == {
        "members": [["i3d", {"width": 8}], ["r3d_18", {}]], "weights": [2, 1], "rule": "soft",
    }  # fmt: skip


def test_a_full_disk_keeps_the_last_epoch(whole, config, tmp_path, monkeypatch):
    real, calls = np.savez, []

    def savez(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            Path(args[0]).write_bytes(b"PK half a file")
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(InputError, match="disk is full.*Free some space"):
        train(config, tmp_path / "run", progress=False)
    monkeypatch.undo()
    assert len(rows(tmp_path / "run")) == 2 and not list((tmp_path / "run").rglob(".tmp-*"))
    train(config, tmp_path / "run", progress=False)
    assert difference(tmp_path / "run", whole) == 0


def test_a_loss_that_is_not_finite_stops_the_run(config, tmp_path):
    with pytest.raises(InputError, match="the loss is .* in epoch .*Try a smaller one"):
        train(change(config, learning_rate=1e38, schedule="constant", loss="bce"), tmp_path / "run")


def test_the_data_is_opened_once_as_the_network_reads_it(config, tmp_path, monkeypatch):
    """An ensemble of frame networks has the argument num_frames and reads frames all the same."""
    opened, real = [], pipeline.open_data
    monkeypatch.setattr(pipeline, "open_data", lambda *args: opened.append(args[2:]) or real(*args))
    member = ["meso4", {"input_size": [32, 40]}]
    config = change(config, network="ensemble", network_args={"members": [member, member]})
    run = run_setup.build(config, tmp_path)
    assert opened == [("frame", False)] and run.input_type == "frame" and "num_frames" not in run.network_args


def test_two_processes_do_not_share_a_folder(config, tmp_path):
    (tmp_path / "run").mkdir()
    with open(tmp_path / "run" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process"):
            train(config, tmp_path / "run")


def test_a_damaged_state_is_named(config, tmp_path):
    train(change(config, epochs=1), tmp_path / "run", progress=False)
    os.remove(tmp_path / "run" / "result.json")
    path = tmp_path / "run" / "checkpoint" / "state.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a readable training state") as caught:
        train(change(config, epochs=1), tmp_path / "run")
    assert caught.value.subject == str(path)


def test_the_state_of_another_network_is_refused(config, tmp_path):
    run = train(change(config, epochs=1), tmp_path / "run", progress=False)
    model = tiny_networks.tiny_clip(width=6)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(InputError, match="shapes that differ"):
        checkpoint.load_state(run / "checkpoint" / "state.npz", model)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data": "noflow"}, "tfdeepfake prepare noflow --input-type clip --flow dis"),
        ({"data": "celeb_df"}, "tfdeepfake prepare celeb_df --input-type clip"),
        ({"data": "fakes"}, "needs real and fake training examples, has 0 and 8"),
        ({"batch_size": 27}, "training split has only 26 examples"),
        ({"network": "tiny_clop"}, "tiny_clip"),
        ({"network_args": {"num_frames": 8}}, "frames is 8, but the data set has 4"),
        ({"network_args": {"input_size": [64, 64]}}, "input_size is .* but the data set has .32, 40."),
        ({"network_args": {"colour": "blue"}}, "colour"),
        (
            {"network": "xception", "network_args": {"weights": "imagenet"}},
            "xception has no argument weights. Use --start-from with one of imagenet, xception_imagenet",
        ),
        ({"network": "light3d", "network_args": {"weights": "imagenet"}}, "no argument weights. Leave it out"),
        ({"network": "ensemble", "network_args": {"members": [["meso4"]]}}, "ensemble: cannot be built with"),
        (
            {"network": "tall_resnet50", "network_args": {"backbone": "small", "rows": 2, "columns": 1}},
            "rows . columns = 2 . 1 = 2 frames, got 4 .* rows=2, columns=2 would hold them",
        ),
        ({"augment": "blur"}, "needs one of none, p0, p1, flip, .* got 'blur'"),
        ({"mix": "cutmix", "loss": "bce_f1"}, "bce_f1 needs labels of 0 or 1"),
        ({"devices": 3}, "asks for 3, but there are 0 GPUs and 1 CPU devices"),
    ],
)
def test_what_a_user_can_get_wrong_is_named(config, tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        train(change(config, **fields), tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}}', "names 2 hosts"),
        ("TF_CONFIG", "nonsense", "not a JSON object"),
        ("KERAS_DISTRIBUTION_NUM_PROCESSES", "2", "is 2, of the JAX backend"),
        ("TPU_NAME", "local", "has a TPU"),
    ],
)
def test_unsupported_machines_are_named(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message + ".*several GPUs of one machine"):
        devices.strategy(1)


def test_a_damaged_record_is_named_in_training(config, tmp_path):
    write_prepared(tmp_path / "data", contrast=15)
    path = next((tmp_path / "data").rglob("tiny-train.tfrecord*"))
    content = bytearray(path.read_bytes())
    content[-100] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged after record .*tfdeepfake prepare tiny") as caught:
        train(change(config, data_dir=str(tmp_path / "data")), tmp_path / "run")
    assert caught.value.subject == str(path)
