"""Augmentation: nothing at zero strength, one draw for a clip, flow that stays the frames' motion, mixed labels."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from tfdeepfake.data import augment, policies
from tfdeepfake.data.flow import pack_flow, unpack_flow

T, H, W = 3, 32, 48
SEED = tf.constant([3, 7], tf.int64)
CHANGING = sorted(policies.OPERATIONS)
ZERO = {"brightness_contrast": {"brightness": 0.0, "contrast": 0.0}, "noise": {"variance": (0.0, 0.0)},
        "downscale": {"factor": (1.0, 1.0)}, "hue_saturation": {"hue": 0.0, "saturation": 0.0, "value": 0.0},
        "fancy_pca": {"alpha": 0.0}, "shear": {"shear_deg": 0.0}, "pad": {"border": (0.0, 0.0)},
        "shift_scale_rotate": {"shift": 0.0, "scale": 0.0, "rotate_deg": 0.0}}  # fmt: skip


def always(*names, **ranges):
    """Steps that run every time; `ranges` are those of all the names."""
    return tuple((1.0, {name: policies.OPERATIONS[name][1] | ranges}) for name in names)


def run(frames, steps, flow=None, seed=SEED):
    """`augment_example` inside tf.data, as the pipeline calls it; (frames, flow float32 or None) as numpy."""
    example = {"frames": tf.constant(frames)}
    if flow is not None:
        example["flow"], example["flow_max_px"] = map(tf.constant, pack_flow(flow))
    dataset = tf.data.Dataset.from_tensors(example).map(lambda e: augment.augment_example(e, steps, seed))
    out = next(dataset.as_numpy_iterator())
    if flow is None:
        return out["frames"], None
    moved = out["flow"] if out["flow"].dtype == np.float32 else unpack_flow(out["flow"], out["flow_max_px"])
    sign = [-1, 1] if out.get("flip") and "flow_max_px" in out else [1, 1]
    return out["frames"], moved * np.float32(sign)


def picture(seed=0, size=(H, W)):
    """Soft blobs of strong colours: what JPEG and resampling meet in faces, not white noise."""
    rough = np.random.default_rng(seed).integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    return cv2.resize(rough, size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def clip():
    return np.stack([picture(t) for t in range(T)])


@pytest.mark.parametrize("name", ZERO)
def test_no_strength_is_no_change(name, clip):
    flow = np.random.default_rng(1).normal(size=(T, H, W, 2)).astype(np.float32)
    frames, moved = run(clip, always(name, **ZERO[name]), flow)
    np.testing.assert_array_equal(frames, clip)
    np.testing.assert_allclose(moved, unpack_flow(*pack_flow(flow)), atol=1e-5)


@pytest.mark.parametrize("name", CHANGING)
def test_each_operation_alone_changes_every_frame_alike(name):
    """A clip of one picture stays one; frames stay uint8 of their shape; a single frame is treated as in a clip."""
    still = np.repeat(picture()[None], T, axis=0)
    # Seed (3, 7) draws flip; fancy_pca's shift is below one grey level in a pale picture, not in this one.
    steps = always(name) if name != "fancy_pca" else always(name, alpha=1.0)
    frames, _ = run(still, steps)
    assert frames.dtype == np.uint8 and frames.shape == still.shape
    np.testing.assert_array_equal(frames, np.repeat(frames[:1], T, axis=0))
    assert np.abs(frames[0].astype(int) - still[0]).mean() > 0.5
    np.testing.assert_array_equal(run(still[0], steps)[0], frames[0])


@pytest.mark.parametrize("name", sorted(augment.COLOURS))
def test_colours_leave_flow_alone(name, clip):
    flow = np.random.default_rng(1).normal(size=(T, H, W, 2)).astype(np.float32)
    _, kept = run(clip, always(name), flow)
    np.testing.assert_array_equal(kept, unpack_flow(*pack_flow(flow)))


def test_probability_zero_never_runs_and_one_of_runs_one(clip):
    never = tuple((0.0, choices) for _, choices in always(*CHANGING))
    np.testing.assert_array_equal(run(clip, never)[0], clip)
    either = ((1.0, always("grey")[0][1] | always("noise")[0][1]),)
    outcomes = [run(clip, either, seed=tf.constant([0, n], tf.int64))[0] for n in range(12)]
    grey = [bool((f == f[..., :1]).all()) for f in outcomes]
    assert 0 < sum(grey) < len(grey)


def moving_dots(size=96, frames=2, step=(2.0, 1.0)):
    """Soft dots that all move by `step` px a frame, and the flow that is."""
    places = np.random.default_rng(5).uniform(0, size, (60, 2))
    y, x = np.mgrid[:size, :size]
    shown = []
    for t in range(frames):
        at = places + np.multiply(step, t)
        bumps = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / 18) for a, b in at]
        shown.append(np.clip(40 + 190 * np.sum(bumps, axis=0), 0, 255))
    grey = np.stack(shown).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), np.full((frames, size, size, 2), step, np.float32)


def warp_error(frames, flow):
    """Mean grey levels between frame 0 and frame 1 fetched back along the flow, away from the edges."""
    height, width = flow.shape[1:3]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    back = cv2.remap(frames[1], x + flow[1, ..., 0], y + flow[1, ..., 1], cv2.INTER_LINEAR)
    inner = np.s_[height // 4 : -height // 4, width // 4 : -width // 4]
    return np.abs(back.astype(float) - frames[0])[inner].mean()


@pytest.mark.parametrize(
    "steps",
    [
        always("flip"),
        always("shift_scale_rotate", rotate_deg=60.0, scale=0.3),
        always("shear", shear_deg=30.0),
        always("pad", border=(0.1, 0.1)),
        (*always("flip"), *always("shear", shear_deg=20.0), *always("shift_scale_rotate", rotate_deg=40.0)),
    ],
    ids=["flip", "shift_scale_rotate", "shear", "pad", "all"],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_flow_stays_the_motion_of_the_frames(steps, seed):
    """Moved frames fetched back along the moved flow fit; along the flow as it was they do not."""
    frames, flow = moving_dots()
    moved, moved_flow = run(frames, steps, flow, tf.constant([0, seed], tf.int64))
    error = warp_error(moved, moved_flow)
    # Resampling alone costs one or two of the 190 grey levels that a dot stands out by.
    assert error < 2 and error < 0.3 * warp_error(moved, flow)


def test_a_shift_moves_content_by_whole_pixels(clip):
    """Two pixels right and one down, by the matrix alone; black and still flow where nothing came from."""
    matrix = tf.constant([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    moved = augment.resample(tf.cast(clip, tf.float32), matrix).numpy()
    np.testing.assert_allclose(moved[:, 1:, 2:], clip[:, :-1, :-2], atol=1e-2)
    assert not moved[:, 0].any() and not moved[:, :, :2].any()


def test_names():
    assert policies.steps("none") == ()
    assert policies.steps("flip+jpeg") == policies.steps("flip") + policies.steps("jpeg")
    with pytest.raises(ValueError, match="augment needs one of none, p0, p1, flip, .* got 'flip\\+blur'"):
        policies.steps("flip+blur")
    with pytest.raises(ValueError, match="every operation once, got flip twice in 'p0\\+flip'"):
        policies.steps("p0+flip")


def mix(count=64, seed=0, weight=None, flow=False):
    """CutMix on clips of one grey each: example k is all k, its flow all k."""
    values = np.arange(count)
    inputs = {"frames": tf.constant(np.broadcast_to(values[:, None, None, None, None], (count, 2, H, W, 3)), tf.uint8)}
    if flow:
        wide = np.broadcast_to(values[:, None, None, None, None], (count, 2, H, W, 2))
        inputs["flow"] = tf.constant(wide, tf.float32)
    label = tf.constant(values % 3 == 0, tf.float32)[:, None]
    out = augment.cutmix(inputs, label, weight, tf.constant([seed, 1], tf.int64))
    return label.numpy()[:, 0], tf.nest.map_structure(lambda x: x.numpy(), out[0]), out[1].numpy(), out[2]


def test_mixed_labels_are_the_shares_of_the_area():
    label, inputs, mixed, _ = mix(flow=True)
    frames, numbers = inputs["frames"], np.arange(len(label))
    assert frames.dtype == np.uint8 and mixed.shape == (len(label), 1) and mixed.dtype == np.float32
    own = frames == numbers[:, None, None, None, None]
    other = frames == np.roll(numbers, 1)[:, None, None, None, None]
    assert (own | other).all() and (own == own[:, :1]).all()
    np.testing.assert_array_equal(inputs["flow"][..., 0], frames[..., 0])
    share = other.mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(mixed[:, 0], (1 - share) * label + share * np.roll(label, 1), atol=1e-6)
    # Half are left whole; a box is a rectangle.
    assert 0.25 < (share > 0).mean() < 0.75
    for k in np.flatnonzero(share):
        inside = other[k, 0, :, :, 0]
        assert inside.sum() == inside.any(axis=0).sum() * inside.any(axis=1).sum()


def test_weights_mix_by_area_and_the_seed_decides():
    weight = tf.constant(np.random.default_rng(0).uniform(0.5, 2, 64), tf.float32)
    _, inputs, _, mixed = mix(weight=weight)
    share = (inputs["frames"] != np.arange(64)[:, None, None, None, None]).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(mixed, (1 - share) * weight + share * np.roll(weight, 1), atol=1e-5)
    np.testing.assert_array_equal(inputs["frames"], mix(weight=weight)[1]["frames"])
    assert not np.array_equal(inputs["frames"], mix(seed=1)[1]["frames"])
