"""Training K classes and triplets: labels that number methods, two replicas, and what a user can get wrong."""

import csv
import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support import prepared as prepared_support
from support.prepared import write_prepared

from tfdeepfake import models
from tfdeepfake.data.batches import pipeline
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import load_model, load_recipe
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring.table import class_logits, class_names
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.training import objective, run_setup, validation
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train

FRAME = DataRecipe(input_type="frame", num_frames=1, detector="none", height_px=24, width_px=24)
METHODS = ("swap", "lips", "warp")
CLASSES = ["real", "lips", "swap", "warp"]


def named(methods):
    """`random_example` whose fakes have these methods in turn, each brighter in a colour of its own."""
    plain = prepared_support.random_example

    def example(recipe, label, number, rng, contrast):
        values = plain(recipe, label, number, rng, 0)
        if label:
            values["method"] = methods[number % len(methods)]
            values["frames"] = np.array(values["frames"])
            values["frames"][..., number % len(methods) % 3] //= 2
        return values

    return example


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    splits = {"train": (12, 24), "validation": (6, 9), "test": (4, 6)}
    with pytest.MonkeyPatch.context() as patch:
        for name, methods, counts in (
            ("methods", METHODS, splits),
            ("nameless", ("", "swap"), splits),
            ("four", (*METHODS, "gan"), splits | {"validation": (6, 2)}),
            ("more", METHODS, {"train": (12, 1), "validation": (6, 9)}),
        ):
            patch.setattr(prepared_support, "random_example", named(methods))
            write_prepared(root, FRAME, counts, name=name)
    return str(root)


@pytest.fixture
def config(data_dir):
    return TrainConfig(
        network="meso4", data="methods", data_dir=data_dir, target="method", epochs=2, batch_size=6,
        learning_rate=0.01, seed=1,
    )  # fmt: skip


def change(config, **fields):
    return dataclasses.replace(config, **fields)


def test_labels_number_the_methods(data_dir):
    prepared = pipeline.open_data("methods", data_dir)
    assert pipeline.method_counts(prepared, "train") == (12, {"lips": 8, "swap": 8, "warp": 8})
    settings = pipeline.BatchSettings(classes=tuple(CLASSES), class_weight={0: 0.75, 1: 1.1, 2: 1.2, 3: 1.3})
    batches = list(pipeline.training_batches(prepared, "train", "frame", 6, settings).as_numpy_iterator())
    labels, weights = (np.concatenate([batch[n] for batch in batches]) for n in (1, 2))
    assert np.bincount(labels[:, 0].astype(int)).tolist() == [12, 8, 8, 8]
    np.testing.assert_allclose(weights, np.array([0.75, 1.1, 1.2, 1.3])[labels[:, 0].astype(int)], rtol=1e-6)
    some = pipeline.scoring_batches(prepared, "test", "frame", 20, with_keys=True, classes=("real", "warp"))
    _, labels, keys = next(some.as_numpy_iterator())
    expected = [{b"original": 0, b"warp": 1}.get(method, -1) for method in keys["method"]]
    assert labels[:, 0].tolist() == expected and -1 in expected
    mixed = pipeline.BatchSettings(classes=tuple(CLASSES), mix="cutmix")
    _, labels = next(pipeline.training_batches(prepared, "train", "frame", 12, mixed).as_numpy_iterator())
    assert labels.shape == (12, 4) and np.any((labels > 0) & (labels < 1))
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("cache_bytes", [pipeline.CACHE_BYTES, 0])
def test_triplets_are_anchor_positive_and_negative_of_other_examples(data_dir, cache_bytes):
    prepared = pipeline.open_data("methods", data_dir)
    settings = pipeline.BatchSettings(seed=3, triplets=True, cache_bytes=cache_bytes)

    def epoch(number):
        made = pipeline.training_batches(prepared, "train", "frame", 6, settings, number, 1)
        return [(inputs["frames"], label[:, 0]) for inputs, label in made.as_numpy_iterator()]

    batches = epoch(0)
    assert len(batches) == 6
    for frames, labels in batches:
        anchor, positive, negative = labels.reshape(2, 3).T
        assert (anchor == positive).all() and (anchor != negative).all() and anchor.tolist() == [1, 0]
        assert not any(np.array_equal(frames[n], frames[n + 1]) for n in (0, 3))
    again, other = epoch(0), epoch(1)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(batches, again, strict=True))
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(batches, other, strict=True))


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    config = TrainConfig(
        network="meso4", data="methods", data_dir=data_dir, target="method", epochs=2, batch_size=6,
        learning_rate=0.01, seed=1,
    )  # fmt: skip
    return train(config, tmp_path_factory.mktemp("run") / "run", progress=False)


