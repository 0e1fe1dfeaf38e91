"""MTCNN and BlazeFace: on drawn faces everywhere, on the published network and real images where they lie."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import loopback

from tfdeepfake.data import faces
from tfdeepfake.data.faces import blazeface, mtcnn, mtcnn_networks
from tfdeepfake.data.faces.boxes import overlap
from tfdeepfake.data.faces.upright import upright_landmarks
from tfdeepfake.errors import InputError

SHARED = Path(__file__).resolve().parents[2] / "shared"
NETWORK = SHARED / "weights" / blazeface.FILE
needs_network = pytest.mark.skipif(
    not NETWORK.exists(), reason=f"needs {blazeface.FILE}, which is not in the repository"
)


@pytest.fixture(scope="module")
def drawn():
    """uint8 [6, H, W, 3] of a drawn talking head."""
    from tfdeepfake.data import synthetic

    person, place = synthetic.identity(0, 1), synthetic.scene(0, 100)
    return np.stack(list(synthetic.draw_video(person, place, synthetic.motion(3, num_frames=6))))


@pytest.fixture(scope="module")
def detect():
    return faces.make_detector("mtcnn")


def check_one_face(detections, frames):
    """One face in every frame, landmarks where a face has them."""
    assert [len(f) for f in detections] == [1] * len(frames)
    for f in detections:
        x0, y0, x1, y1 = f.boxes_px[0]
        left_eye, right_eye, nose, mouth_left, mouth_right = f.landmarks_px[0]
        assert x0 < left_eye[0] < right_eye[0] < x1 and mouth_left[0] < mouth_right[0]
        assert y0 < left_eye[1] < nose[1] < mouth_left[1] < y1
        assert 0.2 * (x1 - x0) < right_eye[0] - left_eye[0] < 0.7 * (x1 - x0)


def test_mtcnn_finds_the_drawn_face(detect, drawn):
    check_one_face(detect(drawn), drawn)


def test_a_mirrored_frame_gives_the_mirrored_face(detect, drawn):
    (detections,), (mirrored,) = detect(drawn[:1]), detect(np.ascontiguousarray(drawn[:1, :, ::-1]))
    width = drawn.shape[2]
    back = mirrored.boxes_px[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width, 0, width, 0]
    assert overlap(detections.boxes_px, back)[0, 0] > 0.9
    # The left eye is the one on the image's left, in both.
    points = mirrored.landmarks_px[0, [1, 0, 2, 4, 3]] * [-1, 1] + [width, 0]
    side = detections.boxes_px[0, 2] - detections.boxes_px[0, 0]
    assert np.abs(points - detections.landmarks_px[0]).max() < 0.06 * side


@pytest.mark.parametrize("angle_deg", [25, -25])
def test_landmarks_turn_with_the_face(detect, drawn, angle_deg):
    """Within 1 % of the face's side. What O-Net says about the turned face itself is 3 to 4 % off."""
    import cv2

    height, width = drawn.shape[1:3]
    turn = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), angle_deg, 1.0)
    leaning = [cv2.warpAffine(frame, turn, (width, height), borderMode=cv2.BORDER_REPLICATE) for frame in drawn]
    check_one_face(detect(drawn), drawn)
    for f, other in zip(detect(drawn), detect(leaning), strict=True):
        # Places count from the edge of the first pixel, OpenCV's from its centre.
        expected = (f.landmarks_px[0] - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5
        assert len(other) == 1
        side = f.boxes_px[0, 2] - f.boxes_px[0, 0]
        assert np.abs(other.landmarks_px[0] - expected).max() < 0.01 * side


def test_looking_upright_leaves_what_is_no_face():
    """Points anywhere, all on one spot, or far outside the frame end in numbers, not in an error."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    points = np.concatenate([rng.uniform(-200, 200, (5, 5, 2)), np.full([1, 5, 2], 30.0)])

    def anywhere(windows):
        assert windows.shape == (6, 48, 48, 3) and windows.dtype == np.uint8
        return rng.uniform(-3, 3, (6, 5, 2))

    after = upright_landmarks([frame], [0] * 6, points, anywhere)
    assert np.isfinite(after).all()
    np.testing.assert_allclose(after[-1], points[-1])
    assert upright_landmarks([frame], [], np.zeros([0, 5, 2]), anywhere).shape == (0, 5, 2)


def test_many_frames_at_once_equal_one_by_one(detect, drawn):
    together, alone = detect(drawn), [detect([frame])[0] for frame in drawn]
    for a, b in zip(together, alone, strict=True):
        # Equal sums in another order: the rest is rounding.
        np.testing.assert_allclose(a.boxes_px, b.boxes_px, atol=0.01)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)


def test_boxes_agree_with_the_mtcnn_package(detect, drawn):
    from mtcnn import MTCNN

    ours = mtcnn.load(min_score=0.9, detect_side_px=max(drawn.shape[1:3]), second_look=False)(drawn)
    theirs = MTCNN().detect_faces(list(drawn))
    shared, shifts = [], []
    for a, b in zip(ours, theirs, strict=True):
        best = max(b, key=lambda face: face["confidence"])
        x, y, w, h = (float(v) for v in best["box"])
        shared.append(overlap(a.boxes_px[:1], np.array([[x, y, x + w, y + h]]))[0, 0])
        names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
        points = np.array([best["keypoints"][n] for n in names], float)
        shifts.append(np.abs(points - a.landmarks_px[0]).max() / w)
    # Not closer, because the package samples windows without averaging and rounds its boxes.
    assert np.median(shared) > 0.9 and min(shared) > 0.85 and max(shifts) < 0.08


def test_networks_equal_the_mtcnn_package():
    from mtcnn import MTCNN

    rng = np.random.default_rng(0)
    for ours, stage, side in zip(mtcnn_networks.networks(), MTCNN().stages, (37, 24, 48), strict=True):
        windows = rng.integers(0, 256, (11, side, side, 3), dtype=np.uint8)  # a piece of 8 and one of 3
        output = ours(windows)
        offsets, *points, face = (np.asarray(a) for a in stage.model((windows.astype(np.float32) - 127.5) / 128))
        np.testing.assert_allclose(output[..., :4], offsets, atol=1e-4)
        np.testing.assert_allclose(1 / (1 + np.exp(-output[..., -1])), face[..., 1], atol=1e-5)
        if points:
            np.testing.assert_allclose(output[:, 4:14], points[0], atol=1e-4)


def test_detectors_need_no_tensorflow():
    code = (
        "import os, sys, numpy as np; from tfdeepfake.data import faces\n"
        "for name in sys.argv[1:]: faces.make_detector(name)(np.zeros([1, 64, 64, 3], np.uint8))\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    names = ["mtcnn"] + ["blazeface"] * NETWORK.exists()
    environment = os.environ | {blazeface.ENVIRONMENT: str(NETWORK)}
    done = subprocess.run([sys.executable, "-c", code, *names], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_frames_of_different_sizes_keep_their_order(detect, drawn):
    height, width = drawn.shape[1:3]
    half = faces.resize(drawn[1], height // 2, width // 2)
    detections = detect([drawn[0], half, drawn[2]])
    assert [len(f) for f in detections] == [1, 1, 1]
    middle = detect([drawn[1]])[0].boxes_px
    assert overlap(detections[1].boxes_px * 2, middle)[0, 0] > 0.8


def test_a_small_face_is_found_in_the_second_search(drawn):
    large = np.full([900, 1600, 3], 90, np.uint8)
    large[500:560, 1000:1080] = faces.resize(drawn[0], 60, 80)
    assert not len(mtcnn.load(retry=False)([large])[0])
    (detections,) = mtcnn.load()([large])
    assert len(detections) == 1
    x0, y0, x1, y1 = detections.boxes_px[0]
    assert 1000 < x0 < x1 < 1080 and 500 < y0 < y1 < 560


@pytest.mark.parametrize("shape", [(180, 320, 3), (12, 500, 3), (5, 7, 3), (64, 64, 3)])
def test_images_without_a_face_give_none(detect, shape):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, shape, dtype=np.uint8)
    ramp = np.broadcast_to(np.linspace(0, 255, shape[1]).astype(np.uint8)[None, :, None], shape)
    for detections in detect([noise, ramp, np.zeros(shape, np.uint8)]):
        assert len(detections) == 0
        assert detections.boxes_px.shape == (0, 4) and detections.landmarks_px.shape == (0, 5, 2)


def test_no_frames_give_no_detections(detect):
    assert detect([]) == [] and detect(np.zeros([0, 8, 8, 3], np.uint8)) == []


def test_a_wall_of_faces_is_capped(drawn):
    x0, y0, x1, y1 = faces.square_box(faces.make_detector("mtcnn")(drawn[:1])[0].boxes_px[0], 0.3)
    face = faces.crop(drawn[0], [x0, y0, x1, y1], 48, 48)
    wall = np.tile(face, (10, 13, 1))
    (detections,) = mtcnn.load(max_faces=5)([wall])
    assert len(detections) == 5 and detections.dropped > 60


@pytest.mark.parametrize(
    "frames",
    [np.zeros([2, 8, 8, 3], np.float32), np.zeros([8, 8, 3], np.uint8), [np.zeros([8, 8, 4], np.uint8)], ["a"]],
)
def test_frames_that_are_no_images_are_refused(detect, frames):
    with pytest.raises(ValueError, match="frame 0"):
        detect(frames)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="min_score"):
        mtcnn.load(min_score=1.5)
    with pytest.raises(ValueError, match="detect_side_px"):
        mtcnn.load(detect_side_px=8)
    with pytest.raises(ValueError, match="candidate_score"):
        blazeface.load(weights="absent", candidate_score=0.0)


def test_a_missing_mtcnn_package_is_told(monkeypatch):
    monkeypatch.setattr(mtcnn_networks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install"):
        mtcnn_networks.load_weights()


def test_foreign_mtcnn_weights_are_told(monkeypatch, tmp_path):
    import joblib

    (tmp_path / "assets" / "weights").mkdir(parents=True)
    joblib.dump([np.zeros([3, 3, 3, 7])], tmp_path / "assets" / "weights" / "pnet.lz4")
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(mtcnn_networks.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match="no pnet weights"):
        mtcnn_networks.load_weights()


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    loopback.isolate(monkeypatch, tmp_path)
    monkeypatch.delenv(blazeface.ENVIRONMENT, raising=False)
    return tmp_path


def test_blazeface_offline_says_what_to_do(monkeypatch, empty_cache):
    # Nobody listens behind port 9 of the loopback.
    monkeypatch.setattr(blazeface, "ADDRESSES", ("http://127.0.0.1:9/face.tflite",))
    with pytest.raises(InputError) as error:
        faces.make_detector("blazeface")
    text = str(error.value)
    for words in (blazeface.ADDRESSES[0], str(empty_cache), blazeface.ENVIRONMENT, "mtcnn"):
        assert words in text


def test_blazeface_download_is_checked_and_kept(monkeypatch, empty_cache):
    content = b"a network"
    with loopback.Site() as site:
        site["/face.tflite"] = loopback.serve(content)
        monkeypatch.setattr(blazeface, "ADDRESSES", (site.address("/face.tflite"),))
        monkeypatch.setattr(blazeface, "NUM_BYTES", len(content))
        with pytest.raises(InputError, match="another file"):
            blazeface.weights_file()
        monkeypatch.setattr(blazeface, "SHA256", hashlib.sha256(content).hexdigest())
        path = blazeface.weights_file()
        assert path.read_bytes() == content and path.is_relative_to(empty_cache) and len(site.asked) == 2
        path.write_bytes(b"damaged..")
        assert blazeface.weights_file().read_bytes() == content and len(site.asked) == 3


def test_blazeface_file_given_by_path_or_environment(monkeypatch, empty_cache):
    ours = empty_cache / "ours.tflite"
    with pytest.raises(InputError, match="missing"):
        blazeface.weights_file(ours)
    ours.write_bytes(b"no network")
    monkeypatch.setenv(blazeface.ENVIRONMENT, str(ours))
    assert blazeface.weights_file() == ours
    with pytest.raises(InputError, match="no TensorFlow Lite network"):
        faces.make_detector("blazeface")


def test_anchors_of_both_networks():
    full, short = blazeface.anchors(192), blazeface.anchors(128)
    assert full.shape == (2304, 2) and short.shape == (896, 2)
    np.testing.assert_allclose(full[[0, 1, 48]] * 192, [[2, 2], [6, 2], [2, 6]])  # rows first
    np.testing.assert_allclose(short[[0, 1, 2, 512]] * 128, [[4, 4], [4, 4], [12, 4], [8, 8]])


def test_tiles_cover_the_frame():
    for height, width in ((1080, 1920), (1920, 1080), (200, 200), (40, 900), (20, 30)):
        seen = np.zeros([height, width], bool)
        tiles = blazeface._tiles(height, width, max(height, width) // 2)
        for x0, y0, x1, y1 in tiles:
            seen[y0:y1, x0:x1] = True
        assert seen.all() and len(tiles) <= 9


@needs_network
def test_blazeface_finds_the_drawn_face(drawn):
    detect = faces.make_detector("blazeface", weights=NETWORK)
    detections = detect(drawn)
    check_one_face(detections, drawn)
    for f, other in zip(detections, faces.make_detector("mtcnn")(drawn), strict=True):
        assert overlap(f.boxes_px, other.boxes_px)[0, 0] > 0.5
        side = other.boxes_px[0, 2] - other.boxes_px[0, 0]
        assert np.abs(f.landmarks_px[0, :2] - other.landmarks_px[0, :2]).max() < 0.15 * side
    rng = np.random.default_rng(0)
    assert not len(detect(rng.integers(0, 256, (1, 100, 180, 3), dtype=np.uint8))[0])


@pytest.mark.skipif(not (SHARED / "real").exists(), reason="needs images of real people, not in the repository")
def test_real_images(detect):
    import cv2

    def find(name):
        image = cv2.imread(str(SHARED / "real" / "images" / name))[..., ::-1]
        return detect([np.ascontiguousarray(image)])[0]

    assert len(find("negative__mtcnn__no-faces.jpg")) == 0
    assert len(find("real__facenet__multiface.jpg")) == 6
    assert len(find("real__dlib__bald_guys.jpg")) >= 20
