"""KoDF as AI Hub distributes it: videos, and CSV files of metadata in which the label is the file a row is in.

Names of files and columns are those that public loaders of the set read; the set itself was not at hand. They stand
together here, so that they are easily corrected.
"""

import csv
import re
import unicodedata
from pathlib import Path
from typing import Any

from tfdeepfake.data.video import is_media
from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import NO_FILE, Listing, hold_out, media_below, read_text

# 원본영상: original videos; 변조영상: manipulated videos; 메타데이터: metadata.
LISTS = {
    ("train", 0): "원본영상_training_메타데이터.csv",
    ("train", 1): "변조영상_training_메타데이터.csv",
    ("test", 0): "원본영상_validation_메타데이터.csv",
    ("test", 1): "변조영상_validation_메타데이터.csv",
}
VIDEO = "영상ID"
MODEL = "변조모델"
TARGET_VIDEO = "타겟영상"
GENDER = "인물성별"  # of the person that is shown
SOURCE_PERSON = "소스UUID"
TARGET_PERSON = "타겟UUID"
# Codes in the names of fakes, TARGET_SOURCE_CODE_SEQUENCE, and short names of MODEL.
CODES = {"1": "dfl", "2": "dffs", "3": "fsgan", "4": "fo", "5": "audio-driven"}
UUID = re.compile(r"(?i)[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
GET = (
    "It comes with KoDF, from https://aihub.or.kr (for people in Korea) or https://deepbrainai-research.github.io/kodf."
)
CROSSING = "a training fake of two persons of whom one is held out for validation"
IN_TEST = "a training video that shows a person of the test"


def read_metadata(path: str | Path, label: int) -> dict:
    """Rows of a CSV file.

    Returns:
      {stem of the video: (method, target video's stem or None, persons, gender)}: persons are those that the row names,
      target first; none for a real video. The gender is as it is written there, empty without one.
    Raises:
      InputError: a column is missing, or there is no row.
    """
    rows = csv.DictReader(read_text(path).splitlines())
    need = [VIDEO] + ([TARGET_VIDEO] if label else [])
    if missing := [name for name in need if name not in (rows.fieldnames or [])]:
        raise InputError(path, f"line 1: the column {missing[0]} is missing.", GET)
    rows_by_name = {}
    for row in rows:
        name = _stem(row[VIDEO])
        if not name:
            raise InputError(path, f"line {rows.line_num}: names no video.", GET)
        method, target = "real", None
        if label:
            code = name.split("_")[-2] if name.count("_") > 1 else ""
            method, target = (row.get(MODEL) or "").strip() or CODES.get(code, "fake"), _stem(row[TARGET_VIDEO])
        persons = tuple(_person(row[key]) for key in (TARGET_PERSON, SOURCE_PERSON) if row.get(key))
        rows_by_name[name] = method, target, persons, (row.get(GENDER) or "").strip()
    if not rows_by_name:
        raise InputError(path, "names no video.", GET)
    return rows_by_name


def list_videos(folder: Path) -> Listing:
    """The set's validation part is the test; of its training part a tenth of the persons is held out for validation.

    Training videos of a person of the test, and training fakes of a held-out and another person, are left out.

    Args:
      folder: Path; videos and CSV files may lie anywhere below.
    Returns:
      Listing. `source` is the (target) person: of a real video the UUID in its path, or, where there is none, that of a
      fake made of it, or the video itself. The subgroup "gender" is that of the person shown.
    """
    # Archives made on a Mac spell Korean names in their parts.
    csv_files = {unicodedata.normalize("NFC", path.name): path for path in sorted(folder.rglob("*.csv"))}
    tables = {}
    for (part, label), name in LISTS.items():
        if name not in csv_files:
            raise InputError(folder / name, "this list is missing, here and in all subfolders.", GET)
        tables[part, label] = read_metadata(csv_files[name], label)
    files = {path.stem: path for path in media_below(folder)}
    of_video = {}
    for part in ("train", "test"):
        for _, target, persons, _ in tables[part, 1].values():
            if target and persons:
                of_video.setdefault(target, persons[0])
    rows = []
    for (part, label), table in tables.items():
        for name, (method, target, persons, gender) in table.items():
            whose = persons or (_of_real(target or name, files, of_video),)
            gender = gender or tables[part, 0].get(target, ("",))[-1]  # a fake shows its target
            rows.append((name, label, part, method, whose, gender))
    tested = {one for _, _, part, _, persons, _ in rows if part == "test" for one in persons}
    held = hold_out({persons[0] for _, _, part, _, persons, _ in rows if part == "train"} - tested)
    listing = Listing()
    for name, label, part, method, persons, gender in sorted(rows):
        split = part
        if name not in files or not is_media(files[name]):
            listing.exclude(NO_FILE, name)
            continue
        if part == "train" and tested & set(persons):
            listing.exclude(IN_TEST, name)
            continue
        if part == "train" and held & set(persons):
            split = "validation"
            if not held >= set(persons):
                listing.exclude(CROSSING, name)
                continue
        subgroups = {"gender": gender}
        listing.videos.append(VideoRecord(files[name], name, label, method, persons[0], split, subgroups=subgroups))
    return listing


def origins(method: str, video: str, source: str, /, **_: Any) -> tuple:
    """Persons and recordings, see `audit.origins`: the (target) person, and both videos a fake's name tells."""
    parts = video.split("_")
    made_of = parts[:2] if method != "real" and len(parts) == 4 else [video]
    return {f"kodf:{source}"}, {f"kodf:{one}" for one in made_of}


def _of_real(name, files, of_video):
    """The person of a real video."""
    uuid = name in files and UUID.search(files[name].as_posix())
    return _person(uuid[0]) if uuid else of_video.get(name, name)


def _person(text):
    return text.strip().lower().replace("-", "")


def _stem(text):
    """Name of a video without folder and suffix."""
    name = (text or "").strip().rpartition("/")[2]
    return name.rpartition(".")[0] if is_media(name) else name
