"""Boxes, tracks and crops: `tfdeepfake.data.faces.boxes`, `tracks` and `faces`, without any detector."""

import numpy as np
import pytest

from tfdeepfake.data import faces
from tfdeepfake.data.faces import align
from tfdeepfake.data.faces.boxes import overlap, suppress
from tfdeepfake.errors import InputError


def detections(*boxes, scores=None):
    """Detections with landmarks somewhere inside the boxes; a box is (centre x, centre y, side)."""
    boxes = np.array([(x - s / 2, y - s / 2, x + s / 2, y + s / 2) for x, y, s in boxes], np.float32).reshape(-1, 4)
    scores = np.full(len(boxes), 0.99) if scores is None else scores
    landmarks = np.repeat((boxes[:, None, :2] + boxes[:, None, 2:]) / 2, 5, axis=1)
    return faces.make_detections(boxes, scores, landmarks)


def centres(track):
    return (track.boxes_px[:, :2] + track.boxes_px[:, 2:]) / 2


def test_overlap_of_known_boxes():
    a = np.array([[0, 0, 10, 10], [0, 0, 4, 4]], float)
    b = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 10]], float)
    np.testing.assert_allclose(overlap(a, b), [[50 / 150, 0, 1], [0, 0, 0.16]])
    np.testing.assert_allclose(overlap(a, b, "min"), [[0.5, 0, 1], [0, 0, 1]])


def test_suppression_keeps_the_best_of_each_heap_and_is_not_chained():
    # The middle box overlaps both others, which do not overlap each other: it alone goes.
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10], [50, 50, 60, 60]], float)
    assert suppress(boxes, np.array([0.9, 0.8, 0.7, 0.95]), 0.3).tolist() == [3, 0, 2]
    assert suppress(np.zeros([0, 4]), np.zeros(0), 0.3).tolist() == []


def test_detections_are_sorted_and_capped_with_the_count_told():
    rng = np.random.default_rng(0)
    sides = rng.permutation(200) + 10.0
    boxes = np.stack([np.zeros(200), np.zeros(200), sides, sides], 1)
    scores = rng.random(200)
    detections = faces.make_detections(boxes, scores, np.zeros([200, 5, 2]), max_faces=20)
    assert len(detections) == 20 and detections.dropped == 180
    assert sorted(detections.boxes_px[:, 2]) == list(range(190, 210))
    assert (np.diff(detections.scores) <= 0).all()
    assert detections.boxes_px.dtype == detections.scores.dtype == detections.landmarks_px.dtype == np.float32


def test_square_box_is_a_square_about_the_same_centre():
    box = np.array([[10, 20, 30, 70], [-5, 0, 25, 10]], np.float32)
    square = faces.square_box(box, 0.15)
    np.testing.assert_allclose(square[:, 2] - square[:, 0], [65, 39], rtol=1e-6)  # P3: 1.3 times the longer side
    np.testing.assert_allclose(square[:, 3] - square[:, 1], [65, 39], rtol=1e-6)
    np.testing.assert_allclose(square[:, :2] + square[:, 2:], box[:, :2] + box[:, 2:], rtol=1e-6)
    np.testing.assert_array_equal(faces.square_box(box[0], 0.15), square[0])


def test_crop_inside_is_the_part_itself():
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(faces.crop(frame, [10, 5, 30, 25], 20, 20), frame[5:25, 10:30])


def test_crop_repeats_the_edge_past_the_border():
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    part = faces.crop(frame, [-4, -3, 6, 7], 10, 10)
    np.testing.assert_array_equal(part[3:, 4:], frame[:7, :6])
    np.testing.assert_array_equal(part[0, 4:], frame[0, :6])
    np.testing.assert_array_equal(part[3:, 0], frame[:7, 0])


