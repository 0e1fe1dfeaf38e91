"""Faces of single frames linked over time: which face is whose, which one to take, and where it is in every frame."""

from dataclasses import dataclass

import numpy as np

from tfdeepfake.data.boxes import overlap

SELECTIONS = ("largest", "most_confident", "all")
STEADY = ("clip", "smooth", "frame")
# A pair costs 0 when the boxes coincide; see `_costs`. Above this two boxes are not one face.
MAX_COST = 1.0


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
    def mean_score(self):
        return float(self.scores.mean())

    @property
    def mean_side_px(self):
        """Square root of the mean box area."""
        sides = np.maximum(self.boxes_px[:, 2:] - self.boxes_px[:, :2], 0)
        return float(np.sqrt(sides.prod(1).mean()))


def link_tracks(detections, max_gap=3, cuts=None):
    """Links faces of successive frames into tracks.

    Made for sampled frames, which may lie half a second apart: boxes of one face then often do not overlap, so
    a pair is judged by the distance of the centres and the ratio of the sizes, and overlap only helps. Where a
    track was moving, its next place is expected further along. All pairs of a frame are assigned together at
    the least total cost, so that two faces that pass each other keep their tracks where either motion or size
    tells them apart. A face that is missing for more than `max_gap` sampled frames starts a new track.

    Args:
      detections: list of `Detections`, one per sampled frame, in order.
      max_gap: sampled frames without the face that a track survives.
      cuts: bool [T] or None, True where a frame begins a new shot (`shot_cuts`): no track passes it.
    Returns:
      list of `Track`: the one with the greatest sum of scores (so the longest and surest) first; a brief
      uncertain one, which may be no face, last. `face` counts in that order.
    """
    from scipy.optimize import linear_sum_assignment

    open_tracks, closed = [], []
    for position, found in enumerate(detections):
        if cuts is not None and cuts[position]:
            closed, open_tracks = closed + open_tracks, []
        closed += [t for t in open_tracks if position - t[-1][0] > max_gap + 1]
        open_tracks = [t for t in open_tracks if position - t[-1][0] <= max_gap + 1]
        taken = set()
        if open_tracks and len(found):
            expected = np.stack([_expected(t, detections, position) for t in open_tracks])
            gaps = np.array([position - t[-1][0] for t in open_tracks])
            costs = _costs(expected, found.boxes_px, gaps)
            # A pair that is out of the question costs more than any number of good ones can save.
            rows, columns = linear_sum_assignment(np.where(costs <= MAX_COST, costs, 1e3))
            for row, column in zip(rows, columns, strict=True):
                if costs[row, column] <= MAX_COST:
                    open_tracks[row].append((position, column))
                    taken.add(column)
        open_tracks += [[(position, n)] for n in range(len(found)) if n not in taken]
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
    return [Track(n, t.positions, t.boxes_px, t.scores, t.landmarks_px) for n, t in enumerate(tracks)]


def _expected(steps, detections, position):
    """Box where a track should be now: its last one, moved on by at most one step of its last motion."""
    last_position, n = steps[-1]
    last = detections[last_position].boxes_px[n]
    if len(steps) < 2:
        return last
    before_position, n = steps[-2]
    before = detections[before_position].boxes_px[n]
    motion = (last - before).reshape(2, 2).mean(0) / (last_position - before_position)
    # Never more than half a face: a wild guess is worse than none.
    reach = np.minimum(last[2:] - last[:2], before[2:] - before[:2]) / 2
    return last + np.tile(np.clip(motion * (position - last_position), -reach, reach), 2)


def _costs(expected, boxes, gaps):
    """Cost of every (track, box): distance in face sizes, log ratio of sizes, lack of overlap.

    Args:
      expected: [N, 4]; boxes: [M, 4]; gaps: [N] sampled frames since the track was seen.
    Returns:
      [N, M], 0 for the same box; up to MAX_COST is acceptable.
    """

    def centre_and_side(b):
        return (b[:, :2] + b[:, 2:]) / 2, np.sqrt(np.maximum((b[:, 2:] - b[:, :2]).prod(1), 1e-6))

    (centre_a, side_a), (centre_b, side_b) = centre_and_side(expected), centre_and_side(boxes)
    distance = np.linalg.norm(centre_a[:, None] - centre_b[None], axis=-1)
    distance = distance / np.sqrt(side_a[:, None] * side_b[None])
    size = np.abs(np.log(side_a[:, None] / side_b[None]))
    # The allowed distance is 1.5 faces for neighbours and grows with the root of the gap; sizes up to 1.8 fold.
    reach = 1.5 * np.sqrt(gaps)[:, None]
    costs = 0.6 * distance / reach + 0.3 * size / np.log(1.8) + 0.1 * (1 - overlap(expected, boxes))
    return np.where((distance > reach) | (size > np.log(1.8)), 10.0, costs)


