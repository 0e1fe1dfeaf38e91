"""Celeb-DF++ as it is distributed: real videos, fakes by scenario and method, and the list of test videos.

Folders and the form of the list are those that the authors' page states; names of videos inside the two newer scenarios
were not at hand and are read leniently. What may have to be corrected stands at the top.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import NO_FILE, Listing, find_file, hold_out, media_below, need_folder, read_text

REAL = ("Celeb-real", "YouTube-real")
FAKE = "Celeb-synthesis"
SCENARIOS = {
    "FaceSwap": (
        "Celeb-DF", "BlendFace", "GHOST", "HifiFace", "InSwapper", "MobileFaceSwap", "SimSwap", "UniFace",
    ),
    "FaceReenact": ("DaGAN", "FSRT", "HyperReenact", "LIA", "LivePortrait", "MCNET", "TPSMM"),
    "TalkingFace": ("AniTalker", "EchoMimic", "EDTalk", "FLOAT", "IP_LAP", "Real3DPortrait", "SadTalker"),
}  # fmt: skip
LIST = "List_of_testing_videos.txt"
GET = "It comes with Celeb-DF++, by the form at https://github.com/OUC-VAS/Celeb-DF-PP."
CROSSING = "a training fake that shows a person held out for validation"
NO_PERSON = "its name tells no person"
UNKNOWN = "in a folder of no known scenario and method"


def read_test_list(path: str | Path) -> dict:
    """The official test videos.

    Returns:
      {"Celeb-synthesis/FaceSwap/GHOST/id0_id1_0002": label}: path without suffix, 1 is fake here, while the file writes
      1 for real.
    Raises:
      InputError: a line is wrong, or its label is not that of its folder.
    """
    labels = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        match = re.fullmatch(r"([01])\s+(\S.*)\.mp4", line.strip())
        top = match[2].partition("/")[0] if match else ""
        if top not in (*REAL, FAKE):
            raise InputError(path, f"line {number}: {line.strip()!r} is not such as '1 YouTube-real/00170.mp4'.", GET)
        if 1 - int(match[1]) != int(top == FAKE):
            raise InputError(path, f"line {number}: label {match[1]} in {top}; 1 is for real videos here.", GET)
        labels[match[2]] = 1 - int(match[1])
    if not labels:
        raise InputError(path, "names no video.", GET)
    return labels


def persons(method: str, name: str) -> tuple:
    """Persons that a video's name tells, who is shown first: ("id0", "id1") of id0_id1_0002, ("youtube_00170",) of a
    video of YouTube-real; () when it tells none."""
    if method == "YouTube-real":
        return (f"youtube_{name}",)
    return tuple(dict.fromkeys(re.findall(r"(?:^|(?<=[_-]))id\d+(?=[_-]|$)", name)))


def origins(method: str, video: str, source: str, /, **_: Any) -> tuple:
    """Persons and recordings, see `audit.origins`. They are Celeb-DF v2's own, and have its names."""
    name = video.rpartition("/")[2]
    who = persons(method, name) or (source,)
    taken = who[0]
    if method != "YouTube-real" and (number := re.search(r"_(\d{4})(?=_|$)", name)):
        taken = f"{who[0]}_{number[1]}"
    return {f"celeb_df:{one}" for one in who}, {f"celeb_df:{taken}"}


def list_videos(folder: Path, methods: Iterable[str] = ()) -> Listing:
    """All videos; those of the list are the test, persons are held out of the others for validation.

    No person of the validation is in a training video, neither as who is shown nor as whose face was taken.

    Args:
      folder: Path, holds the three folders and the list.
      methods: names of methods ("GHOST") or scenarios ("FaceSwap") whose fakes are taken; all when empty. Real videos
        are always taken.
    Returns:
      Listing. `method` of a fake is its folder's name; that of v2's own fakes is "Celeb-DF". `name` is its path without
      suffix below Celeb-synthesis/. `source` is the person shown. The subgroup "scenario" is FaceSwap, FaceReenact,
      TalkingFace or real.
    Raises:
      InputError: no such method, or the list or a folder is missing.
    """
    of_method = {method: scenario for scenario, of in SCENARIOS.items() for method in of}
    chosen = {one for name in methods for one in SCENARIOS.get(name, (name,))} or set(of_method)
    if unknown := sorted(chosen - set(of_method)):
        there = ", ".join((*SCENARIOS, *of_method))
        raise InputError("methods", f"has no {unknown[0]!r}.", f"There are {there}.")
    tests = read_test_list(find_file(folder, (LIST,), GET, (*REAL, FAKE)))
    listing, videos, keys = Listing(), [], set()
    for top in (*REAL, FAKE):
        for path in sorted(media_below(need_folder(folder / top, GET))):
            parts = path.relative_to(folder).with_suffix("").parts
            key, scenario = "/".join(parts), parts[1] if top == FAKE and len(parts) > 3 else "real"
            method = top if top in REAL else parts[2] if len(parts) > 3 else ""
            keys.add(key)
            if top == FAKE and of_method.get(method) != scenario:
                listing.exclude(UNKNOWN, key)
            elif top == FAKE and method not in chosen:
                continue
            elif not persons(method, parts[-1]):
                listing.exclude(NO_PERSON, key)
            else:
                name = parts[-1] if top in REAL else "/".join(parts[1:])
                videos.append((path, key, name, method, scenario, persons(method, parts[-1])))
    listing.exclude(NO_FILE, *sorted(tests.keys() - keys))
    rest = {who[0]: method for _, key, _, method, _, who in videos if key not in tests}
    youtube = {person for person, method in rest.items() if method == "YouTube-real"}
    held = hold_out(youtube) | hold_out(rest.keys() - youtube)
    for path, key, name, method, scenario, who in videos:
        split = "test" if key in tests else "validation" if who[0] in held else "train"
        if split == "train" and held & set(who):
            listing.exclude(CROSSING, key)
            continue
        label, groups = int(method not in REAL), {"scenario": scenario}
        listing.videos.append(VideoRecord(path, name, label, method, who[0], split, subgroups=groups))
    listing.notes.append(
        "Celeb-DF++'s official test shares its persons with the rest of the set: a network trained here knows them."
    )
    return listing
