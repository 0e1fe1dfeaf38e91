"""Frames -> faces -> tracks -> crops; the detector is an argument.

detect = make_detector("mtcnn")
tracks = select_tracks(link_tracks(detect(frames), frames), "largest")
boxes_px = square_box(track_boxes(tracks[0], len(frames), "clip"), margin_frac=0.3)
crops = [crop(frame, box, 224, 224) for frame, box in zip(frames, boxes_px)]
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfdeepfake.data.faces.align import alignable, aligned_crop, run_transforms
from tfdeepfake.data.faces.boxes import crop, resize, square_box
from tfdeepfake.data.faces.tracks import link_tracks, track_boxes, track_landmarks
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.vocabulary import DETECTORS


def make_detector(name: str, weights: str | Path | None = None, **options: Any) -> Callable:
    """The face detector of a name.

    Args:
      name: "mtcnn" (accurate, works offline), "blazeface" (faster, its file is downloaded at first use), or
        "mtcnn_half" (MTCNN as the DFDC's winner runs it).
      weights: path of a weight file, for `blazeface`.
      **options: of `mtcnn.load` or `blazeface.load`, such as `min_score`.
    Returns:
      detect(frames: uint8 [T, H, W, 3] or list of [H, W, 3], RGB) -> list of `Detections`, one per frame,
      boxes in px of the frame as given. The model is cached in the process, so a second call is free.
    Raises:
      ValueError: unknown name, or `weights` for a detector that takes none.
      InputError: the weights are missing.
    """
    if name in ("mtcnn", "mtcnn_half"):
        if weights is not None:
            raise ValueError(f"weights needs to be None for mtcnn (they come inside its package), got {weights!r}.")
        from tfdeepfake.data.faces import mtcnn

        return mtcnn.load(**(mtcnn.HALF if name == "mtcnn_half" else {}) | options)
    if name == "blazeface":
        from tfdeepfake.data.faces import blazeface

        return blazeface.load(weights=weights, **options)
    raise ValueError(f"name needs one of {DETECTORS}, got {name!r}.")


def contact_sheet(
    frames: np.ndarray,
    tracks: list,
    margin_frac: float = 0.3,
    box_smoothing: str = "clip",
    alignment: str = "none",
    cell_px: int = 112,
    columns: int = 16,
    rows: int = 12,
) -> np.ndarray:
    """An image of the face tracks: frames with boxes on top, below one row of crops per track, counted from 1.

    Args:
      frames: uint8 [T, H, W, 3] or list, as given to the detector.
      tracks: list of `Track`; the first `rows` are shown, and how many are not is written below.
      margin_frac, box_smoothing, alignment: of the crops, as in a recipe. Between the first and the last frame
        with the face, crops of frames without it are dimmed; outside them cells are grey.
      cell_px: side of a crop; `columns`: at most so many frames, equally spaced.
    Returns:
      uint8 [H, W, 3] RGB.
    Raises:
      ValueError: no frames.
    """
    import cv2
    from PIL import Image, ImageDraw, ImageFont

    if not len(frames):
        raise ValueError("frames needs at least one frame, got none.")
    shown = np.unique(np.linspace(0, len(frames) - 1, min(columns, len(frames))).round().astype(int))
    gap, margin = 3, 30
    height, width = frames[0].shape[:2]
    top_px = int(np.clip(round(cell_px * height / width), cell_px // 3, 2 * cell_px))
    pitch = cell_px + gap
    listed = tracks[:rows]
    height_px = margin + top_px + gap + max(len(listed), 1) * (cell_px + margin)
    # Wide enough for the text when there are few frames.
    sheet = np.full([height_px, max(len(shown) * pitch + gap, 640), 3], 255, np.uint8)
    lines = []  # (text, y of its middle, colour)
    dropped = f", {len(tracks) - len(listed)} more not shown" if len(tracks) > len(listed) else ""
    lines.append((f"sampled frames: {len(frames)}, face tracks: {len(tracks)}{dropped}", margin // 2, (40, 40, 40)))
    for column, position in enumerate(shown):
        frame = resize(frames[position], top_px, cell_px)
        scale = np.tile([cell_px / frames[position].shape[1], top_px / frames[position].shape[0]], 2)
        for track in listed:
            for box in track.boxes_px[track.positions == position]:
                x0, y0, x1, y1 = np.rint(box * scale).astype(int).tolist()
                cv2.rectangle(frame, (x0, y0), (x1, y1), _color(track.face), 2)
        x = gap + column * pitch
        sheet[margin : margin + top_px, x : x + cell_px] = frame
    for row, track in enumerate(listed):
        y = margin + top_px + gap + row * (cell_px + margin)
        text = (
            f"face {track.face + 1}: found in {len(track)} of {len(frames)} frames ({len(track) / len(frames):.0%}), "
        )
        text += f"mean confidence {track.mean_score:.3f}, mean side {track.mean_side_px:.0f} px"
        lines.append((text, y + margin // 2, _color(track.face)))
        cut = _cutter(frames, track, margin_frac, box_smoothing, alignment, cell_px)
        for column, position in enumerate(shown):
            cell = np.full([cell_px, cell_px, 3], 235, np.uint8)
            if track.positions[0] <= position <= track.positions[-1]:
                cell = cut(position)
                if position not in track.positions:
                    cell = cell // 3 + 150
            x = gap + column * pitch
            sheet[y + margin : y + margin + cell_px, x : x + cell_px] = cell
    if not listed:
        lines.append(("no face was found", margin + top_px + gap + margin // 2, (180, 0, 0)))
    image = Image.fromarray(sheet)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    for text, y, color in lines:
        draw.text((gap + 2, y), text, fill=color, font=font, anchor="lm")
    return np.asarray(image)


def _cutter(frames, track, margin_frac, box_smoothing, alignment, side_px):
    """Function of a position that gives the face's crop there, uint8 [side_px, side_px, 3]."""
    if alignment == "none":
        squares = square_box(track_boxes(track, len(frames), box_smoothing), margin_frac)
        return lambda t: crop(frames[t], squares[t], side_px, side_px)
    transforms, sides = run_transforms(track_landmarks(track, len(frames)), alignment, margin_frac, box_smoothing)
    return lambda t: aligned_crop(frames[t], transforms[t], sides[t], side_px, side_px)


def write_contact_sheet(
    path: str | Path,
    out: str | Path,
    detector: str = "mtcnn",
    weights: str | Path | None = None,
    num_frames: int = 16,
    alignment: str = "none",
) -> list:
    """Detects and links the faces of a video or image and writes `contact_sheet`: `tfdeepfake faces`.

    Args:
      path: video or image.
      out: file to write, see `video.write.image_name`: its suffix decides the format.
      detector, weights: of `make_detector`.
      num_frames: sampled frames, equally spaced.
      alignment: of the crops: "none", one upright box for all frames, or a template of `align`, each frame on its own
        and at the scale of the template's authors.
    Returns:
      list of `Track`; the sheet is written when it is empty, too, and says so.
    Raises:
      VideoError: the video cannot be read.
      InputError: the sheet cannot be written, or the detector's landmarks do not serve to align.
    """
    from tfdeepfake.data import video
    from tfdeepfake.data.video.write import image_name, write_image

    out = image_name(out)
    try:
        DataRecipe(detector=detector, alignment=alignment)
    except ValueError as error:
        raise InputError("--alignment", str(error), "Use --detector mtcnn.") from None
    detect = make_detector(detector, weights)
    sampled = video.read_frames(path, video.spaced_indices(video.probe(path).frame_count, num_frames)).frames
    detections = detect(sampled)
    if alignment == "none":
        crops = {}
    else:
        crops = {"margin_frac": 0.15, "box_smoothing": "frame", "alignment": alignment}
        detections = [d.rows(alignable(d.landmarks_px)) for d in detections]
    tracks = link_tracks(detections, sampled)
    sheet = contact_sheet(sampled, tracks, columns=num_frames, **crops)
    write_image(out, sheet)
    dropped = sum(d.dropped for d in detections)
    print(
        f"{out}: {len(tracks)} face tracks in {len(sampled)} sampled frames, "
        f"a face in {sum(len(d) > 0 for d in detections)} of them"
        + (f"; {dropped} small faces beyond the limit per frame were left out." if dropped else ".")
    )
    return tracks


def _color(face):
    """One of eight colours that are told apart on white and on an image."""
    colors = [(214, 39, 40), (31, 119, 180), (44, 160, 44), (255, 127, 14)]
    colors += [(148, 103, 189), (0, 150, 160), (227, 119, 194), (140, 86, 75)]
    return colors[face % len(colors)]
