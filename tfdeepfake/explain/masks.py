"""Where a video was manipulated, cut like the samples of an explanation."""

from pathlib import Path

import cv2
import numpy as np

from tfdeepfake.data import video
from tfdeepfake.explain.draw import OF_CENTRES
from tfdeepfake.explain.samples import Sample

# A mask may have so many frames more than its video, as encoders repeat a last one.
MORE_FRAMES = 5


def mask_of(path: Path | str, size: tuple, sample: Sample, frame_count: int | None = None) -> np.ndarray:
    """The region that was manipulated in a sample's crops.

    Args:
      path: video of the masks, frame n for frame n of the video; it may be smaller or larger, in the same proportions.
      size: (height, width) of the video.
      sample: whose frames are wanted.
      frame_count: of the video; None when it is not known.
    Returns:
      uint8 [T, h, w], 128 and more where the video was manipulated.
    Raises:
      video.VideoError: the mask is of another shape or length, or cannot be read.
    """
    own, wanted = video.probe(path), np.unique(sample.indices)
    if abs(own.width * size[0] - own.height * size[1]) > max(size):
        problem = f"is a mask of {own.width} x {own.height} px for a video of {size[1]} x {size[0]} px."
        raise video.VideoError(path, problem, "Take the mask of this video.")
    if wanted[-1] >= own.frame_count:
        problem = f"has {own.frame_count} frames, and the video's frame {wanted[-1]} is wanted."
        raise video.VideoError(path, problem, "Take the mask of this video.")
    if frame_count is not None and own.frame_count > frame_count + MORE_FRAMES:
        problem = f"has {own.frame_count} frames, and the video {frame_count}: a mask goes with it frame for frame."
        raise video.VideoError(path, problem, "Take the mask of this video.")
    read = video.read_frames(path, wanted)
    if read.missing:
        raise video.VideoError(path, f"{read.missing} of its frames cannot be decoded.", "Copy it again.")
    scale, (height, width) = read.frames.shape[2] / size[1], sample.frames.shape[1:3]
    cut = []
    for index, matrix in zip(sample.indices, sample.matrices, strict=True):
        grey = cv2.cvtColor(read.frames[np.searchsorted(wanted, index)], cv2.COLOR_RGB2GRAY)
        cut.append(region_of(grey, np.concatenate([matrix[:, :2] / scale, matrix[:, 2:]], axis=1), (height, width)))
    return np.stack(cut)


def region_of(mask: np.ndarray, matrix: np.ndarray, size: tuple) -> np.ndarray:
    """A mask of a whole frame in a crop.

    Args:
      mask: uint8 [H, W]; matrix: float64 [2, 3], from its px to those of the crop, from their edges.
      size: (height, width) of the crop.
    Returns:
      uint8 [height, width], 0 beyond the frame.
    """
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2] @ OF_CENTRES - OF_CENTRES
    return cv2.warpAffine(mask, centred, (size[1], size[0]), flags=cv2.INTER_LINEAR)
