"""Crops aligned by five landmarks: `faces.align`, and the way of an aligned recipe through `extract`."""

import cv2
import numpy as np
import pytest

from tfdeepfake.data import faces, synthetic, video
from tfdeepfake.data.examples import NoFace, extract
from tfdeepfake.data.faces import align
from tfdeepfake.data.flow import optical_flow
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.vocabulary import ALIGNMENTS

ANGLES_DEG = (0, 10, 20, 30, 40)
COLORS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)])


def turned(points, angle_deg, scale=1.0, shift=(0, 0)):
    """Points about their middle, then moved by `shift`."""
    c, s = scale * np.cos(np.radians(angle_deg)), scale * np.sin(np.radians(angle_deg))
    middle = points.mean(0)
    return (points - middle) @ np.array([[c, s], [-s, c]]) + middle + shift


def face(alignment="gend", side_px=90, middle=(100, 80), angle_deg=0):
    """Landmarks as the template has them, on a face of `side_px`."""
    points = align.TEMPLATES[alignment] * side_px
    return turned(points - points.mean(0) + middle, angle_deg)


def painted(landmarks, height=160, width=200, radius=3):
    """A grey frame with a coloured disc at each landmark."""
    y, x = np.mgrid[:height, :width] + 0.5  # places count from the edge of the first pixel
    frame = np.full((height, width, 3), 90, np.uint8)
    for color, (px, py) in zip(COLORS, landmarks, strict=True):
        cover = np.clip(radius + 0.5 - np.hypot(x - px, y - py), 0, 1)[..., None]
        frame = np.rint(frame * (1 - cover) + color * cover).astype(np.uint8)
    return frame


def places(image):
    """Where the discs of `painted` are, [5, 2]."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    distance = np.abs(image.astype(int)[:, :, None] - COLORS).sum(-1)
    weights = np.clip(250 - distance, 0, None)
    total = weights.sum((0, 1))
    assert (total > 0).all(), "a disc lies outside the image"
    return np.stack([(weights * at[..., None]).sum((0, 1)) / total for at in (x, y)], axis=1)


def painter(alignment, frames, height=160, width=200):
    """(landmarks, frames, detector that knows them) of a face that moves, turns and grows."""
    t = np.linspace(0, 1, frames)
    marks = [face(alignment, 60 + 20 * a, (80 + 30 * a, 80), 40 * a) for a in t]
    painted_frames = [painted(m, height, width) for m in marks]

    def detect(given):
        seen = [places(frame) for frame in given]
        return [faces.make_detections([[*m.min(0) - 20, *m.max(0) + 20]], [0.99], [m]) for m in seen]

    return np.array(marks), painted_frames, detect


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("margin_frac", [0.0, 0.15])
def test_a_face_of_the_templates_shape_comes_to_its_places(alignment, margin_frac):
    for angle in (*ANGLES_DEG, -170):
        points = face(alignment, 90, (100, 80), angle)
        matrix, side = align.transform(points, alignment, margin_frac)
        assert side == (round(90 * (1 + 2 * margin_frac)) if alignment == "gend" else 256)
        moved = align.moved(matrix[None], points[None])[0]
        np.testing.assert_allclose(moved, align.template_px(alignment, side, margin_frac), atol=1e-3)
    # The authors' places at scale 1.3, from their own figures.
    eye = align.template_px("gend", 224, 0.15)[0], align.template_px("deepfakebench", 256, 0.15)[0]
    np.testing.assert_allclose(eye, [(224 * 0.49 / 1.3, 224 * 0.61 / 1.3), (96.8705, 120.4327)], atol=1e-3)


def test_templates_are_those_of_recipes():
    assert set(align.TEMPLATES) == set(ALIGNMENTS)


def test_the_similarity_is_umeyamas():
    """Against the paper's form with a singular value decomposition, on points that fit no similarity."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.normal(size=(2, 5, 2)) * 30
        y += 2 * x  # not near a reflection
        a, b = x - x.mean(0), y - y.mean(0)
        u, d, vt = np.linalg.svd(b.T @ a)
        sign = np.array([1, np.sign(np.linalg.det(u @ vt))])
        turn = (d * sign).sum() / (a**2).sum() * (u * sign) @ vt
        expected = np.concatenate([turn, (y.mean(0) - turn @ x.mean(0))[:, None]], 1)
        np.testing.assert_allclose(align.similarity(x, y), expected, atol=1e-9)


