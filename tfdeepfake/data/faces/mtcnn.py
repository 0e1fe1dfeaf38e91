"""MTCNN face detector on many frames at once (Zhang et al. 2016, arXiv:1604.02878).

The weights of the three networks are those that come inside the `mtcnn` package, so nothing is downloaded;
how they are run is ours (`mtcnn_networks`). Where we differ from that package:
  * R-Net and O-Net see the windows of all frames together.
  * frames are shrunk first (`detect_side_px`); a frame without a face is tried again at twice the size.
  * a face that passed O-Net is looked at by it once more, at full resolution and mirrored, and the means are
    returned: they tell faces from the rest much better, and the boxes shake less.
  * landmarks are looked for again in the face turned upright (`upright.py`), so that they turn with it.
  * windows are cut with area averaging when they shrink; the package samples without it.
  * the pyramid goes on until the frame is 12 px, so that a face that fills the frame is found.
  * suppression is greedy (a box that was itself suppressed suppresses nothing).
"""

from collections.abc import Callable

import numpy as np

from tfdeepfake.data.faces.boxes import check_frames, make_detections, resize, suppress
from tfdeepfake.data.faces.mtcnn_networks import networks
from tfdeepfake.data.faces.upright import upright_landmarks

# Side of what P-Net looks at, its stride, and the ratio of neighbouring pyramid levels.
CELL_PX, STRIDE_PX, PYRAMID = 12, 2, 0.709
# How many windows of a frame may reach R-Net: noise or a crowd of thousands must not take minutes.
MAX_WINDOWS = 1000
# Of `load`: how the winner of the DFDC ran it.
HALF = {
    "stage_scores": (0.7, 0.8, 0.8),
    "min_score": 0.8,
    "detect_scale": 0.5,
    "retry": False,
    "second_look": False,
}


def load(
    min_score: float = 0.98,
    detect_side_px: int = 640,
    detect_scale: float | None = None,
    min_face_px: int = 20,
    retry: bool = True,
    max_faces: int = 100,
    stage_scores: tuple = (0.6, 0.7, 0.7),
    second_look: bool = True,
    threads: int | None = None,
) -> Callable:
    """Makes a detector; the networks are loaded once per process.

    Args:
      min_score: least score of a face; 0.99 for fewer wrong boxes.
      detect_side_px: the longer side of a frame is shrunk to this before the search.
      detect_scale: frames are shrunk to this part of their size instead, whatever that is.
      min_face_px: the smallest face searched for, in px of the shrunk frame: 20 of 640 is 3 % of the longer
        side, 60 px of a 1920 px frame.
      retry: search a frame without a face once more at twice the size.
      max_faces: the largest are kept; the rest is counted in `Detections.dropped`.
      stage_scores: least scores after P-Net, R-Net and O-Net.
      second_look: look at each face again, see above. Of 647 faces this kept 99.4 % at min_score 0.98 (99.1 % at
        0.99), and found 6 (1) wrong boxes in 544 frames whose faces had been blurred away; O-Net's first score
        kept 99.1 % at 0.9 with 11 wrong boxes. Boxes of a frame and of its mirror image overlap by 0.97 with it
        and by 0.91 without (medians).
      threads: CPU threads; `litert.network.cpu_threads()` when None.
    Returns:
      detect(frames) -> list of `Detections`, one per frame, boxes in px of the frame as given. `frames`: uint8
      [T, H, W, 3] or a list of uint8 [H, W, 3], RGB, sizes may differ.
    Raises:
      ValueError: an argument is out of range, or (by `detect`) a frame is no uint8 RGB image.
    """
    if not 0 <= min_score < 1:
        raise ValueError(f"min_score needs 0..1, got {min_score}.")
    if detect_side_px < CELL_PX or min_face_px < CELL_PX:
        raise ValueError(
            f"detect_side_px and min_face_px need at least {CELL_PX}, got {detect_side_px} and {min_face_px}."
        )
    if detect_scale is not None and not 0 < detect_scale <= 1:
        raise ValueError(f"detect_scale needs a part of the frame's size, more than 0 up to 1, got {detect_scale}.")
    nets = networks(threads)

    def detect(frames):
        frames = check_frames(frames)
        detections = [None] * len(frames)
        for shape in sorted({f.shape for f in frames}):
            same = [i for i, f in enumerate(frames) if f.shape == shape]
            side = max(shape)
            shrunk = min(detect_side_px, side) if detect_scale is None else max(CELL_PX, int(side * detect_scale))
            # Twice the frame's own size at most: an enlarged image shows nothing new beyond that.
            sides = [shrunk] + [min(2 * shrunk, 2 * side)] * retry
            for search_px in sides:
                rows = _search(
                    [frames[i] for i in same], search_px, min_face_px, min_score, stage_scores, second_look, nets
                )
                for i, row in zip(same, rows, strict=True):
                    detections[i] = make_detections(row[:, :4], row[:, 4], row[:, 5:], max_faces)
                same = [i for i in same if not len(detections[i])]
                if not same:
                    break
        return detections

    return detect


