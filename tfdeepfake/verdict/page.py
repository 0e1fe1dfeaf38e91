"""One self-contained HTML page about many verdicts; what it looks like is in report/templates/verdicts.html.

The page needs no network and no other file: images are small JPEGs inside it. It is written file by file, so memory
does not grow with the number of videos.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tfdeepfake.report import html
from tfdeepfake.verdict.images import IMAGES_PER_VIDEO
from tfdeepfake.vocabulary import STATUS_TEXT

IMAGE_SIDE_PX, THUMB_SIDE_PX = 360, 96
IMAGE_QUALITY, THUMB_QUALITY = 68, 72
# Base64 makes 3 bytes 4; with this and about 6 kB of text a video, a hundred videos stay below 15 MB.
PAGE_IMAGE_BYTES = 9_000_000
IMAGE_BYTES = 14_000  # of one image in the page, at most in practice


def write_page(path: Path | str, result: dict, read_verdicts: Callable[[Sequence[int] | None], Iterator[dict]]) -> None:
    """Writes the page.

    Args:
      path: index.html; the images named in the verdicts lie below its folder.
      result: dict of `batch.judge_many`, its list of verdicts not needed.
      read_verdicts: function of an order (list of numbers, or None for all) that returns an iterator of verdict dicts.
    Raises:
      InputError: the file cannot be written or the disk is full.
    """
    rows = [_row(number, verdict) for number, verdict in enumerate(read_verdicts(None))]
    # Most suspicious first, then those without a probability as they came.
    rows.sort(key=lambda row: (row["probability"] is None, -(row["probability"] or 0), row["number"]))
    per_video = max(1, min(IMAGES_PER_VIDEO, PAGE_IMAGE_BYTES // max(1, len(rows)) // IMAGE_BYTES))
    order = [row["number"] for row in rows]
    sections = (
        _section(number, verdict, result["threshold"], Path(path).parent, per_video)
        for number, verdict in zip(order, read_verdicts(order), strict=True)
    )
    html.write_page(
        path,
        "verdicts.html",
        title="Verdicts on faces in video",
        result=result,
        rows=rows,
        sections=sections,
        status_text=STATUS_TEXT,
        today=datetime.date.today().isoformat(),
    )


def _row(number, verdict):
    """What the table says of a verdict: all that is kept of every one while the page is written."""
    return {name: verdict[name] for name in ("name", "status", "label", "probability", "interval", "reason")} | {
        "number": number,
        "faces": "–" if verdict["whole_frame"] else len(verdict["faces"]) + verdict["faces_not_judged"],
        "worst_s": _worst_time(verdict),
    }


def _worst_time(verdict):
    if verdict["status"] != "scored" or len(verdict["faces"][0]["timeline"]) < 2:
        return None
    return max(verdict["faces"][0]["timeline"], key=lambda p: p["probability"])["time_s"]


def _section(number, verdict, threshold, folder, per_video):
    """What the template needs of one verdict, its images with it."""
    images = verdict.get("images", [])
    chosen = _spread([image for image in images if image["kind"] == "frame"], per_video, verdict)
    # A single image gets the room of two; it costs the bytes of three.
    single = len(chosen) == 1 and per_video > 1
    frames = [
        image | copy
        for image in chosen
        if (copy := html.embedded_image(folder / image["file"], IMAGE_SIDE_PX * (2 if single else 1), IMAGE_QUALITY))
    ]
    thumbs = {
        image["face"]: html.embedded_image(folder / image["file"], THUMB_SIDE_PX, THUMB_QUALITY)
        for image in images
        if image["kind"] == "face"
    }
    length_s = verdict["video"].get("duration_s") or 0
    return {
        "number": number,
        "verdict": verdict,
        "seconds": sum(verdict["timings"].values()),
        "frames": frames,
        "single": single,
        "faces": [
            (face, thumbs.get(face["face"]), timeline(face["timeline"], length_s, threshold))
            for face in verdict["faces"]
            if not face["brief"]
        ],
        "brief": [face for face in verdict["faces"] if face["brief"]],
    }


def _spread(frames, count, verdict):
    """At most `count` of the frames, the most suspicious one among them."""
    if len(frames) <= count:
        return frames
    worst = {}
    if verdict["status"] == "scored":
        worst = max(verdict["faces"][0]["timeline"], key=lambda p: p["probability"])
    first = [frame for frame in frames if frame["frame"] == worst.get("frame")][:1]
    rest = [frame for frame in frames if frame not in first]
    take = count - len(first)
    rest = [rest[(2 * k + 1) * len(rest) // (2 * take)] for k in range(take)]
    return sorted(first + rest, key=lambda frame: frame["frame"])


def timeline(points: list[dict], length_s: float, threshold: float) -> dict | None:
    """Probability over time in a drawing of 1000 x 100, its origin at the top left.

    Args:
      points: of a face, in order of time.
      length_s: of the video.
      threshold: probability from which a point counts as FAKE.
    Returns:
      {"limit_y": of the threshold, "line": [(x, y)], "dots": one dict a point, "length_s"}; None for a still image.
    """
    if not length_s or points[-1]["end_s"] <= 0:
        return None

    def x(seconds):
        return 1000 * min(max(seconds / length_s, 0), 1)

    def y(probability):
        return 100 * (1 - probability)

    dots = [
        {
            "kind": "fake" if point["probability"] >= threshold else "real",
            "start": x(point["time_s"]),
            "end": x(point["end_s"]) + 0.1,  # a line of no length has no round ends in every browser
            "y": y(point["probability"]),
            "time_s": point["time_s"],
            "probability": point["probability"],
        }
        for point in points
    ]
    line = [(x((point["time_s"] + point["end_s"]) / 2), y(point["probability"])) for point in points]
    return {"limit_y": y(threshold), "line": line, "dots": dots, "length_s": length_s}
