"""Frames to a video file, or one to an image file: for synthetic data, contact sheets and tests."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from tfdeepfake.files import atomic_path, check_output_file

# Formats that an image is written in, each by its suffix.
WRITTEN_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def image_name(path: Path | str) -> Path:
    """The file that `write_image` is to be given: `path`, with .png behind a name without suffix.

    Raises:
      InputError: a suffix of which no image can be written, a folder, or a place that cannot be written to.
    """
    path = Path(path)
    if not path.suffix and (path.is_file() or not path.exists()):
        path = path.with_name(f"{path.name}.png")
    check_output_file(path, WRITTEN_IMAGES)
    return path


def write_image(path: Path | str, rgb: np.ndarray) -> None:
    """Writes uint8 RGB [H, W, 3] in the format that the suffix names, one of `WRITTEN_IMAGES`; whole or not at all."""
    import cv2

    with atomic_path(path) as temporary:
        temporary.write_bytes(cv2.imencode(Path(path).suffix.lower(), rgb[..., ::-1])[1].tobytes())


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    codec: str = "libx264",
    crf: float | None = 23,
    preset: str | None = "veryfast",
    pix_fmt: str = "yuv420p",
    rotation_deg: int = 0,
    options: dict | None = None,
) -> int:
    """Writes an .mp4 (the container follows the suffix); the same frames give the same bytes.

    Args:
      path: replaced only when all frames are written.
      frames: iterable of uint8 RGB [H, W, 3], all of one size; H and W even for yuv420p.
      fps: frames per second.
      codec: FFmpeg encoder.
      crf: 0 (lossless) .. 51, for x264 and x265; None leaves it out.
      preset: speed of x264 and x265; None leaves it out.
      pix_fmt: FFmpeg pixel format of the file.
      rotation_deg: 0, 90, 180 or 270: players turn the frames this far clockwise, as for a phone held upright.
      options: further encoder options, e.g. {"bf": "3", "g": "50"}.
    Returns:
      Number of frames written.
    Raises:
      ValueError: frames of another shape, dtype or size, an odd size with yuv420p, or no frame at all.
      InputError: the disk is full.
    """
    import av

    if rotation_deg not in (0, 90, 180, 270):
        raise ValueError(f"rotation_deg needs 0, 90, 180 or 270, got {rotation_deg}.")
    if not fps > 0:
        raise ValueError(f"fps needs to be above 0, got {fps}.")
    chosen = {name: str(value) for name, value in (("crf", crf), ("preset", preset)) if value is not None}
    count, shape = 0, None
    with (
        atomic_path(path) as temporary,
        av.open(
            # Bit exact: no version of FFmpeg and no date in the file.
            str(temporary),
            "w",
            container_options={"fflags": "+bitexact"},
        ) as container,
    ):
        stream = container.add_stream(
            codec, rate=Fraction(fps).limit_denominator(10**5), options=chosen | (options or {})
        )
        # Encoders divide the work by the number of threads, which shows in the bytes.
        stream.codec_context.thread_count = 1
        for frame in frames:
            frame = np.asarray(frame)
            if shape is None:
                shape = _checked(frame, pix_fmt).shape
                stream.width, stream.height, stream.pix_fmt = shape[1], shape[0], pix_fmt
                if rotation_deg:
                    stream.set_display_rotation(-rotation_deg)
            elif frame.shape != shape or frame.dtype != np.uint8:
                raise ValueError(
                    f"frames need uint8 {shape} like the first, got {frame.dtype} {frame.shape} (frame {count})."
                )
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            image.pts = count
            container.mux(stream.encode(image))
            count += 1
        if not count:
            raise ValueError("frames needs at least one frame, got none.")
        container.mux(stream.encode(None))
    return count


def _checked(frame, pix_fmt):
    """The first frame, when a video can be made of such."""
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise ValueError(f"frames need uint8 [H, W, 3], got {frame.dtype} {frame.shape}.")
    if pix_fmt == "yuv420p" and (frame.shape[0] % 2 or frame.shape[1] % 2):
        raise ValueError(
            f"yuv420p needs even height and width, got {frame.shape[:2]}; crop a row or choose pix_fmt='yuv444p'."
        )
    return frame
