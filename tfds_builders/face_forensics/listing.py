"""FaceForensics++ as it is distributed: folders by method and compression, and the official pairs of ids."""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import NO_FILE, NOT_LISTED, Listing, find_file, media_in, read_text

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
ACTORS = "DeepFakeDetection"
ALL_METHODS = (*METHODS, "FaceShifter", ACTORS)
COMPRESSIONS = ("raw", "c23", "c40")
LISTS = {"train": "train.json", "validation": "val.json", "test": "test.json"}
GET_LISTS = (
    "Copy train.json, val.json and test.json from dataset/splits of https://github.com/ondyari/FaceForensics there."
)
GET_VIDEOS = (
    "The download script comes by the form at https://github.com/ondyari/FaceForensics; "
    "or choose other methods or another compression."
)
# Before the id of a video of FaceForensics++, wherever it is used: DeeperForensics-1.0 has the same.
PERSON = "ff++"
CROSSING = "its two actors are in different splits"
NO_MASK = "there is no mask video of it"
# The 28 actors of DeepFakeDetection have no official split. By the order of these numbers, which are no more than
# 1 to 28 shuffled once: 18 for training, 4 for validation, 6 for the test. More actors in the test would leave fewer
# fakes for training, because a fake of two actors from different splits can be used in none.
ACTOR_ORDER = (7, 20, 11, 2, 26, 15, 9, 23, 4, 18, 28, 13, 1, 21, 6, 16, 25, 10, 3, 19, 27, 12, 5, 22, 14, 8, 24, 17)
ACTOR_SPLITS = {
    f"{actor:02d}": "train" if place < 18 else "validation" if place < 22 else "test"
    for place, actor in enumerate(ACTOR_ORDER)
}


def read_pairs(path: str | Path) -> list:
    """Pairs of ids of one official list: [("071", "054"), ...].

    Raises:
      InputError: not a JSON list of pairs of three-digit ids.
    """
    try:
        pairs = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(path, f"is not JSON ({error}).", GET_LISTS) from None
    fine = isinstance(pairs, list) and all(
        isinstance(p, list) and len(p) == 2 and all(isinstance(i, str) and re.fullmatch(r"\d{3}", i) for i in p)
        for p in pairs
    )
    if not fine or not pairs:
        raise InputError(path, 'is no list of pairs of ids such as ["071", "054"].', GET_LISTS)
    return [tuple(pair) for pair in pairs]


def read_splits(folder: Path) -> dict:
    """The official lists of a folder, which lie in it or in its splits/ or dataset/splits/.

    Returns:
      {id: (split, source)}; both ids of a pair have the source "071_054".
    Raises:
      InputError: a list is missing or wrong, or an id is in two.
    """
    table = {}
    for split, name in LISTS.items():
        path = find_file(folder, (name, f"splits/{name}", f"dataset/splits/{name}"), GET_LISTS)
        for pair in read_pairs(path):
            for one in pair:
                if one in table:
                    raise InputError(path, f"has the id {one}, which is in {table[one][0]} already.", GET_LISTS)
                table[one] = split, "_".join(pair)
    return table


