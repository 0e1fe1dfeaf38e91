"""BlazeFace face detector (Bazarevsky et al. 2019, arXiv:1907.05047), MediaPipe's full-range network, 192 x 192.

The network file is downloaded at first use or given by path; anchors, decoding and the search are ours. Where we
differ from MediaPipe: every face is looked at once more in an image cut around it and in its mirror image (the
first score does not tell faces from the rest well, and a box found at 192 px for a whole frame is coarse), and a
frame without a face is searched again in overlapping tiles.

The boxes are squares and smaller than those of MTCNN: a network needs crops of the detector it was trained with.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfdeepfake.data.faces.boxes import check_frames, crop, make_detections, overlap, resize, square_box, suppress
from tfdeepfake.errors import InputError
from tfdeepfake.litert.network import Network, cpu_threads
from tfdeepfake.weights import cache

FILE = "face_detection_full_range_sparse.tflite"
# The same bytes under two addresses.
ADDRESSES = (
    f"https://storage.googleapis.com/mediapipe-assets/tasks/testdata/vision/{FILE}",
    f"https://storage.googleapis.com/mediapipe-assets/{FILE}",
)
NUM_BYTES = 676_746
SHA256 = "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1"
ENVIRONMENT = "TFDEEPFAKE_BLAZEFACE"

# Input side: ((stride, anchors per cell), ...). 192 is the full-range network, 128 the short-range one.
ANCHORS = {192: ((4, 1),), 128: ((8, 2), (16, 6))}
# What the second look sees: the box with so much around it on each side.
LOOK_MARGIN = 1.5


def weights_file(weights: str | Path | None = None) -> Path:
    """Path of the network: the argument, else $TFDEEPFAKE_BLAZEFACE, else the file of `cache.fetch`.

    Raises:
      InputError: the given file is missing, or cannot be fetched.
    """
    given = weights or os.environ.get(ENVIRONMENT)
    if given:
        path = Path(given)
        if not path.is_file():
            raise InputError(path, "this file is missing.", f"Give the path of {FILE} (weights= or ${ENVIRONMENT}).")
        return path
    return cache.fetch(
        FILE,
        ADDRESSES,
        sha256=SHA256,
        num_bytes=NUM_BYTES,
        remedy=f"Or give its path (weights= or ${ENVIRONMENT}), or use the detector `mtcnn`, which works offline.",
    )


@functools.cache
def network(path: str | Path, threads: int) -> tuple:
    """Loads the network once.

    Args:
      path: str; threads: CPU threads.
    Returns:
      (run, side): run(image uint8 [side, side, 3]) -> raw regressors float32 [A, 16] and logits [A].
    Raises:
      InputError: the file is no such network.
    """
    remedy = f"Give the path of {FILE}."
    try:
        loaded = Network(path, threads)
    except ValueError as error:
        raise InputError(path, f"is no TensorFlow Lite network ({error}).", remedy) from error
    (entry, (shape, _)), *more = loaded.inputs.items()
    side = shape[1] if len(shape) == 4 else 0
    count = sum((side // stride) ** 2 * each for stride, each in ANCHORS.get(side, ()))
    exits = {shape: name for name, (shape, _) in loaded.outputs.items()}
    if more or not count or set(exits) != {(1, count, 16), (1, count, 1)}:
        raise InputError(path, f"is no BlazeFace network (input {shape}, outputs {list(exits)}).", remedy)

    def run(image):
        values = loaded(**{entry: image[None].astype(np.float32) / 127.5 - 1})
        return values[exits[1, count, 16]][0], values[exits[1, count, 1]][0, :, 0]

    return run, side


def anchors(side: int) -> np.ndarray:
    """Centres of the anchors, float32 [A, 2] in 0..1, in the order of the network's outputs."""
    grids = []
    for stride, each in ANCHORS[side]:
        cells = (np.arange(side // stride) + 0.5) * stride / side
        y, x = np.meshgrid(cells, cells, indexing="ij")
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), each, axis=0))
    return np.concatenate(grids).astype(np.float32)