def test_a_landmark_that_is_far_off_moves_deepfakebench_alone():
    def error(alignment):
        points = face(alignment, 90)
        wrong = points.copy()
        wrong[2] += [25, 10]
        matrix, side = align.transform(wrong, alignment)
        moved = align.moved(matrix[None], points[None])[0]
        return np.abs(moved / side - align.template_px(alignment, 1, 0.15)).max()

    # GenD's side is a mean over all distances, so that its crop is cut a little larger; nothing else moves.
    assert error("gend") < 0.01 and error("deepfakebench") > 0.03


def test_gend_enlarges_nothing():
    for side_px in (20, 90, 400):
        matrix, side = align.transform(face("gend", side_px, angle_deg=25), "gend")
        assert np.linalg.det(matrix[:, :2]) == pytest.approx(1, abs=0.05) and side == round(1.3 * side_px)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_points_that_are_no_face_are_refused(alignment):
    spot, lost = np.full([5, 2], 40.0), face()
    lost[3, 1] = np.nan
    for wrong in (spot, lost):
        with pytest.raises(ValueError, match="five finite points that are not on one spot"):
            align.transform(wrong, alignment)
    assert align.alignable(np.stack([face(), spot, lost])).tolist() == [True, False, False]
    with pytest.raises(ValueError, match=r"landmarks_px needs \[5, 2\], got \[6, 2\]"):
        align.transform(np.zeros([6, 2]), alignment)
    with pytest.raises(ValueError, match="alignment needs one of .*, got 'ffhq'"):
        align.transform(face(), "ffhq")
    with pytest.raises(ValueError, match="mirror image"):
        align.similarity(np.array([[0, 1], [0, -1], [1, 0], [-1, 0]]), np.array([[0, -1], [0, 1], [1, 0], [-1, 0]]))
    # Points that a detector should never give still have a transform, or are refused.
    for points in (face()[[0, 0, 0, 3, 3]], face() * [1, 0], face()[:, ::-1], face()[[1, 0, 2, 4, 3]]):
        try:
            matrix, side = align.transform(points, alignment)
        except ValueError:
            continue
        assert np.isfinite(matrix).all() and np.linalg.det(matrix[:, :2]) > 0 and side >= 1


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("size", [(96, 96), (224, 224), (64, 128)])
def test_what_is_at_a_landmark_is_at_the_templates_place(alignment, size):
    points = face(alignment, 90, angle_deg=33)
    image = align.aligned_crop(painted(points), *align.transform(points, alignment), *size)
    assert image.shape == (*size, 3) and image.dtype == np.uint8
    unit = align.template_px(alignment, 1, 0.15)
    np.testing.assert_allclose(places(image), unit * [size[1], size[0]], atol=0.25)


def test_a_frame_twice_as_large_gives_the_same_crop():
    points = face(angle_deg=20)
    small, large = painted(points), painted(2 * points, 320, 400, radius=6)
    matrix, side = align.transform(points, "gend")
    crops = [align.aligned_crop(f, m, side, 64, 64) for f, m in ((small, matrix), (large, align.rescaled(matrix, 2)))]
    np.testing.assert_allclose(places(crops[0]), places(crops[1]), atol=0.1)


def test_shrinking_averages():
    """Bicubic without antialiasing would leave stripes of one pixel as they are, or alias them."""
    frame = np.zeros([300, 300, 3], np.uint8)
    frame[:, ::2] = 200
    image = align.aligned_crop(frame, *align.transform(face("gend", 200, (150, 160)), "gend"), 48, 48)
    assert np.abs(image.astype(int) - 100).max() <= 8


def test_past_the_border_is_black():
    points = face("gend", 90, (20, 80))
    white = np.full([160, 200, 3], 255, np.uint8)
    image = align.aligned_crop(white, *align.transform(points, "gend"), 64, 64)
    assert (image[20:50, :10] == 0).all() and (image[20:50, -10:] == 255).all()
    with pytest.raises(ValueError, match="lies outside the frame of 200 x 160 px"):
        align.aligned_crop(white, *align.transform(points - [300, 0], "gend"), 64, 64)
    with pytest.raises(ValueError, match="over eight times the frame"):
        align.aligned_crop(white, *align.transform(face("gend", 5000), "gend"), 64, 64)
    with pytest.raises(ValueError, match="frame needs uint8"):
        align.aligned_crop(white / 255, *align.transform(points, "gend"), 64, 64)