def test_crop_averages_when_it_shrinks():
    # Stripes of one pixel: sampling without averaging would give black or white.
    frame = np.zeros([64, 64, 3], np.uint8)
    frame[:, ::2] = 255
    small = faces.crop(frame, [0, 0, 64, 64], 8, 8)
    assert np.abs(small.astype(int) - 127).max() <= 1


@pytest.mark.parametrize(
    "box, words",
    [
        ([0, 0, np.nan, 10], "finite"),
        ([10, 10, 10, 20], "x1 > x0"),
        ([100, 0, 120, 20], "outside the frame"),
        ([-30, 0, -10, 20], "outside the frame"),
        ([0, 0, 10], "four"),
        ([-1e6, -1e6, 1e6, 1e6], "eight times"),
    ],
)
def test_crop_refuses_a_bad_box(box, words):
    with pytest.raises(ValueError, match=words):
        faces.crop(np.zeros([40, 60, 3], np.uint8), box, 8, 8)


def test_crop_refuses_what_is_no_image():
    for frame in (np.zeros([40, 60], np.uint8), np.zeros([40, 60, 3], np.float32), np.zeros([0, 60, 3], np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            faces.crop(frame, [0, 0, 10, 10], 8, 8)


def test_faces_that_stay_apart_give_one_track_each():
    frames = [detections((100 + 5 * t, 100, 50), (400, 120 + 3 * t, 80)) for t in range(8)]
    tracks = faces.link_tracks(frames)
    assert [len(t) for t in tracks] == [8, 8]
    assert [t.face for t in tracks] == [0, 1]
    for track in tracks:
        assert np.ptp(track.boxes_px[:, 2] - track.boxes_px[:, 0]) < 1e-3  # never the other face's size


def test_two_faces_that_cross_keep_their_tracks():
    # Equal size and look, half a face per sampled frame: only their motion tells them apart.
    frames = [detections((100 + 25 * t, 100, 50), (400 - 25 * t, 110, 50)) for t in range(13)]
    tracks = faces.link_tracks(frames)
    assert [len(t) for t in tracks] == [13, 13]
    for track in tracks:
        steps = np.diff(centres(track)[:, 0])
        assert (np.sign(steps) == np.sign(steps[0])).all()


def test_a_gap_is_bridged_and_a_long_one_is_not():
    here, nothing = detections((100, 100, 50)), detections()
    assert [len(t) for t in faces.link_tracks([here, nothing, nothing, here, here], max_gap=2)] == [3]
    assert [len(t) for t in faces.link_tracks([here, nothing, nothing, nothing, here, here], max_gap=2)] == [2, 1]


def test_a_far_or_much_larger_face_is_another_one():
    assert len(faces.link_tracks([detections((100, 100, 50)), detections((300, 100, 50))])) == 2
    assert len(faces.link_tracks([detections((100, 100, 50)), detections((100, 100, 120))])) == 2


def two_shots():
    """A shot cut after three frames, both faces in the same place; the images differ."""
    rng = np.random.default_rng(0)
    shots = [blocks(rng), blocks(rng)]
    frames = np.stack([shots[0]] * 3 + [shots[1]] * 3)
    return frames, [detections((100, 80, 50)) for _ in range(6)]


def blocks(rng):
    """An image of coloured blocks of 20 px."""
    return np.repeat(np.repeat(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), 20, 0), 20, 1)


def test_a_track_does_not_pass_a_shot_cut_when_it_sees_the_frames():
    frames, detections = two_shots()
    assert [t.positions.tolist() for t in faces.link_tracks(detections, frames)] == [[0, 1, 2], [3, 4, 5]]
    assert [len(t) for t in faces.link_tracks(detections)] == [6]


def test_link_tracks_wants_a_frame_for_each_detection():
    frames, detections = two_shots()
    with pytest.raises(ValueError, match="6, got 5"):
        faces.link_tracks(detections, frames[:5])


def test_a_brief_unsure_track_comes_last():
    frames = [detections((100, 100, 50), scores=[0.97]) for _ in range(6)]
    frames[2] = detections((100, 100, 50), (400, 300, 200), scores=[0.97, 0.99])
    tracks = faces.link_tracks(frames)
    assert [len(t) for t in tracks] == [6, 1]
    # Neither is it the largest, although its box is.
    assert faces.select_tracks(tracks, "largest")[0].face == 0


def test_select_tracks():
    frames = [detections((100, 100, 50), (400, 200, 120), scores=[0.999, 0.95]) for _ in range(4)]
    tracks = faces.link_tracks(frames)
    assert [len(faces.select_tracks(tracks, s)) for s in ("largest", "most_confident", "all")] == [1, 1, 2]
    assert faces.select_tracks(tracks, "largest")[0].mean_side_px == pytest.approx(120)
    assert faces.select_tracks(tracks, "most_confident")[0].mean_side_px == pytest.approx(50)
    assert faces.select_tracks([], "largest") == []
    with pytest.raises(ValueError, match="smallest"):
        faces.select_tracks(tracks, "smallest")


def test_no_detections_give_no_tracks():
    assert faces.link_tracks([]) == [] and faces.link_tracks([detections(), detections()]) == []


def wandering(step=4.0, gap=()):
    rng = np.random.default_rng(1)
    frames = [detections((100 + step * t + rng.normal(), 100 + rng.normal(), 60 + rng.normal())) for t in range(10)]
    for t in gap:
        frames[t] = detections()
    return faces.link_tracks(frames)[0]


def test_one_box_per_clip_covers_the_face_in_every_frame():
    track = wandering()
    boxes = faces.track_boxes(track, 10, "clip")
    assert boxes.shape == (10, 4) and boxes.dtype == np.float32 and (boxes == boxes[0]).all()
    assert (boxes[0, :2] <= track.boxes_px[:, :2]).all() and (boxes[0, 2:] >= track.boxes_px[:, 2:]).all()
    # Of a face that crosses the image the box keeps its size and follows.
    far = wandering(step=40.0)
    boxes = faces.track_boxes(far, 10, "clip")
    sides = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(sides, sides[:1].repeat(10, 0), atol=1e-3)
    assert sides.max() < 80
    assert np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - centres(far)).max() < 5


