"""Seven perturbations at five severities, for test sets only (P4 Sec. 4.5).

They are those of DeeperForensics-1.0 (arXiv:2001.03024; its repository's perturbation/distortions.py), which P4 and
LipForensics test with. Whole frames are perturbed, before faces are detected, as on a video's way to a viewer;
so a detector may lose a face, and coverage has to be reported with the metrics.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from tfdeepfake.errors import InputError

SEVERITIES = (1, 2, 3, 4, 5)
BLOCK_PX = 8
# A frame whose shorter side is less than this has no blocks.
BLOCKS_FROM_PX = 256
GREY_WEIGHTS = np.float32((0.299, 0.587, 0.114))  # BT.601, as OpenCV's YCrCb
# What noise in (Y, Cb, Cr) is in (R, G, B).
FROM_YCBCR = np.float32(((1, 0, 1.402), (1, -0.344136, -0.714136), (1, 1.772, 0)))


def saturation(frames: np.ndarray, part: float, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Chroma of YCbCr scaled about its middle: each pixel moves towards its grey, of which it keeps `part` away."""
    for frame in frames:
        grey = (frame.astype(np.float32) @ GREY_WEIGHTS)[..., None]
        yield _cut(grey + part * (frame - grey))


def contrast(frames: np.ndarray, factor: float, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pixels multiplied."""
    for frame in frames:
        yield _cut(frame * np.float32(factor))


def block_wise(frames: np.ndarray, blocks: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """`blocks` squares of 8 px set to grey 128 for each whole 256 px of the shorter side, anew in each frame; they may
    overlap."""
    for frame in frames:
        frame, (height, width) = frame.copy(), frame.shape[:2]
        for _ in range(blocks * (min(height, width) // BLOCKS_FROM_PX)):
            y, x = rng.integers((height - BLOCK_PX, width - BLOCK_PX))
            frame[y : y + BLOCK_PX, x : x + BLOCK_PX] = 128
        yield frame


def gaussian_noise(frames: np.ndarray, variance: float, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """White noise on Y, Cb and Cr.

    The variance is for 0..1 in which luma takes 219/255 and chroma 224/255, as in video, so in 0..255 the deviation is
    sqrt(variance) * 255 * 255/219 of luma and 255/224 of chroma: 9.4 and 9.2 at severity 1, 66 and 65 at 5.
    """
    deviation = np.float32(variance**0.5 * 255 * 255 / np.array((219, 224, 224)))
    for frame in frames:
        noise = rng.standard_normal(frame.shape, np.float32)
        yield _cut(frame + noise @ (FROM_YCBCR * deviation).T)


def gaussian_blur(frames: np.ndarray, size_px: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """A kernel of `size_px` with a deviation of a sixth of it."""
    import cv2

    for frame in frames:
        yield cv2.GaussianBlur(frame, (size_px, size_px), size_px / 6)


def pixelation(frames: np.ndarray, factor: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Shrunk by a factor and enlarged again, both bilinear (its name is JPEG in DeeperForensics-1.0)."""
    import cv2

    for frame in frames:
        height, width = frame.shape[:2]
        small = cv2.resize(frame, (max(1, width // factor), max(1, height // factor)))
        yield cv2.resize(small, (width, height))


def compression(frames: np.ndarray, crf: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """H.264 by x264 at a constant rate factor, otherwise with FFmpeg's settings; all frames as one video.

    Frames of odd height or width are coded with their last row or column twice.
    """
    from fractions import Fraction

    import av
    from av.video.reformatter import Interpolation

    coder, decoder, size = None, av.CodecContext.create("h264", "r"), None

    def out(packets):
        for packet in packets:
            for image in decoder.decode(packet):
                whole = image.reformat(format="rgb24", interpolation=Interpolation.BICUBIC).to_ndarray()
                yield np.ascontiguousarray(whole[: size[0], : size[1]])

    for number, frame in enumerate(frames):
        if coder is None:
            size = frame.shape[:2]
            coder = av.CodecContext.create("libx264", "w")
            coder.height, coder.width = even(frame).shape[:2]
            coder.pix_fmt, coder.options = "yuv420p", {"crf": str(crf)}
            coder.time_base, coder.framerate, coder.thread_count = Fraction(1, 25), Fraction(25), 1
        image = av.VideoFrame.from_ndarray(even(frame), format="rgb24")
        image.pts = number
        yield from out(coder.encode(image))
    yield from out(coder.encode(None))
    yield from out([None])


# Name: (values at severities 1 to 5, function of frames, value and random numbers). A function takes an iterable of
# uint8 [H, W, 3] and yields as many.
PERTURBATIONS = {
    "saturation": ((0.4, 0.3, 0.2, 0.1, 0.0), saturation),
    "contrast": ((0.85, 0.725, 0.6, 0.475, 0.35), contrast),
    "block_wise": ((16, 32, 48, 64, 80), block_wise),
    "gaussian_noise": ((0.001, 0.002, 0.005, 0.01, 0.05), gaussian_noise),
    "gaussian_blur": ((7, 9, 13, 17, 21), gaussian_blur),
    "pixelation": ((2, 3, 4, 5, 6), pixelation),
    "compression": ((30, 32, 35, 38, 40), compression),
}


def value_of(name: str, severity: int) -> float:
    """The value of a perturbation at a severity, e.g. 0.4.

    Raises:
      InputError: no such name or severity.
    """
    if name not in PERTURBATIONS:
        raise InputError("name", f"needs one of {', '.join(PERTURBATIONS)}, got {name!r}.")
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise InputError("severity", f"needs a whole number from 1 to 5, got {severity!r}.")
    return PERTURBATIONS[name][0][int(severity) - 1]


def is_noop(name: str, height_px: int, width_px: int) -> bool:
    """Whether a perturbation does nothing to frames of this size, as its authors define it."""
    return name == "block_wise" and min(height_px, width_px) < BLOCKS_FROM_PX


def perturb(frames: Iterable[np.ndarray], name: str, severity: int, seed: int = 0) -> tuple:
    """Perturbs whole frames.

    Args:
      frames: uint8 RGB [H, W, 3], or a clip [T, H, W, 3].
      name: of `PERTURBATIONS`.
      severity: 1 to 5.
      seed: int or ints, of noise and blocks; each frame has its own, and a clip's frame n is the same in a longer clip.
    Returns:
      (uint8 of the same shape, whether anything changed). Nothing does where `is_noop`; and grey frames have no
      saturation to lose.
    Raises:
      InputError: no such name or severity.
      ValueError: frames of another shape or dtype.
    """
    value = value_of(name, severity)
    frames = np.asarray(frames)
    if frames.ndim not in (3, 4) or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise ValueError(f"frames need uint8 [H, W, 3] or [T, H, W, 3], got {frames.dtype} {frames.shape}.")
    clip = frames.reshape(-1, *frames.shape[-3:])
    perturbed = np.stack(list(PERTURBATIONS[name][1](clip, value, np.random.default_rng(seed))))
    return perturbed.reshape(frames.shape), not np.array_equal(perturbed, clip)


def _cut(pixels):
    """float [...] -> uint8, cut to whole numbers as published, not rounded; a thousandth is for float32's errors."""
    return np.clip(pixels + np.float32(1e-3), 0, 255).astype(np.uint8)


def even(frame: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] with the last row or column twice where H or W is odd: chroma has half the resolution."""
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(frame)
