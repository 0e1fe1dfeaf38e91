"""MTCNN face detector on many frames at once (Zhang et al. 2016, arXiv:1604.02878).

The weights of the three networks are those that come inside the `mtcnn` package, so nothing is downloaded;
how they are run is ours. Where we differ from that package:
  * P-Net sees all frames of a size in one call per pyramid level, R-Net and O-Net see the windows of all frames
    in one call; functions are traced once for every size of frame.
  * frames are shrunk first (`detect_side_px`); a frame without a face is tried again at twice the size.
  * a face that passed O-Net is looked at by it once more, at full resolution and mirrored, and the means are
    returned: they tell faces from the rest much better, and the boxes shake less.
  * landmarks are looked for again in the face turned upright (`upright.py`), so that they turn with it.
  * windows are cut with area averaging when they shrink; the package samples without it.
  * the pyramid goes on until the frame is 12 px, so that a face that fills the frame is found.
  * suppression is greedy (a box that was itself suppressed suppresses nothing).
"""

import functools
import importlib.util
from pathlib import Path

import numpy as np

from tfdeepfake.data.faces.boxes import check_frames, make_detections, resize, suppress
from tfdeepfake.data.faces.upright import upright_landmarks
from tfdeepfake.errors import InputError

# Side of what P-Net looks at, its stride, and the ratio of neighbouring pyramid levels.
CELL_PX, STRIDE_PX, PYRAMID = 12, 2, 0.709
# How many windows of a frame may reach R-Net: noise or a crowd of thousands must not take minutes.
MAX_WINDOWS = 1000


def load_weights():
    """Weights of P-, R- and O-Net as the `mtcnn` package ships them.

    Only the three weight files are read; the package's code is not imported.

    Returns:
      tuple of three lists of float32 arrays, in the order of the layers.
    Raises:
      InputError: the package is not installed or its files are not the known ones.
    """
    remedy = 'Install it: pip install "mtcnn>=1.0.0" lz4'
    found = importlib.util.find_spec("mtcnn")
    if found is None or not found.origin:
        raise InputError(
            "mtcnn", "this package, which holds the weights of the face detector, is not installed.", remedy
        )
    folder = Path(found.origin).parent / "assets" / "weights"
    lists = []
    for name, first, last in (("pnet", 10, 2), ("rnet", 28, 2), ("onet", 32, 2)):
        path = folder / f"{name}.lz4"
        try:
            import joblib

            arrays = [np.asarray(a, np.float32) for a in joblib.load(path)]
        except (ImportError, OSError, ValueError, EOFError) as error:
            raise InputError(path, f"cannot be read ({error}).", remedy) from error
        if arrays[0].shape != (3, 3, 3, first) or arrays[-1].shape != (last,):
            raise InputError(path, f"holds no {name} weights (first shape {arrays[0].shape}).", remedy)
        lists.append(arrays)
    return tuple(lists)