def shot_cuts(frames, least=0.35):
    """Which frames begin a new shot, judged by the colour layout of the whole picture.

    Args:
      frames: uint8 [T, H, W, 3] or a list of [H, W, 3].
      least: change of the colour histogram of 4 x 4 parts, 0 (same) to 1, from which it is a cut.
    Returns:
      bool [T]; the first is False.
    """
    from tfdeepfake.data.boxes import resize

    cuts, before = np.zeros(len(frames), bool), None
    for n, frame in enumerate(frames):
        small = resize(frame, 32, 32)
        # 4 levels a channel, counted in each of 4 x 4 parts: blind to small motion, sharp for a new picture.
        code = (small // 64).astype(np.int64) @ np.array([16, 4, 1])
        parts = code.reshape(4, 8, 4, 8).transpose(0, 2, 1, 3).reshape(16, 64)
        counts = np.stack([np.bincount(p, minlength=64) for p in parts]) / 64
        if before is not None:
            cuts[n] = np.abs(counts - before).sum(1).mean() / 2 > least
        before = counts
    return cuts


def select_tracks(tracks, select):
    """Keeps one face or all.

    Args:
      tracks: list of `Track` from `link_tracks`.
      select: "largest" (mean side times the share of frames it is seen in, so that a face that is large for a
        moment does not win), "most_confident" (greatest sum of scores) or "all".
    Returns:
      list of `Track`; empty when `tracks` is.
    Raises:
      ValueError: unknown `select`.
    """
    if select not in SELECTIONS:
        raise ValueError(f"select needs one of {SELECTIONS}, got {select!r}.")
    if select == "all" or not tracks:
        return list(tracks)
    if select == "largest":
        return [max(tracks, key=lambda t: t.mean_side_px * len(t))]
    return [max(tracks, key=lambda t: float(t.scores.sum()))]


def track_boxes(track, count, steady="clip"):
    """A box for each of `count` sampled frames.

    Frames in which the face was not found get a box between their neighbours'; before the first and after the
    last one it is held. Then:
      * "frame": as it is.
      * "smooth": centres and sides averaged over neighbours with weights 1, 4, 6, 4, 1, ends repeated.
      * "clip": one box for all: its centre is that of the union of all boxes, its sides are the median sides,
        widened where needed so that every box's centre half stays inside; a still head gets a tight crop and a
        moving one is never cut through the eyes or mouth.

    Args:
      track: `Track` with at least one box.
      count: number of sampled frames; all positions are below it.
      steady: "clip", "smooth" or "frame".
    Returns:
      float32 [count, 4].
    Raises:
      ValueError: unknown `steady`, or `count` is too small.
    """
    if steady not in STEADY:
        raise ValueError(f"steady needs one of {STEADY}, got {steady!r}.")
    if count <= int(track.positions[-1]):
        raise ValueError(f"count needs to be above the last position {int(track.positions[-1])}, got {count}.")
    where = np.arange(count)
    boxes = np.stack([np.interp(where, track.positions, side) for side in track.boxes_px.T.astype(np.float64)], 1)
    if steady == "smooth":
        weights = np.array([1, 4, 6, 4, 1]) / 16
        padded = np.pad(boxes, [(2, 2), (0, 0)], mode="edge")
        boxes = sum(w * padded[i : i + count] for i, w in enumerate(weights))
    elif steady == "clip":
        seen = track.boxes_px.astype(np.float64)
        centre = (seen[:, :2].min(0) + seen[:, 2:].max(0)) / 2
        half = np.median(seen[:, 2:] - seen[:, :2], axis=0) / 2
        middles, quarters = (seen[:, :2] + seen[:, 2:]) / 2, (seen[:, 2:] - seen[:, :2]) / 4
        half = np.maximum(half, (np.abs(middles - centre) + quarters).max(0))
        boxes = np.tile(np.concatenate([centre - half, centre + half]), (count, 1))
    return boxes.astype(np.float32)
