"""Maps over images: overlays on crops and frames, flow as colours, a contact sheet, an annotated video."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfdeepfake.explain.samples import Sample
from tfdeepfake.report import palette
from tfdeepfake.verdict.images import COLOURS, FILE_SIDE_PX, annotate
from tfdeepfake.vocabulary import FAKE, REAL

if TYPE_CHECKING:
    from tfdeepfake.data.video.read import VideoInfo

# How much of the colour covers the image where a map is 1. Where it is 0 nothing is covered.
STRENGTH = 0.65
CELL_PX = 176
AT_ONCE = 32
# OpenCV counts from the centres of pixels.
OF_CENTRES = np.array([0.5, 0.5])


def overlay(image: np.ndarray, values: np.ndarray, strength: float = STRENGTH) -> np.ndarray:
    """A map over an image: from nothing over blue and green to dark red, through which the image stays to be seen.

    Args:
      image: uint8 [H, W, 3] RGB; values: float32 [H, W] in 0..1.
      strength: cover where the map is 1.
    Returns:
      uint8 [H, W, 3].
    """
    values = np.clip(values, 0, 1)
    colours = cv2.applyColorMap(np.rint(255 * values).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    cover = (strength * values**0.7)[..., None]
    return np.rint(image * (1 - cover) + colours * cover).astype(np.uint8)


def on_frame(values: np.ndarray, matrix: np.ndarray, size: tuple) -> np.ndarray:
    """The map of a crop where the crop was cut out of the frame, 0 elsewhere.

    Args:
      values: float32 [h, w].
      matrix: float64 [2, 3], from px of the frame to px of the crop, from their edges.
      size: (height, width) of the frame.
    Returns:
      float32 [height, width].
    """
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2] @ OF_CENTRES - OF_CENTRES
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values.astype(np.float32), centred, (size[1], size[0]), flags=flags)


def flow_colours(flow: np.ndarray) -> np.ndarray:
    """Optical flow as colours: the hue is the direction, dark is at rest.

    Args:
      flow: float32 [H, W, 2] px/frame.
    Returns:
      uint8 [H, W, 3] RGB.
    """
    length, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1], angleInDegrees=True)
    scale = max(float(np.percentile(length, 99)), 1e-6)
    hue = np.stack([angle / 2, np.full_like(angle, 200), 255 * np.clip(length / scale, 0, 1)], -1)
    return cv2.cvtColor(hue.astype(np.uint8), cv2.COLOR_HSV2RGB)


def chosen_frames(samples: list[Sample], count: int, wanted: Sequence[int] | None = None) -> list[tuple[Sample, int]]:
    """Frames for a contact sheet.

    Args:
      samples: of one face.
      count: at most so many.
      wanted: numbers of frames, see `further.frames_apart`; one without a map gives way to the nearest with one, unless
        that is nearer to another. None spreads them evenly over all frames that have a map.
    Returns:
      list of (sample, which of its frames), in order of time.
    """
    at = {}
    for sample in sorted(samples, key=lambda sample: sample.probability):
        for t, index in enumerate(sample.indices.tolist()):
            at[index] = (sample, t)  # clips may overlap: the more suspicious one counts
    frames = np.array(sorted(at))
    if wanted is None:
        wanted = frames[np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)]
    wanted, nearest = np.asarray(wanted), set()
    for number, frame in enumerate(wanted):
        there = int(frames[np.abs(frames - frame).argmin()])
        if np.abs(wanted - there).argmin() == number:
            nearest.add(there)
    return [at[frame] for frame in sorted(nearest)]


def sheet(blocks: list[tuple[str, list[tuple[Sample, int]]]]) -> Image.Image:
    """A contact sheet: for each face its crops, and below each map over them.

    Args:
      blocks: (heading, frames as of `chosen_frames`) of each face.
    Returns:
      PIL image.
    """
    heading_font, font = ImageFont.load_default(18), ImageFont.load_default(13)
    columns = max(len(frames) for _, frames in blocks)
    rows = [["crop", *_row_names(frames[0][0])] for _, frames in blocks]
    side, left, head, foot = CELL_PX + 4, 110, 34, 24
    height = sum(head + foot + side * len(names) for names in rows)
    image = Image.new("RGB", (max(left + side * columns, 420), height), palette.rgb("card"))
    draw, y = ImageDraw.Draw(image), 0
    for (heading, frames), names in zip(blocks, rows, strict=True):
        draw.text((8, y + 8), heading, font=heading_font, fill=palette.rgb("ink"))
        y += head
        for name in names:
            for line, text in enumerate(name.split(" ")):
                draw.text((8, y + 6 + 16 * line), text, font=font, fill=palette.rgb("soft"))
            for k, (sample, t) in enumerate(frames):
                image.paste(Image.fromarray(cell(sample, t, name)), (left + side * k, y))
            y += side
        for k, (sample, t) in enumerate(frames):
            text = f"frame {sample.indices[t]}  {sample.timestamps_s[t]:.2f} s  {sample.probability:.2f}"
            draw.text((left + side * k, y + 3), text, font=font, fill=palette.rgb("ink"))
        y += foot
    return image


def _row_names(sample):
    names = []
    for name in sample.maps:
        names += ["motion"] if _is_flow(name) else []
        names.append(name)
    return names


def _is_flow(name):
    return name.split(" ")[-1] == "flow"


def cell(sample: Sample, t: int, name: str, side_px: int = CELL_PX) -> np.ndarray:
    """A frame of a sample, or a map over it.

    Args:
      sample: with maps.
      t: which of its frames.
      name: of a map; "crop" of the frame alone, "motion" of its flow as colours.
      side_px: the longer side of what is returned.
    Returns:
      uint8 [H, W, 3] RGB.
    """
    image = Image.fromarray(_drawn(sample, t, name))
    scale = side_px / max(image.size)
    return np.asarray(image.resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS))


def _drawn(sample, t, name):
    if name == "crop":
        return sample.frames[t]
    if name == "motion":
        return flow_colours(sample.flow[t])
    if not _is_flow(name):
        return overlay(sample.frames[t], sample.maps[name][t])
    # Colours over colours could not be told apart: how fast, in grey.
    grey = flow_colours(sample.flow[t]).max(axis=-1, keepdims=True)
    return overlay(np.repeat(grey, 3, axis=-1), sample.maps[name][t])


def annotated_frames(
    path: Path | str, info: "VideoInfo", samples: list[Sample], name: str, threshold: float
) -> Iterator[tuple]:
    """Yields whole frames with every face's map, box and probability on them, in order of time.

    Args:
      path: of the video.
      info: `Verdict.video`, with width and stream.
      samples: of all faces.
      name: of the map.
      threshold: probability from which a box is that of a FAKE.
    Yields:
      (frame number, time in s, PIL image), images at most `FILE_SIDE_PX` wide or high and even in both.
    """
    from tfdeepfake.data import video

    at = {}
    for sample in sorted(samples, key=lambda sample: sample.probability):
        for t, index in enumerate(sample.indices.tolist()):
            at.setdefault(index, {})[sample.face] = (sample, t)
    numbers = sorted(at)
    for start in range(0, len(numbers), AT_ONCE):
        part = numbers[start : start + AT_ONCE]
        read = video.read_frames(path, part, max_side_px=FILE_SIDE_PX, stream=info.get("stream"))
        for frame, index, seconds in zip(read.frames, read.indices.tolist(), read.timestamps_s, strict=True):
            if index not in at:
                continue
            scale = frame.shape[1] / info["width"]
            image, marks = np.asarray(frame)[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2], []
            for sample, t in at[index].values():
                matrix = np.concatenate([sample.matrices[t][:, :2] / scale, sample.matrices[t][:, 2:]], axis=1)
                image = overlay(image, on_frame(sample.maps[name][t], matrix, image.shape[:2]))
                colour = COLOURS[FAKE if sample.probability >= threshold else REAL]
                text = f"{sample.face}: {sample.probability:.2f}"
                marks.append(([v * scale for v in sample.face_boxes_px[t]], colour, [text]))
            yield index, float(seconds), annotate(image, marks, f"{seconds:.2f} s  {name}")
