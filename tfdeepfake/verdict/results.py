"""The files around a run of `predict`: which media there are, their labels, and the folder of results."""

import collections
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tfdeepfake.csv_lists import FILE_NAMES, label_of, listed_path, read_list
from tfdeepfake.errors import InputError
from tfdeepfake.files import begin_json_lines, read_json, read_json_lines
from tfdeepfake.report.text import printable
from tfdeepfake.vocabulary import LABEL_NAMES

LINES, RESULT, SCORES, PAGE, IMAGES = "predictions.jsonl", "predictions.json", "scores.csv", "index.html", "frames"
# Keys of predictions.jsonl by which a stopped run knows its verdicts again.
RESUME_KEYS = ("run", "stamp")


def printable_path(path: Path | str) -> str:
    """A file name as text that can be printed and written: undecodable bytes and control characters replaced."""
    return printable(os.fsencode(str(path)).decode("utf-8", "replace"))


class MediaFiles(NamedTuple):
    """What lies below the files and folders that were given.

    Args:
      media: [(Path, name below the given folder)], in a stable order.
      other_files: files in the folders that are neither video nor image, as text.
      unreadable_folders: [(folder as text, why)].
      notes: lines on what the folders hold: folders that are videos, links that are not followed.
    """

    media: list
    other_files: list
    unreadable_folders: list
    notes: list


def find_media(
    paths: Iterable[Path | str], out_dir: Path | str | None = None, frame_rate: float | None = None
) -> MediaFiles:
    """Media files below the given files and folders, see `data.video.walk`.

    A file that is named itself is always taken, whatever its suffix: what is wrong with it will be its verdict.

    Args:
      paths: files and folders.
      out_dir: results of an earlier run; its files and images are not judged.
      frame_rate: of folders of frames, as the user gave it, for the notes.
    Raises:
      InputError: a path is empty, which would mean the working directory.
    """
    from tfdeepfake.data.video.walk import lines, walk

    paths = list(paths)
    if "" in paths:
        raise InputError("path", "is empty.", "Give a video, an image or a folder of them; `.` is this folder.")

    media, other_files, unreadable_folders, notes, seen, own = [], [], [], [], set(), []
    if out_dir:
        own = [os.path.abspath(Path(out_dir) / name) for name in (IMAGES, LINES, RESULT, SCORES, PAGE)]

    def take(path, name):
        key = os.path.abspath(path)
        if key not in seen and key not in own:
            seen.add(key)
            media.append((path, name))

    for path in map(Path, paths):
        # os.path.isdir, because Path.is_dir raises where a parent folder may not be entered.
        if not os.path.isdir(path):
            take(path, path.name)
            continue
        folder = walk(path, skip=own)
        for below in folder.media:
            take(below, path.resolve().name if below == path else below.relative_to(path).as_posix())
        other_files += map(printable_path, folder.others)
        unreadable_folders += [(printable_path(one), why) for one, why in folder.unreadable]
        notes += map(printable, lines(folder, frame_rate))
    # Two folders may hold files of one name: then the whole path tells them apart, here and in scores.csv.
    often = collections.Counter(name for _, name in media)
    media = [(path, printable_path(name if often[name] == 1 else path)) for path, name in media]
    return MediaFiles(media, other_files, unreadable_folders, notes)


def read_labels(path: Path | str, media: list) -> tuple[dict[str, dict], list[str]]:
    """Reads `file,label[,data_set,method,source]`; see `csv_lists`.

    Files are named by path, absolute or as seen from the list, or as below the given folder.

    Args:
      path: the CSV file.
      media: of `find_media`.
    Returns:
      ({name: row with label 0 or 1}, names of rows that belong to no file).
    Raises:
      InputError: the file is missing, has no such columns, a label that is not real/fake/0/1, or a file twice.
    """
    remedy = "The first line names the columns file and label; a label is real or fake (or 0 or 1)."
    places, names = {os.path.realpath(place): name for place, name in media}, {}
    for place, name in media:
        for key in {name, place.name, str(place)}:
            names.setdefault(key, []).append(name)
    columns = {"file": FILE_NAMES} | dict.fromkeys(("label", "data_set", "method", "source"), ())
    labels, unmatched = {}, []
    for line, row in read_list(path, columns, ("file", "label"), remedy):
        label, file = label_of(path, line, row["label"]), row["file"]
        # As seen from the list, before the names as they are printed here.
        seen_from_list = places.get(os.path.realpath(listed_path(path, file)))
        matching = [seen_from_list] if seen_from_list else names.get(file, names.get(file.replace("\\", "/"), []))
        if len(matching) > 1:
            raise InputError(
                path, f"line {line}: {file!r} is the name of {len(matching)} files.", "Write it with its folder."
            )
        if not matching:
            unmatched.append(file)
        elif matching[0] in labels:
            raise InputError(path, f"line {line}: {file!r} stands here twice.", remedy)
        else:
            labels[matching[0]] = {**row, "label": label}
    return labels, unmatched


