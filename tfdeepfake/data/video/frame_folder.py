"""Folders that hold the frames of one video as images, as tools for data sets write them: read as videos.

A folder is one video when its media are three or more images and nothing else, whose names differ in one number alone
(`frame2.png`, `frame10.jpg`) or in a time (`0-01-02.040.png`, `t_62.04.png`), which have one size, and none of which a
camera took. The number gives the order.
"""

import functools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.data.video import images
from tfdeepfake.data.video.check import MAX_PIXELS, VideoError
from tfdeepfake.data.video.formats import sniff

if TYPE_CHECKING:
    from tfdeepfake.data.video.check import Deadline


# Images carry no times: so many frames/s when the user says nothing.
FRAME_RATE = 25.0
LEAST_FRAMES = 3
# Of a long video the sizes of so many images are compared, equally spaced.
COMPARED = 16
RULE = "three or more images, numbered or timed under one name and of one size, and no other media"
# Maker and model of the camera (EXIF): what was photographed one by one is no video, however it is numbered.
CAMERA = (0x010F, 0x0110)
CLOCK = re.compile(
    r"(?P<before>.*?)(?P<hour>\d+)[-_.:h](?P<minute>[0-5]\d)[-_.:m](?P<second>[0-5]\d)[-_.,s](?P<part>\d{2,6})"
)
SECONDS = re.compile(r"(?P<before>.*?)(?P<second>\d+)\.(?P<part>\d{1,6})s?")


def frame_files(folder: Path | str) -> tuple[Path, ...]:
    """The frames of a folder in their order; none when it is not the folder of one video.

    Raises:
      OSError: it cannot be read.
    """
    status = os.stat(folder)
    return _frame_files(str(folder), status.st_mtime_ns, status.st_ino)


@functools.lru_cache(256)
def _frame_files(folder, *state):
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".") and os.path.isfile(entry.path)]
    kinds = {name: sniff(os.path.join(folder, name)) for name in names}
    if any(kind == "video" for kind in kinds.values()):
        return ()
    names = in_order([name for name, kind in kinds.items() if kind == "image"])
    paths = tuple(Path(folder, name) for name in names)
    return paths if len(paths) >= LEAST_FRAMES and _of_one_video(paths) else ()


def in_order(names: Sequence[str]) -> list[str]:
    """Names in the order of the one number or time in which they differ; [] when they differ otherwise."""
    stems = [os.path.splitext(name.lower())[0] for name in names]
    numbers = _numbers(stems) or _times(stems)
    if len(set(numbers)) < len(names):  # one image in two formats, or numbers of something else
        return []
    return [name for _, name in sorted(zip(numbers, names, strict=True))]


def _numbers(stems):
    """The one number in which stems differ."""
    parts = [re.split(r"(\d+)", stem) for stem in stems]
    if len({len(part) for part in parts}) != 1:
        return []
    differing = [n for n, cells in enumerate(zip(*parts, strict=True)) if len(set(cells)) > 1]
    if len(differing) != 1 or differing[0] % 2 == 0:  # even places hold the text between numbers
        return []
    return [int(part[differing[0]]) for part in parts]


def _times(stems):
    """Times, as on a clock or in seconds with decimals, at the end of stems that are otherwise equal.

    Only where they follow each other evenly: people photograph at times, too, and what stands before a point may be the
    number of a video, and after it that of its frame.
    """
    found = [CLOCK.fullmatch(stem) or SECONDS.fullmatch(stem) for stem in stems]
    if not all(found) or len({(one.re, one["before"], len(one["part"])) for one in found}) != 1:
        return []
    seconds = [_seconds(**one.groupdict()) for one in found]
    steps = np.diff(np.sort(seconds))
    return seconds if len(steps) and steps.max() < 4 * np.median(steps) else []


def _seconds(second, part, hour=0, minute=0, **_):
    return 3600 * int(hour) + 60 * int(minute) + float(f"{second}.{part}")


def _of_one_video(paths):
    """Whether images have one size, as far as they can be read, and no camera's name; a damaged one says nothing."""
    sizes = set()
    for number in np.unique(np.linspace(0, len(paths) - 1, COMPARED).astype(int)):
        try:
            sizes.add(images.describe(paths[number])[0])
            if _is_photo(paths[number]):
                return False
        except (VideoError, OSError):
            continue
    return len(sizes) == 1


def _is_photo(path):
    try:
        with images.opened_image(path) as image:
            exif = image.getexif()
            return any(tag in exif for tag in CAMERA)
    except Exception:  # of formats that Pillow does not know, or with damaged EXIF data
        return False


def check_folder(path: Path | str) -> None:
    """Raises VideoError when a folder is not that of one video."""
    try:
        is_video = bool(frame_files(path))
    except OSError as error:
        raise VideoError(path, f"cannot be opened ({error.strerror}).", "Check its permissions.") from None
    if not is_video:
        raise VideoError(path, "is a folder: give one file.", f"A folder is read as one video when it holds {RULE}.")


def describe(path: Path | str) -> tuple[tuple[int, int], str, int]:
    """((width, height), format, number of frames) of a folder that `check_folder` has passed."""
    files = frame_files(path)
    for file in files:
        try:
            size, _, codec, _ = images.describe(file)
            return size, codec, len(files)
        except (VideoError, OSError):
            continue
    raise VideoError(path, "holds no image that can be read.", "Copy or download it again.")


def frames(path: Path | str, wanted: Iterable[int], deadline: "Deadline") -> Iterator[tuple]:
    """Yields (position, av.VideoFrame, None, False) for the wanted positions (None: all) that can be read."""
    import av

    files = frame_files(path)
    for position in range(len(files)) if wanted is None else wanted:
        deadline.check()
        try:
            rgb = images.read(files[position], MAX_PIXELS)
        except (VideoError, OSError):
            continue
        yield position, av.VideoFrame.from_ndarray(rgb, format="rgb24"), None, False