def _search(frames, search_px, min_face_px, min_score, stage_scores, second_look, nets):
    """One search at one size through frames of equal shape.

    Returns:
      list of float32 [N, 15] per frame: box, score, five landmarks x, y; px of the frame as given.
    """
    height, width = frames[0].shape[:2]
    scale = search_px / max(height, width)
    size = max(round(height * scale), CELL_PX), max(round(width * scale), CELL_PX)
    ratio = np.array([width / size[1], height / size[0]] * 2, np.float32)
    pnet, rnet, onet = nets
    results = []
    # A batch of frames at a time bounds memory.
    for first in range(0, len(frames), 32):
        originals = frames[first : first + 32]
        small = np.stack([resize(f, *size) for f in originals])
        owner, boxes = _proposals(small, min_face_px, stage_scores[0], pnet)
        boxes = _squares(boxes)
        output = rnet(_windows(small, owner, boxes, 24))
        boxes = boxes + output[:, :4] * (boxes[:, 2:3] - boxes[:, :1])
        scores = _sigmoid(output[:, 4])
        good = np.flatnonzero(scores >= stage_scores[1])
        good = good[_suppress_each(owner[good], boxes[good], scores[good], "union")]
        owner, boxes = owner[good], boxes[good]
        boxes = _squares(boxes)
        scores, boxes, landmarks = _faces(small, owner, boxes, onet, inset=0.0, mirror=False)
        good = np.flatnonzero(scores >= stage_scores[2])
        good = good[_suppress_each(owner[good], boxes[good], scores[good], "min")]
        owner, scores, boxes, landmarks = owner[good], scores[good], boxes[good] * ratio, landmarks[good] * ratio[:2]
        if second_look:
            # O-Net is surest of a window that is a tenth closer on each side than the box it returns.
            scores, boxes, landmarks = _faces(originals, owner, _squares(boxes), onet, inset=0.1, mirror=True)
        good = np.flatnonzero(scores >= min_score)
        good = good[_suppress_each(owner[good], boxes[good], scores[good], "min")]
        owner, boxes, scores, landmarks = owner[good], boxes[good], scores[good], landmarks[good]
        if second_look:
            look = lambda windows: _points(onet(_with_mirrored(windows)), mirror=True)  # noqa: E731
            landmarks = upright_landmarks(originals, owner, landmarks, look)
        rows = np.concatenate([boxes, scores[:, None], landmarks.reshape(-1, 10)], axis=1).astype(np.float32)
        results += [rows[owner == i] for i in range(len(originals))]
    return results


def _faces(frames, owner, squares, onet, inset, mirror):
    """What O-Net says about square boxes [N, 4], in their px.

    Args:
      inset: cut so much closer on each side, as a part of the box.
      mirror: average with what it says about the mirrored windows.
    Returns:
      scores float32 [N] (sigmoid of the mean logit), boxes float32 [N, 4], landmarks float32 [N, 5, 2].
    """
    side = (1 - 2 * inset) * (squares[:, 2:3] - squares[:, :1])
    corner = (squares[:, :2] + squares[:, 2:]) / 2 - side / 2
    squares = np.concatenate([corner, corner + side], 1)
    windows = _windows(frames, owner, squares, 48)
    output = onet(_with_mirrored(windows) if mirror else windows).reshape(1 + mirror, len(squares), 15)
    offsets, logits = output[:, :, :4], output[:, :, 14]
    if mirror:
        offsets = np.stack([offsets[0], offsets[1][:, [2, 1, 0, 3]] * [-1, 1, -1, 1]])
    boxes = squares + offsets.mean(0) * side
    landmarks = corner[:, None] + _points(output, mirror) * side[:, None]
    return _sigmoid(logits.mean(0)), boxes.astype(np.float32), landmarks.astype(np.float32)


