"""A verdict as a notebook shows it: its line, its faces, each with its probability over time."""

from tfdeepfake.report import html
from tfdeepfake.verdict.images import FACES_SHOWN, most_suspicious_boxes, thumb
from tfdeepfake.verdict.lines import line
from tfdeepfake.verdict.page import THUMB_QUALITY, THUMB_SIDE_PX, timeline


def card(verdict: dict, threshold: float | None) -> str:
    """HTML of one verdict dict; everything in it is escaped.

    Args:
      verdict: see docs/predictions.md.
      threshold: probability from which a face is FAKE; None where the file was not scored.
    """
    faces = [face for face in verdict["faces"] if not (face["brief"] or face["weak"])]
    length_s = verdict["video"].get("duration_s") or 0
    pictures = _pictures(verdict)
    return (
        html.environment()
        .get_template("card.html")
        .render(
            line=line(verdict, threshold),
            status=(verdict["label"] or verdict["status"]).lower(),
            whole_frame=verdict["whole_frame"],
            rows=[
                (face, pictures.get(face["face"]), timeline(face["timeline"], length_s, threshold))
                for face in faces[:FACES_SHOWN]
            ],
            num_more=len(verdict["faces"]) - len(faces[:FACES_SHOWN]) + verdict["faces_not_judged"],
        )
    )


def _pictures(verdict):
    """{number of the face: address that holds its picture}; none where the file cannot be read any more."""
    from tfdeepfake.data import video

    boxes = most_suspicious_boxes(verdict["faces"])
    if not boxes:
        return {}
    try:
        # Boxes are in px of the full frame.
        full_px = max(verdict["video"]["width"], verdict["video"]["height"])
        stream = verdict["video"].get("stream")
        read = video.read_frames(verdict["file"], sorted(boxes), max_side_px=full_px, stream=stream)
    except (video.VideoError, OSError):
        return {}
    pictures = {}
    for frame, index in zip(read.frames, read.indices, strict=True):
        for number, box in boxes.get(int(index), ()):
            pictures[number] = html.embedded(thumb(frame, box), THUMB_SIDE_PX, THUMB_QUALITY)["data"]
    return pictures
