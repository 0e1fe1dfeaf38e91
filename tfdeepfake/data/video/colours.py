"""High dynamic range and wide colours to the BT.709 colours that networks are trained on.

Sources: SMPTE ST 2084 and ITU-R BT.2100 (PQ and HLG), BT.2408 (white of an ordinary video is 203 cd/m2 in both),
BT.2087 (BT.2020 to BT.709).
"""

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import av


PQ, HLG = 16, 18  # transfer characteristics, numbered as in ISO 23091-2
BT2020, P3_DCI, P3 = 9, 11, 12  # colour primaries
UNSPECIFIED = 2
REFERENCE_WHITE = 203.0  # cd/m2
HLG_PEAK = 1000.0  # cd/m2 of the display for which HLG's system gamma is 1.2

# Linear light of the given primaries to BT.709's, white D65 (BT.2087; SMPTE EG 432-1).
_TO_BT709 = {
    BT2020: [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
    P3: [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]],
}
_TO_BT709[P3_DCI] = _TO_BT709[P3]
WIDE = tuple(_TO_BT709)  # colour primaries that are converted
_LUMINANCE = {BT2020: (0.2627, 0.6780, 0.0593)}
_LUMINANCE_BT709 = (0.2126, 0.7152, 0.0722)


def is_wide(frame: "av.VideoFrame") -> bool:
    """Whether an av.VideoFrame is in high dynamic range or in wide colours."""
    return frame.color_trc in (PQ, HLG) or frame.color_primaries in _TO_BT709


def to_rgb(
    reformatter: "av.video.reformatter.VideoReformatter",
    frame: "av.VideoFrame",
    width: int,
    height: int,
    interpolation: int | str,
) -> np.ndarray:
    """An av.VideoFrame as uint8 RGB [height, width, 3] in the colours of ordinary videos."""
    form = "rgb48le" if is_wide(frame) else "rgb24"
    try:
        image = reformatter.reformat(frame, width, height, format=form, interpolation=interpolation)
    except (OSError, ValueError):
        # A colour matrix that FFmpeg does not know, or that does not exist: without it the usual one is taken.
        frame.colorspace = UNSPECIFIED
        image = reformatter.reformat(frame, width, height, format=form, interpolation=interpolation)
    image = image.to_ndarray()
    return to_bt709(image, frame.color_trc, frame.color_primaries) if form == "rgb48le" else image


def to_bt709(deep: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Tone-maps an image: light of the reference white and below stays as it is, what is brighter is clipped.

    Clipping, and not a curve that leaves room for highlights: faces lie below the reference white, and what was graded
    from an ordinary video comes out as it was.

    Args:
      deep: uint16 RGB [H, W, 3], full range, in the given transfer and primaries.
      transfer, primaries: numbers as in ISO 23091-2; other transfers than PQ and HLG are taken as sRGB's.
    Returns:
      uint8 RGB [H, W, 3], sRGB's curve (how BT.709 material is shown on computers).
    """
    import cv2

    light = _to_light(transfer)[deep]  # 1.0 is the reference white
    if transfer == HLG:
        # The display's system gamma works on the luminance of the scene (BT.2100, table 5).
        weights = np.array(_LUMINANCE.get(primaries, _LUMINANCE_BT709), np.float32)
        scene = np.maximum(light @ weights, 1e-6)[..., None]
        light *= (HLG_PEAK / REFERENCE_WHITE) * scene**0.2
    if primaries in _TO_BT709:
        light = cv2.transform(light, np.array(_TO_BT709[primaries], np.float32))
    return _from_light()[np.rint(np.clip(light, 0, 1) * (_STEPS - 1)).astype(np.uint16)]


# Steps of linear light between black and white: half a step of 8 bit at sRGB's steepest place needs 2 * 12.92 * 255.
_STEPS = 2**14


@functools.cache
def _to_light(transfer):
    """float32 [65536]: linear light of each 16 bit value; of HLG the scene's, 0..1."""
    value = np.arange(65536) / 65535
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = value ** (1 / m2)
        light = 10000 / REFERENCE_WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    elif transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)
    else:
        light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@functools.cache
def _from_light():
    """uint8 [_STEPS]: sRGB's value of linear light 0..1."""
    light = np.arange(_STEPS) / (_STEPS - 1)
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * value).astype(np.uint8)
