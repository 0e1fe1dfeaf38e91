"""One self-contained HTML page about many verdicts (report.html is its frame).

The page needs no network and no other file: images are small JPEGs inside it. It is written piece by piece, so
memory does not grow with the number of videos.
"""

import base64
import datetime
import html
import io
import re
from pathlib import Path

from PIL import Image

from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path
from tfdeepfake.verdict.images import IMAGES_PER_VIDEO
from tfdeepfake.vocabulary import STATUS_TEXT

IMAGE_SIDE_PX, THUMB_SIDE_PX = 360, 96
# Base64 makes 3 bytes 4; with this and about 6 kB of text a video, a hundred videos stay below 15 MB.
PAGE_IMAGE_BYTES = 9_000_000
IMAGE_BYTES = 14_000  # of one image in the page, at most in practice


def escape(text):
    return html.escape(str(text), quote=True)


def _embedded(path, side_px, quality):
    """A small copy of an image as a data address, or None when the file is gone."""
    try:
        with Image.open(path) as image:
            # Decodes at a half, quarter or eighth where that is still large enough.
            image.draft("RGB", (side_px, side_px))
            image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
            stream, size = io.BytesIO(), image.size
            image.save(stream, "JPEG", quality=quality, optimize=True)
    except OSError:
        return None, (0, 0)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode(), size


def write_page(path, result, verdicts):
    """Writes the page.

    Args:
      path: index.html; the images named in the verdicts lie below its folder.
      result: dict of `verdict.judge_many`, its list of verdicts not needed.
      verdicts: function of an order (list of numbers, or None for all) that returns an iterator of verdict dicts.
    Raises:
      InputError: the disk is full.
    """
    template = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    head, middle, tail = re.split(r"<!-- SUMMARY -->|<!-- VIDEOS -->", template)
    rows = sorted(
        (
            {k: v[k] for k in ("name", "status", "label", "probability", "interval")}
            | {
                "number": n,
                "faces": "–" if v["whole_frame"] else len(v["faces"]) + v["faces_not_judged"],
                "worst": _worst(v),
                "reason": v["reason"],
            }
            for n, v in enumerate(verdicts())
        ),
        key=lambda row: (-1 if row["probability"] is None else -row["probability"], row["number"]),
    )
    rows.sort(key=lambda row: row["probability"] is None)
    each = max(1, min(IMAGES_PER_VIDEO, PAGE_IMAGE_BYTES // max(1, len(rows)) // IMAGE_BYTES))
    try:
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", errors="replace") as page:
            page.write(head)
            page.write(_summary(result, rows))
            page.write(middle)
            order = [row["number"] for row in rows]
            for number, verdict in zip(order, verdicts(order), strict=True):
                page.write(_section(number, verdict, result, Path(path).parent, each))
            page.write(tail)
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror}).") from error


def _worst(verdict):
    if verdict["status"] != "scored" or len(verdict["faces"][0]["timeline"]) < 2:
        return None
    return max(verdict["faces"][0]["timeline"], key=lambda p: p["probability"])["time_s"]


def _badge(status, label):
    word = label if status == "scored" else STATUS_TEXT[status]
    return f'<span class="badge {word.lower().replace(" ", "-")}">{word}</span>'


def _tile(value, name, kind=""):
    return f'<div class="tile {kind}"><b>{value}</b><span>{name}</span></div>'


def _bar(row, threshold):
    """The probability as a bar with its interval and the threshold."""
    low, high = row["interval"] or (row["probability"],) * 2
    return (
        f'<span class="bar" role="img" aria-label="probability {row["probability"]:.2f}">'
        f'<i class="{row["label"].lower()}" style="width:{100 * row["probability"]:.1f}%"></i>'
        f'<u style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></u>'
        f'<s style="left:{100 * threshold:.1f}%"></s></span>'
    )


def _summary(result, rows):
    found, recipe = result["counts"], result["recipe"]
    tiles = [
        _tile(found["FAKE"], "judged FAKE", "fake"),
        _tile(found["REAL"], "judged REAL", "real"),
        _tile(found["no_face"], "no face found"),
        _tile(found["unreadable"], "unreadable"),
        _tile(found["error"], "failed"),
    ]
    coverage = f"{found['scored']} of {found['files']} files were scored."
    if found["scored"] < found["files"]:
        coverage += " The others have no probability, and nothing is said about them."
    skipped = ""
    if result["other_files"]:
        names = ", ".join(escape(n) for n in result["other_files"][:20])
        more = f" and {len(result['other_files']) - 20} more" if len(result["other_files"]) > 20 else ""
        skipped += f"<p>Passed over, being neither video nor image: {names}{more}.</p>"
    for folder in result["unreadable_folders"]:
        skipped += f"<p>Folder {escape(folder['folder'])} {escape(folder['reason'])}</p>"
    table = "".join(_row(row, recipe["threshold"]) for row in rows)
    return f"""
<section class="tiles">{"".join(tiles)}</section>
<p class="coverage">{coverage}</p>{skipped}
{_meaning(result)}
<div class="scroll"><table><thead><tr><th>Verdict</th><th>File</th><th>Probability of FAKE</th><th>Faces</th>
<th>Most suspicious</th></tr></thead><tbody>{table}</tbody></table></div>
"""


