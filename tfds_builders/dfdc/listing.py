"""The full DFDC set as it is distributed: parts with a metadata.json each, test and validation folders with labels."""

import csv
import json
import re
from pathlib import Path

from tfdeepfake.data.video import is_media
from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import NO_FILE, Listing, read_text
from tfds_builders.core.splits import assign_splits

LABELS = {"real": 0, "0": 0, "fake": 1, "1": 1}
METHODS = ("real", "fake")
GET = "It comes with each part of DFDC, from https://ai.meta.com/datasets/dfdc or Kaggle."
CROSSING = "its original is in another split"
# With fewer parts than this a tenth of them is none; original videos are held apart instead.
FEWEST_PARTS = 10


def read_metadata(path: str | Path) -> dict:
    """Videos of a part.

    Returns:
      {"awnfpubqmo.mp4": (label, name of the original without suffix, or None)}, 1 is fake.
    Raises:
      InputError: not such as {"awnfpubqmo.mp4": {"label": "FAKE", "original": "lnhkjhyhvw.mp4"}}.
    """
    try:
        entries = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(path, f"is not JSON ({error}).", GET) from None
    if not isinstance(entries, dict) or not entries:
        raise InputError(path, "is no table of videos.", GET)
    videos = {}
    for name, entry in entries.items():
        entry = entry if isinstance(entry, dict) else {}
        # The test folder writes is_fake, 0 or 1.
        label = LABELS.get(str(entry.get("label", entry.get("is_fake"))).lower())
        original = entry.get("original")
        if label is None or not isinstance(original, str | None):
            raise InputError(path, f"the entry of {name!r} has no label REAL or FAKE.", GET)
        videos[name] = label, original and original.rpartition(".")[0]
    return videos


def read_labels(path: str | Path) -> dict:
    """Videos of a test folder: CSV with the columns filename,label.

    Returns:
      {"aalscayrfi.mp4": (label, None)}, 1 is fake.
    Raises:
      InputError: no such columns, or another label.
    """
    rows = csv.DictReader(read_text(path).splitlines())
    if not {"filename", "label"} <= set(rows.fieldnames or []):
        raise InputError(path, "line 1: needs the columns filename and label.", GET)
    videos = {}
    for row in rows:
        label = LABELS.get((row["label"] or "").strip().lower())
        if label is None or not row["filename"]:
            raise InputError(path, f"line {rows.line_num}: label {row['label']!r} is none of 0, 1, REAL, FAKE.", GET)
        videos[row["filename"]] = label, None
    return videos


def read_parts(folder: Path) -> list:
    """The parts below a folder, or the folder itself when it is one.

    Returns:
      [(Path, "train", "validation" or "test", {file name: (label, original)})], by name. A folder whose name begins
      with test or validation is that split's; its labels.csv goes before its metadata.json, which the public copies
      leave without labels.
    Raises:
      InputError: no part, or a table is wrong.
    """
    here = [folder] if (folder / "metadata.json").is_file() else []
    parts = []
    for part in here or sorted(p for p in folder.rglob("*") if p.is_dir() and not p.name.startswith(".")):
        label_file, metadata = part / "labels.csv", part / "metadata.json"
        split = re.match(r"(dfdc_)?(test|validation)", part.name)
        split = split[2] if split and not here else "train"
        if split != "train" and label_file.is_file():
            parts.append((part, split, read_labels(label_file)))
        elif metadata.is_file():
            parts.append((part, split, read_metadata(metadata)))
        elif "train_part" in part.name and any(map(is_media, part.iterdir())):
            raise InputError(metadata, "this list is missing.", GET)
    if not parts:
        raise InputError(folder / "dfdc_train_part_0" / "metadata.json", "this list is missing.", GET)
    return parts


def list_videos(folder: Path) -> Listing:
    """All videos of the parts.

    A part is in one split: those of test/ and validation/ in theirs; of the training parts a tenth is held out for each
    split that has no folder of its own. With fewer than ten parts, original videos are held out instead. A fake is
    always with its original; fakes whose original is in another split are left out.

    Args:
      folder: Path, holds the parts, or is one.
    Returns:
      Listing. `source` is the original's name, `video` "part/name".
    """
    parts = read_parts(folder)
    own = {split for _, split, _ in parts} - {"train"}
    trained = [part.name for part, split, _ in parts if split == "train"]
    by_part = len(trained) >= FEWEST_PARTS
    sources = {}
    for part, split, table in parts:
        for name, (label, original) in table.items():
            if split == "train":
                unit = part.name if by_part else original or name.rpartition(".")[0]
                sources.setdefault(unit, set()).add(label)
    splits = {unit: "train" if at in own else at for unit, at in assign_splits(sources).items()}
    listing, placed, rows = Listing(), {}, []
    for part, split, table in parts:
        files = _files(part)
        for name, (label, original) in sorted(table.items()):
            stem = name.rpartition(".")[0]
            source = original or stem
            at = split if split != "train" else splits[part.name if by_part else source]
            rows.append((files.get(name), f"{part.name}/{stem}", label, source, at))
            if not label:
                placed[source] = at
    for _, _, _, source, at in rows:
        placed.setdefault(source, at)  # the original itself is not there
    for path, name, label, source, at in rows:
        if path is None:
            listing.exclude(NO_FILE, name)
        elif at != placed[source]:
            listing.exclude(CROSSING, name)
        else:
            listing.videos.append(VideoRecord(path, name, label, METHODS[label], source, at))
    return listing


def _files(part):
    """{file name: Path} of the videos of a part; some copies keep them in a folder videos/."""
    places = [p for p in (part, part / "videos") if p.is_dir()]
    return {p.name: p for place in places for p in place.iterdir() if is_media(p)}
