"""Losses: values by hand, gradients where they must be, and one device's gradient under two replicas."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from tfdeepfake import losses

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, (32, 1)).astype(np.float32)
LOGITS = RNG.normal(0, 3, (32, 1)).astype(np.float32)


def values(loss, labels=LABELS, logits=LOGITS):
    return keras.ops.convert_to_numpy(loss(labels, logits))


def gradient(loss, labels, logits):
    import tensorflow as tf

    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_mean(loss(labels, logits))
    return tape.gradient(total, logits).numpy()


def test_bce_is_log_loss():
    got = values(losses.bce)
    assert got.shape == (32,) and got.dtype == np.float32
    assert got.mean() == pytest.approx(
        log_loss(LABELS[:, 0], 1 / (1 + np.exp(-LOGITS[:, 0].astype(np.float64)))), rel=1e-5
    )


def test_bce_stays_finite_for_huge_logits():
    got = values(losses.bce, np.float32([[1], [0], [1], [0]]), np.float32([[1e4], [1e4], [-1e4], [-1e4]]))
    np.testing.assert_allclose(got, [0, 1e4, 1e4, 0])
    assert np.isfinite(gradient(losses.bce, np.float32([[1], [0]]), np.float32([[-1e4], [1e4]]))).all()


def test_f1_of_sure_scores_is_macro_f1():
    hard = np.where(LOGITS > 0, 100, -100).astype(np.float32)
    got = values(losses.f1, LABELS, hard)
    assert got.shape == (32,) and np.ptp(got) == 0
    assert got[0] == pytest.approx(1 - f1_score(LABELS[:, 0], hard[:, 0] > 0, average="macro"), abs=1e-5)


def test_f1_treats_both_classes_alike():
    np.testing.assert_allclose(values(losses.f1, 1 - LABELS, -LOGITS), values(losses.f1), rtol=1e-5)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_f1_has_a_gradient_on_a_batch_of_one_class(label):
    labels = np.full((4, 1), label, np.float32)
    slope = gradient(losses.f1, labels, LOGITS[:4])
    assert (slope * (1 - 2 * label) > 0).all(), "the loss must fall when every score moves towards its label"


def test_bce_f1_weighs_its_parts():
    got = values(losses.get("bce_f1", alpha=0.5, beta=2.0))
    np.testing.assert_allclose(got, 0.5 * values(losses.bce) + 2 * values(losses.f1), rtol=1e-6)
    np.testing.assert_array_equal(values(losses.get("bce")), values(losses.bce))


OF_NUMBERS = [losses.get(name, alpha=0.5, beta=2.0, margin=0.7) for name in losses.LOSSES]


@pytest.mark.parametrize("loss", [*OF_NUMBERS, losses.f1, losses.f1_fake, losses.triplet])
def test_a_keras_file_of_a_compiled_network_holds_its_loss(loss, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", loss)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x, labels = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32), np.float32([[1], [0]] * 3)
    expected = values(loss, labels, model(x)).mean()
    assert again.evaluate(x, labels, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_another_process_reads_it_with_the_networks_alone_imported(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", losses.get("bce_f1"))
    model.save(tmp_path / "model.keras")
    code = f"import keras; from tfdeepfake import models; keras.saving.load_model({str(tmp_path / 'model.keras')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_f1_of_fake_alone_is_that_of_the_paper():
    hard = np.where(LOGITS > 0, 100, -100).astype(np.float32)
    assert values(losses.f1_fake, LABELS, hard)[0] == pytest.approx(
        1 - f1_score(LABELS[:, 0], hard[:, 0] > 0), abs=1e-5
    )
    got = values(losses.get("bce_f1_fake", alpha=0.5, beta=2.0))
    np.testing.assert_allclose(got, 0.5 * values(losses.bce) + 2 * values(losses.f1_fake), rtol=1e-6)
    assert values(losses.f1_fake)[0] != pytest.approx(values(losses.f1)[0], abs=1e-3), "two losses, two names"
    assert not gradient(losses.f1_fake, np.zeros((4, 1), np.float32), LOGITS[:4]).any(), "flat without fakes"


def test_cross_entropy_takes_numbers_and_fractions_of_classes():
    logits, labels = RNG.normal(0, 3, (32, 4)).astype(np.float32), RNG.integers(0, 4, (32, 1)).astype(np.float32)
    probabilities = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum(1, keepdims=True)
    got = values(losses.ce, labels, logits)
    assert got.shape == (32,) and got.mean() == pytest.approx(log_loss(labels[:, 0], probabilities), rel=1e-5)
    one_hot = np.eye(4, dtype=np.float32)[labels[:, 0].astype(int)]
    np.testing.assert_allclose(values(losses.ce, one_hot, logits), got, rtol=1e-6)
    halves = 0.5 * one_hot + 0.5 * np.roll(one_hot, 1, axis=1)
    np.testing.assert_allclose(
        values(losses.ce, halves, logits),
        0.5 * got + 0.5 * values(losses.ce, np.roll(one_hot, 1, axis=1), logits),
        rtol=1e-5,
    )
    fractions, pair = RNG.uniform(size=(32, 1)).astype(np.float32), logits[:, :2]
    expected = values(losses.bce, fractions, pair[:, 1:] - pair[:, :1])
    np.testing.assert_allclose(values(losses.ce, fractions, pair), expected, rtol=1e-4, atol=1e-6)


def test_triplets_are_pulled_together_and_pushed_apart():
    rows = RNG.normal(size=(12, 5)).astype(np.float32)
    got = values(losses.get("triplet", margin=0.7), None, rows)
    anchor, positive, negative = rows.reshape(4, 3, 5).transpose(1, 0, 2)
    expected = np.linalg.norm(anchor - positive, axis=1) - np.linalg.norm(anchor - negative, axis=1) + 0.7
    assert got.shape == (12,) and (expected > 0).any() and (expected < 0).any()
    np.testing.assert_allclose(got, np.repeat(np.maximum(expected, 0), 3), atol=1e-5)
    slope = gradient(losses.get("triplet"), None, np.zeros((3, 5), np.float32))
    assert np.isfinite(slope).all(), "three equal embeddings, as a network may begin with"
    for bad in (rows[:, :, None], rows[:4]):
        with pytest.raises(ValueError, match=r"needs \[3 N, C\]"):
            losses.triplet(None, bad)
    with pytest.raises(ValueError, match="margin needs to be above 0"):
        losses.get("triplet", margin=0.0)


def test_labels_may_be_integers_without_axis_and_logits_half():
    got = values(losses.get("bce_f1"), LABELS[:, 0].astype(np.int64), LOGITS.astype(np.float16))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, values(losses.get("bce_f1")), rtol=1e-2, atol=1e-3)  # float16 logits


def test_keras_weights_the_elements_by_class():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones", name="logits")])
    model.compile("sgd", losses.get("bce_f1"))
    weights = np.where(LABELS[:, 0] == 1, 0.6, 1.8).astype(np.float32)
    got = model.evaluate(LOGITS, LABELS, sample_weight=weights, batch_size=32, verbose=0)
    assert got == pytest.approx((values(losses.get("bce_f1")) * weights).mean(), rel=1e-5)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="loss needs one of.*'focal'"):
        losses.get("focal")
    with pytest.raises(ValueError, match="alpha and beta need to be 0 or more, got -1"):
        losses.get("bce_f1", alpha=-1)
    with pytest.raises(ValueError, match=r"logits needs \[B, 1\].*\(32, 2\)"):
        losses.bce(LABELS, np.zeros((32, 2), np.float32))


# F1 of a batch is not the mean of F1 over its halves, so a loss that forgets the other replica fails here.
REPLICAS = """
import sys
import numpy as np
import tensorflow as tf
devices = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from tfdeepfake import losses
from tfdeepfake.layers.graph_reasoning import SemanticConsistency

