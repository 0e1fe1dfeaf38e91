"""DeeperForensics-1.0 as it is distributed: variants of 1,000 fakes, the actors' source videos, the official lists."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import (  # fmt: skip
    NO_FILE,
    NOT_LISTED,
    Listing,
    find_file,
    media_below,
    media_in,
    need_folder,
    read_text,
)
from tfds_builders.face_forensics.listing import PERSON

LISTS = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}
REAL = ("source_videos", "targets")
# The only variant without distortions; the lists tell the levels of the others.
UNDISTORTED = "end_to_end"
PLAIN = {"distortions": "none"}
GET = "It comes with DeeperForensics-1.0, by the form at https://github.com/EndlessSora/DeeperForensics-1.0."
GET_TARGETS = (
    "Real targets are those of FaceForensics++, original_sequences/youtube/c23/videos; they are not needed with "
    "real=source_videos."
)
GET_OTHER = "It comes with FaceForensics++, dataset/splits of https://github.com/ondyari/FaceForensics."
OVERLAP = "its target is in the training part of FaceForensics++"


def read_list(path: str | Path) -> list:
    """Names of one official list: ["000_M101", ...], target and actor.

    Raises:
      InputError: a line is of another form.
    """
    names = read_text(path).split()
    for name in names:
        if not re.fullmatch(r"\d{3}_[MW]\d{3}\.mp4", name):
            raise InputError(path, f"{name!r} is not such as 000_M101.mp4.", GET)
    if not names:
        raise InputError(path, "names no video.", GET)
    return [name[:-4] for name in names]


def read_splits(folder: Path) -> dict:
    """The official lists, in lists/splits/, splits/ or the folder itself.

    Returns:
      {"000_M101": split}.
    Raises:
      InputError: a list is missing or wrong, or a target or actor is in two.
    """
    table, split_of = {}, {}
    for split, name in LISTS.items():
        path = find_file(folder, (f"lists/splits/{name}", f"splits/{name}", name), GET)
        for video in read_list(path):
            table[video] = split
            for part in video.split("_"):
                if split_of.setdefault(part, split) != split:
                    raise InputError(path, f"has {part} of {video}, which is in {split_of[part]} already.", GET)
    return table


def read_distortions(path: str | Path) -> dict:
    """The distortions of a list of lists/manipulated_videos_distortions_meta/.

    Returns:
      {"end_to_end_mix_3_distortions/000_M101": {"VC": 4, "BW": 5, "CC": 1}}: name and level 1..5.
    Raises:
      InputError: a line is of another form.
    """
    levels_of = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name, *levels = line.split() or [""]
        pairs = [re.fullmatch(r"(\w+):([1-5])", one) for one in levels]
        if not name:
            continue
        if not re.fullmatch(r"manipulated_videos/\w+/\d{3}_[MW]\d{3}\.mp4", name) or not all(pairs):
            raise InputError(path, f"line {number}: {line!r} is not such as '.../000_M101.mp4 VC:4 BW:5'.", GET)
        levels_of[name[len("manipulated_videos/") : -4]] = {pair[1]: int(pair[2]) for pair in pairs}
    return levels_of


def find_distortions(folder: Path) -> dict:
    """Distortions of all lists of distortions below lists/ or in the folder itself, see `read_distortions`.

    Returns:
      {"end_to_end_mix_3_distortions/000_M101": "VC:4 BW:5 CC:1"}.
    """
    levels_of = {}
    for path in sorted([*folder.glob("lists/**/*meta*.txt"), *folder.glob("*meta*.txt")]):
        levels_of |= read_distortions(path)
    return {name: " ".join(f"{kind}:{level}" for kind, level in levels.items()) for name, levels in levels_of.items()}


def overlap(table: dict, trained: Iterable[str]) -> list[str]:
    """Videos that are not for training here, but whose target trains FaceForensics++.

    Args:
      table: {name: split}, see `read_splits`.
      trained: ids of FaceForensics++'s training part.
    """
    return sorted(name for name, split in table.items() if split != "train" and name[:3] in trained)


def origins(method: str, video: str, source: str, /, **_: Any) -> tuple:
    """Persons and recordings, see `tfds_builders.audit.origins`: targets have their names in FaceForensics++."""
    if method == "source_videos":
        return {f"deeper_forensics:{source}"}, {f"deeper_forensics:{video}"}
    target, _, actor = video.partition("_")
    recording = {f"{PERSON}:{target}"}
    return recording | ({f"deeper_forensics:{actor}"} if actor else set()), recording


def list_videos(
    folder: Path, variants: tuple = ("end_to_end",), real: tuple = ("source_videos",), drop_overlap: bool = False
) -> Listing:
    """Fakes of the chosen variants in their official splits, and real videos.

    Args:
      folder: Path, holds manipulated_videos/, source_videos/ and lists/.
      variants: folders of manipulated_videos/, e.g. "end_to_end_level_5".
      real: of `REAL`. "source_videos": those of the actors, whose splits are their fakes'. "targets": the videos of
        FaceForensics++ that are the fakes' targets, in original_sequences/youtube/c23/videos/ of the folder.
      drop_overlap: leave out validation and test videos whose target is in the training part of FaceForensics++; for a
        network trained there. Needs its train.json in the folder.
    Returns:
      Listing. `source` is the actor, of a target "target000". No two splits have an actor or a target in common. The
      subgroup "distortions" is as the lists have it ("VC:4 BW:5 CC:1"), or "none", or empty when no list tells.
    """
    if not variants or not real or set(real) - set(REAL):
        raise InputError("variants and real", f"need a variant and some of {', '.join(REAL)}; got {variants}, {real}.")
    table, listing, distortions = read_splits(folder), Listing(), find_distortions(folder)
    dropped = set()
    if drop_overlap:
        from tfds_builders.face_forensics.listing import read_pairs

        path = find_file(folder, ("train.json", "splits/train.json", "dataset/splits/train.json"), GET_OTHER)
        dropped = set(overlap(table, {one for pair in read_pairs(path) for one in pair}))
    for variant in variants:
        paths = media_in(folder / "manipulated_videos" / variant, GET)
        for path in paths:
            if path.stem not in table:
                listing.exclude(NOT_LISTED, f"{variant}/{path.stem}")
            elif path.stem in dropped:
                listing.exclude(OVERLAP, f"{variant}/{path.stem}")
            else:
                actor, split = path.stem.split("_")[1], table[path.stem]
                levels = {"distortions": distortions.get(f"{variant}/{path.stem}", "")}
                levels = PLAIN if variant == UNDISTORTED else levels
                listing.videos.append(VideoRecord(path, path.stem, 1, variant, actor, split, subgroups=levels))
        missing = sorted(table.keys() - {path.stem for path in paths})
        listing.exclude(NO_FILE, *(f"{variant}/{name}" for name in missing))
    if "source_videos" in real:
        _sources(listing, need_folder(folder / "source_videos", GET), table)
    if "targets" in real:
        of_target = {name[:3]: name for name in table}
        for path in media_in(folder / "original_sequences/youtube/c23/videos", GET_TARGETS):
            name = of_target.get(path.stem)
            if name is None or name in dropped:
                listing.exclude(OVERLAP if name else NOT_LISTED, f"targets/{path.stem}")
            else:
                who, split = f"target{path.stem}", table[name]
                listing.videos.append(VideoRecord(path, path.stem, 0, "targets", who, split, subgroups=PLAIN))
    return listing


def _sources(listing, folder, table):
    """Adds the actors' own videos, which lie in a folder of each actor."""
    split_of = {name.split("_")[1]: split for name, split in table.items()}
    for path in media_below(folder):
        inside = path.relative_to(folder)
        name, actor = inside.with_suffix("").as_posix(), inside.parts[0]
        if actor in split_of:
            listing.videos.append(VideoRecord(path, name, 0, "source_videos", actor, split_of[actor], subgroups=PLAIN))
        else:
            listing.exclude(NOT_LISTED, f"source_videos/{name}")