def load(
    weights: str | Path | None = None,
    min_score: float = 0.6,
    candidate_score: float = 0.35,
    retry: bool = True,
    max_faces: int = 100,
    threads: int | None = None,
) -> Callable:
    """Makes a detector; the network is loaded once per process.

    Args:
      weights: path of the network; None takes $TFDEEPFAKE_BLAZEFACE or fetches it once, see `cache.fetch`. MediaPipe's
        short-range network (128 x 128) is accepted too; it misses faces below a tenth of the frame.
      min_score: least score of a face, of the second look.
      candidate_score: least score in the first search for a second look.
      retry: search a frame without a face once more in overlapping tiles of half its longer side.
      max_faces: the largest are kept; the rest is counted in `Detections.dropped`.
      threads: CPU threads; None takes up to four.
    Returns:
      detect(frames) -> list of `Detections`, one per frame, boxes in px of the frame as given. `frames`: uint8
      [T, H, W, 3] or a list of uint8 [H, W, 3], RGB, sizes may differ. The network knows the mouth's centre only:
      the two corners are set 0.4 eye distances from it, along the line of the eyes.
    Raises:
      InputError: the network is missing or no BlazeFace network.
      ValueError: a score out of range, or (by `detect`) a frame is no uint8 RGB image.
    """
    if not (0 < min_score < 1 and 0 < candidate_score < 1):
        raise ValueError(f"min_score and candidate_score need 0..1, got {min_score} and {candidate_score}.")
    threads = threads or min(4, cpu_threads())
    run, side = network(str(weights_file(weights)), threads)
    centres = anchors(side)

    def find(image, least):
        """Faces of one image of any size: boxes [N, 4], logits [N], keypoints [N, 6, 2], in its px."""
        height, width = image.shape[:2]
        scale = side / max(height, width)
        inner = max(round(height * scale), 1), max(round(width * scale), 1)
        top, left = (side - inner[0]) // 2, (side - inner[1]) // 2
        square = np.zeros([side, side, 3], np.uint8)
        square[top : top + inner[0], left : left + inner[1]] = resize(image, *inner)
        values, logits = run(square)
        good = np.flatnonzero(logits >= _logit(least))
        # Each row: centre, size, six keypoints; all but the size are relative to the anchor.
        points = values[good].reshape(-1, 8, 2)
        points[:, [0, 2, 3, 4, 5, 6, 7]] += centres[good][:, None] * side
        logits = logits[good]
        boxes = np.concatenate([points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2], 1)
        boxes, points, logits = _weighted(boxes, points[:, 2:], logits)
        ratio = np.array([width / inner[1], height / inner[0]], np.float32)
        return (boxes - [left, top] * 2) * np.tile(ratio, 2), logits, (points - [left, top]) * ratio

    def look(frame, box):
        """Second look at a box: logit, box and keypoints, means over an image around it and its mirror image."""
        area = square_box(box, LOOK_MARGIN)
        image = crop(frame, area, side, side)
        expected = (
            np.array([[LOOK_MARGIN, LOOK_MARGIN, 1 + LOOK_MARGIN, 1 + LOOK_MARGIN]]) / (1 + 2 * LOOK_MARGIN) * side
        )
        seen = []
        for mirrored in (False, True):
            boxes, logits, points = find(np.ascontiguousarray(image[:, ::-1]) if mirrored else image, 0.15)
            if mirrored:
                boxes = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [side, 0, side, 0]
                points = points[:, [1, 0, 2, 3, 5, 4]] * [-1, 1] + [side, 0]
            same = np.flatnonzero(overlap(expected, boxes)[0] > 0.3)
            if not len(same):
                return _logit(0.15), box, None
            best = same[np.argmax(logits[same])]
            seen.append((logits[best], boxes[best], points[best]))
        logit, inside, points = (np.mean(values, axis=0) for values in zip(*seen, strict=True))
        scale = (area[2] - area[0]) / side
        return logit, inside * scale + np.tile(area[:2], 2), points * scale + area[:2]

    def faces_of(frame, tiles):
        boxes, logits = [], []
        for x0, y0, x1, y1 in tiles:
            tile_boxes, tile_logits, _ = find(np.ascontiguousarray(frame[y0:y1, x0:x1]), candidate_score)
            boxes.append(tile_boxes + [x0, y0, x0, y0])
            logits.append(tile_logits)
        boxes, logits = np.concatenate(boxes), np.concatenate(logits)
        boxes = boxes[suppress(boxes, logits, 0.3)[: 4 * max_faces]]
        looked = [look(frame, box) for box in boxes if _inside(box, frame)]
        looked = [seen for seen in looked if seen[0] >= _logit(min_score)]
        if not looked:
            return make_detections([], [], [])
        logits, boxes, points = (np.array(values, np.float32) for values in zip(*looked, strict=True))
        kept = suppress(boxes, logits, 0.3)
        scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
        return make_detections(boxes[kept], scores[kept], _landmarks(points[kept]), max_faces)

    def detect(frames):
        detections = []
        for frame in check_frames(frames):
            height, width = frame.shape[:2]
            faces = faces_of(frame, [(0, 0, width, height)])
            if retry and not len(faces):
                faces = faces_of(frame, _tiles(height, width, max(height, width) // 2))
            detections.append(faces)
        return detections

    return detect


def _logit(probability):
    return float(np.log(probability / (1 - probability)))


def _weighted(boxes, points, logits, limit=0.3):
    """Merges boxes that overlap the best one: means weighted by score; the best score stays (paper, Sec. 3.3)."""
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    rows = np.concatenate([boxes, points.reshape(len(boxes), 12)], 1)
    left, merged, best = np.argsort(-logits, kind="stable"), [], []
    while len(left):
        together = overlap(boxes[left[:1]], boxes[left])[0] > limit
        together[0] = True
        group = left[together]
        merged.append(np.average(rows[group], axis=0, weights=scores[group]))
        best.append(logits[left[0]])
        left = left[~together]
    merged = np.array(merged, np.float32).reshape(-1, 16)
    return merged[:, :4], merged[:, 4:].reshape(-1, 6, 2), np.array(best, np.float32)


def _inside(box, frame):
    """Whether a box has a pixel of the frame and is at least 4 px wide."""
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = box
    return x1 > 1 and y1 > 1 and x0 < width - 1 and y0 < height - 1 and min(x1 - x0, y1 - y0) >= 4


def _landmarks(points):
    """Five landmarks of BlazeFace's six keypoints [N, 6, 2]: eyes, nose, mouth, ears, the image's left eye first."""
    left, right, nose, mouth = (points[:, i] for i in range(4))
    half = 0.4 * (right - left)
    return np.stack([left, right, nose, mouth - half, mouth + half], axis=1)


def _tiles(height, width, side):
    """Square tiles [x0, y0, x1, y1] that cover a frame, neighbours sharing a third or more; at least 32 px."""
    side = max(side, 32)

    def starts(length):
        if length <= side:
            return [0]
        count = int(np.ceil((length - side) / (side * 2 / 3))) + 1
        return np.linspace(0, length - side, count).round().astype(int).tolist()

    return [(x, y, min(x + side, width), min(y + side, height)) for y in starts(height) for x in starts(width)]