rng = np.random.default_rng(0)
vectors = rng.normal(size=(8, 5)).astype(np.float32)
maps = rng.normal(size=(8, 4, 4, 3)).astype(np.float32)
y = np.float32([1, 1, 1, 1, 1, 0, 0, 0])[:, None]  # halves of unlike balance
w = np.where(y[:, 0] == 1, 0.6, 1.8).astype(np.float32)

def f1_layers():
    return [keras.Input((5,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]

def class_layers():
    return [keras.Input((5,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(3)]

def embedding_layers():
    return [keras.Input((5,)), keras.layers.Dense(4, "tanh")]

def consistency_layers():
    own = SemanticConsistency(alpha=0.5)
    pool = keras.layers.GlobalAveragePooling2D()
    return [keras.Input((4, 4, 3)), keras.layers.Dense(4), own, pool, keras.layers.Dense(1)]

def step(strategy, layers, x, y, loss):
    with strategy.scope():
        keras.utils.set_random_seed(3)
        model = keras.Sequential(layers())
        # A step of plain SGD at rate 1 is minus the gradient.
        model.compile(keras.optimizers.SGD(1.0), losses.get(loss, 0.5, 2.0), jit_compile=False)
    before = model.get_weights()
    batch = tf.data.Dataset.from_tensors((x, y, w[: len(x)])).unbatch().batch(len(x))
    loss = model.fit(batch, verbose=0).history["loss"][0]
    return loss, [b - a for b, a in zip(before, model.get_weights())]

two_devices = tf.distribute.MirroredStrategy(
    ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
)
assert two_devices.num_replicas_in_sync == 2
classes = np.float32([0, 1, 2, 2, 1, 0, 0, 2])[:, None]
for loss, layers, x, labels in (
    ("bce_f1", f1_layers, vectors, y),
    ("bce_f1_fake", f1_layers, vectors, y),
    ("bce_f1", consistency_layers, maps, y),
    ("ce", class_layers, vectors, classes),
    ("triplet", embedding_layers, vectors[:6], y[:6]),
):
    one_loss, one = step(tf.distribute.OneDeviceStrategy("/cpu:0"), layers, x, labels, loss)
    two_loss, two = step(two_devices, layers, x, labels, loss)
    assert max(np.abs(g).max() for g in one) > 0.05
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)  # float32 sums in another order
    np.testing.assert_allclose(two_loss, one_loss, rtol=1e-5)
    print("equal", loss, layers.__name__, one_loss)
"""


def test_two_replicas_take_the_gradient_of_one_device():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], capture_output=True, text=True, cwd=Path(losses.__file__).parents[1]
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("equal") == 5
