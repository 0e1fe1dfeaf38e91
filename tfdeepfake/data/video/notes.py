"""What should be said of a video that is special: spherical, of two views, coded in fields, Dolby Vision."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfdeepfake.data.video.shown import Shown


_WOVEN = (4, 5, 6, 7)  # AVStereo3DType: checkerboards, lines, columns
_PROJECTIONS = {
    0: "equirectangular",
    1: "cube map",
    2: "equirectangular tiles",
    3: "half equirectangular",
    5: "fisheye",
}


def is_dolby_vision_5(data: bytes) -> bool:
    """Whether a frame's base layer is in Dolby's own colours (IPT), by libavutil's AVDOVIMetadata (dovi_meta.h).

    Told as libavcodec tells it: profile 0 of the metadata, in full range.
    """
    header = int.from_bytes(data[:8], "little")
    return len(data) > header + 10 and data[header + 4] == 0 and data[header + 10] == 1


def phrases(side_data: list, look: "Shown") -> tuple[str, ...]:
    """What a viewer should know of the file, from what accompanies its first frame.

    Args:
      side_data: as `Looker.side_data` gives it.
      look: its `Shown`.
    """
    # What the container says and what the codec says of the same thing come both.
    return tuple(dict.fromkeys(_phrases(side_data, look)))


def _phrases(side_data, look):
    for kind, data in side_data:
        number = int.from_bytes(data[:4], "little")
        if kind == "SPHERICAL":
            yield f"a 360-degree video ({_PROJECTIONS.get(number, 'other')} projection): faces in it are distorted"
        elif kind == "STEREO3D" and look.view:
            where = "side by side" if look.view == "left" else "one above the other"
            yield f"a 3D video with two views {where}: the {look.view} one is read"
        elif kind == "STEREO3D" and number in _WOVEN:
            yield "a 3D video whose two views are woven into each other: faces in it are doubled"
        elif kind == "STEREO3D" and number:
            yield "a 3D video: one of its two views is read"
        elif kind == "DOVI_METADATA":
            yield "a Dolby Vision video: its base layer is read"
    if look.is_field:
        yield "a video coded in fields: each field is read as a frame"
