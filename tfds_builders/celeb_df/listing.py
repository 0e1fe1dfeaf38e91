"""Celeb-DF v2 as it is distributed: three folders and the list of test videos, in which 1 means real."""

import re
from pathlib import Path
from typing import Any

from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import NO_FILE, Listing, find_file, hold_out, media_in, read_text

FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}
LIST = "List_of_testing_videos.txt"
GET = "It comes with Celeb-DF v2, by the form at https://github.com/yuezunli/celeb-deepfakeforensics."
CROSSING = "a training fake that shows a person held out for validation"
SHARED = "a training video of which the test holds the same recording"


def read_test_list(path: str | Path) -> dict:
    """The official test videos.

    Returns:
      {"YouTube-real/00170": label}, turned round: 1 is fake here, while the file writes 1 for real.
    Raises:
      InputError: a line is wrong, or its label is not that of its folder.
    """
    labels = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        match = re.fullmatch(r"([01])\s+([\w-]+)/([\w-]+)\.mp4", line.strip())
        if not match or match[2] not in FOLDERS:
            raise InputError(path, f"line {number}: {line.strip()!r} is not such as '1 YouTube-real/00170.mp4'.", GET)
        if 1 - int(match[1]) != FOLDERS[match[2]]:
            raise InputError(path, f"line {number}: label {match[1]} in {match[2]}; 1 is for real videos here.", GET)
        labels[f"{match[2]}/{match[3]}"] = 1 - int(match[1])
    if not labels:
        raise InputError(path, "names no video.", GET)
    return labels


def persons(method: str, name: str) -> tuple | None:
    """(target, source) of id0_id1_0002, (person,) of id0_0002, ("youtube_00170",) of a video of YouTube-real.

    Returns None for a name of another form.
    """
    if method == "YouTube-real":
        return (f"youtube_{name}",)
    match = re.fullmatch(r"(id\d+)_(id\d+)_\d+" if FOLDERS[method] else r"(id\d+)_\d+", name)
    return match and match.groups()


def recording(method: str, name: str) -> str:
    """The video that a fake was made of: id0_0002 of id0_id1_0002; of a real one itself."""
    who = persons(method, name)
    return f"{who[0]}_{name.rpartition('_')[2]}" if FOLDERS[method] else name


def origins(method: str, video: str, source: str, /, **_: Any) -> tuple:
    """Persons and recordings, see `audit.origins`: both persons of a fake, and the video it was made of."""
    who = method in FOLDERS and persons(method, video)
    if not who:
        return {f"celeb_df:{source}"}, {f"celeb_df:{method}/{video}"}
    taken = who[0] if method == "YouTube-real" else recording(method, video)
    return {f"celeb_df:{one}" for one in who}, {f"celeb_df:{taken}"}


def list_videos(folder: Path, training: str = "official") -> Listing:
    """All videos; those of the list are the test, persons are held out of the others for validation.

    No person of the validation is in a training video, neither as target nor as source. The official test has all 59
    persons, and recordings that official training has too.

    Args:
      folder: Path, holds the three folders and the list.
      training: "official" keeps every video that is not listed; "unshared" leaves out those whose recording, real or as
        a fake of it, is in the test.
    Returns:
      Listing. `source` is the (target) person.
    """
    if training not in ("official", "unshared"):
        raise InputError("training", f"needs official or unshared, got {training!r}.")
    tests = read_test_list(find_file(folder, (LIST,), GET, FOLDERS))
    listing, videos = Listing(), []
    for method in FOLDERS:
        for path in media_in(folder / method, GET):
            if persons(method, path.stem):
                videos.append((path, method, path.stem))
            else:
                listing.exclude("its name is not of the data set's form", f"{method}/{path.stem}")
    listing.exclude(NO_FILE, *sorted(tests.keys() - {f"{method}/{name}" for _, method, name in videos}))
    tested = {recording(*key.split("/")) for key in tests if not key.startswith("YouTube") and persons(*key.split("/"))}
    rest = [entry for entry in videos if f"{entry[1]}/{entry[2]}" not in tests]
    youtube = {persons(method, name)[0] for _, method, name in rest if method == "YouTube-real"}
    held = hold_out(youtube) | hold_out({persons(method, name)[0] for _, method, name in rest} - youtube)
    shared = 0
    for path, method, name in videos:
        who, split = persons(method, name), "train"
        if f"{method}/{name}" in tests:
            split = "test"
        else:
            if method != "YouTube-real" and recording(method, name) in tested:
                shared += 1
                if training == "unshared":
                    listing.exclude(SHARED, f"{method}/{name}")
                    continue
            if who[0] in held:
                split = "validation"
            elif held & set(who):
                listing.exclude(CROSSING, f"{method}/{name}")
                continue
        listing.videos.append(VideoRecord(path, name, FOLDERS[method], method, who[0], split))
    if training == "official":
        recordings = f", and recordings with {shared} of its videos" if shared else ""
        listing.notes.append(
            f"Celeb-DF's official test shares persons with its training part{recordings}: a network trained here knows "
            "the test's persons. training=unshared leaves such videos out."
        )
    return listing