def digest(value: Any) -> str:
    """SHA-256 of a JSON-able value with sorted keys, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def stamp(path: Path | str) -> list[int] | None:
    """Size and time of change of a file; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def open_folder(out_dir: Path, run: str) -> dict[str, dict]:
    """Makes the folder ready and returns what a stopped run of the same command left.

    A finished run, unless its budget ended it, one with other settings and what cannot be read are begun anew; so are
    files that have changed or ended in `error`.

    Args:
      out_dir: made when absent.
      run: digest of everything the verdicts depend on besides their files.
    Returns:
      {file as text: record}; the file of lines holds these.
    Raises:
      InputError: the folder cannot be written to.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        resumed = _resumed(out_dir, run)
        begin_json_lines(out_dir / LINES, resumed.values())
        # Behind the lines: a stop in between must not make a finished run look like a stopped one.
        (out_dir / RESULT).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(out_dir, f"cannot be written to ({error.strerror}).", "Choose another --out.") from error
    return resumed


def _resumed(out_dir, run):
    try:
        if not (out_dir / LINES).is_file():
            return {}
        if (out_dir / RESULT).exists() and not read_json(out_dir / RESULT).get("not_reached"):
            return {}
        records = [r for r in read_json_lines(out_dir / LINES) if r["run"] == run and r["status"] != "error"]
        return {r["file"]: r for r in records if r["stamp"] == stamp(r["file"])}
    except (InputError, AttributeError, KeyError, TypeError):
        return {}


def read_verdicts(out_dir: Path, labels: dict, order: Iterable[int] | None = None) -> Iterator[dict]:
    """Yields the verdicts of a folder as predictions.json has them, one at a time.

    Args:
      out_dir: folder with predictions.jsonl.
      labels: of `read_labels`; a verdict whose file has one gets `true_label`.
      order: as in `files.read_json_lines`.
    """
    for record in read_json_lines(out_dir / LINES, order):
        yield with_label(record, labels)


def with_label(record: dict, labels: dict) -> dict:
    """A record without the keys for resuming, and with the label that the user gave for its file, if any."""
    verdict = {key: value for key, value in record.items() if key not in RESUME_KEYS}
    if record["name"] in labels:
        verdict["true_label"] = LABEL_NAMES[labels[record["name"]]["label"]]
    return verdict


def score_rows(verdicts: Iterable[dict], labels: dict) -> Iterator[dict]:
    """Yields the rows of scores.csv: one for each scored frame or clip of each face, one for a file without any."""
    from tfdeepfake.scoring.table import CLASS_PREFIX, CLIP_FPS, DECIDES, LOOKS, VOTE_PREFIX

    for verdict in verdicts:
        label = labels.get(verdict["name"], {})
        row = {
            "data_set": label.get("data_set") or "predict",
            "method": label.get("method") or "",
            "video": verdict["name"],
            "source": label.get("source") or "",
            "label": label.get("label"),
            "status": verdict["status"],
        }
        if verdict["status"] != "scored":
            yield row
        for face in verdict["faces"]:
            looks = {} if verdict["whole_frame"] else {name: face[name] for name in LOOKS}
            looks[DECIDES] = int(not (face["brief"] or face["weak"]))
            for point in face["timeline"]:
                yield {
                    **row,
                    **looks,
                    "face": face["face"],
                    "frame": point["frame"],
                    "timestamp_s": point["time_s"],
                    "logit": point["logit"],
                    **({CLIP_FPS: point["clip_fps"]} if point.get("clip_fps") else {}),
                    **{f"{VOTE_PREFIX}{n + 1}": vote for n, vote in enumerate(point.get("votes", ()))},
                    **{CLASS_PREFIX + name: value for name, value in point.get("class_logits", {}).items()},
                }
