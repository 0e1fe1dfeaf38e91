"""Which videos a folder holds, their labels, sources and splits: from subfolders real/ and fake/ or from a CSV file."""

import dataclasses
import os
from collections import Counter
from pathlib import Path

from tfdeepfake.csv_lists import FILE_NAMES, label_of, listed_path, read_list, split_of
from tfdeepfake.data.video import VideoError, probe
from tfdeepfake.data.video.frame_folder import frame_files
from tfdeepfake.data.video.walk import Folder, lines, walk
from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import Listing
from tfds_builders.video_folder.sources import DFDC, METADATA, by_name, copies, image_sources, read_originals, stem_of
from tfds_builders.video_folder.splitting import Told, with_splits

NAMES = ("real", "fake")
MOST_COPIES, MOST_OF_ALL = 4, 0.1
COLUMNS = ("file", "label", "source", "method", "split")
LAYOUT = "It needs the subfolders real/ and fake/, or a CSV file with the columns file,label[,source,method,split]."


def list_videos(folder: str | Path, needed: tuple[str, ...] = NAMES) -> list:
    """The videos of `list_folder`."""
    return list_folder(folder, needed).videos


def list_folder(folder: Path | str, needed: tuple[str, ...] = NAMES, frame_rate: float | None = None) -> Listing:
    """All videos of a folder (or of a CSV file), each with a split.

    Args:
      folder: with real/ and fake/ or one CSV file inside, or with DFDC's metadata.json; or the CSV file itself.
      needed: the classes of which there must be videos.
      frame_rate: of folders of frames where it was given, for the notes.
    Returns:
      Listing, its videos ordered by name; its notes say what the splits rest on, and what was met in the folder.
    Raises:
      InputError: nothing there, or an entry of the CSV is wrong; says which line.
    """
    folder = Path(folder).expanduser()
    table, content, originals = None, Folder(), {}
    if folder.is_file():
        table = folder
    elif not folder.is_dir():
        raise InputError(folder, "is no folder.", LAYOUT)
    else:
        table = _table_in(folder, needed)
    if table:
        videos = read_table(table, needed)
    else:
        originals = read_originals(folder)
        videos, content = _from_subfolders(folder, needed, originals)
    contents = copies([v.path for v in videos])
    # Where a few files stand for all videos, no splits could be made of them: names are then taken for what they say.
    most = max(MOST_COPIES, MOST_OF_ALL * len(videos))
    often = {content for content, count in Counter(contents.values()).items() if count > most}
    apart = {path: content for path, content in contents.items() if content not in often}
    told = _told(videos, originals, [folder / name for name in NAMES], apart)
    listing = with_splits(told, table or folder)
    listing.notes = (
        lines(content, frame_rate) + _of_others(content) + listing.notes + _of_copies(videos, contents, often)
    )
    return listing


def landscape_only(listing: Listing) -> Listing:
    """The listing without the videos that are shown higher than wide, or square.

    Reads what each file holds, a rotation included. One that cannot be read stays: the preparation counts it.

    Raises:
      InputError: no video is left.
    """
    others = [v for v in listing.videos if not _may_be_landscape(v.path)]
    if len(others) == len(listing.videos):
        raise InputError("landscape", f"leaves none of the {len(others)} videos: none is wider than high.")
    listing = dataclasses.replace(listing, videos=[v for v in listing.videos if v not in others])
    listing.exclude("not landscape", *(v.name for v in others))
    return listing


def _may_be_landscape(path):
    try:
        facts = probe(path)
    except VideoError:
        return True
    return facts.width > facts.height


def _of_others(content):
    names = [path.name for path in content.others if path.name != METADATA]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
    return [f"{len(names)} are neither video nor image: {shown}."] if names else []


def _of_copies(videos, contents, often):
    labels = {}
    for v in videos:
        if v.path in contents:
            labels.setdefault(contents[v.path], {}).setdefault(v.label, v.name)
    several = f"{len(contents)} files are {len(labels)} under several names"
    notes = [f"warning: {several}, in several splits." if often else f"{several}: each stays in one split."]
    notes = notes if labels else []
    for both in (names for names in labels.values() if len(names) > 1):
        notes.append(f"warning: {both[0]} and {both[1]} are the same file, once called real and once fake.")
    return notes


def _told(videos, originals, classes, contents):
    """`Told` of each video; a manner counts where fakes are named in it."""
    images = image_sources([v.path for v in videos], classes)
    stems = [images.get(v.path) or stem_of(v.path) for v in videos]
    fakes = [stem for v, stem in zip(videos, stems, strict=True) if v.label and not v.source]
    in_use = {told[0] for stem in fakes if (told := by_name(stem, True))}
    told = [_told_of(v, originals, images.get(v.path), in_use) for v in videos]
    return [_with_content(one, contents.get(one.video.path)) for one in told]


def _with_content(told, content):
    return dataclasses.replace(told, origins=(*told.origins, content)) if content else told


