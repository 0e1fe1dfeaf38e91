"""Annotated frames and face thumbnails of a verdict, as files."""

import hashlib
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfdeepfake.files import atomic_path
from tfdeepfake.report import palette
from tfdeepfake.vocabulary import VERDICT_LABELS

COLOURS = {label: palette.rgb(label.lower()) for label in VERDICT_LABELS} | {None: palette.rgb("grey")}
IMAGES_PER_VIDEO = 4
FACES_SHOWN = 8  # most suspicious faces, which get a thumbnail
FILE_SIDE_PX = 960


def folder_name(name: str, path: Path | str) -> str:
    """A folder name for a video: readable, safe on every file system, and unique by a digest of the path."""
    stem = re.sub(r"[^\w.-]+", "_", Path(name).stem)[:60].strip("._") or "video"
    return f"{stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def choose_frames(faces: list[dict], count: int) -> dict[int, tuple]:
    """Frames worth showing: the most suspicious one of the deciding face, and others spread over the video.

    Args:
      faces: of a verdict dict.
      count: at most so many.
    Returns:
      {frame index: (time_s, [(face dict, box, probability)])}, in order of time.
    """
    at = {}
    for face in faces:
        for point in face["timeline"]:
            boxes = point.get("boxes") or [[point["frame"], point["time_s"], *point["box"]]]
            for frame, time_s, *box in boxes:
                # Clips may overlap: one box a face and frame, that of the more suspicious clip.
                at.setdefault(frame, (time_s, {}))
                before = at[frame][1].get(face["face"])
                if before is None or before[2] < point["probability"]:
                    at[frame][1][face["face"]] = (face, box, point["probability"])
    frames = sorted(at)
    if len(frames) > count:
        worst = max(faces[0]["timeline"], key=lambda p: p["probability"])
        chosen = {worst["frame"]}
        for step in range(count):
            chosen.add(frames[round(step * (len(frames) - 1) / max(count - 1, 1))])
        # One too many when the worst frame is none of the evenly spread ones: its nearest neighbour goes.
        while len(chosen) > count:
            chosen.remove(min(chosen - {worst["frame"]}, key=lambda f: abs(f - worst["frame"])))
        frames = sorted(chosen)
    return {frame: (at[frame][0], list(at[frame][1].values())) for frame in frames}


