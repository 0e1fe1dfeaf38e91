"""What can be said about a media file before and when it fails to open, and the limits on what is read of it."""

import math
import os
import stat
import time
from pathlib import Path

from tfdeepfake.data.video.encrypted import encryption, top_boxes
from tfdeepfake.errors import InputError, remedy_where_missing

# A crafted header can claim an image of any size; 2**27 px is four times 8K and 384 MiB as RGB.
MAX_PIXELS = 2**27


_BOXES = (b"ftyp", b"mdat", b"free", b"wide", b"skip")  # that MP4 files begin with
_SOUND = (b"fLaC", b"ID3", b"\xff\xfb", b"\xff\xf1", b"\xff\xf9", b"#!AMR", b"FORM")
# Of images that are not read: (first bytes, what they are).
_IMAGES = (
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"8BPS", "a Photoshop image"),
    (b"v/1\1", "an OpenEXR image"),
    (b"qoif", "a QOI image"),
    (b"DDS ", "a DDS image"),
    (b"P5\n", "a PGM image"),
    (b"P6\n", "a PPM image"),
    (b"%PDF", "a PDF document"),
    (b"FUJIFILMCCD-RAW", "the raw data of a camera"),
    (b"IIRO", "the raw data of a camera"),
    (b"IIRS", "the raw data of a camera"),
    (b"IIU\0", "the raw data of a camera"),
)
_PIECES = (b"styp", b"moof", b"sidx")  # boxes that only pieces of a streamed MP4 begin with


class VideoError(InputError):
    """The file cannot be read as a video: missing, empty, damaged, cut off, audio only, too large, too slow."""


TOO_SLOW = (
    "Raise the time limit, cut the video, or put the same frames into an .mp4, which is read faster than other "
    "containers: `ffmpeg -i IN -c copy OUT.mp4`."
)


class Deadline:
    """Raises VideoError when more than `limit_s` seconds have passed since it was made; never when None."""

    def __init__(self, path, limit_s):
        if limit_s is not None and not limit_s > 0:
            raise ValueError(f"time_limit_s needs seconds above 0 or None, got {limit_s}.")
        self.path, self.limit_s = path, limit_s
        self.end = math.inf if limit_s is None else time.monotonic() + limit_s

    def check(self) -> None:
        if time.monotonic() > self.end:
            raise VideoError(
                self.path,
                f"took longer to read than the limit of {self.limit_s:g} s.",
                TOO_SLOW,
            )


def check_file(path: str | Path) -> bool:
    """Whether the path is a folder; raises VideoError when it is neither that nor a file with something in it."""
    try:
        kind = os.stat(path).st_mode
        is_folder = stat.S_ISDIR(kind)
        is_file = stat.S_ISREG(kind)  # to open a pipe is to wait for who writes into it
        if is_file:
            with open(path, "rb") as stream:
                is_empty = not stream.read(1)
    except FileNotFoundError:
        raise VideoError(path, "does not exist.", remedy_where_missing(path, "Check the path.")) from None
    except OSError as error:
        raise VideoError(path, f"cannot be opened ({error.strerror}).", "Check its permissions.") from None
    except ValueError as error:  # a NUL in the name
        raise VideoError(path, f"is not a path ({error}).", "Check the path.") from None
    if not is_folder and not is_file:
        raise VideoError(path, "is a pipe or a device, not a file.", "Write it to a file first.")
    if is_file and is_empty:
        raise VideoError(path, "is empty (0 bytes).", "Copy or download it again.")
    return is_folder


def encrypted(path: str | Path, name: str) -> VideoError:
    """VideoError that says that a file is encrypted, with `encrypted.encryption`'s name of how."""
    return VideoError(
        path, f"is encrypted with {name}: without its key no frame can be decoded.", "Get a copy without protection."
    )


def unreadable(path: str | Path) -> VideoError:
    """VideoError that says as exactly as the first bytes allow why FFmpeg cannot open the file."""
    with open(path, "rb") as stream:
        head = stream.read(4096)
        boxes = [kind for kind, _, _ in top_boxes(stream)] if head[4:8] in _BOXES else []
    name = encryption(path)
    if name:
        return encrypted(path, name)
    if boxes and b"moov" not in boxes:
        return VideoError(
            path,
            "was cut off, or its recording never finished: the index that an MP4 file needs (moov) is missing.",
            "Copy or download it again.",
        )
    if head[4:8] in _PIECES:
        return VideoError(
            path,
            "is one piece of a streamed video, whose beginning (the initialization segment) is another file.",
            "Download the whole video, or join its pieces behind that one: `cat INIT PIECE1 PIECE2 > video.mp4`.",
        )
    if image := next((name for start, name in _IMAGES if head.startswith(start)), None):
        return VideoError(path, f"is {image}, which is not read here.", "Save it as JPEG or PNG.")
    if head.startswith(b"version https://git-lfs"):
        return VideoError(path, "is a git-lfs pointer, not the video itself.", "Run `git lfs pull`.")
    text = head.lstrip()[:200].lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return VideoError(path, "is a web page, not a video.", "Download the video itself.")
    if head.startswith(b"#EXTM3U"):
        return VideoError(path, "is a playlist, which only names a video.", "Download the video itself.")
    if head.startswith(_SOUND) or (head[:4] == b"RIFF" and head[8:12] == b"WAVE"):
        return VideoError(path, "holds only sound, no images.", "Give the file with the video.")
    if head.startswith((b"PK\3\4", b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b")):
        return VideoError(path, "is an archive, not a video.", "Unpack it.")
    if not any(byte < 9 or 13 < byte < 32 for byte in head):
        return VideoError(path, "holds text, not a video.", "Check which file was meant.")
    return damaged(
        path,
        "is no video that can be read here: unknown format, or damaged at its beginning.",
        "Check that it plays elsewhere; if it does, convert it to H.264 .mp4.",
    )


def damaged(path: str | Path, problem: str, remedy: str) -> VideoError:
    """VideoError with a problem and its remedy, unless it is that the index of an MP4 file was cut off."""
    with open(path, "rb") as stream:
        index = [start + length for kind, start, length in top_boxes(stream) if kind == b"moov"]
    if not index or index[-1] <= os.path.getsize(path):
        return VideoError(path, problem, remedy)
    return VideoError(
        path,
        "was cut off: the end of the index that an MP4 file needs (moov) is missing.",
        "Copy or download it again.",
    )


def check_pixels(path: str | Path, width: int, height: int) -> None:
    """Raises VideoError when a frame of this size is more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise VideoError(
            path,
            f"claims frames of {width} x {height} px; at most {MAX_PIXELS} px are read.",
            "If this is its true size, shrink it first.",
        )
