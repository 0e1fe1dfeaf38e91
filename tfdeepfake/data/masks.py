"""Where a fake was manipulated: crops of a data set's mask video, cut like the crops of the examples."""

from pathlib import Path

import numpy as np

from tfdeepfake.data import faces, video
from tfdeepfake.data.faces import align, fit

# Frames of a mask video that are in memory at once.
AT_ONCE = 32


def mask_crops(path: str | Path, video_path: str | Path, examples: list) -> list:
    """Cuts masks out of the same frames and squares as examples.

    Args:
      path: video of the masks; frame n belongs to frame n of the video. It may be smaller, in the same proportions.
      video_path: the video that the examples are of.
      examples: list of `examples.Example`.
    Returns:
      list of uint8 [T, h, w], one for each example: grey as it is in the file, 0 where nothing was manipulated. Where a
      file is compressed there are values between; the middle, 128, is a sensible edge.
    Raises:
      video.VideoError: the mask cannot be read, is of another shape, or lacks frames of the examples.
    """
    import cv2

    size, own = video.probe(video_path), video.probe(path)
    if abs(own.width * size.height - own.height * size.width) > max(size.width, size.height):
        raise video.VideoError(
            path,
            f"is a mask of {own.width} x {own.height} px for a video of {size.width} x {size.height} px.",
            "Take the mask of this video.",
        )
    wanted = np.unique(np.concatenate([e.indices for e in examples]))
    if wanted[-1] >= own.frame_count:
        raise video.VideoError(
            path, f"has {own.frame_count} frames, and the video's frame {wanted[-1]} is wanted.", "Copy it again."
        )
    crops = [np.zeros(e.frames.shape[:3], np.uint8) for e in examples]
    for start in range(0, len(wanted), AT_ONCE):
        numbers = wanted[start : start + AT_ONCE]
        read = video.read_frames(path, numbers)
        if read.missing:
            raise video.VideoError(path, f"{read.missing} of its frames cannot be decoded.", "Copy it again.")
        scale = read.frames.shape[2] / size.width
        for example, masks in zip(examples, crops, strict=True):
            for t in np.flatnonzero(np.isin(example.indices, numbers)):
                frame = read.frames[np.searchsorted(numbers, example.indices[t])]
                if example.cut_px is not None:
                    box = np.clip(np.rint(example.cut_px[t] * scale), 0, [*frame.shape[1::-1]] * 2).astype(int)
                    cut = fit.fit_crop(frame, box, *masks.shape[1:])
                elif example.transforms is None:
                    cut = faces.crop(frame, example.boxes_px[t] * scale, *masks.shape[1:])
                else:
                    matrix = align.rescaled(example.transforms[t], scale)
                    cut = align.aligned_crop(frame, matrix, example.sides_px[t], *masks.shape[1:])
                masks[t] = cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY)
    return crops
