"""One self-contained HTML page about many verdicts; what it looks like is in report/templates/verdicts.html.

The page needs no network and no other file: images are small JPEGs inside it. It is written file by file, so memory
does not grow with the number of videos.
"""

import datetime
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tfdeepfake.report import html
from tfdeepfake.verdict.remarks import caveat, other_rule, remarks
from tfdeepfake.vocabulary import STATUS_TEXT


class ImageSize(NamedTuple):
    """How many frames of a video stand in the page, and how large.

    Args:
      num_frames: of each video, at most.
      side_px, quality: of their JPEGs.
      num_bytes: of one, as measured on 21 annotated frames of films and photos.
    """

    num_frames: int
    side_px: int
    quality: int
    num_bytes: int


# The first size with which all images stay within the budget is taken; without any, the page is text.
PAGE_IMAGE_BYTES = 9_000_000
SIZES = (
    ImageSize(4, 960, 80, 60_000),
    ImageSize(4, 640, 74, 34_000),
    ImageSize(4, 360, 68, 14_000),
    ImageSize(2, 360, 68, 14_000),
    ImageSize(1, 360, 68, 14_000),
    ImageSize(1, 220, 65, 6_500),
    ImageSize(0, 0, 0, 0),
)
THUMB_SIDE_PX, THUMB_QUALITY, THUMB_BYTES = 96, 72, 2_000
# A crop and its map beside each other.
MAP_SIDE_PX, MAP_BYTES = 400, 12_000


def write_page(path: Path | str, result: dict, read_verdicts: Callable[[Sequence[int] | None], Iterator[dict]]) -> None:
    """Writes the page.

    Args:
      path: index.html; the images named in the verdicts lie below its folder.
      result: dict of `batch.judge_many`, its list of verdicts not needed.
      read_verdicts: function of an order (list of numbers, or None for all) that returns an iterator of verdict dicts.
    Raises:
      InputError: the file cannot be written or the disk is full.
    """
    rows = [_row(number, verdict, result["threshold"]) for number, verdict in enumerate(read_verdicts(None))]
    # Most suspicious first, then those without a probability as they came.
    rows.sort(key=lambda row: (row["probability"] is None, -(row["probability"] or 0), row["number"]))
    size = image_size(rows)
    order = [row["number"] for row in rows]
    sections = (
        _section(number, verdict, result["threshold"], Path(path).parent, size)
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
        caveat=caveat(result["recipe"]["data_version"], result["recipe"]["parent"]),
        today=datetime.date.today().isoformat(),
    )


def _row(number, verdict, threshold):
    """What the table says of a verdict: all that is kept of every one while the page is written."""
    return {name: verdict[name] for name in ("name", "status", "label", "probability", "interval", "reason")} | {
        "number": number,
        "doubts": "; ".join(doubt["text"] for doubt in verdict["doubts"]),
        "faces": "–" if verdict["whole_frame"] else len(verdict["faces"]) + verdict["faces_not_judged"],
        "worst_s": _worst_time(verdict),
        "other_rule": other_rule(verdict, threshold),
        "true_label": verdict.get("true_label"),
        "num_images": Counter(image["kind"] for image in verdict.get("images", [])),
    }


def image_size(rows: list[dict]) -> ImageSize:
    """The largest of SIZES with which the images of all videos stay within PAGE_IMAGE_BYTES.

    Args:
      rows: of each video, with "num_images": {"frame": how many there are, "face": thumbnails}.
    """

    def num_bytes(size):
        return sum(
            min(size.num_frames, row["num_images"]["frame"]) * size.num_bytes
            + row["num_images"]["face"] * THUMB_BYTES
            + row["num_images"].get("map", 0) * MAP_BYTES
            for row in rows
        )

    return next((size for size in SIZES if num_bytes(size) <= PAGE_IMAGE_BYTES), SIZES[-1])


def _worst_time(verdict):
    if verdict["status"] != "scored" or len(verdict["faces"][0]["timeline"]) < 2:
        return None
    return max(verdict["faces"][0]["timeline"], key=lambda p: p["probability"])["time_s"]


def _section(number, verdict, threshold, folder, size):
    """What the template needs of one verdict, its images with it."""
    images = verdict.get("images", []) if size.num_frames else []
    frames = [
        image | copy
        for image in _spread([image for image in images if image["kind"] == "frame"], size.num_frames, verdict)
        if (copy := html.embedded_image(folder / image["file"], size.side_px, size.quality))
    ]
    thumbs = {
        image["face"]: html.embedded_image(folder / image["file"], THUMB_SIDE_PX, THUMB_QUALITY)
        for image in images
        if image["kind"] == "face"
    }
    length_s = verdict["video"].get("duration_s") or 0
    faces = [(face, thumbs.get(face["face"])) for face in verdict["faces"] if not (face["brief"] or face["weak"])]
    plots = [(*pair, timeline(pair[0]["timeline"], length_s, threshold)) for pair in faces]
    return {
        "number": number,
        "verdict": verdict,
        "remarks": remarks(verdict, threshold).removeprefix(", "),
        "seconds": sum(verdict["timings"].values()),
        "frames": frames,
        "maps": [
            image | copy
            for image in images
            if image["kind"] == "map"
            if (copy := html.embedded_image(folder / image["file"], MAP_SIDE_PX, size.quality))
        ],
        "over_time": [entry for entry in plots if entry[2]],
        "tiles": [(face, thumb) for face, thumb, plot in plots if thumb and not plot],
        "listed": [face for face, thumb, plot in plots if not thumb and not plot],
        "brief": [face for face in verdict["faces"] if face["brief"]],
        "weak": [face for face in verdict["faces"] if face["weak"] and not face["brief"]],
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
