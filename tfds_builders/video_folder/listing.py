"""Which videos a folder holds, their labels, sources and splits: from subfolders real/ and fake/ or from a CSV file."""

import os
from pathlib import Path

from tfdeepfake.csv_lists import FILE_NAMES, label_of, listed_path, read_list, split_of
from tfdeepfake.data.video import is_media
from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.splits import assign_splits

NAMES = ("real", "fake")
COLUMNS = ("file", "label", "source", "method", "split")
LAYOUT = "It needs the subfolders real/ and fake/, or a CSV file with the columns file,label[,source,method,split]."


def list_videos(folder, needed=NAMES):
    """All videos of a folder (or of a CSV file), each with a split.

    Args:
      folder: with real/ and fake/ or one CSV file inside; or the CSV file itself.
      needed: the classes of which there must be videos.
    Returns:
      list of VideoRecord, ordered by name, no split None.
    Raises:
      InputError: nothing there, or an entry of the CSV is wrong; says which line.
    """
    folder = Path(folder).expanduser()
    if folder.is_file():
        table, videos = folder, read_table(folder, needed)
    elif not folder.is_dir():
        raise InputError(folder, "is no folder.", LAYOUT)
    elif table := _table_in(folder, needed):
        videos = read_table(table, needed)
    else:
        videos = _from_subfolders(folder, needed)
    return _with_splits(videos, table or folder)


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


def _from_subfolders(folder, needed):
    missing = [name for name in NAMES if not (folder / name).is_dir()]
    if len(missing) == 2:
        raise InputError(folder, "has no subfolders real/ and fake/ and no CSV file.", LAYOUT)
    if missing and missing[0] in needed:
        raise InputError(folder / missing[0], "this folder is missing.", LAYOUT)
    videos = []
    for label, name in enumerate(NAMES):
        found = _media_below(folder / name) if name not in missing else []
        if not found and name in needed:
            raise InputError(
                folder / name, "holds no videos.", f"Put {name} videos there; a network learns from both classes."
            )
        for path in found:
            inside = path.relative_to(folder / name)
            method = inside.parts[0] if label and len(inside.parts) > 1 else name
            videos.append(VideoRecord(path, path.relative_to(folder).as_posix(), label, method, path.stem))
    return videos


def _media_below(folder):
    def complain(error):
        raise InputError(error.filename, f"cannot be read ({error.strerror}).", "Check its permissions.") from None

    found = []
    for root, folders, files in os.walk(folder, onerror=complain):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root) / name for name in sorted(files) if not name.startswith(".") and is_media(name)]
    return found


def read_table(path, needed=NAMES):
    """Reads a CSV file of videos.

    Args:
      path: as `csv_lists` reads it, with the columns `file` and `label`, and `source`, `method`, `split` where known;
        other columns are not read. Paths are absolute or relative to the file's folder.
      needed: as of `list_videos`.
    Returns:
      list of VideoRecord in the order of the lines.
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
    for label, name in enumerate(NAMES):
        if name in needed and not any(video.label == label for video in videos):
            raise InputError(path, f"has no {name} video.", "A network learns from both classes.")
    return videos


def _row(path, line, cells):
    """A line of the CSV as VideoRecord."""
    if not cells["file"]:
        raise InputError(path, f"line {line}: names no file.", "Write the video's path, as seen from the CSV file.")
    label, split = label_of(path, line, cells["label"]), split_of(path, line, cells["split"])
    video = listed_path(path, cells["file"])
    if not os.path.isfile(video):
        raise InputError(
            path, f"line {line}: there is no file {cells['file']!r}.", f"Paths are as seen from {path.parent}."
        )
    method, source = cells["method"] or NAMES[label], cells["source"] or video.stem
    return VideoRecord(video, Path(cells["file"]).as_posix(), label, method, source, split, line)


def _with_splits(videos, subject):
    """Gives every video its source's split.

    Raises:
      InputError: a source was given two splits.
    """
    given, first = {}, {}
    for video in videos:
        if video.split is None:
            continue
        if given.setdefault(video.source, video.split) != video.split:
            raise InputError(
                subject,
                f"line {video.line}: source {video.source!r} is in {video.split}, but in {given[video.source]} in line "
                f"{first[video.source].line}.",
                "A source must be in one split only, or the test measures what was learned by heart.",
            )
        first.setdefault(video.source, video)
    labels = {}
    for video in videos:
        labels.setdefault(video.source, set()).add(video.label)
    splits = assign_splits(labels, given)
    return [
        VideoRecord(v.path, v.name, v.label, v.method, v.source, splits[v.source], v.line)
        for v in sorted(videos, key=lambda v: v.name)
    ]
