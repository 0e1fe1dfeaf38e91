"""Optical flow: known motion is measured, storage stays within its bound, colours of images mean directions."""

import cv2
import numpy as np
import pytest

from tfdeepfake.data import flow as flows
from tfdeepfake.vocabulary import FLOW_METHODS


def texture(height, width, seed=0):
    """Smooth random image, uint8 [H, W, 3]."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low) * 255).astype(np.uint8)


@pytest.mark.parametrize("method", FLOW_METHODS)
def test_flow_points_where_the_image_went(method):
    image = texture(80, 120)
    frames = np.stack([image[10:74, 10:106], image[12:76, 7:103], image[12:76, 7:103]])
    flow = flows.optical_flow(frames, method)
    assert flow.shape == (3, 64, 96, 2) and flow.dtype == np.float32
    # The window moved 3 px left and 2 px down over the image: its content moved 3 px right and 2 px up.
    np.testing.assert_allclose(np.median(flow[1], axis=(0, 1)), [3, -2], atol=0.2)
    np.testing.assert_allclose(np.median(flow[2], axis=(0, 1)), 0, atol=0.05)
    np.testing.assert_array_equal(flow[0], flow[1])


def test_one_frame_has_no_motion():
    assert not flows.optical_flow(texture(20, 20)[None]).any()


# OpenCV's DIS kills the process at several of these sizes when it gets them unpadded.
@pytest.mark.parametrize("size", [(1, 1), (11, 40), (12, 12), (13, 17), (15, 192), (192, 9), (20, 1000), (1000, 20)])
@pytest.mark.parametrize("method", FLOW_METHODS)
def test_any_frame_size_works(size, method):
    frames = np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    flow = flows.optical_flow(frames, method)
    assert flow.shape == (2, *size, 2) and np.isfinite(flow).all()


@pytest.mark.parametrize(
    "frames", [np.zeros((2, 8, 8, 3), np.float32), np.zeros((8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8)]
)
def test_other_frames_are_refused(frames):
    with pytest.raises(ValueError, match="frames needs uint8"):
        flows.optical_flow(frames)


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'dis', 'farneback'.*'tvl1'"):
        flows.optical_flow(texture(20, 20)[None], "tvl1")


@pytest.mark.parametrize("largest_px", [0.0, 1e-6, 0.3, 12.0, 5e4, 1e30])
def test_storage_error_stays_within_its_bound(largest_px):
    rng = np.random.default_rng(3)
    flow = rng.uniform(-1, 1, (4, 10, 14, 2)).astype(np.float32) ** 3 * np.float32(largest_px)
    flow[1] *= 0.01  # each map has its own scale
    flow[2, 0, 0] = -largest_px, largest_px
    packed, max_px = flows.pack_flow(flow)
    assert packed.shape == (4, 20, 14, 1) and packed.dtype == np.uint8 and max_px.dtype == np.float32
    error = np.abs(flows.unpack_flow(packed, max_px) - flow).max(axis=(1, 2, 3))
    # 1e-5: four float32 roundings of the value.
    assert (error <= max_px * flows.ERROR_FRAC * (1 + 1e-5)).all()
    assert flows.ERROR_FRAC == 1 / 254


def test_u_lies_above_v_and_zero_is_exact():
    flow = np.zeros((1, 4, 6, 2), np.float32)
    flow[..., 0] = 2.0
    packed, max_px = flows.pack_flow(flow)
    assert (packed[0, :4] == 255).all() and (packed[0, 4:] == 128).all() and max_px[0] == 2
    np.testing.assert_array_equal(flows.unpack_flow(packed, max_px), flow)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_flow_that_is_not_finite_is_refused(bad):
    flow = np.zeros((1, 4, 4, 2), np.float32)
    flow[0, 1, 2, 0] = bad
    with pytest.raises(ValueError, match="finite.*1 NaN"):
        flows.pack_flow(flow)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[..., H, W, 2\]"):
        flows.pack_flow(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="one max_px per map"):
        flows.unpack_flow(np.zeros((2, 8, 4, 1), np.uint8), np.ones(3))


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_tf_data_unpacks_as_numpy_does(lead):
    import tensorflow as tf

    packed, max_px = flows.pack_flow(np.random.default_rng(5).normal(0, 4, (*lead, 6, 8, 2)).astype(np.float32))
    data = tf.data.Dataset.from_tensors((packed, max_px)).map(flows.unpack_flow_ops)
    assert data.element_spec.shape == (*lead, 6, 8, 2)
    np.testing.assert_allclose(next(iter(data)).numpy(), flows.unpack_flow(packed, max_px), rtol=1e-6)


def test_image_shows_direction_by_hue_and_speed_by_strength():
    flow = np.zeros((2, 2, 2), np.float32)
    flow[0, 1], flow[1, 0], flow[1, 1] = (4, 0), (-4, 0), (2, 0)
    image = flows.flow_image(flow, max_px=4)
    np.testing.assert_array_equal(image[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(image[0, 1], [255, 0, 0])
    np.testing.assert_array_equal(image[1, 0], [0, 255, 255])
    np.testing.assert_array_equal(image[1, 1], [255, 128, 128])


def test_a_still_clip_is_white_by_its_own_greatest_motion():
    assert (flows.flow_image(np.zeros((2, 2, 2), np.float32), max_px=0.0) == 255).all()


def test_noise_in_a_still_scene_stays_pale():
    flow = np.random.default_rng(7).normal(0, 0.02, (16, 16, 2)).astype(np.float32)
    assert flows.flow_image(flow).min() > 225
