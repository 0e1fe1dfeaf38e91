"""Tracks: faces of single frames linked over time, the choice of one, and its box in every frame."""

import contextlib
from dataclasses import dataclass, replace

import numpy as np

from tfdeepfake.data.faces.boxes import crop, overlap
from tfdeepfake.vocabulary import BOX_SMOOTHINGS, FACE_SELECTIONS

# What two boxes of neighbouring sampled frames may differ by and still be one face. Distance of the centres in
# sides of the face, judged with and without the frames; log of the ratio of the sizes; mean difference of the
# looks (0..1), which is 0.03 in the median and 0.11 at the 95th percentile for the same person half a second
# later, and above 0.14 for nine in ten pairs of different people.
REACH_SEEN, REACH_BLIND = 3.0, 1.5
MAX_SIZE = float(np.log(1.8))
MAX_CHANGE = 0.17


@dataclass(frozen=True)
class Track:
    """One face over time.

    Args:
      face: number of the face, 0 is the first in the list `link_tracks` returns.
      positions: int64 [n], ascending indices into the sampled frames.
      boxes_px: float32 [n, 4].
      scores: float32 [n].
      landmarks_px: float32 [n, 5, 2].
    """

    face: int
    positions: np.ndarray
    boxes_px: np.ndarray
    scores: np.ndarray
    landmarks_px: np.ndarray

    def __len__(self):
        return len(self.positions)

    @property
    def mean_score(self) -> float:
        return float(self.scores.mean())

    @property
    def mean_side_px(self) -> float:
        """Square root of the mean box area."""
        sides = np.maximum(self.boxes_px[:, 2:] - self.boxes_px[:, :2], 0)
        return float(np.sqrt(sides.prod(1).mean()))


def looks_of(detections: list, frames: np.ndarray | list) -> list:
    """Looks of the faces of each frame, for `link_tracks`: float32 [N, 192] of N faces.

    Args:
      detections: list of `Detections`, one per frame.
      frames: uint8 [T, H, W, 3] or list of [H, W, 3], the frames they were detected in.
    """
    return [_looks(frame, faces.boxes_px) for frame, faces in zip(frames, detections, strict=True)]


def link_tracks(
    detections: list, frames: np.ndarray | None = None, max_gap: int = 3, looks: list | None = None
) -> list:
    """Links faces of successive frames into tracks.

    Sampled frames may lie half a second apart: boxes of one face then often do not overlap, so a
    pair is judged by the distance of the centres and the ratio of the sizes, and overlap only helps. Where a
    track was moving, its next place is expected further along. With `frames`, the look of head and shoulders
    decides as well: then a face may move further, and a track does not jump to another face at a shot cut or
    where one person hides another. All pairs of a frame are assigned together at the least total cost, so two
    faces that pass each other keep their tracks. A face missing for more than `max_gap` sampled frames starts a
    new track.

    Args:
      detections: list of `Detections`, one per sampled frame, in order.
      frames: uint8 [T, H, W, 3] or list of [H, W, 3], the frames they were detected in, or None.
      max_gap: number of sampled frames without the face after which a track still continues.
      looks: those of `looks_of`, in the place of `frames` that are not all held at once.
    Returns:
      list of `Track`: the one with the greatest sum of scores (the longest and most confident) first; a brief
      uncertain one, which may be no face, last. `face` counts in that order.
    Raises:
      ValueError: `frames` and `detections` differ in number.
    """
    if frames is not None and len(frames) != len(detections):
        raise ValueError(f"frames needs one frame per detections, {len(detections)}, got {len(frames)}.")
    if looks is None:
        looks = [None] * len(detections) if frames is None else looks_of(detections, frames)
    open_tracks, closed = [], []
    for position, faces in enumerate(detections):
        closed += [t for t in open_tracks if position - t[-1][0] > max_gap + 1]
        open_tracks = [t for t in open_tracks if position - t[-1][0] <= max_gap + 1]
        taken = set()
        if open_tracks and len(faces):
            costs = _costs(open_tracks, detections, looks, position)
            for row, column in _pairs(costs):
                open_tracks[row].append((position, column))
                taken.add(column)
        open_tracks += [[(position, n)] for n in range(len(faces)) if n not in taken]
    tracks = []
    for steps in closed + open_tracks:
        picks = [(detections[p], n) for p, n in steps]
        tracks.append(
            Track(
                face=0,
                positions=np.array([p for p, _ in steps], np.int64),
                boxes_px=np.stack([d.boxes_px[n] for d, n in picks]).astype(np.float32),
                scores=np.array([d.scores[n] for d, n in picks], np.float32),
                landmarks_px=np.stack([d.landmarks_px[n] for d, n in picks]).astype(np.float32),
            )
        )
    tracks.sort(key=lambda t: (-float(t.scores.sum()), -t.mean_side_px, int(t.positions[0])))
    return [replace(t, face=n) for n, t in enumerate(tracks)]