def test_one_transform_a_run_and_its_likes():
    rng = np.random.default_rng(1)
    jitter = np.stack([face() + rng.normal(size=2) for _ in range(12)])
    each, sides = align.run_transforms(jitter, "gend", smoothing="frame")
    for t in range(12):
        matrix, side = align.transform(jitter[t], "gend")
        np.testing.assert_array_equal(each[t], matrix)
        assert sides[t] == side
    once, _ = align.run_transforms(jitter, "gend", smoothing="clip")
    assert np.ptp(once, axis=0).max() == 0
    smooth, _ = align.run_transforms(jitter, "gend", smoothing="smooth")
    shake = [np.abs(np.diff(m[:, :, 2], axis=0)).mean() for m in (each, smooth, once)]
    assert shake[0] > 2 * shake[1] > shake[2] == 0


def test_a_square_follows_a_face_that_walks_out_of_it():
    walk = np.stack([face(middle=(100 + 8 * t, 80), angle_deg=20) for t in range(24)])
    matrices, sides = align.run_transforms(walk, "gend", 0.15, "clip")
    assert np.ptp(matrices[:, :, :2], axis=0).max() == 0 and len(set(sides)) == 1
    moved = align.moved(matrices, walk)
    np.testing.assert_allclose(moved, np.broadcast_to(align.template_px("gend", sides[0], 0.15), moved.shape), atol=0.5)
    # One that stays inside moves in a square that does not.
    matrices, _ = align.run_transforms(walk[:3], "gend", 0.15, "clip")
    assert np.ptp(matrices, axis=0).max() == 0


def test_squares_have_the_centre_and_size_of_what_is_cut_out():
    matrix, side = align.transform(face("deepfakebench", 90, angle_deg=45), "deepfakebench")
    ((x0, y0, x1, y1),) = align.squares_px(matrix[None], np.array([side]))
    middle = align.moved(matrix[None], np.array([[[(x0 + x1) / 2, (y0 + y1) / 2]]]))[0, 0]
    np.testing.assert_allclose(middle, [128, 128], atol=1e-3)
    assert x1 - x0 == pytest.approx(90 * 1.3, rel=1e-5) == y1 - y0


LOSSLESS = {"codec": "libx264rgb", "crf": 0, "pix_fmt": "rgb24"}


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("recipe", [
    {"input_type": "frame", "num_frames": 6, "box_smoothing": "frame"},
    {"input_type": "frame", "num_frames": 6},
    {"input_type": "clip", "sampling": "consecutive", "num_frames": 25, "box_smoothing": "frame", "flow": "dis"},
], ids=["frame", "frame-clip", "clip"])  # fmt: skip
def test_landmarks_stay_at_the_templates_places(tmp_path, alignment, recipe):
    """Of a face that turns by 0 to 40 degrees, moves and grows, also between the frames that are searched."""
    marks, painted_frames, detect = painter(alignment, 41)
    video.write_video(tmp_path / "v.mp4", painted_frames, 25, **LOSSLESS)
    recipe = DataRecipe(alignment=alignment, margin_frac=0.15, height_px=112, width_px=112, **recipe)
    shown = []

    def spy(frames):
        shown.append(len(frames))
        return detect(frames)

    examples = extract(tmp_path / "v.mp4", recipe, spy)
    target = align.template_px(alignment, 112, 0.15)
    for e in examples:
        assert e.transforms.shape == (len(e.frames), 2, 3) and e.sides_px.shape == (len(e.frames),)
        for image, landmarks in zip(e.frames, e.landmarks_px, strict=True):
            assert np.abs(places(image) - target).max() < 2
            assert np.abs(landmarks - target).max() < 2
        full = align.moved(e.transforms, marks[e.indices]) * 112 / e.sides_px[:, None, None]
        assert np.abs(full - target).max() < 2
        if e.flow is not None:
            np.testing.assert_array_equal(e.flow, optical_flow(e.frames, "dis"))
    if recipe.input_type == "clip":
        assert shown == [4]  # of 25 frames
    else:
        assert [len(e.frames) for e in examples] == [1] * 6


