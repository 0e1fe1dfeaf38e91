"""A video to examples: which frames, faces and boxes. Faces are coloured squares that a stand-in detector finds."""

import dataclasses

import numpy as np
import pytest

from tfdeepfake.data import examples, faces, video
from tfdeepfake.data.examples import NoFace, TooShort, extract
from tfdeepfake.data.flow import optical_flow
from tfdeepfake.recipe import DataRecipe

FPS = 25
COLORS = {"red": (250, 20, 20), "blue": (20, 20, 250)}
CLIP = DataRecipe(
    input_type="clip", sampling="consecutive", num_frames=16, num_clips=2, height_px=32, width_px=32, flow="dis"
)


def write(path, count, squares, height=96, width=128):
    """Writes a video of textured ground with squares; `squares` is {colour: function of t -> (x, y, side) or None}."""
    rng = np.random.default_rng(0)
    ground = np.repeat(np.repeat(rng.integers(60, 150, (height // 4, width // 4, 3)), 4, 0), 4, 1).astype(np.uint8)
    frames = []
    for t in range(count):
        frame = ground.copy()
        for color, place in squares.items():
            if place(t) is not None:
                x, y, side = place(t)
                frame[y : y + side, x : x + side] = COLORS[color]
        frames.append(frame)
    video.write_video(path, frames, FPS, crf=5, pix_fmt="yuv444p")
    return path


class Detector:
    """Finds the squares; remembers how many frames it was shown."""

    def __init__(self):
        self.shown = 0

    def __call__(self, frames):
        self.shown += len(frames)
        return [self.one(frame.astype(int)) for frame in frames]

    def one(self, frame):
        boxes = []
        for r, _, b in COLORS.values():
            mask = (frame[..., 0] - frame[..., 2]) * np.sign(r - b) > 150
            if mask.sum() > 40:
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        corners = [[[x0, y0], [x1, y0], [(x0 + x1) / 2, (y0 + y1) / 2], [x0, y1], [x1, y1]] for x0, y0, x1, y1 in boxes]
        return faces.make_detections(boxes, [0.9] * len(boxes), corners)


def moving(t):
    return 10 + t, 40, 24


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """40 frames of a red square that moves right by 1 px a frame."""
    return write(tmp_path_factory.mktemp("walk") / "walk é.mp4", 40, {"red": moving})


def same(a, b):
    assert len(a) == len(b) > 0
    for one, other in zip(a, b, strict=True):
        assert one.face == other.face
        for name in ("frames", "flow", "indices", "timestamps_s", "boxes_px", "face_boxes_px"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_clips_of_consecutive_frames(walk):
    detect = Detector()
    examples = extract(walk, CLIP, detect)
    assert [e.indices.tolist() for e in examples] == [list(range(16)), list(range(24, 40))]
    assert detect.shown == 6  # both ends and the middle of two runs
    for e in examples:
        assert e.frames.shape == (16, 32, 32, 3) and e.frames.dtype == np.uint8
        assert e.flow.shape == (16, 32, 32, 2) and e.flow.dtype == np.float32
        assert e.boxes_px.dtype == e.face_boxes_px.dtype == np.float32 and e.score == pytest.approx(0.9)
        np.testing.assert_allclose(e.timestamps_s, e.indices / FPS, atol=1e-3)
        np.testing.assert_array_equal(e.flow, optical_flow(e.frames, "dis"))
        # A box_smoothing box, and the square moves in it to the right.
        assert np.ptp(e.boxes_px, axis=0).max() == 0
        red = e.frames[..., 0].astype(int) - e.frames[..., 2] > 150
        centres = [np.nonzero(mask)[1].mean() for mask in red]
        assert centres[-1] - centres[0] == pytest.approx(15 / 62.4 * 32, abs=0.5)
    same(examples, extract(walk, CLIP, Detector()))


@pytest.mark.parametrize("input_type", ["frame", "clip"])
def test_landmarks_are_those_of_the_crop(walk, input_type):
    """They follow the square's corners and middle, also between searched frames."""
    recipe = DataRecipe.from_dict(
        CLIP.to_dict() | {"input_type": input_type, "num_clips": 1, "height_px": 48, "width_px": 96}
    )
    for e in extract(walk, recipe, Detector()):
        assert e.landmarks_px.dtype == np.float32 and e.landmarks_px.shape == (len(e.frames), 5, 2)
        for frame, points in zip(e.frames.astype(int), e.landmarks_px, strict=True):
            rows, columns = np.nonzero(frame[..., 0] - frame[..., 2] > 100)
            x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            expected = [[x0, y0], [x1, y0], [(x0 + x1) / 2, (y0 + y1) / 2], [x0, y1], [x1, y1]]
            np.testing.assert_allclose(points, expected, atol=3)
    whole = DataRecipe.from_dict(recipe.to_dict() | {"detector": "none"})
    assert extract(walk, whole)[0].landmarks_px is None


@pytest.mark.parametrize("input_type", ["frame", "flow", "clip"])
def test_a_change_comes_before_the_flow(walk, input_type):
    """A change sees whole runs, and single frames of input type frame; the flow is that of the new frames."""
    seen = []

    def upside_down(example):
        seen.append(len(example.frames))
        return dataclasses.replace(example, frames=example.frames[:, ::-1])

    recipe = DataRecipe.from_dict(CLIP.to_dict() | {"input_type": input_type, "num_clips": 1})
    plain, changed = extract(walk, recipe, Detector()), extract(walk, recipe, Detector(), upside_down)
    assert seen == ([1] * 16 if input_type == "frame" else [16])
    frames = np.concatenate([e.frames for e in changed])
    np.testing.assert_array_equal(frames[:, ::-1], np.concatenate([e.frames for e in plain]))
    if input_type != "frame":
        np.testing.assert_array_equal(np.concatenate([e.flow for e in changed]), optical_flow(frames, "dis"))


@pytest.mark.parametrize("stride", [1, 2])
def test_boxes_between_searched_frames(walk, stride):
    recipe = DataRecipe.from_dict(CLIP.to_dict() | {"box_smoothing": "frame", "stride_frames": stride, "num_clips": 1})
    (e,) = extract(walk, recipe, Detector())
    assert np.diff(e.indices).tolist() == [stride] * 15
    truth = np.array([[x, y, x + side, y + side] for x, y, side in map(moving, e.indices.tolist())])
    np.testing.assert_allclose(e.face_boxes_px, truth, atol=1.5)
    np.testing.assert_allclose(e.boxes_px, faces.square_box(e.face_boxes_px, recipe.margin_frac), atol=1e-4)
    centre = e.frames[:, 16, 16].astype(int)
    assert (centre[:, 0] - centre[:, 2] > 150).all()


def test_a_copy_with_doubled_frames_is_searched_at_the_same_moments(walk, tmp_path):
    frames = np.stack(video.read_frames(walk, range(40)).frames)
    detector, detectors = Detector(), []
    recipe = DataRecipe.from_dict(CLIP.to_dict() | {"box_smoothing": "frame", "runs_fps": FPS})
    extract(walk, recipe, detector)
    for times in (2, 3):
        path = tmp_path / f"{times}.mp4"
        video.write_video(path, frames.repeat(times, axis=0), times * FPS, crf=0, pix_fmt="yuv444p")
        detectors.append(Detector())
        assert [len(e.frames) for e in extract(path, recipe, detectors[-1])] == [16, 16]
    assert [one.shown for one in detectors] == [detector.shown] * 2


def test_face_in_part_of_a_video(tmp_path):
    path = write(tmp_path / "gone.mp4", 40, {"red": lambda t: moving(t) if t < 20 else None})
    (example,) = extract(path, CLIP, Detector())
    assert example.indices[0] == 0
    brief = write(tmp_path / "brief.mp4", 40, {"red": lambda t: moving(t) if t < 4 else None})
    with pytest.raises(NoFace, match="brief.mp4.*none in half"):
        extract(brief, CLIP, Detector())
    with pytest.raises(NoFace, match="no face was found in 6 frames"):
        extract(write(tmp_path / "empty.mp4", 40, {}), CLIP, Detector())


def two(first, second):
    return {"red": lambda t: (5, 5, 30) if first(t) else None, "blue": lambda t: (90, 60, 12) if second(t) else None}


def test_spaced_clip_with_a_cut(tmp_path):
    path = write(tmp_path / "cut.mp4", 40, two(lambda t: t < 20, lambda t: t >= 20))
    recipe = DataRecipe(input_type="clip", num_frames=8, height_px=32, width_px=32, select="all")
    examples = extract(path, recipe, Detector())
    assert sorted(e.face for e in examples) == [0, 1]
    assert all(e.indices.tolist() == video.spaced_indices(40, 8).tolist() for e in examples)
    largest = DataRecipe.from_dict(recipe.to_dict() | {"select": "largest"})
    (one,) = extract(path, largest, Detector())
    np.testing.assert_allclose(one.face_boxes_px[0], [5, 5, 35, 35], atol=1.5)


def test_every_face_and_the_selected_one(tmp_path):
    both = write(tmp_path / "both.mp4", 40, two(lambda t: True, lambda t: True))
    every = DataRecipe.from_dict(CLIP.to_dict() | {"select": "all"})
    examples = extract(both, every, Detector())
    assert [(e.indices[0], e.face) for e in examples] == [(0, 0), (0, 1), (24, 0), (24, 1)]
    assert {e.face_count for e in examples} == {2}
    assert {e.face for e in extract(both, CLIP, Detector())} == {0}
    # Where the larger one is absent, the other stands in.
    path = write(tmp_path / "leaves.mp4", 40, two(lambda t: t < 20, lambda t: True))
    first, second = extract(path, CLIP, Detector())
    assert first.face_boxes_px[0][0] < 60 < second.face_boxes_px[0][0] and first.face != second.face
    frames = extract(path, DataRecipe(input_type="frame", num_frames=8, height_px=16, width_px=16), Detector())
    assert [e.face == frames[0].face for e in frames] == [True] * 4 + [False] * 4


def test_input_type_frame_takes_what_there_is(tmp_path):
    path = write(tmp_path / "five.mp4", 5, {"red": moving})
    for recipe in (
        DataRecipe(input_type="frame", num_frames=16, height_px=24, width_px=40),
        DataRecipe(input_type="frame", sampling="consecutive", num_frames=16, num_clips=3, height_px=24, width_px=40),
    ):
        examples = extract(path, recipe, Detector())
        assert [e.indices.tolist() for e in examples] == [[t] for t in range(5)]
        assert examples[0].frames.shape == (1, 24, 40, 3) and examples[0].flow is None
        assert examples[0].boxes_px.shape == examples[0].face_boxes_px.shape == (1, 4)
    # A spaced frame keeps to its own box, a run has one for all.
    assert np.ptp([e.boxes_px[0, 0] for e in extract(path, DataRecipe(input_type="frame"), Detector())]) > 3
    assert np.ptp([e.boxes_px[0, 0] for e in examples]) == 0


def test_frames_of_overlapping_runs_come_once(walk):
    recipe = DataRecipe(
        input_type="frame", sampling="consecutive", num_frames=16, num_clips=8, height_px=16, width_px=16
    )
    numbers = [int(e.indices[0]) for e in extract(walk, recipe, Detector())]
    assert numbers == list(range(40))


@pytest.mark.parametrize("sampling", ["spaced", "consecutive"])
def test_input_type_flow(walk, sampling):
    recipe = DataRecipe(input_type="flow", sampling=sampling, num_frames=5, height_px=32, width_px=32, flow="farneback")
    examples = extract(walk, recipe, Detector())
    assert [e.frames.shape for e in examples] == [(1, 32, 32, 3)] * 5
    crops = np.concatenate([e.frames for e in examples])
    np.testing.assert_array_equal(np.concatenate([e.flow for e in examples]), optical_flow(crops, "farneback"))


def test_flow_of_spaced_frames_where_the_face_is_hidden(tmp_path):
    path = write(tmp_path / "blink.mp4", 40, {"red": lambda t: None if 10 <= t < 20 else moving(t // 4)})
    recipe = DataRecipe(input_type="flow", num_frames=8, height_px=32, width_px=32, flow="dis")
    examples = extract(path, recipe, Detector())
    assert [int(e.indices[0]) for e in examples] == [t for t in video.spaced_indices(40, 8) if not 10 <= t < 20]


def test_whole_frames(walk):
    recipe = DataRecipe.from_dict(CLIP.to_dict() | {"detector": "none", "height_px": 24, "width_px": 48})
    first, _ = extract(walk, recipe, detect=None)
    raw = video.read_frames(walk, np.arange(16))
    np.testing.assert_array_equal(first.frames, [faces.resize(frame, 24, 48) for frame in raw.frames])
    assert first.boxes_px.tolist() == first.face_boxes_px.tolist() == [[0, 0, 128, 96]] * 16
    assert first.score == 1.0 and first.flow.shape == (16, 24, 48, 2)


def test_too_short(tmp_path):
    path = write(tmp_path / "ten.mp4", 10, {"red": moving})
    for recipe in (CLIP, DataRecipe(input_type="clip", num_frames=16)):
        with pytest.raises(TooShort, match="ten.mp4: needs 16 frames, has 10. Use a frame network or a longer video"):
            extract(path, recipe, Detector())
    strided = DataRecipe.from_dict(CLIP.to_dict() | {"num_frames": 4, "stride_frames": 4})
    with pytest.raises(TooShort, match="needs 13 frames, has 10"):
        extract(path, strided, Detector())
    still = write(tmp_path / "one.mp4", 1, {"red": moving})
    assert len(extract(still, DataRecipe(input_type="frame"), Detector())) == 1
    for recipe in (CLIP, DataRecipe(input_type="flow", flow="dis")):
        with pytest.raises(TooShort, match="has 1. Use a frame network"):
            extract(still, recipe, Detector())


def test_boxes_are_those_of_the_full_frame(tmp_path):
    """A frame of 4096 px is shrunk when it is read; boxes count in the video's pixels."""
    path = write(tmp_path / "wide.mp4", 2, {"red": lambda t: (3000, 20, 100)}, height=160, width=4096)
    e = extract(path, DataRecipe(input_type="frame", num_frames=1, height_px=32, width_px=32), Detector())[0]
    np.testing.assert_allclose(e.face_boxes_px[0], [3000, 20, 3100, 120], atol=3)
    np.testing.assert_allclose(e.boxes_px, faces.square_box(e.face_boxes_px, 0.3), atol=0.01)


def test_memory_is_that_of_one_run(walk, monkeypatch):
    """Beyond the budget runs are read one by one, with the same examples."""
    together = extract(walk, CLIP, Detector())
    sizes, read = [], video.read_frames

    def spy(path, indices, **kwargs):
        sizes.append(len(indices))
        return read(path, indices, **kwargs)

    monkeypatch.setattr(video, "read_frames", spy)
    same(extract(walk, CLIP, Detector()), together)
    assert sizes == [32]
    sizes.clear()
    monkeypatch.setattr(examples, "MEMORY_BYTES", 20 * 96 * 128 * 3)
    same(extract(walk, CLIP, Detector()), together)
    assert sizes == [6, 16, 16]


def test_a_crowd_is_cut_to_the_budget(tmp_path, monkeypatch):
    path = write(tmp_path / "both.mp4", 40, two(lambda t: True, lambda t: True))
    every = DataRecipe.from_dict(CLIP.to_dict() | {"select": "all"})
    monkeypatch.setattr(examples, "MEMORY_BYTES", 40 * 32 * 32 * 11)
    crowd = extract(path, every, Detector())
    assert {e.face for e in crowd} == {0} and {e.face_count for e in crowd} == {2}


def test_a_frame_that_cannot_be_decoded(walk, monkeypatch):
    read = video.read_frames

    def damaged(path, indices, **kwargs):
        got = read(path, indices, **kwargs)
        keep = got.indices != 5
        return video.Frames(got.frames[keep], got.indices[keep], got.timestamps_s[keep], missing=1)

    monkeypatch.setattr(video, "read_frames", damaged)
    first, second = extract(walk, CLIP, Detector())
    assert first.indices.tolist() == [0, 1, 2, 3, 4, 4, *range(6, 16)]
    np.testing.assert_array_equal(first.frames[4], first.frames[5])
    assert len(second.frames) == 16
