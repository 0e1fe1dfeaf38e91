"""Which faces of a video decide: the one rule of verdicts and evaluations.

Detectors see a face in a pattern or a poster now and then: a face that is seen in less of a video than the recipe's
`brief_fraction` does not decide. Nor does a small one, or one that the detector is unsure of, where there are others:
on a small face little is left of a manipulation, and what detectors see in walls and lights is small or doubtful. At
least one face of a video decides.
"""

import numpy as np

from tfdeepfake.recipe import VerdictRecipe
from tfdeepfake.scoring.table import DECIDES, LOOKS, Table, video_codes

# With fewer samples a face that was seen once may be as good as another.
LEAST_SAMPLES = 8


def side_px(boxes_px: np.ndarray) -> float:
    """Size of a face in a sample: median over its boxes [4] or [T, 4] of the square root of their area, px."""
    boxes = np.reshape(boxes_px, (-1, 4)).astype(np.float64)
    return float(np.median(np.sqrt(np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1))))


def brief_and_weak(
    video: np.ndarray,
    count: np.ndarray,
    num_samples: np.ndarray,
    side_px: np.ndarray,
    confidence: np.ndarray,
    verdict: VerdictRecipe,
) -> tuple[np.ndarray, np.ndarray]:
    """Of the faces of any number of videos: whether each is too brief to decide, and too small or too doubtful.

    Args:
      video: int [F], number of each face's video.
      count: int [F], samples that show the face.
      num_samples: int [V], samples of each video that were looked at.
      side_px: float [F], median size of the face, px of the full frame; NaN where it is not known.
      confidence: float [F], mean of the detector's; NaN likewise.
      verdict: `VerdictRecipe`; a `least_confidence` of None asks for none.
    Returns:
      (brief bool [F], weak bool [F]). A face decides that is neither; in each video there is one.
    """
    videos = len(num_samples)
    fraction = np.minimum(1.0, count / num_samples[video])
    brief = (num_samples[video] >= LEAST_SAMPLES) & ((fraction < verdict.brief_fraction) | (count < 2))
    # Faces that come and go are all there is: the longest seen ones decide.
    longest = np.zeros(videos)
    np.maximum.at(longest, video, fraction)
    fleeting = np.bincount(video, weights=~brief, minlength=videos) == 0
    brief = np.where(fleeting[video], fraction < longest[video], brief)
    with np.errstate(invalid="ignore"):
        weak = (side_px < verdict.least_side_px) | (confidence < (verdict.least_confidence or 0.0))
    # Small or doubtful faces are all there is: the largest decides, and those not much smaller with it.
    none_strong = np.bincount(video, weights=~brief & ~weak, minlength=videos) == 0
    largest = np.zeros(videos)
    np.maximum.at(largest, video[~brief], np.nan_to_num(side_px)[~brief])
    alone = none_strong[video] & ~brief
    return brief, np.where(alone, np.nan_to_num(side_px) < 0.7 * largest[video], weak)


def with_deciding(rows: Table, asked_for: int, verdict: VerdictRecipe) -> Table:
    """A scores table that says of each row whether its face decides, where some do not.

    Args:
      rows: scores table; its columns `side_px` and `confidence` are used where it has them.
      asked_for: samples of a video that were looked at, those without a face included; where more show a face, these.
      verdict: of the recipe, stated.
    Returns:
      The table, with the column `decides` unless all faces decide.
    """
    scored = np.flatnonzero(rows["status"] == "scored")
    if not len(scored):
        return rows
    codes, first = video_codes(rows)
    keys, face = np.unique((codes[scored] << 31) + rows["face"][scored], return_inverse=True)
    video, count = keys >> 31, np.bincount(face)
    sample = np.unique((codes[scored] << 31) + rows["frame"][scored]) >> 31
    num_samples = np.maximum(np.bincount(sample, minlength=len(first)), asked_for)
    brief, weak = brief_and_weak(video, count, num_samples, *looks_of_faces(rows, scored, face, len(keys)), verdict)
    if not (brief | weak).any():
        return rows
    decides = np.ones(len(codes), np.int8)
    decides[scored] = ~(brief | weak)[face]
    return rows | {DECIDES: decides}


def looks_of_faces(rows: Table, scored: np.ndarray, face: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(median side in px, mean confidence) of each face, float64 [count], rounded as verdicts say them; NaN if unknown.

    Args:
      rows: scores table.
      scored: int [S], the rows that are meant; face: int [S], the face of each, 0..count - 1.
    """
    unknown = np.full(count, np.nan)
    side, confidence = (rows[name][scored].astype(np.float64) if name in rows else None for name in LOOKS)
    if side is not None:
        order = np.lexsort((side, face))
        ends = np.searchsorted(face[order], np.arange(count + 1))
        lower, upper = (ends[:-1] + ends[1:] - 1) // 2, (ends[:-1] + ends[1:]) // 2
        side = np.round((side[order[lower]] + side[order[upper]]) / 2, 1)
    if confidence is not None:
        sums = np.bincount(face, weights=confidence, minlength=count)
        confidence = np.round(sums / np.bincount(face, minlength=count), 4)
    return (unknown if side is None else side), (unknown if confidence is None else confidence)
