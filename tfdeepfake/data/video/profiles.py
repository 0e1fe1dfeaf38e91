"""Colour profiles of still images (ICC.1) to sRGB: phones photograph in Display P3, printers' files are in CMYK."""

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


MAX_BYTES = 1 << 24


def to_srgb(image: "Image.Image", profile: bytes | None) -> "Image.Image":
    """A Pillow image in RGB and sRGB's colours; as it stands where its profile is sRGB's, missing or damaged."""
    from PIL import Image, ImageCms

    if image.mode in ("P", "PA"):  # a profile is that of the palette's colours
        image = image.convert("RGB")
    mode = {"RGB": "RGB", "RGBA": "RGB", "RGBX": "RGB", "L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode)
    source = _opened(profile) if profile and mode and len(profile) < MAX_BYTES else None
    if source is None:
        return image.convert("RGB")
    try:
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        return ImageCms.profileToProfile(image.convert(mode), source, _srgb(), intent, outputMode="RGB")
    except (ImageCms.PyCMSError, ValueError, Image.DecompressionBombError):  # a profile of another kind of colours
        return image.convert("RGB")


@functools.lru_cache(8)
def _opened(profile):
    """The profile for Pillow; None where there is nothing to convert, or it is damaged."""
    import io

    from PIL import ImageCms

    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return None if "srgb" in (opened.profile.profile_description or "").lower() else opened
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None


@functools.cache
def _srgb():
    from PIL import ImageCms

    return ImageCms.createProfile("sRGB")