def _row(row, threshold):
    link = f'<a href="#v{row["number"]}">{escape(row["name"])}</a>'
    badge = _badge(row["status"], row["label"])
    if row["status"] != "scored":
        why = escape(row["reason"])
        return f'<tr><td>{badge}</td><td class="name">{link}</td><td colspan="3" class="why">{why}</td></tr>'
    spread = "" if not row["interval"] else " <small>{:.2f}–{:.2f}</small>".format(*row["interval"])
    worst = "–" if row["worst"] is None else f"{row['worst']:.1f} s"
    return (
        f'<tr><td>{badge}</td><td class="name">{link}</td><td class="p">{_bar(row, threshold)}'
        f"<b>{row['probability']:.2f}</b>{spread}</td><td>{row['faces']}</td>"
        f"<td>{worst}</td></tr>"
    )


def _meaning(result):
    """What a reader must know before believing a number."""
    recipe = result["recipe"]
    note = escape(recipe["calibration"])
    how = "<b>not calibrated</b>" + (f" ({note})" if note != "not calibrated" else "")
    how += ": read it as a score that ranks videos, not as odds"
    if recipe["temperature"] != 1:
        how = f"calibrated with temperature {recipe['temperature']:.3g} ({note})"
    data = recipe["data"]
    looks = "whole frames" if data["detector"] == "none" else f"faces found by {escape(result['detector'])}"
    changed = ""
    if result["detector"] != result["trained_with_detector"] and data["detector"] != "none":
        changed = (
            f" The network was trained with {escape(result['trained_with_detector'])}: "
            "with another detector its scores can differ."
        )
    parent = "" if not recipe["parent"] else f"<dt>Started from</dt><dd>{escape(recipe['parent'])}</dd>"
    return f"""
<section class="meaning"><h2>What this page says</h2>
<p>A probability is the output of one network, <b>{escape(recipe["network"])}</b>, trained on
<b>{escape(recipe["data_version"])}</b>; it is {how}. A video is called FAKE when the mean probability of one of its
faces is at least <b>{recipe["threshold"]:.2f}</b>, and REAL otherwise. The interval is how much that mean depends on
which frames were looked at. <b>None of this is proof.</b> Manipulations, cameras and compressions that the network
never saw in training can be judged wrongly with high confidence, in both directions.</p>
<details><summary>Network, statuses and limits</summary><dl>
<dt>Looks at</dt><dd>{looks},
{escape(data["input_type"])} input of {data["height_px"]} × {data["width_px"]} px.{changed}</dd>
<dt>Model folder</dt><dd>{escape(result["model"])}, licence {escape(recipe["licence"])},
recipe {escape(result["recipe_sha256"][:16])}</dd>{parent}
<dt>FAKE, REAL</dt><dd>the file was scored; its probability is at least, or below, the threshold.</dd>
<dt>NO FACE</dt><dd>no face was found, so there was nothing to judge. It is not a REAL.</dd>
<dt>UNREADABLE</dt><dd>the file is damaged, empty or no video.</dd>
<dt>ERROR</dt><dd>the file could be opened, but not judged; the reason stands beside it.</dd>
<dt>Brief faces</dt><dd>seen in too little of the video to decide: listed, but not counted.</dd>
<dt>Software</dt><dd>{escape(result["tool"])}, {datetime.date.today().isoformat()}</dd></dl></details></section>
"""


def _facts(verdict):
    video = verdict["video"]
    if not video:
        return ""
    parts = [f"{video['width']} × {video['height']} px"]
    if not video["is_image"]:
        parts += [f"{video['duration_s']:.1f} s", f"{video['fps']:.3g} frames/s", escape(video["codec"])]
    if video["missing"]:
        parts.append(f"<b>{video['missing']} frames are missing at the end of the file</b>")
    spent = verdict["timings"]
    if verdict["status"] == "scored":
        parts.append(f"judged in {sum(spent.values()):.1f} s")
    return f'<p class="facts">{" · ".join(parts)}</p>'


