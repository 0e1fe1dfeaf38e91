"""Options of training: the optimizer, what trains, what the best epoch is chosen by, weights of classes."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import tiny_networks
from support.prepared import write_prepared

from tfdeepfake.cli.main import parser
from tfdeepfake.cli.train import read_config
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import load_model
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.training import fused, run_folder, run_setup, validation
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.optimizer import freeze_all_but, optimizer
from tfdeepfake.training.train import train

pytestmark = pytest.mark.usefixtures("tiny_networks_by_name")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    data_dir, _ = write_prepared(tmp_path_factory.mktemp("data"), splits={"train": (4, 8), "validation": (3, 3)})
    three = DataRecipe(num_frames=3, detector="none", height_px=32, width_px=32)
    write_prepared(data_dir, three, {"train": (4, 8)}, name="three")
    return TrainConfig(network="tiny_clip", data="tiny", data_dir=data_dir, epochs=2, batch_size=4, seed=3)


def change(config, **fields):
    return dataclasses.replace(config, **fields)


def test_the_fields_reach_the_optimizer(config):
    adam = optimizer(change(config, epsilon=1e-8, beta_1=0.8, beta_2=0.9), 10)
    assert isinstance(adam, keras.optimizers.Adam) and (adam.epsilon, adam.beta_1, adam.beta_2) == (1e-8, 0.8, 0.9)
    adamw = optimizer(change(config, optimizer="adamw", weight_decay=1e-3), 10)
    assert isinstance(adamw, keras.optimizers.AdamW) and adamw.weight_decay == 1e-3
    assert optimizer(change(config, optimizer="adamw"), 10).weight_decay in (None, 0)


def test_sgd_steps_along_the_clipped_gradient_with_momentum(config):
    sgd = optimizer(change(config, optimizer="sgd", momentum=0.5, clip_norm=2.0, learning_rate=0.1), 10)
    weights = [keras.Variable(np.zeros(2, "float32")), keras.Variable(np.zeros(1, "float32"))]
    gradient = [np.float32([3, 0]), np.float32([4])]  # of norm 5 together
    for step in (1.0, 1.5):  # momentum adds half of the step before
        before = [weight.numpy() for weight in weights]
        sgd.apply([keras.ops.convert_to_tensor(part) for part in gradient], weights)
        for weight, old, part in zip(weights, before, gradient, strict=True):
            np.testing.assert_allclose(weight.numpy() - old, -0.1 * step * part * 2 / 5, rtol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_an_update_in_one_pass_is_that_of_keras(name, monkeypatch):
    """The decay of weights included; one weight is updated by rows, which takes Keras's own way."""
    rng, options = np.random.default_rng(0), {"learning_rate": 0.03}
    options |= {"momentum": 0.9, "weight_decay": 0.01} if name == "SGD" else {"beta_1": 0.8, "epsilon": 1e-5}
    start = [rng.normal(size=(5, 3)).astype("float32"), rng.normal(size=7).astype("float32")]
    steps = [[rng.normal(size=array.shape).astype("float32") for array in start] for _ in range(6)]

    kernel, calls = "ResourceApplyKerasMomentum" if name == "SGD" else "ResourceApplyAdam", []
    real = getattr(tf.raw_ops, kernel)
    monkeypatch.setattr(tf.raw_ops, kernel, lambda **values: (calls.append(1), real(**values)))

    def trained(made):
        weights = [keras.Variable(array) for array in start]
        for gradient in steps:
            rows = tf.IndexedSlices(tf.constant(gradient[0][:2]), tf.constant([4, 1]), tf.constant([5, 3]))
            made.apply([rows, tf.constant(gradient[1])], weights)
        return [value.numpy() for value in (*weights, *made.variables)]

    ours, keras_own = (trained(getattr(module, name)(**options)) for module in (fused, keras.optimizers))
    for one, other in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6)  # seen: 1e-6, of steps of 0.03
    assert len(calls) == len(steps), "the kernel updates one of the two weights"


def test_only_what_is_named_trains_also_when_the_run_is_resumed(config, tmp_path, monkeypatch):
    """Batch norm included: its statistics stay, which they would not if it were only without a gradient."""
    config = change(config, train_only=["logits", "embed*/kernel"])
    real, calls = run_folder.write_curves, []

    def stop(*args, **kwargs):
        calls.append(1)
        return 1 / 0 if len(calls) == 1 else real(*args, **kwargs)

    monkeypatch.setattr(run_folder, "write_curves", stop)
    with pytest.raises(ZeroDivisionError):
        train(config, tmp_path / "run", progress=False)
    train(config, tmp_path / "run", progress=False)
    (tmp_path / "fresh").mkdir()
    before = {weight.path: weight.numpy() for weight in run_setup.build(config, tmp_path / "fresh").model.weights}
    after = {weight.path: weight.numpy() for weight in load_model(tmp_path / "run" / "last")[0].weights}
    changed = {path for path in before if np.abs(after[path] - before[path]).max() > 0}
    assert changed == {"logits/kernel", "logits/bias", "embedding/kernel"}

    undisturbed = train(config, tmp_path / "undisturbed", progress=False)
    for weight in load_model(undisturbed / "last")[0].weights:
        np.testing.assert_array_equal(weight, after[weight.path])
    assert read_json(undisturbed / "config.json")["train_only"] == ["logits", "embed*/kernel"]


