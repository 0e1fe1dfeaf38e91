"""What must stand beside a verdict's figure, in its printed line and on the page: what contradicts it."""

from tfdeepfake.report.text import printable
from tfdeepfake.verdict.methods import phrase
from tfdeepfake.verdict.timelines import LEAST_SIDE_PX
from tfdeepfake.vocabulary import DRAWN_DATA, FAKE, REAL

LEAST_BETWEEN_S = 1.5  # the length of a window, see `windows`


def caveat(data_version: str, parent: str | None = None) -> str:
    """What makes every verdict of a network worth little, as a phrase; "" for most.

    Args:
      data_version, parent: of its recipe.
    """
    if data_version.partition("/")[0].partition(":")[0] != DRAWN_DATA:
        return ""
    before = "" if parent in (None, "imagenet") else "last "
    return f"{before}trained on drawn faces only: it says nothing of people"


def remarks(verdict: dict, threshold: float | None = None) -> str:
    """Phrases for the end of a verdict's line, each after a comma; "" for none."""
    phrases = [*other_streams(verdict), *verdict["video"].get("notes", ())]
    if verdict["status"] == "scored":
        figures = [phrase(verdict), *faces_left(verdict, threshold), other_rule(verdict, threshold)]
        phrases = [*figures, searched(verdict), between_samples(verdict), *phrases, verdict["caveat"]]
    return "".join(f", {words}" for words in phrases if words)


def faces_left(verdict: dict, threshold: float | None) -> list[str]:
    """Which face decides, where there are several, and what is not said of the others."""
    faces, left = verdict["faces"], verdict["faces_not_judged"]
    deciding = next((face for face in faces if face["face"] == verdict["deciding_face"]), None)
    phrases = []
    if deciding is None:
        together = [face for face in faces if not (face["brief"] or face["weak"])]
        phrases.append(f"decided by {len(together)} faces together")
    elif len(faces) > 1:
        phrases.append(f"decided by face {deciding['face']} ({deciding['side_px']:.0f} px)")
    elif deciding["side_px"] < LEAST_SIDE_PX and not verdict["whole_frame"]:
        times = deciding["measures"]["enlarged"]
        enlarged = f" and was enlarged {times:.1f} times" if times > 1 else ""
        phrases.append(f"its face is {deciding['side_px']:.0f} px large{enlarged}")
    if left:
        # Of a REAL it is a doubt, which the line names before.
        if not any(doubt["measure"] == "faces_not_judged" for doubt in verdict["doubts"]):
            phrases.append(f"{len(faces)} of {len(faces) + left} faces judged")
    weak = [face for face in faces if face["weak"] and not face["brief"]]
    suspicious = [f for f in weak if threshold is not None and f["probability"] >= threshold]
    if suspicious and verdict["label"] != FAKE:
        worst = max(suspicious, key=lambda face: face["probability"])
        phrases.append(
            f"but face {worst['face']} at {worst['probability']:.2f} is too small or too unclear to decide "
            f"({worst['side_px']:.0f} px)"
        )
    return phrases


def searched(verdict: dict) -> str:
    """What part of the video was searched for faces, where the usual samples show none."""
    if not verdict["searched"]:
        return ""
    every_s, times = verdict["searched"]["every_s"], [p for face in verdict["faces"] for p in face["timeline"]]
    return (
        f"searched {verdict['searched']['length_s']:.0f} s every {every_s:.{1 if every_s < 10 else 0}f} s, judged from "
        f"{min(p['time_s'] for p in times):.1f} to {max(p['end_s'] for p in times):.1f} s"
    )


def between_samples(verdict: dict) -> str:
    """Of a REAL, how much of the video in one piece no sample shows: a fake may be in it."""
    if verdict["label"] != REAL or verdict["searched"] or verdict["video"]["is_image"]:
        return ""
    seen_s, longest_s = 0.0, 0.0
    points = [point for face in verdict["faces"] for point in face["timeline"]]
    for start_s, end_s in sorted((point["time_s"], point["end_s"]) for point in points):
        longest_s, seen_s = max(longest_s, start_s - seen_s), max(seen_s, end_s)
    longest_s = max(longest_s, verdict["video"]["duration_s"] - seen_s)
    return f"up to {longest_s:.1f} s between samples were not looked at" if longest_s >= LEAST_BETWEEN_S else ""


def other_streams(verdict: dict) -> list[str]:
    """Videos of the file that were not judged, and how they are."""
    return [
        f"another video is in the file: --stream {s['number']} ({s['codec']}, {s['width']} x {s['height']} px"
        + (f", {printable(s['title'])})" if s["title"] else ")")
        for s in verdict["video"].get("other_streams", ())
    ]


def other_rule(verdict: dict, threshold: float | None) -> str:
    """The figure that did not decide, when it would have turned the label: a peak above a REAL, a mean below a FAKE."""
    peak, mean = verdict["peak"], verdict["mean"]
    if peak is None or threshold is None:
        return ""
    if verdict["probability"] < threshold <= peak["probability"]:
        return f"but {peak_text(peak)}"
    if verdict["video_rule"] == "peak":
        below = f", but mean {mean:.2f}" if mean < threshold <= verdict["probability"] else ""
        return peak_text(peak) + below
    return ""


def peak_text(peak: dict) -> str:
    """Such as "peak 0.97 at 3.2-4.8 s"."""
    return f"peak {peak['probability']:.2f} at {peak['from_s']:.1f}-{peak['to_s']:.1f} s"
