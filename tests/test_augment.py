"""Augmentation: nothing at zero strength, one draw for a clip, flow that stays the frames' motion, mixed labels."""

import cv2
import numpy as np
import pytest

from tfdeepfake.data.batches import augment, augment_policies
from tfdeepfake.data.flow import pack_flow, unpack_flow

T, H, W = 3, 32, 48
CHANGING = sorted(augment_policies.OPERATIONS)
ZERO = {"brightness_contrast": {"brightness": 0.0, "contrast": 0.0}, "noise": {"variance": (0.0, 0.0)},
        "downscale": {"factor": (1.0, 1.0)}, "hue_saturation": {"hue": 0.0, "saturation": 0.0, "value": 0.0},
        "fancy_pca": {"alpha": 0.0}, "shear": {"shear_deg": 0.0}, "pad": {"border": (0.0, 0.0)},
        "shift_scale_rotate": {"shift": 0.0, "scale": 0.0, "rotate_deg": 0.0}}  # fmt: skip


def always(*names, **ranges):
    """Steps that run every time; `ranges` are those of all the names."""
    return tuple((1.0, {name: augment_policies.OPERATIONS[name][1] | ranges}) for name in names)


def run(frames, steps, flow=None, seed=3):
    """(frames, flow float32 or None) of `augment`, as the pipeline has them in the end."""
    packed, max_px = pack_flow(flow) if flow is not None else ((), None)
    changed, turn = augment.augment(frames, packed, steps, np.random.default_rng(seed))
    if flow is None:
        return changed[0], None
    return changed[0], unpack_flow(changed[1], max_px) @ turn.T


