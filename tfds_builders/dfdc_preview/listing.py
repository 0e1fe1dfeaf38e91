"""The DFDC preview set as it is distributed: one dataset.json with label, set and persons of every video."""

import json
import re
from pathlib import Path
from typing import Any

from tfdeepfake.data.video import is_media
from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import NO_FILE, Listing, find_file, hold_out, read_text

LABELS = {"real": 0, "fake": 1}
SETS = ("train", "test")
GET = "It comes with the DFDC preview set, from https://ai.meta.com/datasets/dfdc."
CROSSING = "a training fake of two persons of whom one is held out for validation"


def read_dataset(path: str | Path) -> dict:
    """All videos of dataset.json.

    Returns:
      {"method_A/.../x.mp4": (label, "train" or "test", persons)}: 1 is fake; persons are (actor,) of a real video and
      (target, source) of a fake: target_id and swapped_id where the entry has them, otherwise the numbers of at least
      four digits in the path, in their order.
    Raises:
      InputError: an entry has no label, set or person.
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
        label, part = LABELS.get(str(entry.get("label")).lower()), str(entry.get("set")).lower()
        if label is None or part not in SETS:
            raise InputError(path, f"the entry of {name!r} needs a label real or fake and a set train or test.", GET)
        persons = [str(entry[key]) for key in ("target_id", "swapped_id") if entry.get(key) is not None]
        persons = persons or list(dict.fromkeys(re.findall(r"\d{4,}", name)))[: 1 + label]
        if not persons:
            raise InputError(path, f"the entry of {name!r} names no person, neither by target_id nor in its path.", GET)
        videos[name] = label, part, tuple(persons)
    return videos


def origins(method: str, video: str, source: str, /, **_: Any) -> tuple:
    """Persons and recordings, see `tfds_builders.audit.origins`: the person, and of a fake both that its path names."""
    named = list(dict.fromkeys(re.findall(r"\d{4,}", f"{method}/{video}")))
    named = named[: 1 if method.startswith("original") else 2]
    return {f"dfdc_preview:{one}" for one in (source, *named)}, {f"dfdc_preview:{method}/{video}"}


def list_videos(folder: Path) -> Listing:
    """The set's own test videos; of its training videos, a tenth of the persons is held out for validation.

    Training fakes of one held-out person and one other are left out.

    Args:
      folder: Path, holds dataset.json and the folders that it names.
    Returns:
      Listing. `source` is the person, of a fake the target; `method` the first folder; `video` the path in it.
    """
    table = read_dataset(find_file(folder, ("dataset.json",), GET))
    held = hold_out({persons[0] for _, part, persons in table.values() if part == "train"})
    tested = {one for _, part, persons in table.values() if part == "test" for one in persons}
    listing, shared = Listing(), 0
    for name, (label, part, persons) in sorted(table.items()):
        path = folder / name
        if not is_media(path) or not path.is_file():
            listing.exclude(NO_FILE, name)
            continue
        split = part
        if part == "train":
            shared += bool(tested & set(persons))
            if held & set(persons):
                split = "validation"
                if not held >= set(persons):
                    listing.exclude(CROSSING, name)
                    continue
        method, _, inside = name.rpartition(".")[0].partition("/")
        listing.videos.append(VideoRecord(path, inside or method, label, method, persons[0], split))
    if shared:
        listing.notes.append(f"{shared} training videos of dataset.json show persons that its test shows too.")
    return listing
