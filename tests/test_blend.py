"""Self-blended faces: what may change and what may not, on synthetic textures with landmarks that move."""

import numpy as np
import pytest

from tfdeepfake.data.blend import MEAN_FACE, REGIONS, contact_sheet, draw_mask, face_maps, self_blend

SIZE = 96


def face(seed=0, count=4, still=False, eyes_px=22.0, size=SIZE):
    """(uint8 [T, size, size, 3] smooth random texture, landmarks float32 [T, 5, 2] of a face that moves and turns)."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 226, (count, 12, 12, 3), np.uint8)
    frames = np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in coarse])
    angles, shifts = rng.uniform(-0.3, 0.3, count), rng.uniform(-4, 4, (count, 2))
    turns = np.array([[[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in angles])
    landmarks = (MEAN_FACE - [0, 0.5]) * eyes_px @ np.swapaxes(turns, 1, 2) + size / 2 + shifts[:, None]
    if still:
        frames, landmarks = np.repeat(frames[:1], count, 0), np.repeat(landmarks[:1], count, 0)
    return frames, landmarks.astype(np.float32)


@pytest.mark.parametrize("region", [None, *REGIONS])
def test_only_the_inside_of_the_mask_changes(region):
    for seed in range(12):
        frames, landmarks = face(seed)
        before = frames.copy()
        blended, mask = self_blend(frames, landmarks, np.random.default_rng(seed), region)
        np.testing.assert_array_equal(frames, before)
        assert blended.shape == frames.shape and blended.dtype == np.uint8
        assert mask.shape == frames.shape[:3] and mask.dtype == np.float32
        assert mask.min() == 0 and 0 < mask.max() <= 1
        np.testing.assert_array_equal(blended[mask == 0], frames[mask == 0])
        change = np.abs(blended.astype(int) - frames)
        assert change[mask > 0].mean() >= 1
        # A blend of two images of one face, not another image.
        assert change[mask > 0].mean() < 60


def test_the_mask_covers_the_face_and_follows_it():
    covered = {"face": [0, 1, 2, 3, 4], "lower": [3, 4], "inner": [2]}
    for region, points in covered.items():
        for seed in range(8):
            frames, landmarks = face(seed)
            _, mask = self_blend(frames, landmarks, np.random.default_rng(seed), region)
            full = mask.max()
            for one, marks in zip(mask, landmarks, strict=True):
                x, y = np.rint(marks[points]).astype(int).T
                assert (one[y, x] > 0.4 * full).all(), (region, seed)
                if region == "lower":
                    x, y = np.rint(marks[:2]).astype(int).T
                    assert (one[y, x] < 0.3 * full).all()
            # Far from the face nothing is pasted.
            assert not mask[:, :4].any() and not mask[:, :, :4].any() and not mask[:, :, -4:].any()


def test_the_mask_moves_as_the_landmarks_do():
    frames, landmarks = face(3, still=True)
    moved = landmarks + np.float32([[[0, 0]], [[5, 0]], [[0, -6]], [[3, 4]]])
    _, mask = self_blend(frames, moved, np.random.default_rng(1))
    for t, (dx, dy) in enumerate([(0, 0), (5, 0), (0, -6), (3, 4)]):
        np.testing.assert_allclose(np.roll(mask[0], (dy, dx), (0, 1)), mask[t], atol=1e-3)


def test_one_draw_for_a_clip():
    frames, landmarks = face(5, count=6, still=True)
    blended, mask = self_blend(frames, landmarks, np.random.default_rng(2))
    assert (blended == blended[:1]).all() and (mask == mask[:1]).all()
    slipping, same = self_blend(frames, landmarks, np.random.default_rng(2), drift=0.1)
    np.testing.assert_array_equal(same, mask)
    assert (slipping != slipping[:1]).any()


def test_the_seed_decides():
    frames, landmarks = face(7)
    first = self_blend(frames, landmarks, np.random.default_rng(4))
    again = self_blend(frames, landmarks, np.random.default_rng(4))
    other = self_blend(frames, landmarks, np.random.default_rng(5))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[0] != other[0]).any() and (first[1] != other[1]).any()


def test_ratios_and_regions_are_all_drawn():
    frames, landmarks = face(9, count=1)
    heights = [self_blend(frames, landmarks, np.random.default_rng(n), "face")[1].max() for n in range(60)]
    assert set(np.round(4 * np.array(heights)).astype(int)) == {1, 2, 3, 4}
    # Half of the ratios are 1.
    assert 0.3 < np.mean(np.array(heights) > 0.9) < 0.7
    areas = [draw_mask(np.random.default_rng(n)).mean() for n in range(40)]
    assert np.std(areas) > 0.1 * np.mean(areas)


def test_maps_take_the_mean_face_to_the_landmarks():
    _, landmarks = face(11, count=8)
    maps = face_maps(landmarks)
    np.testing.assert_allclose(MEAN_FACE @ np.swapaxes(maps[..., :2], 1, 2) + maps[:, None, :, 2], landmarks, atol=1e-3)
    # A profile, and one whose points lie on a line, keep an outline of some width.
    profile = landmarks * [0.1, 1]
    s = np.linalg.svd(face_maps(profile)[..., :2], compute_uv=False)
    assert (s[:, 1] >= 0.6 * s[:, 0] - 1e-9).all()


def test_what_is_wrong_is_said():
    frames, landmarks = face(0)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="frames needs uint8"):
        self_blend(frames.astype(np.float32), landmarks, rng)
    with pytest.raises(ValueError, match="landmarks_px needs finite"):
        self_blend(frames, landmarks[:2], rng)
    with pytest.raises(ValueError, match="landmarks_px needs finite"):
        self_blend(frames, landmarks * np.nan, rng)
    with pytest.raises(ValueError, match="region needs one of"):
        self_blend(frames, landmarks, rng, "hair")
    with pytest.raises(ValueError, match="a face inside the frames"):
        self_blend(frames, landmarks + 1000, rng)


def test_a_contact_sheet():
    frames, landmarks = face(1)
    sheet = contact_sheet(frames, landmarks, draws=2, columns=3, cell_px=SIZE)
    assert sheet.shape == (2 * SIZE, 7 * SIZE, 3)
    np.testing.assert_array_equal(sheet[:SIZE, :SIZE], frames[0])