def list_videos(
    folder: Path, compression: str = "c23", methods: Sequence[str] = METHODS, masks: bool = False
) -> Listing:
    """Videos of the chosen methods, and the real ones they were made from.

    Args:
      folder: Path, holds original_sequences/ and manipulated_sequences/ and the official lists.
      compression: "raw", "c23" or "c40".
      methods: of `ALL_METHODS`. With one of the first five come the videos of youtube/, with DeepFakeDetection those of
        actors/; the official lists are only read for the former.
      masks: whether to look for the mask of each video, which is the same for all compressions. A fake without one is
        left out, as are all of FaceShifter: without a mask it would count as not manipulated.
    Returns:
      Listing. `source` is the pair ("071_054"), or the target's actor ("actor01").
    Raises:
      InputError: a folder or list is missing or wrong.
    """
    if compression not in COMPRESSIONS:
        raise InputError("compression", f"needs one of {', '.join(COMPRESSIONS)}, got {compression!r}.")
    if unknown := [m for m in methods if m not in ALL_METHODS] or (not methods and ["none"]):
        raise InputError("methods", f"needs some of {', '.join(ALL_METHODS)}, got {unknown[0]!r}.")
    listing = Listing()

    def videos(part):
        return media_in(folder / part / compression / "videos", GET_VIDEOS)

    paired = [m for m in methods if m != ACTORS]
    if paired:
        table = read_splits(folder)
        _paired(listing, videos("original_sequences/youtube"), "youtube", table)
        for method in paired:
            _paired(listing, videos(f"manipulated_sequences/{method}"), method, table)
    if ACTORS in methods:
        _acted(listing, videos("original_sequences/actors"), "actors")
        _acted(listing, videos(f"manipulated_sequences/{ACTORS}"), ACTORS)
    if masks:
        _add_masks(listing, folder)
    return listing


def _add_masks(listing, folder):
    videos, listing.videos = listing.videos, []
    for v in videos:
        mask = folder / "manipulated_sequences" / v.method / "masks" / "videos" / v.path.name if v.label else ""
        if v.label and not mask.is_file():
            listing.exclude(NO_MASK, f"{v.method}/{v.name}")
        else:
            listing.videos.append(dataclasses.replace(v, mask=mask))


def origins(method: str, video: str, source: str, /, **_: Any) -> tuple:
    """Persons and recordings, see `audit.origins`: both ids of a pair, both actors of DeepFakeDetection."""
    if method in ("actors", ACTORS):
        acted = re.match(r"(\d\d)_?(\d\d)?(__.+?)(__[A-Z0-9]{8})?$", video)
        actors = [one for one in acted.groups()[:2] if one] if acted else [source.removeprefix("actor")]
        recording = f"{acted[1]}{acted[3]}" if acted else video
        return {f"{ACTORS}:actor{one}" for one in actors}, {f"{ACTORS}:{recording}"}
    shown = video if re.fullmatch(r"\d{3}(_\d{3})?", video) else source
    ids = {f"{PERSON}:{one}" for one in shown.split("_")}
    return ids, ids


def _paired(listing, paths, method, table):
    """Adds youtube/ or the fakes of a method: a fake TTT_SSS is in its pair's split, both orders are fakes."""
    label = int(method != "youtube")
    awaited = {source if one == source[:3] else f"{one}_{source[:3]}" for one, (_, source) in table.items()}
    awaited = awaited if label else set(table)
    for path in paths:
        if path.stem not in awaited:
            listing.exclude(NOT_LISTED, f"{method}/{path.stem}")
            continue
        split, source = table[path.stem[:3]]
        listing.videos.append(VideoRecord(path, path.stem, label, method, source, split))
    missing = awaited - {path.stem for path in paths}
    listing.exclude(NO_FILE, *(f"{method}/{name}" for name in sorted(missing)))


def _acted(listing, paths, method):
    """Adds actors/ (01__kitchen_pan) or the fakes made of them (01_02__kitchen_pan__YVGY8LOK: target, source)."""
    label = int(method == ACTORS)
    pattern = re.compile(r"(\d\d)_(\d\d)__.+" if label else r"(\d\d)__.+")
    for path in paths:
        match = pattern.fullmatch(path.stem)
        if not match or not ACTOR_SPLITS.keys() >= set(match.groups()):
            listing.exclude(NOT_LISTED, f"{method}/{path.stem}")
            continue
        splits = {ACTOR_SPLITS[actor] for actor in match.groups()}
        if len(splits) > 1:
            listing.exclude(CROSSING, f"{method}/{path.stem}")
            continue
        listing.videos.append(VideoRecord(path, path.stem, label, method, f"actor{match[1]}", splits.pop()))