def test_frame_boxes_are_those_found_and_lie_between_where_missing():
    track = wandering(gap=(0, 4, 9))
    boxes = faces.track_boxes(track, 10, "frame")
    np.testing.assert_allclose(boxes[track.positions], track.boxes_px, rtol=1e-6)
    np.testing.assert_allclose(boxes[4], (boxes[3] + boxes[5]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(boxes[0], boxes[1])
    np.testing.assert_array_equal(boxes[9], boxes[8])


def test_smooth_boxes_shake_less_and_do_not_lag():
    rng = np.random.default_rng(2)
    frames = [detections((100 + 5 * t + rng.normal(0, 3), 100, 60)) for t in range(40)]
    track = faces.link_tracks(frames)[0]
    smooth, raw = (faces.track_boxes(track, 40, s)[:, 0] for s in ("smooth", "frame"))
    line = 70 + 5 * np.arange(40)
    assert np.std(smooth - line) < 0.7 * np.std(raw - line)
    # A uniform motion stays unchanged, also at its ends.
    box_smoothing = faces.link_tracks([detections((100 + 5 * t, 100, 60)) for t in range(6)])[0]
    np.testing.assert_allclose(faces.track_boxes(box_smoothing, 6, "smooth"), box_smoothing.boxes_px, rtol=1e-5)


def test_track_boxes_refuses_bad_arguments():
    with pytest.raises(ValueError, match="clips"):
        faces.track_boxes(wandering(), 10, "clips")
    with pytest.raises(ValueError, match="count"):
        faces.track_boxes(wandering(), 5, "clip")


@pytest.mark.parametrize("box_smoothing", ["clip", "smooth", "frame"])
def test_a_track_of_one_frame_has_a_box_everywhere(box_smoothing):
    track = faces.link_tracks([detections(), detections((100, 100, 50)), detections()])[0]
    np.testing.assert_allclose(faces.track_boxes(track, 3, box_smoothing), track.boxes_px.repeat(3, 0))


def test_contact_sheet_shows_the_crops():
    frames, detections = two_shots()
    sheet = faces.contact_sheet(frames, faces.link_tracks(detections, frames), margin_frac=0.0, cell_px=50)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    cell = faces.crop(frames[0], faces.square_box(detections[0].boxes_px[0]), 50, 50)
    rows, columns = np.lib.stride_tricks.sliding_window_view(sheet[:, :60], (50, 50, 3)).shape[:2]
    assert any(np.array_equal(sheet[y : y + 50, x : x + 50], cell) for y in range(rows) for x in range(columns))


def test_contact_sheet_shows_aligned_crops():
    rng = np.random.default_rng(0)
    frames = [blocks(rng) for _ in range(3)]
    marks = np.array([[60, 50], [88, 62], [70, 72], [50, 80], [75, 92]])
    tracks = faces.link_tracks([faces.make_detections([[40, 40, 100, 100]], [0.99], [marks + 2 * t]) for t in range(3)])
    sheet = faces.contact_sheet(frames, tracks, 0.15, "frame", "gend", cell_px=50)
    cell = align.aligned_crop(frames[2], *align.transform(marks + 4, "gend"), 50, 50)
    rows, columns = np.lib.stride_tricks.sliding_window_view(sheet[:, :200], (50, 50, 3)).shape[:2]
    assert any(np.array_equal(sheet[y : y + 50, x : x + 50], cell) for y in range(rows) for x in range(columns))


def test_a_contact_sheet_cannot_be_aligned_by_blazeface(tmp_path):
    with pytest.raises(InputError, match="--alignment: .*both corners of the mouth.* Use --detector mtcnn"):
        faces.write_contact_sheet(tmp_path / "v.mp4", tmp_path / "sheet.png", "blazeface", alignment="gend")


def test_contact_sheet_without_faces_and_with_too_many():
    frames, _ = two_shots()
    assert faces.contact_sheet(frames, []).ndim == 3
    many = [detections(*[(20 * n, 80, 12) for n in range(1, 12)])] * 6
    tracks = faces.link_tracks(many)
    few, all_rows = (faces.contact_sheet(frames, tracks, rows=n) for n in (2, 11))
    assert len(tracks) == 11 and few.shape[0] < all_rows.shape[0]
    with pytest.raises(ValueError, match="at least one frame"):
        faces.contact_sheet([], [])


def test_contact_sheet_counts_faces_from_one(monkeypatch):
    from PIL import ImageDraw

    written, draw = [], ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda self, at, text, **how: (written.append(text), draw(self, at, text, **how))
    )
    frames = np.random.default_rng(0).integers(0, 256, (2, 60, 80, 3), np.uint8)
    detections = [faces.make_detections([[5, 5, 25, 25], [40, 5, 60, 25]], [0.9, 0.8], np.zeros((2, 5, 2)))] * 2
    faces.contact_sheet(frames, faces.link_tracks(detections, frames))
    assert [text.split(":")[0] for text in written[1:]] == ["face 1", "face 2"]


def test_write_contact_sheet_of_an_image(tmp_path, capsys):
    import cv2

    cv2.imwrite(str(tmp_path / "wall.jpg"), blocks(np.random.default_rng(0)))
    assert faces.write_contact_sheet(tmp_path / "wall.jpg", tmp_path / "sheet.png") == []
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None
    assert "0 face tracks in 1 sampled frames" in capsys.readouterr().out


def test_unknown_detectors_are_refused():
    with pytest.raises(ValueError, match="retinaface"):
        faces.make_detector("retinaface")
    with pytest.raises(ValueError, match="weights needs to be None"):
        faces.make_detector("mtcnn", weights="some.file")
