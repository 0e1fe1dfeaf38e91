"""Masks are cut out of the same frames and squares as the examples."""

import numpy as np
import pytest
from support.media import moving_frames

from tfdeepfake.data import faces, video
from tfdeepfake.data.examples import extract
from tfdeepfake.data.masks import mask_crops
from tfdeepfake.recipe import DataRecipe

LOSSLESS = {"codec": "libx264rgb", "crf": 0, "pix_fmt": "rgb24"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A video, and a video of its red channel as its mask: what is cut out of both must agree to the last bit."""
    folder, frames = tmp_path_factory.mktemp("masks"), moving_frames(40)
    video.write_video(folder / "video.mp4", frames, 25, **LOSSLESS)
    video.write_video(folder / "mask.mp4", np.repeat(frames[..., :1], 3, axis=-1), 25, **LOSSLESS)
    video.write_video(folder / "short.mp4", frames[:20], 25, **LOSSLESS)
    video.write_video(folder / "other.mp4", frames[:, :, :64], 25, **LOSSLESS)
    half = [faces.resize(frame, 48, 64) for frame in np.repeat(frames[..., :1], 3, axis=-1)]
    video.write_video(folder / "half.mp4", half, 25, **LOSSLESS)
    return folder


MARKS = np.array([[13, 15], [27, 15], [20, 22], [14, 30], [26, 30]])


def two_faces(frames):
    """A detector that sees a face that moves across the border, and one that stays."""
    detections = []
    for t in range(len(frames)):
        boxes = np.float32([[-12 + 3 * t, 4, 28 + 3 * t, 44], [70, 40, 110, 80]])
        # The first face leans, more with time.
        lean = np.array([[0.05 * t], [0]]) * (MARKS[:, 1] - 20)
        marks = boxes[:, None, :2] + MARKS + np.stack([lean, 0 * lean], axis=-1)
        detections.append(faces.make_detections(boxes, [0.99, 0.9], marks))
    return detections


@pytest.mark.parametrize("recipe", [
    {"input_type": "frame", "num_frames": 40, "box_smoothing": "frame"},
    {"input_type": "frame", "num_frames": 5, "detector": "none"},
    {"input_type": "clip", "sampling": "consecutive", "num_frames": 6, "num_clips": 3, "stride_frames": 2},
    {"input_type": "flow", "sampling": "consecutive", "num_frames": 4, "num_clips": 2,
     "flow": "dis", "box_smoothing": "smooth"},
    {"input_type": "frame", "num_frames": 40, "box_smoothing": "frame", "alignment": "gend"},
    {"input_type": "clip", "sampling": "consecutive", "num_frames": 6, "num_clips": 3, "stride_frames": 2,
     "alignment": "deepfakebench"},
    {"input_type": "frame", "num_frames": 40, "box_smoothing": "frame", "crop": "fit"},
], ids=["frame", "whole", "clip", "flow", "aligned", "aligned-clip", "fit"])  # fmt: skip
def test_a_mask_is_cut_as_its_example(pair, recipe):
    recipe = DataRecipe(**{"select": "all", "height_px": 24, "width_px": 32} | recipe)
    examples = extract(pair / "video.mp4", recipe, detect=two_faces)
    masks = mask_crops(pair / "mask.mp4", pair / "video.mp4", examples)
    assert len(masks) == len(examples)
    for example, mask in zip(examples, masks, strict=True):
        np.testing.assert_array_equal(mask, example.frames[..., 0])


@pytest.mark.parametrize("alignment", ["gend", "deepfakebench"])
def test_a_smaller_mask_is_cut_at_the_same_place(pair, alignment):
    """Of smooth colours at half the size the crop is the same to two grey levels."""
    recipe = DataRecipe(
        input_type="frame", num_frames=5, alignment=alignment, box_smoothing="frame", height_px=32, width_px=32
    )
    examples = extract(pair / "video.mp4", recipe, detect=two_faces)
    masks = mask_crops(pair / "half.mp4", pair / "video.mp4", examples)
    change = [np.abs(m.astype(int) - e.frames[..., 0]).mean() for m, e in zip(masks, examples, strict=True)]
    assert max(change) < 2, change


def test_masks_of_another_video(pair):
    examples = extract(
        pair / "video.mp4", DataRecipe(input_type="frame", num_frames=4, detector="none", height_px=9, width_px=9)
    )
    with pytest.raises(video.VideoError, match="has 20 frames, and the video's frame 35 is wanted"):
        mask_crops(pair / "short.mp4", pair / "video.mp4", examples)
    with pytest.raises(video.VideoError, match="64 x 96 px for a video of 128 x 96 px"):
        mask_crops(pair / "other.mp4", pair / "video.mp4", examples)
    with pytest.raises(video.VideoError, match="does not exist"):
        mask_crops(pair / "none.mp4", pair / "video.mp4", examples)
