"""When a verdict cannot tell: it is UNSURE, and each doubt says why in plain words.

A doubt is a dict (docs/predictions.md): `measure`, what was measured; `value`; `limit`, from which on it is a doubt;
`face`, the number of the face, None of the whole video; `text`.
"""

from tfdeepfake.vocabulary import FAKE, REAL, UNSURE


def doubt(measure: str, value, limit, text: str, face: int | None = None) -> dict:
    """One reason for UNSURE; see the head of this file."""
    return {"measure": measure, "value": value, "limit": limit, "face": face, "text": text}


def interval_doubts(interval: tuple[float, float] | None, threshold: float, face: int | None = None) -> list[dict]:
    """Whether other frames might have turned the label: the two ends of the interval are called differently."""
    if interval is None or not interval[0] < threshold <= interval[1]:
        return []
    return [doubt("interval", list(interval), threshold, f"the interval holds the threshold {threshold:.2f}", face)]


def label_of(probability: float, threshold: float, doubts: list[dict]) -> str:
    """UNSURE where there are doubts, else FAKE from the threshold on, else REAL."""
    if doubts:
        return UNSURE
    return FAKE if probability >= threshold else REAL


def video_doubts(
    probability: float,
    interval: tuple[float, float] | None,
    threshold: float,
    faces_not_judged: int,
    num_judged: int,
) -> list[dict]:
    """Doubts about the label of a video.

    Args:
      probability, interval: of the video.
      threshold: probability from which it is FAKE.
      faces_not_judged: faces that were found and not looked at. One fake face makes a FAKE whatever the others are; of
        a REAL they are a doubt.
      num_judged: faces that were looked at.
    """
    doubts = interval_doubts(interval, threshold)
    if faces_not_judged and probability < threshold:
        text = f"only {num_judged} of {num_judged + faces_not_judged} faces were judged"
        doubts.append(doubt("faces_not_judged", faces_not_judged, 1, text))
    return doubts