def _told_of(video, originals, image_source, manners):
    if video.source:
        return Told(video, (video.source,), "source")
    stem = image_source or stem_of(video.path)
    named = dataclasses.replace(video, source=stem)
    if video.path.name in originals:
        return Told(named, (originals[video.path.name][1] or stem,), DFDC)
    told = by_name(stem, bool(video.label))
    if told and told[0] in manners:
        return Told(named, told[1], told[0])
    return Told(named, (stem,), "images" if image_source else "name")


def _table_in(folder, needed):
    """The CSV file of a folder, or None."""
    try:
        tables = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".csv" and not p.name.startswith("."))
    except OSError as error:
        raise InputError(folder, f"cannot be read ({error.strerror}).", "Check its permissions.") from None
    named = [p for p in tables if p.name == "labels.csv"]
    if not named and all((folder / name).is_dir() for name in needed):
        return None  # a list of something else
    if len(tables) > 1 and not named:
        raise InputError(folder, f"holds {len(tables)} CSV files.", "Name the one to use labels.csv, or give its path.")
    return (named or tables or [None])[0]


def _from_subfolders(folder, needed, originals):
    """(videos, what was met), from real/ and fake/ or by DFDC's metadata.json."""
    missing = [name for name in NAMES if not (folder / name).is_dir()]
    if len(missing) == 2 and originals:
        content = _walked(folder)
        told = [(path, originals[path.name][0]) for path in content.media if path.name in originals]
        content.others += [path for path in content.media if path.name not in originals]
        videos = [
            VideoRecord(path, path.relative_to(folder).as_posix(), label, NAMES[label], "") for path, label in told
        ]
        _check_classes(videos, needed, folder)
        return videos, content
    if len(missing) == 2:
        raise InputError(folder, "has no subfolders real/ and fake/ and no CSV file.", LAYOUT)
    if missing and missing[0] in needed:
        raise InputError(folder / missing[0], "this folder is missing.", LAYOUT)
    videos, met = [], Folder()
    for label, name in enumerate(NAMES):
        if name in missing:
            continue
        content = _walked(folder / name)
        if not content.media and name in needed:
            raise InputError(
                folder / name, "holds no videos.", f"Put {name} videos there; a network learns from both classes."
            )
        for path in content.media:
            inside = path.relative_to(folder / name)
            method = inside.parts[0] if label and len(inside.parts) > 1 else name
            videos.append(VideoRecord(path, path.relative_to(folder).as_posix(), label, method, ""))
        for field in dataclasses.fields(Folder):
            getattr(met, field.name).extend(getattr(content, field.name))
    return videos, met


def _walked(folder):
    """`walk` of a folder that is no video itself; all of it must be readable."""
    content = walk(folder, as_video=False)
    for path, why in content.unreadable:
        raise InputError(path, why, "Check its permissions.")
    return content


def _check_classes(videos, needed, subject):
    for label, name in enumerate(NAMES):
        if name in needed and not any(video.label == label for video in videos):
            raise InputError(subject, f"has no {name} video.", "A network learns from both classes.")


def read_table(path: str | Path, needed: tuple[str, ...] = NAMES) -> list:
    """Reads a CSV file of videos.

    Args:
      path: as `csv_lists` reads it, with the columns `file` and `label`, and `source`, `method`, `split` where known;
        other columns are not read. Paths are absolute or relative to the file's folder.
      needed: as of `list_videos`.
    Returns:
      list of VideoRecord in the order of the lines; source and split are empty where the table does not tell.
    Raises:
      InputError: names file, line, what is wrong and what to do.
    """
    path = Path(path)
    header = f"The first line names the columns: {','.join(COLUMNS)}; file and label are needed."
    columns = {name: FILE_NAMES if name == "file" else () for name in COLUMNS}
    videos = [_row(path, line, cells) for line, cells in read_list(path, columns, ("file", "label"), header)]
    if not videos:
        raise InputError(path, "has a header but no lines.", "Write a line for each video.")
    seen = {}
    for video in videos:
        first = seen.setdefault(os.path.realpath(video.path), video)
        if first is not video:
            raise InputError(
                path,
                f"line {video.line}: {video.name!r} is already in line {first.line}.",
                "Delete one of the two lines.",
            )
    _check_classes(videos, needed, path)
    return videos


def _row(path, line, cells):
    """A line of the CSV as VideoRecord."""
    if not cells["file"]:
        raise InputError(path, f"line {line}: names no file.", "Write the video's path, as seen from the CSV file.")
    label, split = label_of(path, line, cells["label"]), split_of(path, line, cells["split"])
    video = listed_path(path, cells["file"])
    if not os.path.isfile(video) and not (os.path.isdir(video) and frame_files(video)):
        raise InputError(
            path, f"line {line}: there is no file {cells['file']!r}.", f"Paths are as seen from {path.parent}."
        )
    method = cells["method"] or NAMES[label]
    return VideoRecord(video, Path(cells["file"]).as_posix(), label, method, cells["source"], split, line)