def _looks(frame, boxes):
    """Colours of head and shoulders, float32 [N, 192], 0..1; NaN for a box outside the frame."""
    looks = np.full([len(boxes), 192], np.nan, np.float32)
    for look, box in zip(looks, boxes, strict=True):
        sides = box[2:] - box[:2]
        with contextlib.suppress(ValueError):
            head = crop(frame, np.concatenate([box[:2] - sides * [0.25, 0.1], box[2:] + sides * [0.25, 0.5]]), 32, 32)
            look[:] = head.reshape(8, 4, 8, 4, 3).mean((1, 3)).ravel() / 255
    return looks


def _expected(steps, detections, position):
    """Box where a track should be now: its last one, moved on by its last motion, by a face's side at most."""
    last_position, n = steps[-1]
    last = detections[last_position].boxes_px[n]
    if len(steps) < 2:
        return last
    before_position, n = steps[-2]
    before = detections[before_position].boxes_px[n]
    motion = (last - before).reshape(2, 2).mean(0) / (last_position - before_position)
    reach = last[2:] - last[:2]
    return last + np.tile(np.clip(motion, -reach, reach), 2)


def _pairs(costs):
    """Pairs (row, column) of least total cost; infinite ones are out of the question."""
    rows = np.flatnonzero(np.isfinite(costs).any(axis=1))
    best = costs[rows].argmin(axis=1)
    if len(set(best.tolist())) < len(rows):
        # Only where two want the same: importing this takes as long as a second of video.
        from scipy.optimize import linear_sum_assignment

        # A pair that is out of the question costs more than any number of good ones can save.
        rows, best = linear_sum_assignment(np.where(np.isfinite(costs), costs, 1e3))
    return [(row, column) for row, column in zip(rows, best, strict=True) if np.isfinite(costs[row, column])]


def _costs(tracks, detections, looks, position):
    """Cost of every pair of open track and box: distance, ratio of sizes, overlap and look.

    Returns:
      float [N, M], about 0 for the same box; infinite where they cannot be one face.
    """
    boxes = detections[position].boxes_px
    expected = np.stack([_expected(t, detections, position) for t in tracks])
    gaps = np.array([position - t[-1][0] for t in tracks])

    def centre_and_side(b):
        return (b[:, :2] + b[:, 2:]) / 2, np.sqrt(np.maximum((b[:, 2:] - b[:, :2]).prod(1), 1e-6))

    (centre_a, side_a), (centre_b, side_b) = centre_and_side(expected), centre_and_side(boxes)
    distance = np.linalg.norm(centre_a[:, None] - centre_b[None], axis=-1)
    distance = distance / np.sqrt(side_a[:, None] * side_b[None])
    size = np.abs(np.log(side_a[:, None] / side_b[None]))
    reach = np.where(looks[position] is None, REACH_BLIND, REACH_SEEN) * np.sqrt(gaps)[:, None]
    costs = distance / reach + 0.5 * size / MAX_SIZE + 0.2 * (1 - overlap(expected, boxes))
    costs = np.where((distance > reach) | (size > MAX_SIZE), np.inf, costs)
    if looks[position] is not None:
        before = np.stack([looks[t[-1][0]][t[-1][1]] for t in tracks])
        # NaN marks a box without a look: only place and size can tell.
        change = np.nan_to_num(np.abs(before[:, None] - looks[position][None]).mean(-1))
        costs = costs + np.where(change <= MAX_CHANGE, change / MAX_CHANGE, np.inf)
    return costs


