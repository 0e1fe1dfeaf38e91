"""Test-time augmentation: the mean over an input and its mirror image, whose flow has changed sign."""

import keras
import numpy as np
import pytest

from tfdeepfake.errors import InputError
from tfdeepfake.scoring import tta
from tfdeepfake.verdict import inference

T, H, W = 3, 4, 6


@pytest.fixture(scope="module")
def model():
    """logit = what is on the left, plus how fast it moves right and down: a network that no mirror leaves alone."""
    frames = keras.Input((T, H, W, 3), name="frames")
    flow = keras.Input((T, H, W, 2), name="flow")
    left = keras.ops.mean(keras.ops.cast(frames, "float32")[:, :, :, :2], axis=(1, 2, 3, 4)) / 255
    right, down = (keras.ops.mean(flow[..., k], axis=(1, 2, 3)) for k in (0, 1))
    return keras.Model({"frames": frames, "flow": flow}, (left + right + 2 * down)[:, None])


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return {
        "frames": rng.integers(0, 256, (5, T, H, W, 3), dtype=np.uint8),
        "flow": rng.normal(size=(5, T, H, W, 2)).astype(np.float32),
    }


def test_the_mirror_image_shows_right_as_left_and_its_mirror_image_is_the_input(batch):
    mirrored = tta.mirrored(batch)
    np.testing.assert_array_equal(mirrored["frames"][:, :, :, 0], batch["frames"][:, :, :, -1])
    np.testing.assert_array_equal(mirrored["flow"][:, :, :, 0], batch["flow"][:, :, :, -1] * np.float32([-1, 1]))
    for name, values in tta.mirrored(mirrored).items():
        np.testing.assert_array_equal(values, batch[name])
        assert values.dtype == batch[name].dtype
    assert set(tta.mirrored({"frames": batch["frames"]})) == {"frames"}


def test_flip_is_the_mean_logit_and_says_the_same_of_both(model, batch):
    sides = batch["frames"][:, :, :, [0, 1, -2, -1]].mean(axis=(1, 2, 3, 4)) / 255
    down = batch["flow"][..., 1].mean(axis=(1, 2, 3))
    logits = tta.predict_logits(model, batch, "flip")
    assert logits.shape == (5, 1) and logits.dtype == np.float32
    np.testing.assert_allclose(logits[:, 0], sides + 2 * down, atol=1e-5)
    np.testing.assert_allclose(tta.predict_logits(model, tta.mirrored(batch), "flip"), logits, atol=1e-6)
    plain = tta.predict_logits(model, batch)
    np.testing.assert_array_equal(plain, model.predict_on_batch(batch))
    assert np.abs(plain - logits).max() > 1e-2
    with pytest.raises(ValueError, match="tta needs one of"):
        tta.predict_logits(model, batch, "five")


def test_p1_views_are_the_same_in_any_batch_and_each_another(batch):
    frames = {"frames": batch["frames"]}
    views = [tta.drawn(frames, view)["frames"] for view in range(tta.P1_VIEWS)]
    for number, view in enumerate(views):
        assert view.dtype == np.uint8 and view.shape == batch["frames"].shape
        np.testing.assert_array_equal(tta.drawn({"frames": batch["frames"][3:4]}, number)["frames"][0], view[3])
    assert len({view.tobytes() for view in views}) == len(views)
    still = {"frames": batch["frames"][:, 0]}
    assert tta.drawn(still, 0)["frames"].shape == still["frames"].shape
    with pytest.raises(InputError, match="tta: p1 changes frames alone, and this network reads flow"):
        tta.drawn(batch, 0)


def test_p1_is_the_mean_over_the_input_and_its_views(batch):
    frames = keras.Input((T, H, W, 3), name="frames")
    bright = keras.Model(
        {"frames": frames}, keras.ops.mean(keras.ops.cast(frames, "float32"), axis=(1, 2, 3, 4))[:, None]
    )
    given = {"frames": batch["frames"]}
    views = [given, *(tta.drawn(given, view) for view in range(tta.P1_VIEWS))]
    expected = np.mean([view["frames"].mean(axis=(1, 2, 3, 4)) for view in views], axis=0)
    np.testing.assert_allclose(tta.predict_logits(bright, given, "p1")[:, 0], expected, rtol=1e-4)


def test_verdicts_use_it(model, batch):
    rows = list(zip(batch["frames"], batch["flow"], strict=True))
    expected = tta.predict_logits(model, batch, "flip")[:, 0]
    np.testing.assert_allclose(inference.score(model, rows, 4, tta="flip"), expected, atol=1e-6)