def _with_mirrored(windows):
    return np.concatenate([windows, windows[:, :, ::-1]])


def _points(output, mirror):
    """Landmarks [N, 5, 2] in parts of the window's side, of O-Net's output [N, 15], or of [2 N, 15] with `mirror`."""
    points = output.reshape(1 + mirror, -1, 15)[:, :, 4:14].reshape(1 + mirror, -1, 2, 5).transpose(0, 1, 3, 2)
    if mirror:
        points = np.stack([points[0], points[1][:, [1, 0, 2, 4, 3]] * [-1, 1] + [1, 0]])
    return points.mean(0)


def _proposals(frames, min_face_px, min_score, pnet):
    """P-Net over the image pyramid.

    Args:
      frames: uint8 [B, H, W, 3].
    Returns:
      owner int64 [N] (index of the frame) and boxes float32 [N, 4] in px.
    """
    height, width = frames.shape[1:3]
    scale = CELL_PX / min_face_px
    limit = np.log(min_score / (1 - min_score))
    owners, boxes, scores = [], [], []
    while min(height, width) * scale >= CELL_PX:
        size = round(height * scale), round(width * scale)
        ratio = np.array([width / size[1], height / size[0]] * 2, np.float32)
        level = np.stack([resize(f, *size) for f in frames])
        output = pnet(level)
        owner, row, column = np.nonzero(output[..., 4] > limit)
        values = output[owner, row, column]
        corner = np.stack([column, row], 1).astype(np.float32) * STRIDE_PX
        box = np.concatenate([corner, corner + CELL_PX], 1) + values[:, :4] * CELL_PX
        for i in np.unique(owner):
            mine = np.flatnonzero(owner == i)
            mine = mine[np.argsort(-values[mine, 4], kind="stable")[: 2 * MAX_WINDOWS]]
            mine = mine[suppress(box[mine], values[mine, 4], 0.5)]
            owners.append(owner[mine])
            boxes.append(box[mine] * ratio)
            scores.append(values[mine, 4])
        scale *= PYRAMID
    if not boxes:
        return np.zeros([0], np.int64), np.zeros([0, 4], np.float32)
    owner, boxes, scores = np.concatenate(owners), np.concatenate(boxes), np.concatenate(scores)
    kept = _suppress_each(owner, boxes, scores, "union")
    return owner[kept], boxes[kept]


def _suppress_each(owner, boxes, scores, over):
    """`suppress` frame by frame; returns the rows kept."""
    kept = [np.zeros([0], np.int64)]
    for i in np.unique(owner):
        mine = np.flatnonzero(owner == i)
        kept.append(mine[suppress(boxes[mine], scores[mine], 0.7, over)[:MAX_WINDOWS]])
    return np.concatenate(kept)


def _sigmoid(x):
    return (1 / (1 + np.exp(-np.clip(x, -80, 80)))).astype(np.float32)


def _squares(boxes):
    """Squares of the longer side about the same centres."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], 1)


def _windows(frames, owner, boxes, side_px):
    """Cuts square windows, uint8 [N, side_px, side_px, 3]; mid-grey (the networks' zero) past the border."""
    import cv2

    height, width = frames[0].shape[:2]
    windows = np.empty([len(boxes), side_px, side_px, 3], np.uint8)
    for n, (i, box) in enumerate(zip(owner, boxes, strict=True)):
        x0, y0 = np.floor(box[:2]).astype(int)
        x1, y1 = np.maximum(np.ceil(box[2:]).astype(int), [x0 + 1, y0 + 1])
        part = frames[i][max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if part.size == 0:
            windows[n] = 127
            continue
        past = [max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0)]
        if any(past):
            part = cv2.copyMakeBorder(part, *past, cv2.BORDER_CONSTANT, value=(127, 127, 127))
        how = cv2.INTER_AREA if part.shape[0] > side_px else cv2.INTER_LINEAR
        windows[n] = cv2.resize(part, (side_px, side_px), interpolation=how)
    return windows