def test_a_pattern_that_matches_nothing_names_what_is_near():
    model = tiny_networks.tiny_clip()
    with pytest.raises(InputError, match="'nrm' matches no layer with weights. Near it are norm"):
        freeze_all_but(model, ["logits", "nrm"])
    with pytest.raises(InputError, match="The layers with weights are features, norm, embedding, logits"):
        freeze_all_but(model, ["zzzz*"])
    assert len(model.trainable_variables) == 8, "an error changes nothing"
    assert freeze_all_but(model, []) == 8
    assert freeze_all_but(model, ["*/gamma"]) == 1 and model.get_layer("norm").trainable


def test_the_lowest_loss_chooses_the_best_epoch_where_it_is_watched(config, tmp_path, monkeypatch, capsys):
    told = [(0.9, 0.5), (0.8, 0.2), (0.95, 0.3), (0.99, 0.4)]
    values = iter(told)

    def validate():
        auc, loss = next(values)
        return {"val_loss": loss, "val_auc": auc, "val_accuracy": 0.5}

    monkeypatch.setattr(validation, "validation", lambda run: validate)
    run = train(change(config, watch="loss", epochs=9, early_stopping_epochs=2), tmp_path / "run")
    assert read_json(run / "result.json")["best_epoch"] == 2
    assert "no better validation loss for 2 epochs" in capsys.readouterr().out


def test_numbers_weigh_the_classes(config, tmp_path):
    assert run_setup.build(change(config, class_weights="4,1"), tmp_path).class_weight == {0: 4.0, 1: 1.0}
    with pytest.raises(InputError, match="has 3 numbers, there are 2 classes"):
        run_setup.build(change(config, class_weights="1,2,3"), tmp_path)


def test_a_warm_up_that_never_ends_is_told(config, tmp_path):
    lines = []
    run_setup.build(change(config, epochs=2, warmup_epochs=8.0, learning_rate=0.01), tmp_path, lines.append)
    assert f"{tmp_path}: the warm-up is longer than the run: learning_rate gets to 25% of 0.01." in lines
    run_setup.build(change(config, epochs=2, warmup_epochs=2.0), tmp_path / "as_long", lines.append)
    assert sum("warm-up" in line for line in lines) == 1


def test_a_run_that_an_older_version_began_has_the_defaults_of_newer_fields(config, tmp_path):
    run = train(change(config, epochs=1), tmp_path / "run", progress=False)
    older = read_json(run / "config.json")
    del older["optimizer"], older["train_only"]
    run_folder.write_json(run / "config.json", older)
    assert train(change(config, epochs=1), run, progress=False) == run
    with pytest.raises(InputError, match="optimizer .'adam' there, 'sgd' now"):
        train(change(config, epochs=1, optimizer="sgd"), run, progress=False)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "rmsprop"}, "optimizer: needs one of .*adamw"),
        ({"weight_decay": 1e-3}, "weight_decay: is not Adam's. Use --optimizer adamw"),
        ({"momentum": 0.9}, "momentum: is SGD's; the optimizer is adam"),
        ({"beta_1": 1.0}, "beta_1: needs a number from 0 on and below 1"),
        ({"epsilon": 0.0}, "epsilon: needs a number above 0"),
        ({"clip_norm": -1.0}, "clip_norm: needs a number above 0"),
        ({"class_weights": "heavy"}, "class_weights: needs balanced, none, or a number"),
        ({"class_weights": "0,0"}, "class_weights: needs balanced"),
        ({"train_only": [""]}, "train_only: needs patterns"),
    ],
)
def test_values_that_mean_nothing_are_refused(config, fields, message):
    with pytest.raises(InputError, match=message):
        change(config, **fields)


def test_a_thumbnail_of_other_frames_names_what_holds_them(config, tmp_path):
    with pytest.raises(
        InputError, match='rows=1, columns=3 would hold them.*{"rows": R, "columns": C}.*--window-frames N'
    ):
        train(change(config, network="tall_swin", data="three"), tmp_path / "run", progress=False)


def test_the_command_line_takes_lists_and_numbers():
    args = ["train", "i3d", "--train-only", "logits, mixed_5*", "--clip-norm", "1", "--class-weights", "4,1"]
    config = read_config(parser().parse_args(args))
    assert (config.train_only, config.clip_norm, config.class_weights) == (["logits", "mixed_5*"], 1.0, "4,1")


@pytest.mark.parametrize(("flags", "expected"), [([], False), ([""], True), (["true"], True), (["False"], False)])
def test_a_flag_that_is_true_or_false(flags, expected):
    given = ["--augment-validation", *filter(None, flags)] if flags else []
    assert read_config(parser().parse_args(["train", "tiny_clip", *given])).augment_validation is expected


def test_a_flag_that_is_neither_true_nor_false_is_refused(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["train", "--augment-validation", "tiny_clip"])
    assert "--augment-validation: needs true or false, got 'tiny_clip'" in capsys.readouterr().err
    with pytest.raises(InputError, match="augment_validation: needs true or false, got 'no'"):
        TrainConfig(augment_validation="no")


def test_validation_is_augmented_where_it_is_asked_for(config, tmp_path, monkeypatch):
    """The same draws in each epoch, and only in what chooses the best one."""
    seen, batches = [], validation.pipeline.validation_batches
    monkeypatch.setattr(
        validation.pipeline, "validation_batches", lambda *args, **how: (seen.append(how), batches(*args, **how))[1]
    )
    for asked, expected in ((True, "flip"), (False, "none")):
        flipped = change(config, augment="flip", augment_validation=asked, seed=5)
        run = run_setup.build(flipped, tmp_path / str(asked))
        first, second = [validate() for validate in [validation.validation(run)] for _ in range(2)]
        assert first == second and (seen[-1]["augment"], seen[-1]["seed"]) == (expected, 5)
