"""What is in a folder: the videos and images below it, found alike by all who take folders, and what is left out."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tfdeepfake.data.video.check import VideoError
from tfdeepfake.data.video.formats import SOUND_SUFFIXES, sniff
from tfdeepfake.data.video.frame_folder import FRAME_RATE, frame_files
from tfdeepfake.data.video.packets import opened

# What systems and their archives put into people's folders: copies of metadata, thumbnails, what was deleted.
SYSTEMS_OWN = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")


@dataclass
class Folder:
    """What `walk` met.

    Args:
      media: files, and folders that hold the frames of one video, by name.
      frame_folders: those of `media` that are folders.
      others: files that are no media; hidden files and folders and `SYSTEMS_OWN`, which are not opened.
      left_out: [(folder, why)]: what links lead to a second time.
      unreadable: [(folder, why)].
    """

    media: list = field(default_factory=list)
    frame_folders: list = field(default_factory=list)
    others: list = field(default_factory=list)
    left_out: list = field(default_factory=list)
    unreadable: list = field(default_factory=list)


def walk(folder: Path | str, skip: Iterable[Path | str] = (), as_video: bool = True) -> Folder:
    """Everything below a folder; linked folders are followed, and each folder is read once.

    What is a video or an image is told by the suffix, or by the content where that says nothing (`formats.sniff`).

    Args:
      folder: an existing folder.
      skip: files and folders that are passed over without a word.
      as_video: whether the folder itself may be the video whose frames it holds.
    Returns:
      Folder.
    """
    folder, content, links = Path(folder), Folder(), []
    skip, entered = {os.path.abspath(path) for path in skip}, set()

    def enter(here):
        try:
            status = os.stat(here)
            with os.scandir(here) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            content.unreadable.append((here, f"cannot be opened ({error.strerror})."))
            return
        real = os.path.realpath(here)
        if (status.st_dev, status.st_ino) in entered:
            content.left_out.append((here, f"is {real}, which is read already"))
            return
        if here != folder and Path(os.path.realpath(folder)).is_relative_to(real):
            content.left_out.append((here, f"leads to {real}, which is around the folder that is read"))
            return
        entered.add((status.st_dev, status.st_ino))
        is_video = bool(frame_files(here)) if as_video or here != folder else False
        if is_video:
            content.media.append(here)
            content.frame_folders.append(here)
        for entry in entries:
            path = here / entry.name
            if os.path.abspath(path) in skip:
                continue
            if entry.name.startswith(".") or entry.name in SYSTEMS_OWN:
                content.others.append(path)
            elif entry.is_dir(follow_symlinks=False):
                enter(path)
            elif os.path.isdir(path):  # entry.is_dir() raises over a link to itself
                links.append(path)
            elif not _is_medium(path):
                content.others.append(path)
            elif not is_video:
                content.media.append(path)

    enter(folder)
    # Behind all others: what lies in the folder itself has its own name there, and not that of a link to it.
    while links:
        enter(links.pop(0))
    content.left_out.sort()
    for paths in (content.media, content.frame_folders, content.others):
        paths.sort(key=lambda path: path.relative_to(folder).parts)
    return content


def _is_medium(path):
    if path.suffix.lower() in SOUND_SUFFIXES:
        return os.path.isfile(path) and _holds_video(path)
    # Not a pipe or a device, whatever its name; a broken link with the name of a video is one that cannot be read.
    return bool(sniff(path)) and (os.path.isfile(path) or not os.path.exists(path))


def _holds_video(path):
    """Whether a file that is named as sound holds a video beside it; a cover image is none."""
    try:
        with opened(path, threads=1):
            return True
    except VideoError:
        return False


def lines(content: Folder, frame_rate: float | None = None) -> list[str]:
    """What to tell of a folder: which folders are videos by what rule, and which links were not followed."""
    told = [f"{path} {why}; it is left out." for path, why in content.left_out]
    if paths := content.frame_folders:
        one = "folder of numbered images is a video" if len(paths) == 1 else "folders of numbered images are videos"
        rate = f"{frame_rate:g} frames/s" if frame_rate else f"{FRAME_RATE:g} frames/s (--frame-rate says otherwise)"
        names = ", ".join(path.name for path in paths[:3]) + (f" and {len(paths) - 3} more" if paths[3:] else "")
        told.append(f"{len(paths)} {one} of {rate}: {names}.")
    return told