def _section(number, verdict, result, folder, each):
    """One video. Images are embedded; a click opens the larger file beside the page, where it was kept."""
    name = escape(verdict["name"])
    top = (
        f'<article id="v{number}"><header>{_badge(verdict["status"], verdict["label"])}<h3>{name}</h3>'
        f'<a class="up" href="#top" aria-label="to the top">↑</a></header>{_facts(verdict)}'
    )
    images = verdict.get("images", [])
    frames = _spread([p for p in images if p["kind"] == "frame"], each, verdict)
    # A single image gets the room of two; it costs the bytes of three.
    alone = len(frames) == 1 and each > 1
    strip = "".join(_figure(p, folder, IMAGE_SIDE_PX * (2 if alone else 1)) for p in frames)
    strip = f'<div class="strip{" alone" if alone else ""}">{strip}</div>' if strip else ""
    if verdict["status"] != "scored":
        return f'{top}<p class="reason">{escape(verdict["reason"])} {escape(verdict["remedy"])}</p>{strip}</article>\n'
    spread = verdict["interval"]
    spread = (
        f"95 % interval over frames {spread[0]:.2f}–{spread[1]:.2f}"
        if spread
        else f"no interval: {escape(verdict['interval_reason'])}"
    )
    looked = f"{verdict['num_samples']} samples of the video looked at"
    if verdict["num_samples"] == 1:
        looked = "a still image" if verdict["video"]["is_image"] else "one moment of the video looked at"
    lead = (
        f'<p class="lead"><b class="{verdict["label"].lower()}">{verdict["probability"]:.2f}</b> '
        f"<span>probability of FAKE{', the highest of its faces' if len(verdict['faces']) > 1 else ''}<br>"
        f"<small>{looked}; {spread}</small></span></p>"
    )
    thumbs = {p["face"]: _embedded(folder / p["file"], THUMB_SIDE_PX, 72)[0] for p in images if p["kind"] == "face"}
    whole = verdict["whole_frame"]
    length = verdict["video"]["duration_s"] or 0
    faces = "".join(
        _face(f, thumbs.get(f["face"]), length, result["threshold"], whole) for f in verdict["faces"] if not f["brief"]
    )
    brief = [f for f in verdict["faces"] if f["brief"]]
    notes = ""
    if brief:
        listed = ", ".join(
            f"face {f['face']} ({f['probability']:.2f}, at {f['timeline'][0]['time_s']:.1f} s)" for f in brief
        )
        notes += f'<p class="note">Seen too briefly to decide: {listed}.</p>'
    if verdict["faces_not_judged"]:
        notes += f'<p class="note">{verdict["faces_not_judged"]} more faces were found and not judged.</p>'
    return f'{top}{lead}{strip}<div class="faces">{faces}</div>{notes}</article>\n'


def _spread(frames, each, verdict):
    """At most `each` of the frames, the most suspicious one among them."""
    if len(frames) <= each:
        return frames
    at = {}
    if verdict["status"] == "scored":
        at = max(verdict["faces"][0]["timeline"], key=lambda p: p["probability"])
    first = [f for f in frames if f["frame"] == at.get("frame")][:1]
    rest = [f for f in frames if f not in first]
    take = each - len(first)
    rest = [rest[(2 * k + 1) * len(rest) // (2 * take)] for k in range(take)]
    return sorted(first + rest, key=lambda f: f["frame"])


def _figure(image, folder, side_px):
    data, (width, height) = _embedded(folder / image["file"], side_px, 68)
    if data is None:
        return ""
    return (
        f'<a href="{escape(image["file"])}"><img loading="lazy" width="{width}" height="{height}" src="{data}" '
        f'alt="frame at {image["time_s"]:.2f} s"></a>'
    )


def _face(face, thumb, length_s, threshold, whole):
    kind = face["label"].lower()
    image = f'<img class="thumb" src="{thumb}" alt="">' if thumb else '<span class="thumb none"></span>'
    name = "whole frame" if whole else f"face {face['face']}"
    points = face["timeline"]
    share = "" if len(points) < 2 else f"<small>seen in {100 * face['fraction']:.0f} % of the samples</small>"
    plot = _timeline(points, length_s, threshold) if length_s and points[-1]["end_s"] > 0 else ""
    return (
        f'<div class="face{"" if plot else " flat"}">{image}<div class="who"><b>{name}</b> '
        f'<b class="{kind}">{face["label"]} '
        f"{face['probability']:.2f}</b>{share}</div>{plot}</div>"
    )


def _timeline(points, length_s, threshold):
    """Probability over time as inline SVG. It is stretched to the page's width, so its text stands outside."""

    def x(seconds):
        return f"{1000 * min(max(seconds / length_s, 0), 1):.1f}"

    def y(value):
        return f"{100 * (1 - value):.1f}"

    line = " ".join(f"{x((p['time_s'] + p['end_s']) / 2)},{y(p['probability'])}" for p in points)
    dots = "".join(
        f'<path class="{"fake" if p["probability"] >= threshold else "real"}" '
        f'd="M{x(p["time_s"])} {y(p["probability"])}'
        f'H{float(x(p["end_s"])) + 0.1:.1f}"><title>{p["time_s"]:.2f} s: {p["probability"]:.2f}</title></path>'
        for p in points
    )
    return (
        f'<figure class="time"><svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" '
        f'aria-label="probability over time"><rect class="over" width="1000" height="{y(threshold)}"/>'
        f'<path class="limit" d="M0 {y(threshold)}H1000"/><polyline points="{line}"/>{dots}</svg>'
        f'<span class="y" style="top:0">1</span>'
        f'<span class="y" style="top:calc({y(threshold)} * .92px - .5em)">{threshold:.2f}</span>'
        f"<figcaption><span>0 s</span><span>{length_s / 2:.1f} s</span><span>{length_s:.1f} s</span>"
        "</figcaption></figure>"
    )