def test_a_run_of_methods_keeps_their_order_and_their_logits(run):
    recipe, versions, result = (
        load_recipe(run / "best"),
        read_json(run / "versions.json"),
        read_json(run / "result.json"),
    )
    assert recipe.classes == CLASSES and recipe.network_args["num_classes"] == 4
    assert versions["examples"] == {"real": 12, "lips": 8, "swap": 8, "warp": 8}
    scores = read_scores(run / "scores_validation.csv")
    scored = scores["status"] == "scored"
    assert class_names(scores) == CLASSES and scored.sum() == 15
    logits = class_logits(scores)[scored]
    truth = np.array([CLASSES.index(m) if m in METHODS else 0 for m in scores["method"][scored]])
    best = result["best"]
    assert best["val_accuracy"] == pytest.approx(np.mean(logits.argmax(axis=1) == truth))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    areas = roc_auc_score(truth, odds / odds.sum(axis=1, keepdims=True), multi_class="ovr")
    assert best["val_auc"] == pytest.approx(areas) and 0 <= best["auc"] <= 1


def test_a_run_of_methods_is_resumed_with_its_classes(run, config, tmp_path, monkeypatch):
    from tfdeepfake.training import run_folder

    monkeypatch.setattr(run_folder, "write_curves", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(config, tmp_path / "run", progress=False)
    monkeypatch.undo()
    train(config, tmp_path / "run", progress=False)
    for one, other in zip(
        load_model(run / "last")[0].weights, load_model(tmp_path / "run" / "last")[0].weights, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert load_recipe(tmp_path / "run" / "best") == load_recipe(run / "best")


def test_the_softmax_pair_trains_on_real_and_fake(config, tmp_path):
    made = train(
        change(config, target="label", network_args={"num_classes": 2}, epochs=1, mix="cutmix"), tmp_path / "run", False
    )
    assert load_recipe(made / "best").classes == ["real", "fake"]
    scores = read_scores(made / "scores_validation.csv")
    logits = class_logits(scores)
    np.testing.assert_allclose(scores["logit"], logits[:, 1] - logits[:, 0], atol=1e-5)
    scored = scores["status"] == "scored"
    area = roc_auc_score(scores["label"][scored], scores["logit"][scored])
    assert read_json(made / "result.json")["best"]["val_auc"] == pytest.approx(area)


def test_the_auc_of_two_classes_is_that_of_their_difference():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 2, (50, 1)).astype(np.float32), rng.normal(size=(50, 2)).astype(np.float32)
    two, one = objective.metrics(TrainConfig(), 2)[0], objective.metrics(TrainConfig(), 1)[0]
    two.update_state(labels, logits)
    one.update_state(labels, logits[:, 1:] - logits[:, :1])
    assert float(two.result()) == pytest.approx(float(one.result()), abs=1e-3)
    right = objective._most_probable(np.float32([[0, 0.2, 0.8], [1, 0, 0]]), np.float32([[0, 1, 3], [0, 2, 1]]))
    assert np.asarray(right).tolist() == [1, 0]


def test_triplets_train_the_embedding_and_leave_the_classifier(config, tmp_path, capsys):
    config = change(config, target="label", loss="triplet", data="methods", epochs=3)
    made = train(config, tmp_path / "run")
    before, after = run_setup.build(config, tmp_path / "new").model, load_model(made / "last")[0]
    changed = {
        layer.name
        for layer in before.layers
        if layer.weights
        and any(
            not np.array_equal(a, b)
            for a, b in zip(layer.get_weights(), after.get_layer(layer.name).get_weights(), strict=True)
        )
    }
    assert "conv1" in changed and "dense" in changed and "logits" not in changed
    result = read_json(made / "result.json")
    assert (
        result["best"].keys() >= {"loss", "accuracy", "val_loss", "val_accuracy"} and result["best"]["val_auc"] is None
    )
    assert "by triplets" in load_recipe(made / "best").calibration and not (made / "scores_validation.csv").exists()
    assert "--start-from" in capsys.readouterr().out


def test_validation_triplets_are_of_other_examples():
    labels = np.array([0, 1, 1, 0, 1, 0, 0])
    anchor, positive, negative = validation.validation_triplets(labels).T
    assert sorted(anchor) == list(range(7)) and (positive != anchor).all()
    assert (labels[anchor] == labels[positive]).all() and (labels[anchor] != labels[negative]).all()
    assert len(validation.validation_triplets(np.array([0, 1, 1]))) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target": "label", "network_args": {"num_classes": 4}}, "num_classes is 4, .* train with --target method"),
        ({"network_args": {"num_classes": 3}}, "num_classes is 3, but the data has 4 classes: real, lips, swap, warp"),
        ({"data": "nameless"}, "12 fake training examples do not say their method"),
        ({"data": "four"}, "has no example of lips, swap in the split 'validation'|has no example of .* 'validation'"),
        ({"data": "more"}, "has lips.*in the split 'validation', but not in 'train'"),
        ({"loss": "bce"}, "bce needs one logit of FAKE, the network gives 4 classes. Use --loss ce"),
        ({"loss": "triplet"}, "triplet is of real and fake"),
        ({"target": "label", "loss": "triplet", "batch_size": 4}, "needs a multiple of 3 with the loss triplet"),
        ({"target": "label", "loss": "triplet", "data": "more"}, "two training examples of a class, fake has one"),
        ({"target": "label", "loss": "triplet", "mix": "cutmix"}, "triplet needs labels of 0 or 1"),
        ({"target": "methods"}, "target: needs one of"),
        ({"margin": 0.0}, "margin: needs a number above 0"),
    ],
)
def test_what_a_user_can_get_wrong_with_classes_is_named(config, tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        train(change(config, **fields), tmp_path / "run", progress=False)


def test_a_network_of_one_output_is_named(config, tmp_path, monkeypatch):
    monkeypatch.setitem(
        models.MODELS, "one", lambda input_size, dropout=0.0: models.build("meso4", input_size=input_size)
    )
    with pytest.raises(InputError, match="one: has one output only"):
        train(change(config, network="one"), tmp_path / "run", progress=False)


REPLICAS = """
import json, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from support import tiny_networks
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train
tiny_networks.register()
for run_dir, config in json.load(sys.stdin).items():
    train(TrainConfig.from_dict(config), run_dir, progress=False)
"""


@pytest.mark.slow
def test_two_replicas_follow_one_device_with_classes_and_triplets(config, tmp_path):
    """As in test_training, for the losses `ce` and `triplet`."""
    plain = {"batch_norm": False, "dropout": 0.0}
    config = change(config, network="tiny_frame", network_args=plain, batch_size=12, epochs=3, learning_rate=0.02)
    configs = {}
    for loss, target in (("ce", "method"), ("triplet", "label")):
        for devices in (1, 2):
            configs[str(tmp_path / f"{loss}{devices}")] = change(
                config, loss=loss, target=target, devices=devices
            ).to_dict()
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], input=json.dumps(configs), capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for loss in ("ce", "triplet"):
        one, two = (_curve(tmp_path / f"{loss}{devices}") for devices in (1, 2))
        for a, b in zip(one, two, strict=True):
            assert b == pytest.approx(a, rel=1e-4, abs=1e-5), loss
        assert one[-1]["val_loss"] < 0.97 * one[0]["val_loss"], f"{loss}: a curve that stands still proves nothing"


def _curve(run_dir):
    with open(run_dir / "metrics.csv", newline="") as file:
        return [{n: float(v) for n, v in row.items() if n != "seconds" and v} for row in csv.DictReader(file)]
