"""When a verdict cannot tell: it is UNSURE, and each doubt says why in plain words.

A doubt is a dict (docs/predictions.md): `measure`, what was measured; `value`; `limit`, from which on it is a doubt;
`face`, the number of the face, None of the whole video; `text`.
"""

import math
from collections.abc import Sequence

import numpy as np

from tfdeepfake.vocabulary import FAKE, MEASURES_WITH_LEAST, REAL, UNSURE

# {measure: what is wrong with a face beyond its limit}; `who` is "the face" or "face 2".
WORDS = {
    "margin": "{who} has a probability close to the threshold, {value:.2f} in logits",
    "samples": "{who} is shown by too few samples, {value:.0f}",
    "side_px": "{who} is only {value:.0f} px large",
    "confidence": "the detector is unsure of {who}: {value:.2f}",
    "sharpness": "{who} is blurred: sharpness {value:.0f}",
    "contrast": "{who} is pale: contrast {value:.1f}",
    "colour": "{who} has little colour: {value:.1f}",
    "enlarged": "{who} is {side_px:.0f} px large and was enlarged {value:.1f} times",
    "noise": "{who} is noisy: {value:.1f} grey levels",
    "blocks": "{who} shows blocks of compression: {value:.2f}",
    "flicker": "{who} flickers: {value:.1f} grey levels",
    "turn": "{who} is turned away: {value:.2f} distances of its eyes",
}


def doubt(measure: str, value: float | None, limit: float | None, text: str, face: int | None = None) -> dict:
    """One reason for UNSURE; see the head of this file."""
    return {"measure": measure, "value": value, "limit": limit, "face": face, "text": text}


def interval_doubts(interval: tuple[float, float] | None, threshold: float, face: int | None = None) -> list[dict]:
    """Whether other frames might have turned the label: the two ends of the interval are called differently."""
    if interval is None or not interval[0] < threshold <= interval[1]:
        return []
    return [doubt("interval", list(interval), threshold, f"the interval holds the threshold {threshold:.2f}", face)]


def rate_doubts(clips_fps: Sequence[float], least_fps: float, stride_frames: int = 1) -> list[dict]:
    """Whether a video shows fewer frames/s than the motion that a network knows asks for.

    Args:
      clips_fps: of each of its clips, frames/s at which its frames follow each other; those that are known.
      least_fps: `data.video.rate.least_clip_fps`.
      stride_frames: frames of the video from one frame of a clip to the next, to say the rate of the video.
    """
    from tfdeepfake.data.video.rate import SAME_RATE

    shown = float(np.median(clips_fps)) if len(clips_fps) else math.inf
    if shown >= least_fps:
        return []
    shown, least = shown * stride_frames, least_fps * stride_frames
    text = f"shows {shown:.3g} new frames/s, the network knows motion at {SAME_RATE * least:.3g}"
    return [doubt("frame_rate", round(shown, 3), round(least, 3), text)]


def measured(face: dict, threshold: float, measure: str) -> float | None:
    """A measure of a face dict (docs/predictions.md); None where it could not be taken.

    `margin` is |logit of its probability - logit of the threshold|, `samples` the length of its timeline; the others
    stand in the dict, see `quality.measures_of`.
    """
    if measure == "margin":
        value = min(max(face["probability"], 1e-12), 1 - 1e-12)
        return abs(math.log(value / (1 - value)) - math.log(threshold / (1 - threshold)))
    if measure == "samples":
        return len(face["timeline"])
    return face.get(measure) if measure in ("side_px", "confidence") else face["measures"].get(measure)


def face_doubts(face: dict, threshold: float, limits: dict[str, float], who: str = "the face") -> list[dict]:
    """What lies beyond the limits of a recipe.

    Args:
      face: face dict, `interval` and `timeline` included.
      threshold: probability from which it is FAKE.
      limits: of the recipe, {measure: limit}.
      who: the face in words.
    """
    doubts = interval_doubts(face["interval"], threshold, face["face"])
    for measure, limit in limits.items():
        value, is_least = measured(face, threshold, measure), measure in MEASURES_WITH_LEAST
        if value is not None and (value < limit if is_least else value > limit):
            words = WORDS[measure].format(who=who, value=value, side_px=face["side_px"])
            doubts.append(doubt(measure, value, limit, f"{words} (limit {limit:.3g})", face["face"]))
    return doubts


def label_of(probability: float, threshold: float, doubts: list[dict]) -> str:
    """UNSURE where there are doubts, else FAKE from the threshold on, else REAL."""
    if doubts:
        return UNSURE
    return FAKE if probability >= threshold else REAL


def video_doubts(
    probability: float, interval: tuple[float, float] | None, threshold: float, faces_not_judged: int, faces: list[dict]
) -> list[dict]:
    """Doubts about the label of a video.

    Args:
      probability, interval: of the video.
      threshold: probability from which it is FAKE.
      faces_not_judged: faces that were found and not looked at. One fake face makes a FAKE whatever the others are; of
        a REAL they are a doubt.
      faces: face dicts, those that may decide most suspicious first. A FAKE rests on the first of them, unless another
        is FAKE without a doubt; a REAL on all of them.
    """
    doubts, deciding = interval_doubts(interval, threshold), [f for f in faces if not (f["brief"] or f["weak"])]
    resting_on = deciding if probability < threshold else deciding[:1]
    if probability >= threshold and any(face["label"] == FAKE for face in deciding):
        resting_on = []
    by_measure = {}
    for face in resting_on:
        for one in face["doubts"]:
            by_measure.setdefault(one["measure"], []).append(one)
    by_measure.pop("interval", None)  # that of the video counts
    for first, *more in by_measure.values():
        others = f", and so it is of {len(more)} more" if more else ""
        doubts.append(first | {"text": first["text"] + others})
    if faces_not_judged and probability < threshold:
        text = f"only {len(faces)} of {len(faces) + faces_not_judged} faces were judged"
        doubts.append(doubt("faces_not_judged", faces_not_judged, 1, text))
    return doubts