@functools.cache
def networks(device):
    """The three networks as TensorFlow functions of uint8 windows, traced once each.

    Args:
      device: TensorFlow device they run on.
    Returns:
      (pnet, rnet, onet): functions uint8 [B, H, W, 3] -> float32 arrays:
        pnet: [B, h, w, 5], box offsets and the logit of "face", for every second pixel.
        rnet: [B, 5], offsets and logit, of 24 x 24 windows.
        onet: [B, 15], offsets, five x and five y of landmarks, logit, of 48 x 48 windows.
    """
    import tensorflow as tf

    def prelu(x, slope):
        return tf.nn.relu(x) + slope * tf.minimum(x, 0.0)

    def conv(x, arrays):
        kernel, bias, slope = arrays
        return prelu(tf.nn.conv2d(x, kernel, 1, "VALID") + bias, slope)

    def dense(x, arrays):
        kernel, bias, slope = arrays
        # Permuted, because the dense weights were trained on maps with x before y.
        return prelu(tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, kernel.shape[0]]) @ kernel + bias, slope)

    def heads(*pairs):
        """Several outputs as one matrix; a softmax of two is a sigmoid of the difference."""
        *rest, (kernel, bias) = pairs
        face = kernel[..., 1:] - kernel[..., :1], bias[1:] - bias[:1]
        kernels, biases = zip(*rest, face, strict=True)
        return np.concatenate(kernels, -1), np.concatenate(biases, -1)

    def scaled(windows):
        return (tf.cast(windows, tf.float32) - 127.5) / 128.0

    p, r, o = load_weights()
    p_head, r_head, o_head = heads(p[9:11], p[11:]), heads(r[12:14], r[14:]), heads(o[15:17], o[17:19], o[19:])

    def pnet(windows):
        x = tf.nn.max_pool2d(conv(scaled(windows), p[0:3]), 2, 2, "SAME")
        x = conv(conv(x, p[3:6]), p[6:9])
        return tf.nn.conv2d(x, p_head[0], 1, "VALID") + p_head[1]

    def rnet(windows):
        x = tf.nn.max_pool2d(conv(scaled(windows), r[0:3]), 3, 2, "SAME")
        x = tf.nn.max_pool2d(conv(x, r[3:6]), 3, 2, "VALID")
        return dense(conv(x, r[6:9]), r[9:12]) @ r_head[0] + r_head[1]

    def onet(windows):
        x = tf.nn.max_pool2d(conv(scaled(windows), o[0:3]), 3, 2, "SAME")
        x = tf.nn.max_pool2d(conv(x, o[3:6]), 3, 2, "VALID")
        x = tf.nn.max_pool2d(conv(x, o[6:9]), 2, 2, "SAME")
        return dense(conv(x, o[9:12]), o[12:15]) @ o_head[0] + o_head[1]

    def traced(network, side):
        def counted(windows):
            call.traces += 1  # Python runs this only while tracing
            return network(windows)

        signature = [tf.TensorSpec([None, side, side, 3], tf.uint8)]
        function = tf.function(counted, input_signature=signature, autograph=False)

        def call(windows, piece):
            # In pieces: the maps of one piece stay in the processor's cache, and memory is bounded.
            # TensorFlow's convolution gives wrong shapes for no windows: one empty one stands in.
            full = windows if len(windows) else np.zeros([1, *windows.shape[1:]], np.uint8)
            with tf.device(device):
                parts = [function(full[i : i + piece]).numpy() for i in range(0, len(full), piece)]
            return np.concatenate(parts)[: len(windows)]

        call.traces = 0
        return call

    return traced(pnet, None), traced(rnet, 24), traced(onet, 48)


def load(
    min_score=0.98,
    detect_side_px=640,
    min_face_px=20,
    retry=True,
    max_faces=100,
    stage_scores=(0.6, 0.7, 0.7),
    second_look=True,
    device="CPU:0",
):
    """Makes a detector; the networks are loaded once per process.

    Args:
      min_score: least score of a face; 0.99 for fewer wrong boxes.
      detect_side_px: the longer side of a frame is shrunk to this before the search.
      min_face_px: the smallest face searched for, in px of the shrunk frame: 20 of 640 is 3 % of the longer
        side, 60 px of a 1920 px frame.
      retry: search a frame without a face once more at twice the size.
      max_faces: the largest are kept; the rest is counted in `Detections.dropped`.
      stage_scores: least scores after P-Net, R-Net and O-Net.
      second_look: look at each face again, see above. Of 647 faces this kept 99.4 % at min_score 0.98 (99.1 % at
        0.99), and found 6 (1) wrong boxes in 544 frames whose faces had been blurred away; O-Net's first score
        kept 99.1 % at 0.9 with 11 wrong boxes. Boxes of a frame and of its mirror image overlap by 0.97 with it
        and by 0.91 without (medians).
      device: TensorFlow device; the CPU leaves the memory of a GPU to training.
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
    nets = networks(device)

    def detect(frames):
        frames = check_frames(frames)
        found = [None] * len(frames)
        for shape in sorted({f.shape for f in frames}):
            same = [i for i, f in enumerate(frames) if f.shape == shape]
            side = max(shape)
            # Twice the frame's own size at most: an enlarged image shows nothing new beyond that.
            sides = [min(detect_side_px, side)] + [min(2 * detect_side_px, 2 * side)] * retry
            for search_px in sides:
                rows = _search(
                    [frames[i] for i in same], search_px, min_face_px, min_score, stage_scores, second_look, nets
                )
                for i, row in zip(same, rows, strict=True):
                    found[i] = make_detections(row[:, :4], row[:, 4], row[:, 5:], max_faces)
                same = [i for i in same if not len(found[i])]
                if not same:
                    break
        return found

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
        output = rnet(_windows(small, owner, boxes, 24), 256)
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
            look = lambda windows: _points(onet(_with_mirrored(windows), 64), mirror=True)  # noqa: E731
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
    output = onet(_with_mirrored(windows) if mirror else windows, 64).reshape(1 + mirror, len(squares), 15)
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
        # About a million pixels a call; smaller pieces at the fine levels.
        output = pnet(level, max(1, 400_000 // (size[0] * size[1])))
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
