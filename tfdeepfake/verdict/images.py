"""Annotated frames and face thumbnails of a verdict, as files."""

import hashlib
import os
import re
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tfdeepfake.files import atomic_path
from tfdeepfake.report import palette
from tfdeepfake.vocabulary import FAKE, REAL

COLOURS = {FAKE: palette.rgb("fake"), REAL: palette.rgb("real"), None: palette.rgb("grey")}
IMAGES_PER_VIDEO = 4
FACES_SHOWN = 8  # faces that get a thumbnail
FILE_SIDE_PX = 960


def folder_name(name, path):
    """A folder name for a video: readable, safe on every file system, and unique by a digest of the path."""
    stem = re.sub(r"[^\w.-]+", "_", Path(name).stem)[:60].strip("._") or "video"
    return f"{stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def choose_frames(faces, count):
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


def annotate(frame, marks, caption):
    """Draws boxes and a caption.

    Args:
      frame: uint8 [H, W, 3].
      marks: list of (box in px of this frame, colour (r, g, b), text).
      caption: text at the bottom left.
    Returns:
      PIL image of the same size.
    """
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image)
    size = max(11, round(max(image.size) / 34))
    font = ImageFont.load_default(size)
    for box, colour, text in sorted(marks, key=lambda mark: mark[0][0]):
        x0, y0, x1, y1 = box
        draw.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=max(2, size // 6))
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        width, height = right - left + size // 2, bottom - top + size // 2
        x = min(max(0, x0), max(0, image.width - width))
        y = y0 - height if y0 >= height else min(max(0, y1), image.height - height)
        draw.rectangle((x, y, x + width, y + height), fill=colour)
        draw.text((x + size // 4 - left, y + size // 4 - top), text, font=font, fill="white")
    left, top, right, bottom = draw.textbbox((0, 0), caption, font=font)
    height = bottom - top + size // 2
    draw.rectangle((0, image.height - height, right - left + size, image.height), fill=palette.rgb("ink"))
    draw.text((size // 2 - left, image.height - height + size // 4 - top), caption, font=font, fill="white")
    return image


def _save(image, path, quality):
    with atomic_path(path) as temporary:
        image.save(temporary, "JPEG", quality=quality, optimize=True)


def draw_images(path, record, out_dir, folder="frames"):
    """Writes the annotated frames and face thumbnails of one verdict.

    Args:
      path: the video.
      record: verdict dict with `name`.
      out_dir, folder: images go to out_dir/folder/<video>/.
    Returns:
      list of {"file" (below out_dir), "kind": "frame" or "face", "frame", "time_s", "face"}; empty for a file that
      cannot be read. A file without a face gets plain frames, so that one sees why.
    Raises:
      InputError: the disk is full.
    """
    from tfdeepfake.data import video

    if record["status"] == "scored":
        chosen = choose_frames(record["faces"], IMAGES_PER_VIDEO)
    elif record["status"] == "no_face":
        spread = video.spaced_indices(record["video"]["frame_count"], 3)
        chosen = {int(frame): (None, []) for frame in spread}
    else:
        return []
    try:
        shown = video.read_frames(path, list(chosen), max_side_px=FILE_SIDE_PX)
    except video.VideoError:
        # It was readable a moment ago. The verdict stands; images are an extra.
        return []
    below, images, thumbs = Path(folder) / folder_name(record["name"], path), [], {}
    for frame, index, seconds in zip(shown.frames, shown.indices, shown.timestamps_s, strict=True):
        scale = frame.shape[1] / record["video"]["width"]
        marks = []
        for face, box, probability in chosen[int(index)][1]:
            box = [v * scale for v in box]
            label = None if face["brief"] else face["label"]
            name = "whole frame" if record["whole_frame"] else f"face {face['face']}"
            marks.append((box, COLOURS[label], f"{name}: {probability:.2f}"))
            if not face["brief"] and probability > thumbs.get(face["face"], (-1,))[0]:
                thumbs[face["face"]] = probability, _thumb(frame, box), int(index), float(seconds)
        name = below / f"frame_{index:06d}.jpg"
        caption = f"{seconds:.2f} s" if not record["video"]["is_image"] else "still image"
        _save(annotate(frame, marks, caption), Path(out_dir) / name, 85)
        images.append(
            {"file": name.as_posix(), "kind": "frame", "frame": int(index), "time_s": round(float(seconds), 4)}
        )
    for number, (_, image, index, seconds) in sorted(thumbs.items(), key=lambda item: -item[1][0])[:FACES_SHOWN]:
        name = below / f"face_{number}.jpg"
        _save(image, Path(out_dir) / name, 85)
        images.append(
            {"file": name.as_posix(), "kind": "face", "face": number, "frame": index, "time_s": round(seconds, 4)}
        )
    return images


def _thumb(frame, box):
    """The face with a little around it, square, at most 192 px."""
    height, width = frame.shape[:2]
    side = min(1.3 * max(box[2] - box[0], box[3] - box[1], 8), height, width)
    x = min(max((box[0] + box[2] - side) / 2, 0), width - side)
    y = min(max((box[1] + box[3] - side) / 2, 0), height - side)
    image = Image.fromarray(frame).crop((int(x), int(y), int(x + side), int(y + side)))
    image.thumbnail((192, 192))
    return image