def annotate(frame: np.ndarray, marks: list[tuple], caption: str) -> Image.Image:
    """Draws boxes with their labels, and a caption. No label covers another.

    Args:
      frame: uint8 [H, W, 3].
      marks: list of (box in px of this frame, colour (r, g, b), texts); of the texts, the longest first, the first one
        that finds room is written beside the box. Those in front of the list find room first.
      caption: text at the bottom left.
    Returns:
      PIL image of the same size.
    """
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image)
    # The page shows a single image at half its width and four side by side: few faces get large figures.
    size = max(11, round(max(image.size) / (18 if len(marks) <= 3 else 24 if len(marks) <= 8 else 32)))
    font, padding = ImageFont.load_default(size), size // 4
    boxes = [(x0, y0, max(x0, x1), max(y0, y1)) for (x0, y0, x1, y1), _, _ in marks]
    for box, (_, colour, _) in zip(boxes, marks, strict=True):
        draw.rectangle(box, outline=colour, width=max(2, size // 10))

    def extent(text):
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        return right - left + 2 * padding, bottom - top + 2 * padding

    def write(text, place, colour):
        left, top, _, _ = draw.textbbox((0, 0), text, font=font)
        draw.rectangle(place, fill=colour)
        draw.text((place[0] + padding - left, place[1] + padding - top), text, font=font, fill="white")

    width, height = extent(caption)
    taken = [(0, image.height - height, width, image.height)]
    write(caption, taken[0], palette.rgb("ink"))
    for box, (_, colour, texts) in zip(boxes, marks, strict=True):
        places = ((text, _place_beside(box, extent(text), image.size, taken, boxes)) for text in texts)
        text, place = next((pair for pair in places if pair[1]), (None, None))
        if place:
            taken.append(place)
            write(text, place, colour)
    return image


def _place_beside(box, extent, image_size, taken, boxes):
    """Where a label goes: beside its box, over no other label, and over as little of the faces as can be.

    Args:
      box: (x0, y0, x1, y1); extent: (width, height) of the label; image_size: (width, height).
      taken: places of labels that are there.
      boxes: of all faces.
    Returns:
      (x0, y0, x1, y1), or None when there is no room.
    """
    (x0, y0, x1, y1), (width, height) = box, extent
    corners = [(x0, y0 - height), (x0, y1), (x1 - width, y0 - height), (x1 - width, y1), (x1, y0), (x0 - width, y0)]
    corners += [(x1, y1 - height), (x0 - width, y1 - height), (x0, y0), (x0, y1 - height)]
    best, least = None, math.inf
    for x, y in corners:
        x = min(max(0, x), max(0, image_size[0] - width))
        y = min(max(0, y), max(0, image_size[1] - height))
        place = (x, y, x + width, y + height)
        covered = sum(_overlap_px(place, face) for face in boxes)
        if covered < least and not any(_overlap_px(place, other) for other in taken):
            best, least = place, covered
    return best


def _overlap_px(a, b):
    """Area that two boxes (x0, y0, x1, y1) have in common."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _save(image, path, quality):
    with atomic_path(path) as temporary:
        image.save(temporary, "JPEG", quality=quality, optimize=True)


def draw_images(
    path: Path | str, record: dict, out_dir: Path, folder: str = "frames", read_frames: Callable | None = None
) -> list[dict]:
    """Writes the annotated frames and face thumbnails of one verdict.

    Args:
      path: the video.
      record: verdict dict with `name`.
      out_dir, folder: images go to out_dir/folder/<video>/.
      read_frames: in the place of `video.read_frames`.
    Returns:
      list of {"file" (below out_dir), "kind": "frame" or "face", "frame", "time_s", "face"}; empty for a file that
      cannot be read. A file without a face gets plain frames, so that one sees why.
    Raises:
      InputError: the disk is full.
    """
    from tfdeepfake.data import video

    chosen, faces = {}, {}
    if record["status"] == "scored":
        chosen = choose_frames(record["faces"], IMAGES_PER_VIDEO)
        faces = most_suspicious_boxes(record["faces"])
    elif record["status"] == "no_face":
        spread = video.spaced_indices(record["video"]["frame_count"], 3)
        chosen = {int(frame): (None, []) for frame in spread}
    try:
        where = {"stream": record["video"].get("stream"), "frame_rate": record["video"].get("fps") or None}
        wanted = sorted({*chosen, *faces})
        read = (read_frames or video.read_frames)(path, wanted, max_side_px=FILE_SIDE_PX, **where) if chosen else None
    except video.VideoError:
        read = None  # It was readable a second ago. The verdict stands; images are an extra.
    if read is None:
        return []
    below, images, thumbs = Path(folder) / folder_name(record["name"], path), [], []
    for frame, index, seconds in zip(read.frames, read.indices, read.timestamps_s, strict=True):
        scale, where = frame.shape[1] / record["video"]["width"], (int(index), round(float(seconds), 4))
        if where[0] in chosen:
            marks = [_mark(*shown, scale, record["whole_frame"]) for shown in chosen[where[0]][1]]
            caption = "still image" if record["video"]["is_image"] else f"{seconds:.2f} s"
            name = below / f"frame_{index:06d}.jpg"
            _save(annotate(frame, marks, caption), Path(out_dir) / name, 85)
            images.append({"file": name.as_posix(), "kind": "frame", "frame": where[0], "time_s": where[1]})
        for number, box in faces.get(where[0], ()):
            name = below / f"face_{number}.jpg"
            _save(thumb(frame, [v * scale for v in box]), Path(out_dir) / name, 85)
            thumbs.append(
                {"file": name.as_posix(), "kind": "face", "face": number, "frame": where[0], "time_s": where[1]}
            )
    return images + thumbs


def _mark(face, box, probability, scale, whole_frame):
    """(box, colour, texts) of a face for `annotate`; its number is the one in the list below the images."""
    colour = COLOURS[None if face["brief"] or face["weak"] else face["label"]]
    number = "" if whole_frame else f"{face['face']}"
    texts = (f"{number}: {probability:.2f}".removeprefix(": "), number)
    return [v * scale for v in box], colour, [text for text in texts if text]


def most_suspicious_boxes(faces: list) -> dict:
    """{frame: [(number of the face, box)]}: where each face that gets a thumbnail is most suspicious."""
    frames = {}
    for face in [face for face in faces if not (face["brief"] or face["weak"])][:FACES_SHOWN]:
        worst = max(face["timeline"], key=lambda point: point["probability"])
        frames.setdefault(worst["frame"], []).append((face["face"], worst["box"]))
    return frames


def thumb(frame: np.ndarray, box: np.ndarray | list | None) -> Image.Image:
    """The face with a little around it, square, at most 192 px."""
    height, width = frame.shape[:2]
    side = min(1.3 * max(box[2] - box[0], box[3] - box[1], 8), height, width)
    x = min(max((box[0] + box[2] - side) / 2, 0), width - side)
    y = min(max((box[1] + box[3] - side) / 2, 0), height - side)
    image = Image.fromarray(frame).crop((int(x), int(y), int(x + side), int(y + side)))
    image.thumbnail((192, 192))
    return image