def test_one_transform_for_a_clip(tmp_path):
    _, painted_frames, detect = painter("gend", 41)
    video.write_video(tmp_path / "v.mp4", painted_frames[:9], 25, **LOSSLESS)
    recipe = DataRecipe(num_frames=9, alignment="gend", margin_frac=0.3, height_px=96, width_px=96)
    (e,) = extract(tmp_path / "v.mp4", recipe, detect)
    assert np.ptp(e.transforms, axis=0).max() == 0 and len(set(e.sides_px)) == 1
    seen = np.stack([places(image) for image in e.frames])
    # The face moves in the crop, about the template's places.
    assert np.ptp(seen, axis=0).max() > 3
    np.testing.assert_allclose(seen.mean(0), align.template_px("gend", 96, 0.3), atol=1)
    np.testing.assert_allclose(e.landmarks_px, seen, atol=0.5)


def test_transforms_are_those_of_the_full_frame(tmp_path, monkeypatch):
    """A large frame is shrunk when it is read; transforms count in the video's pixels."""
    marks, painted_frames, detect = painter("gend", 3)
    video.write_video(tmp_path / "v.mp4", painted_frames, 25, **LOSSLESS)
    read = video.read_frames
    monkeypatch.setattr(video, "read_frames", lambda path, indices, **options: read(path, indices, max_side_px=100))
    recipe = DataRecipe(input_type="frame", num_frames=3, alignment="gend", margin_frac=0.15, height_px=64, width_px=64)
    for e in extract(tmp_path / "v.mp4", recipe, detect):
        assert e.sides_px[0] < 60  # of half the frame
        full = align.moved(e.transforms, marks[e.indices])[0] * 64 / e.sides_px[0]
        np.testing.assert_allclose(full, align.template_px("gend", 64, 0.15), atol=1)


def test_faces_without_landmarks(tmp_path):
    _, painted_frames, detect = painter("gend", 4)
    video.write_video(tmp_path / "v.mp4", painted_frames, 25, **LOSSLESS)
    recipe = DataRecipe(input_type="frame", num_frames=4, alignment="gend", height_px=32, width_px=32)

    def flat(frames):
        return [faces.make_detections(d.boxes_px, d.scores, d.landmarks_px * 0 + 80) for d in detect(frames)]

    def some(frames):
        return flat(frames)[:2] + detect(frames)[2:]

    with pytest.raises(NoFace, match="v.mp4: no face that was found has landmarks to align it by"):
        extract(tmp_path / "v.mp4", recipe, flat)
    assert [int(e.indices[0]) for e in extract(tmp_path / "v.mp4", recipe, some)] == [2, 3]
    with pytest.raises(NoFace, match="no face was found in 4 frames"):
        extract(tmp_path / "v.mp4", recipe, lambda frames: [faces.make_detections([], [], [])] * len(frames))


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_turned_video_gives_the_same_crops(tmp_path, alignment):
    """A synthetic talking head, turned by 0 to 40 degrees, as MTCNN sees it: the crop stays put within 2 px of 224."""
    spec = synthetic.make_set(seed=4, num_frames=9)[0]
    upright = [frame for frame, _ in synthetic.frames_of(spec)][::4]
    recipe = DataRecipe(input_type="frame", num_frames=3, box_smoothing="frame", alignment=alignment, margin_frac=0.15)
    straight = None
    for angle in ANGLES_DEG:
        turn = cv2.getRotationMatrix2D((spec.width / 2 - 0.5, spec.height / 2 - 0.5), angle, 1.0)
        frames = [cv2.warpAffine(f, turn, (spec.width, spec.height), borderMode=cv2.BORDER_REPLICATE) for f in upright]
        video.write_video(tmp_path / f"{angle}.mp4", frames, 25, crf=10)
        examples = extract(tmp_path / f"{angle}.mp4", recipe)
        assert len(examples) == 3
        straight = straight or examples
        for e, first in zip(examples, straight, strict=True):
            # From the straight crop to its frame, turned, and into this crop.
            back = np.linalg.inv(np.vstack([first.transforms[0], [0, 0, 1]]))[:2]
            spots = align.moved(back[None], first.landmarks_px * first.sides_px[0] / 224.0)
            spots = (spots - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5
            spots = align.moved(e.transforms, spots) * 224 / e.sides_px[0]
            assert np.abs(spots - first.landmarks_px).max() < 2, (angle, spots - first.landmarks_px)
            # The pixels agree, too: what turning the video blurs is 2 to 3 grey levels, a crop 2 px beside it 7.
            inner = slice(32, 192)
            change = np.abs(e.frames[0, inner, inner].astype(int) - first.frames[0, inner, inner]).mean()
            assert change < 4, (angle, change)
