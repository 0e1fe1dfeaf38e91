"""Crops that keep their shape on black, against the steps of the DFDC's winner; MTCNN as they run it."""

import cv2
import numpy as np
import pytest

from tfdeepfake.data import examples, synthetic, video
from tfdeepfake.data.faces import fit, make_detector, mtcnn
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.recipe import DataRecipe


def as_the_authors(frame, box, size):
    """A third on each side, cut at the edge, longer side to `size`, centred on black."""
    x0, y0, x1, y1 = (int(v) for v in box)
    w, h = (x1 - x0) // 3, (y1 - y0) // 3
    cut = frame[max(y0 - h, 0) : y1 + h, max(x0 - w, 0) : x1 + w]
    height, width = cut.shape[:2]
    scale = size / max(height, width)
    width, height = (size, int(height * scale)) if width > height else (int(width * scale), size)
    cut = cv2.resize(cut, (width, height), interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    crop = np.zeros([size, size, 3], np.uint8)
    left, top = (size - width) // 2, (size - height) // 2
    crop[top : top + height, left : left + width] = cut
    return crop


@pytest.mark.parametrize("size", [32, 380])
def test_the_crop_is_the_authors(size):
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
    for _ in range(60):
        corner, sides = rng.uniform([-5, -5], [120, 60]), rng.uniform(9, 60, 2)
        box = np.concatenate([corner, corner + sides])
        (cut,) = fit.fit_boxes(box[None], 1 / 3, 90, 160)
        ours, theirs = fit.fit_crop(frame, cut, size, size), as_the_authors(frame, box, size)
        np.testing.assert_array_equal(ours, theirs)


def test_a_crop_says_where_it_lies():
    """A point of the frame is found in the crop where its square says."""
    frame = np.zeros([90, 160, 3], np.uint8)
    cv2.circle(frame, (70, 40), 3, (255, 255, 255), -1)
    for box in ([40, 20, 100, 70], [50, -4, 90, 80], [62, 10, 200, 45]):
        (cut,) = fit.fit_boxes(np.float64([box]), 0.25, 90, 160)
        crop = fit.fit_crop(frame, cut, 200, 120).astype(float)[..., 0]
        (square,) = fit.fit_squares([cut], 200, 120)
        expected = (np.array([70.5, 40.5]) - square[:2]) / (square[2:] - square[:2]) * [120, 200]
        y, x = np.mgrid[:200, :120] + 0.5
        seen = np.array([(x * crop).sum(), (y * crop).sum()]) / crop.sum()
        np.testing.assert_allclose(seen, expected, atol=1.0)
    with pytest.raises(ValueError, match="has no area"):
        fit.fit_crop(frame, fit.fit_boxes(np.float64([[170, 10, 190, 30]]), 0.3, 90, 160)[0], 32, 32)


def test_recipes_that_contradict_themselves():
    for wrong in ({"detector": "none"}, {"alignment": "gend"}):
        with pytest.raises(ValueError, match="crop 'fit' is of upright boxes"):
            DataRecipe(crop="fit", **wrong)
    with pytest.raises(ValueError, match="crop needs one of"):
        DataRecipe(crop="round")


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    """A drawn talking head, at the frame's left edge."""
    path = tmp_path_factory.mktemp("talking") / "clip.mp4"
    person, place = synthetic.identity(0, 1), synthetic.scene(0, 100)
    drawn = list(synthetic.draw_video(person, place, synthetic.motion(3, num_frames=6)))
    video.write_video(path, drawn, 25)
    return path


def test_a_video_is_cropped_as_published(talking):
    """Examples of the winner's recipe: each frame's own box of MTCNN on half the size, cut as above."""
    recipe = SOURCES["dfdc_winner_b7_111_36"].data
    assert (recipe.detector, recipe.crop, recipe.height_px) == ("mtcnn_half", "fit", 380)
    made = examples.extract(talking, recipe)
    detect, frames = make_detector("mtcnn_half"), video.read_frames(talking, np.arange(6)).frames
    assert len(made) == 6
    for example in made:
        frame = frames[int(example.indices[0])]
        (box,) = detect([frame])[0].boxes_px
        np.testing.assert_array_equal(example.frames[0], as_the_authors(frame, box, 380))
        np.testing.assert_allclose(example.face_boxes_px[0], box, atol=1e-3)
        x0, y0, x1, y1 = example.cut_px[0]
        assert 0 <= x0 < x1 <= frame.shape[1] and 0 <= y0 < y1 <= frame.shape[0]
        inside = (example.landmarks_px[0] > 0) & (example.landmarks_px[0] < 380)
        assert inside.all()


def test_mtcnn_on_half_the_size(talking):
    frame = video.read_frames(talking, np.arange(1)).frames[0]
    half, whole = make_detector("mtcnn_half"), mtcnn.load()
    ours, theirs = half([frame])[0].boxes_px[0], whole([frame])[0].boxes_px[0]
    assert np.abs(ours - theirs).max() < 0.2 * (theirs[2] - theirs[0])
    same = mtcnn.load(detect_side_px=max(frame.shape) // 2, **mtcnn.HALF | {"detect_scale": None})
    np.testing.assert_array_equal(same([frame])[0].boxes_px[0], ours)
    with pytest.raises(ValueError, match="detect_scale"):
        mtcnn.load(detect_scale=0.0)