def select_tracks(tracks: list, select: str) -> list:
    """Selects one face or all.

    Args:
      tracks: list of `Track` from `link_tracks`.
      select: "largest" (mean side times the fraction of frames it is seen in, so that a face that is large for a
        moment does not win), "most_confident" (greatest sum of scores) or "all".
    Returns:
      list of `Track`; empty when `tracks` is.
    Raises:
      ValueError: unknown `select`.
    """
    if select not in FACE_SELECTIONS:
        raise ValueError(f"select needs one of {FACE_SELECTIONS}, got {select!r}.")
    if select == "all" or not tracks:
        return list(tracks)
    if select == "largest":
        return [max(tracks, key=lambda t: t.mean_side_px * len(t))]
    return [max(tracks, key=lambda t: float(t.scores.sum()))]


def track_boxes(track: Track, count: int, box_smoothing: str = "clip") -> np.ndarray:
    """A box for each of `count` sampled frames.

    Frames in which the face was not detected get a box between their neighbours'; before the first and after the
    last one it is held. Then:
      * "frame": each box unchanged.
      * "smooth": each side averaged over neighbours with weights 1, 4, 6, 4, 1; motion is continued past the ends.
      * "clip": one box, the union of all, so that the face stays inside it in every frame. Of a face that moves so far
        that the union is longer than twice its median side, the box keeps one size (the greatest width and
        height) and follows the smooth centre: a union would show a small face in a large image.

    Args:
      track: `Track` with at least one box.
      count: number of sampled frames; all positions are below it.
      box_smoothing: "clip", "smooth" or "frame".
    Returns:
      float32 [count, 4].
    Raises:
      ValueError: unknown `box_smoothing`, or `count` is too small.
    """
    if box_smoothing not in BOX_SMOOTHINGS:
        raise ValueError(f"box_smoothing needs one of {BOX_SMOOTHINGS}, got {box_smoothing!r}.")
    if count <= int(track.positions[-1]):
        raise ValueError(f"count needs to be above the last position {int(track.positions[-1])}, got {count}.")
    boxes = _interpolated(track, track.boxes_px, count)
    if box_smoothing != "frame":
        smooth = smoothed(boxes)
        union = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
        sides = boxes[:, 2:] - boxes[:, :2]
        if box_smoothing == "smooth":
            boxes = smooth
        elif (union[2:] - union[:2]).max() <= 2 * np.median(sides.max(1)):
            boxes = np.tile(union, (count, 1))
        else:
            centres, half = (smooth[:, :2] + smooth[:, 2:]) / 2, sides.max(0) / 2
            boxes = np.concatenate([centres - half, centres + half], 1)
    return boxes.astype(np.float32)


def track_landmarks(track: Track, count: int) -> np.ndarray:
    """Landmarks of a face in all sampled frames, as `track_boxes` with `box_smoothing` "frame" has its boxes.

    Args:
      track, count: see `track_boxes`.
    Returns:
      float64 [count, 5, 2], px of the frames.
    """
    return _interpolated(track, track.landmarks_px, count)


def smoothed(values: np.ndarray) -> np.ndarray:
    """Values [T, ...] averaged over neighbours with weights 1, 4, 6, 4, 1; motion is continued past the ends."""
    padded = np.pad(values, [(2, 2)] + [(0, 0)] * (values.ndim - 1), mode="reflect", reflect_type="odd")
    return sum(w / 16 * padded[i : i + len(values)] for i, w in enumerate((1, 4, 6, 4, 1)))


def _interpolated(track, values, count):
    """Values [n, ...] at the track's positions, float64 [count, ...] for all frames."""
    where, columns = np.arange(count), values.reshape(len(track), -1).T.astype(np.float64)
    rows = np.stack([np.interp(where, track.positions, column) for column in columns], 1)
    return rows.reshape(count, *values.shape[1:])
