"""The files around a run of `predict`: which media there are, their labels, and the folder of results.

Every verdict is on the disk before the next file is begun; a run that was stopped goes on where it was.
"""

import collections
import csv
import hashlib
import json
import os
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.files import raise_if_full

LINES, RESULT, SCORES, PAGE, IMAGES = "predictions.jsonl", "predictions.json", "scores.csv", "index.html", "frames"
LABELS = {"real": 0, "0": 0, "fake": 1, "1": 1}


def shown(path):
    """A file name as text that can be printed and written: undecodable bytes and control characters replaced."""
    text = os.fsencode(str(path)).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def find_media(paths, out_dir=None):
    """Media files below the given files and folders, in a stable order.

    A file that is named itself is always taken, whatever its suffix: what is wrong with it will be its verdict.

    Args:
      paths: files and folders.
      out_dir: results of an earlier run; its images are not judged.
    Returns:
      (media [(Path, name below the given folder)], other files [str], problems [(folder, reason)]).
    """
    from tfdeepfake.data.video import is_media

    media, others, problems, seen = [], [], [], set()
    skip = {os.path.abspath(Path(out_dir) / IMAGES)} if out_dir else set()
    own = {os.path.abspath(Path(out_dir) / name) for name in (LINES, RESULT, SCORES, PAGE)} if out_dir else set()

    def take(path, name):
        key = os.path.abspath(path)
        if key not in seen and key not in own:
            seen.add(key)
            media.append((path, name))

    def walk(folder, root):
        try:
            with os.scandir(folder) as entries:
                entries = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            problems.append((shown(folder), f"cannot be opened ({error.strerror})."))
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if os.path.abspath(entry.path) not in skip:
                    walk(entry.path, root)
            elif is_media(entry.path) and not entry.name.startswith("."):
                take(Path(entry.path), Path(entry.path).relative_to(root).as_posix())
            elif os.path.abspath(entry.path) not in own:
                others.append(shown(entry.path))

    for path in map(Path, paths):
        # os.path.isdir, because Path.is_dir raises where a parent folder may not be entered.
        walk(path, path) if os.path.isdir(path) else take(path, path.name)
    # Two folders may hold files of one name: then the whole path tells them apart, here and in scores.csv.
    often = collections.Counter(name for _, name in media)
    return [(path, name if often[name] == 1 else str(path)) for path, name in media], others, problems


def read_labels(path, media):
    """Reads `file,label[,data_set,method,source]`; files are named as below the given folder, or by path.

    Returns:
      ({name: row dict with label 0 or 1}, rows that belong to no file [str]).
    Raises:
      InputError: the file is missing, has no such columns, a label that is not real/fake/0/1, or a file twice.
    """
    remedy = "The first line is file,label; a label is real or fake (or 0 or 1)."
    names = {}
    for media_path, name in media:
        for key in {name, media_path.name, str(media_path), os.path.abspath(media_path)}:
            names.setdefault(key, []).append(name)
    found, unmatched = {}, []
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if not {"file", "label"} <= set(reader.fieldnames or ()):
                raise InputError(path, f"line 1: needs the columns file and label, got {reader.fieldnames}.", remedy)
            for row in reader:
                label = LABELS.get((row["label"] or "").strip().lower())
                if label is None:
                    raise InputError(path, f"line {reader.line_num}: {row['label']!r} is no label.", remedy)
                matching = names.get(row["file"], [])
                if len(matching) > 1:
                    raise InputError(
                        path,
                        f"line {reader.line_num}: {row['file']!r} is the name of {len(matching)} files.",
                        "Write it with its folder.",
                    )
                if not matching:
                    unmatched.append(row["file"])
                elif matching[0] in found:
                    raise InputError(path, f"line {reader.line_num}: {row['file']!r} stands here twice.", remedy)
                else:
                    found[matching[0]] = {**row, "label": label}
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"is not a CSV file in UTF-8 ({error}).", remedy) from None
    return found, unmatched


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def append(path, record):
    """Adds a line and waits until it is on the disk; a line that does not fit is taken back."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    size = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        if path.exists():
            os.truncate(path, size)
        raise_if_full(error, path)


def read_verdicts(path, order=None):
    """Yields the records of predictions.jsonl, one at a time; a last line that was cut off is left out.

    Args:
      path: the file.
      order: line numbers from 0, to read in this order; all lines as they stand when not given.
    """
    with open(path, "rb") as stream:
        if order is None:
            yield from (json.loads(text) for text in stream if text.endswith(b"\n"))
            return
        starts = [0]
        for text in stream:
            starts.append(starts[-1] + len(text))
        for number in order:
            stream.seek(starts[number])
            yield json.loads(stream.readline())


def stamp(path):
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _earlier(out_dir, run):
    """Verdicts of a stopped run of the same command: {path: record}. A finished run is not gone on with."""
    path = out_dir / LINES
    if not path.is_file() or (out_dir / RESULT).exists():
        return {}
    try:
        records = [r for r in read_verdicts(path) if r["run"] == run and r["status"] != "error"]
    except (ValueError, KeyError, TypeError, OSError):
        return {}
    return {r["file"]: r for r in records if r["stamp"] == stamp(r["file"])}


def open_folder(out_dir, run):
    """Makes the folder ready and returns what an earlier, stopped run of the same command left."""
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        earlier = _earlier(out_dir, run)
        for name in (LINES, RESULT):
            (out_dir / name).unlink(missing_ok=True)
        for record in earlier.values():
            append(out_dir / LINES, record)
        (out_dir / LINES).touch()
    except OSError as error:
        if not isinstance(error, InputError):
            raise InputError(out_dir, f"cannot be written to ({error.strerror}).", "Choose another --out.") from error
    return earlier


def score_rows(records, labels):
    for record in records:
        known = labels.get(record["name"], {})
        row = {
            "data_set": known.get("data_set") or "predict",
            "method": known.get("method") or "",
            "video": record["name"],
            "source": known.get("source") or record["name"],
            "label": known.get("label"),
            "status": record["status"],
        }
        if record["status"] != "scored":
            yield row
        for face in record["faces"]:
            for point in face["timeline"]:
                yield {
                    **row,
                    "face": face["face"],
                    "frame": point["frame"],
                    "timestamp_s": point["time_s"],
                    "logit": point["logit"],
                }