def image(seed=0, size=(H, W)):
    """Soft blobs of strong colours: what JPEG and resampling meet in faces, not white noise."""
    rough = np.random.default_rng(seed).integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    return cv2.resize(rough, size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def clip():
    return np.stack([image(t) for t in range(T)])


@pytest.mark.parametrize("name", ZERO)
def test_no_strength_is_no_change(name, clip):
    flow = np.random.default_rng(1).normal(size=(T, H, W, 2)).astype(np.float32)
    frames, moved = run(clip, always(name, **ZERO[name]), flow)
    np.testing.assert_array_equal(frames, clip)
    np.testing.assert_allclose(moved, unpack_flow(*pack_flow(flow)), atol=1e-5)


@pytest.mark.parametrize("name", CHANGING)
def test_each_operation_alone_changes_every_frame_alike(name):
    """A clip of one image stays one; frames stay uint8 of their shape; a single frame is treated as in a clip."""
    still = np.repeat(image()[None], T, axis=0)
    # fancy_pca's shift is below one grey level in a pale image, not in this one.
    steps = always(name) if name != "fancy_pca" else always(name, alpha=1.0)
    frames, _ = run(still, steps)
    assert frames.dtype == np.uint8 and frames.shape == still.shape
    np.testing.assert_array_equal(frames, np.repeat(frames[:1], T, axis=0))
    assert np.abs(frames[0].astype(int) - still[0]).mean() > 0.5
    np.testing.assert_array_equal(run(still[:1], steps)[0], frames[:1])
    np.testing.assert_array_equal(run(list(still), steps)[0], frames)


@pytest.mark.parametrize("name", sorted(augment.COLOURS))
def test_colours_leave_flow_alone(name, clip):
    flow = np.random.default_rng(1).normal(size=(T, H, W, 2)).astype(np.float32)
    _, unchanged = run(clip, always(name), flow)
    np.testing.assert_array_equal(unchanged, unpack_flow(*pack_flow(flow)))


def test_probability_zero_never_runs_and_one_of_runs_one(clip):
    never = tuple((0.0, choices) for _, choices in always(*CHANGING))
    np.testing.assert_array_equal(run(clip, never)[0], clip)
    either = ((1.0, always("grey")[0][1] | always("noise")[0][1]),)
    outcomes = [run(clip, either, seed=n)[0] for n in range(12)]
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
    moved, moved_flow = run(frames, steps, flow, seed)
    error = warp_error(moved, moved_flow)
    # Resampling alone costs one or two of the 190 grey levels that a dot stands out by.
    assert error < 2 and error < 0.3 * warp_error(moved, flow)


def applied(changes, image):
    for change in changes:
        image = change(image)
    return image


def test_a_shift_moves_content_by_whole_pixels(clip):
    """Two pixels right and one down, by the matrix alone; the border where nothing came from."""
    move = np.float32([[1, 0, 2], [0, 1, 1], [0, 0, 1]])
    moved = applied(augment.resampling(move, (H, W), (H, W), border=9), clip[0])
    np.testing.assert_array_equal(moved[1:, 2:], clip[0, :-1, :-2])
    assert (moved[0] == 9).all() and (moved[:, :2] == 9).all()


@pytest.mark.parametrize("move", [None, augment.MIRROR, np.float32([[0.8, -0.6, 3], [0.6, 0.8, 1], [0, 0, 1]])])
def test_one_resample_is_enlarging_and_moving_one_after_the_other(move):
    """A shrunk image, enlarged by the look-up that moves it: but for the edges, what two resamples give."""
    small = cv2.resize(image(size=(64, 96)), (60, 40))
    large = cv2.resize(small, (96, 64))
    at_once = applied(augment.resampling(move, (64, 96), (40, 60)), small)
    twice = applied(augment.resampling(move, (64, 96), (64, 96)), large)
    assert at_once.shape == twice.shape == (64, 96, 3)
    error = np.abs(at_once.astype(int) - twice)[8:-8, 8:-8]
    # Bilinear of bilinear differs where the image bends; a quarter of a pixel off would be 2.6 on average.
    assert error.mean() < 1


def test_steps_run_in_their_order():
    """Grey noise after the colours were taken away is coloured; before, it is grey with the rest."""
    still = np.full((1, H, W, 3), 128, np.uint8)
    assert np.ptp(run(still, always("grey", "noise"))[0], axis=-1).any()
    assert not np.ptp(run(still, always("noise", "grey"))[0], axis=-1).any()
    # What moves before noise leaves its border black only until the noise comes.
    border = (*always("pad", border=(0.1, 0.1)), *always("noise", variance=(50.0, 50.0)))
    assert run(still, border)[0][0, 0].any() and not run(still, border[::-1])[0][0, 0].any()


def test_neighbouring_colours_are_one_matrix():
    """As one after the other, where nothing is cut."""
    frames = np.uint8(image()[None] // 2 + 60)
    steps = (
        *always("brightness_contrast", brightness=(0.05, 0.05), contrast=(0.1, 0.1)),
        *always("hue_saturation", hue=(0.05, 0.05), saturation=(0.1, 0.1), value=(-0.1, -0.1)),
    )
    assert len(augment._drawn(frames, steps, np.random.default_rng(0))[0]) == 1
    one_by_one = run(run(frames, steps[:1])[0], steps[1:])[0]
    assert 0 < one_by_one.min() and one_by_one.max() < 255
    assert np.abs(run(frames, steps)[0].astype(int) - one_by_one).max() <= 1  # rounded once instead of twice


def test_hue_turns_chroma_and_leaves_luma(clip):
    turned, _ = run(clip, always("hue_saturation", hue=0.2, saturation=0.0, value=0.0))
    # Where nothing was cut to 0..255.
    whole = ((turned > 0) & (turned < 255)).all(axis=-1)
    luma = [(frames @ augment.TO_YIQ[0])[whole] for frames in (clip.astype(np.float32), turned.astype(np.float32))]
    assert whole.mean() > 0.3 and np.abs(luma[0] - luma[1]).max() < 2
    assert np.abs(clip.astype(int) - turned)[whole].mean() > 5


def test_noise_has_the_variance_it_is_asked_for():
    still = np.full((2, 128, 128, 3), 128, np.uint8)
    noisy, _ = run(still, always("noise", variance=(40.0, 40.0)))
    grain = noisy[0].astype(float) - 128
    # Rounding to grey levels adds a twelfth; 49,152 draws hold it to 1 %.
    assert grain.var() == pytest.approx(40 + 1 / 12, rel=0.05) and abs(grain.mean()) < 0.1


def test_names():
    assert augment_policies.steps("none") == ()
    assert augment_policies.steps("flip+jpeg") == augment_policies.steps("flip") + augment_policies.steps("jpeg")
    with pytest.raises(ValueError, match="augment needs one of none, p0, p1, flip, .* got 'flip\\+blur'"):
        augment_policies.steps("flip+blur")
    with pytest.raises(ValueError, match="every operation once, got flip twice in 'p0\\+flip'"):
        augment_policies.steps("p0+flip")


def mix(count=64, seed=0, weight=None, flow=False):
    """CutMix on clips of one grey each: example k is all k, its flow all k."""
    values = np.arange(count)
    wide = values[:, None, None, None, None]
    frames = np.broadcast_to(wide, (count, 2, H, W, 3)).astype(np.uint8)
    maps = np.broadcast_to(wide, (count, 2, H, W, 2)).astype(np.float32) if flow else None
    label = np.float32(values % 3 == 0)[:, None]
    return label[:, 0], *augment.cutmix(frames, maps, label, weight, np.random.default_rng(seed))


def test_mixed_labels_are_the_fractions_of_the_area():
    label, frames, flow, mixed, weight = mix(flow=True)
    numbers = np.arange(len(label))
    assert weight is None
    assert frames.dtype == np.uint8 and mixed.shape == (len(label), 1) and mixed.dtype == np.float32
    own = frames == numbers[:, None, None, None, None]
    other = frames == np.roll(numbers, 1)[:, None, None, None, None]
    assert (own | other).all() and (own == own[:, :1]).all()
    np.testing.assert_array_equal(flow[..., 0], frames[..., 0])
    fraction = other.mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(mixed[:, 0], (1 - fraction) * label + fraction * np.roll(label, 1), atol=1e-6)
    # Half are left whole; a box is a rectangle.
    assert 0.25 < (fraction > 0).mean() < 0.75
    for k in np.flatnonzero(fraction):
        inside = other[k, 0, :, :, 0]
        assert inside.sum() == inside.any(axis=0).sum() * inside.any(axis=1).sum()


def test_the_fraction_of_mixed_examples_is_chosen():
    frames = np.broadcast_to(np.arange(64)[:, None, None, None], (64, H, W, 3)).astype(np.uint8)
    label = np.zeros((64, 1), np.float32)
    for probability, least, most in ((1.0, 0.8, 1.0), (0.1, 0.0, 0.3)):
        mixed = augment.cutmix(frames, None, label, None, np.random.default_rng(0), probability)[0]
        assert least <= (mixed != frames).any(axis=(1, 2, 3)).mean() <= most


def test_weights_mix_by_area_and_the_seed_decides():
    weight = np.random.default_rng(0).uniform(0.5, 2, 64).astype(np.float32)
    _, frames, flow, _, mixed = mix(weight=weight)
    fraction = (frames != np.arange(64)[:, None, None, None, None]).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(mixed, (1 - fraction) * weight + fraction * np.roll(weight, 1), atol=1e-5)
    assert flow is None
    np.testing.assert_array_equal(frames, mix(weight=weight)[1])
    assert not np.array_equal(frames, mix(seed=1)[1])
