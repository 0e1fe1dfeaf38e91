"""FakeAVCeleb v1.2 as it is distributed: four folders by what is faked, race and gender below, and meta_data.csv.

Folders and columns are those that the authors' page and public loaders state; what may have to be corrected stands at
the top.
"""

import re
from pathlib import Path
from typing import Any

from tfdeepfake.csv_lists import read_list
from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import NO_FILE, Listing, find_file, media_below, need_folder
from tfds_builders.core.splits import assign_splits

# Label of the face; the sound is not looked at.
TYPES = {
    "RealVideo-RealAudio": 0,
    "RealVideo-FakeAudio": 0,
    "FakeVideo-RealAudio": 1,
    "FakeVideo-FakeAudio": 1,
}
LIST = "meta_data.csv"
# Column of the CSV: other names of it. The last column, the folder, has no name in some copies.
COLUMNS = {
    "source": (), "target1": (), "target2": (), "method": (), "type": (), "race": (), "gender": (),
    "file": ("filename", "path"),
}  # fmt: skip
GET = "It comes with FakeAVCeleb, by the form at https://github.com/DASH-Lab/FakeAVCeleb."
PERSON = re.compile(r"id\d{5}")
CROSSING = "a fake of two persons who are in different splits"
NO_ROW = f"not in {LIST}"


def read_metadata(path: str | Path) -> dict:
    """Rows of meta_data.csv.

    Returns:
      {(type, person, file): (method, persons, race, gender)}: persons are who is shown and who lent face or voice.
    Raises:
      InputError: a column is missing, a type is unknown, or there is no row.
    """
    rows = {}
    for line, row in read_list(path, COLUMNS, ("source", "method", "type", "file"), GET):
        if row["type"] not in TYPES:
            raise InputError(path, f"line {line}: no type is called {row['type']!r}.", f"Types: {', '.join(TYPES)}.")
        shown = row["source"]
        if not PERSON.fullmatch(shown):
            raise InputError(path, f"line {line}: source is {shown!r}, not such as id00076.", GET)
        persons = dict.fromkeys([shown, *(row[key] for key in ("target1", "target2") if PERSON.fullmatch(row[key]))])
        name = row["file"].rpartition("/")[2]
        rows[row["type"], shown, name] = row["method"] or "real", tuple(persons), row["race"], row["gender"]
    if not rows:
        raise InputError(path, "names no video.", GET)
    return rows


def origins(method: str, video: str, source: str, /, **_: Any) -> tuple:
    """Persons and recordings, see `audit.origins`: every person that the path of a video names."""
    who = set(PERSON.findall(video)) | {source}
    return {f"fake_av_celeb:{one}" for one in who}, {f"fake_av_celeb:{source}"}


def list_videos(folder: Path, persons: str = "shown") -> Listing:
    """All videos whose row is known, 80 / 10 / 10 by the person shown; each person has one real video.

    Args:
      folder: Path, holds meta_data.csv and the four folders, or is around the one that does.
      persons: "shown" splits by the person shown alone; "both" leaves out fakes whose other person is in another split.
    Returns:
      Listing. `method` is the CSV's, "real" for untouched videos and "fake audio" where the sound alone is faked;
      `name` the path below the folder without suffix; `source` the person shown; subgroups "race" and "gender".
    Raises:
      InputError: no such option, or a list or folder is missing or wrong.
    """
    if persons not in ("shown", "both"):
        raise InputError("persons", f"needs shown or both, got {persons!r}.")
    inner = [path for path in sorted(folder.iterdir()) if (path / LIST).is_file()]
    folder = folder if (folder / LIST).is_file() or not inner else inner[0]
    rows = read_metadata(find_file(folder, (LIST,), GET, tuple(TYPES)))
    listing, videos, met = Listing(), [], set()
    for kind in TYPES:
        for path in sorted(media_below(need_folder(folder / kind, GET))):
            name = path.relative_to(folder).with_suffix("").as_posix()
            person = next((part for part in reversed(path.parts[:-1]) if PERSON.fullmatch(part)), "")
            key = (kind, person, path.name)
            if key not in rows:
                listing.exclude(NO_ROW, name)
                continue
            met.add(key)
            videos.append((path, name, kind, *rows[key]))
    listing.exclude(NO_FILE, *sorted("/".join(key) for key in rows.keys() - met))
    labels = {}
    for _, _, kind, _, who, _, _ in videos:
        labels.setdefault(who[0], set()).add(TYPES[kind])
    splits = assign_splits(labels)
    crossing = 0
    for path, name, kind, method, who, race, gender in videos:
        if TYPES[kind] and len({splits.get(one, splits[who[0]]) for one in who}) > 1:
            crossing += 1
            if persons == "both":
                listing.exclude(CROSSING, name)
                continue
        method = "fake audio" if kind == "RealVideo-FakeAudio" else method
        groups = {"race": race, "gender": gender}
        listing.videos.append(VideoRecord(path, name, TYPES[kind], method, who[0], splits[who[0]], subgroups=groups))
    faked_sound = sum(v.method == "fake audio" for v in listing.videos)
    if faked_sound:
        listing.notes.append(
            f"{faked_sound} videos with faked sound alone have an untouched face: label 0 (real) here."
        )
    if crossing and persons == "shown":
        listing.notes.append(
            f"{crossing} fakes took face or voice of a person who is in another split; persons=both leaves them out."
        )
    return listing
