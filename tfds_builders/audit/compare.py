"""`audit`: persons, recordings and images that stand in two splits of a data set, or train one set and test another.

Two places, each a split of a set, are in conflict when they are two splits of one set, or when exactly one of them is
the training split of one set and the other validates or tests another set. Splits and names come from prepared sets,
or from the folder of a set before it is built; images only from prepared sets.
"""

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path, write_json
from tfdeepfake.scoring.table import VIDEO
from tfdeepfake.vocabulary import SPLITS
from tfds_builders.audit import hashes, read

if TYPE_CHECKING:
    from tfds_builders.audit.read import Audited


KINDS = {"identity": "identities", "source": "sources", "frames": "near-duplicate videos"}
EXAMPLES = 3


def audit(
    names: Sequence[str],
    data_dir: str | Path | None = None,
    num_frames: int = 4,
    distance: int = hashes.DISTANCE,
    options: dict | None = None,
    out: str | Path | None = None,
    exclude_out: str | Path | None = None,
) -> list:
    """Compares data sets, prints what leaks, and writes the lists.

    Args:
      names: each a prepared set, as `open_data` takes it, or "builder=FOLDER" of one that is not prepared yet.
      data_dir: root of prepared data; TFDS's own default when None.
      num_frames: how many of a video are compared; 0 for names only.
      distance: bits of 256 in which the hashes of near-duplicate frames differ at most.
      options: {name: text}, of the builders whose folders are given.
      out: .json or .csv file of all leaks, or None.
      exclude_out: CSV file of the test videos of the last set that leak from the training splits of the others (of a
        single set from its own train and validation), for `tfdeepfake evaluate --exclude`; or None.
    Returns:
      list of leaks, dicts of kind, name, places [{data, split, videos, example}], and of kind "frames" frames and
      distance.
    Raises:
      InputError: an unknown set, one named twice, or a file that cannot be written so.
    """
    if doubled := [name for name in names if names.count(name) > 1]:
        raise InputError(doubled[0], "is named twice.", "A set is always compared with itself too.")
    if num_frames < 0 or not 0 <= distance <= 64:
        raise InputError(
            "audit", f"needs frames of 0 or more and a distance of 0..64, got {num_frames} and {distance}."
        )
    if out and Path(out).suffix not in (".json", ".csv"):
        raise InputError(out, "needs the suffix .json or .csv.")
    sets = [read.read(name, data_dir, num_frames, options) for name in names]
    leaks = shared_names(sets, "identity") + shared_names(sets, "source") + near_frames(sets, distance)
    if out:
        _write(out, leaks)
    for line in report(sets, leaks):
        print(line)
    if exclude_out:
        excluded = leaking_tests(sets, leaks)
        with atomic_path(exclude_out) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([VIDEO, *excluded])
        print(f"{exclude_out}: {len(excluded)} test videos of {sets[-1].name} that leak.")
    print(verdict(sets, leaks))
    return leaks


def conflict(a: tuple, b: tuple) -> bool:
    """Whether nothing of one place, (number of set, split), may stand in the other."""
    if a[0] == b[0]:
        return a[1] != b[1]
    return (a[1] == "train") != (b[1] == "train")


def shared_names(sets: "Sequence[Audited]", kind: str) -> list:
    """Leaks of kind "identity" or "source": names that stand in places in conflict."""
    index = {}
    for number, one in enumerate(sets):
        for key, names in zip(one.videos, one.identities if kind == "identity" else one.recordings, strict=True):
            for name in names:
                count = index.setdefault(name, {}).setdefault((number, key[0]), [0, key])
                count[0] += 1
    leaks = []
    for name, places in sorted(index.items()):
        bad = [a for a in places if any(conflict(a, b) for b in places)]
        if bad:
            shown = [_place(sets, at, *places[at]) for at in sorted(bad, key=lambda a: (a[0], SPLITS.index(a[1])))]
            leaks.append({"kind": kind, "name": name, "places": shown})
    return leaks


def near_frames(sets: "Sequence[Audited]", distance: int) -> list:
    """Leaks of kind "frames": for each video of a later split, the nearest one in a place in conflict."""
    from tqdm import tqdm

    places = {}
    for number, one in enumerate(sets):
        splits = np.array([SPLITS.index(key[0]) for key in one.videos], np.int64)[one.owners]
        for rank, split in enumerate(SPLITS):
            if len(rows := np.flatnonzero(splits == rank)):
                places[number, split] = rows
    # The later split asks: whoever reads the list wants to know which test video is known.
    pairs = [
        sorted(pair, key=lambda at: SPLITS.index(at[1]))
        for pair in itertools.combinations(places, 2)
        if conflict(*pair)
    ]
    leaks = []
    for known, asked in tqdm(pairs, desc="comparing frames", unit="pair of splits", disable=None):
        a, b = sets[asked[0]], sets[known[0]]
        asked_owners, known_owners = a.owners[places[asked]], b.owners[places[known]]
        nearest = np.full(len(a.videos), 1 << 62)
        matched = np.zeros(len(asked_owners), bool)
        near = hashes.near_pairs(a.hashes[places[asked]], b.hashes[places[known]], distance)
        for query, matches, bits in near:
            np.minimum.at(nearest, asked_owners[query], bits << 40 | known_owners[matches])
            matched[query] = True
        matching = np.bincount(asked_owners[matched], minlength=len(a.videos))
        a_keys, b_keys = list(a.videos), list(b.videos)
        for number in np.flatnonzero(matching):
            bits, other = divmod(int(nearest[number]), 1 << 40)
            shown = [_place(sets, known, 1, b_keys[other]), _place(sets, asked, 1, a_keys[number])]
            name = "/".join(a_keys[number][1:])
            facts = {"frames": int(matching[number]), "distance": bits}
            leaks.append({"kind": "frames", "name": name, "places": shown} | facts)
    return leaks


def _place(sets, at, count, key):
    return {"data": sets[at[0]].name, "split": at[1], "videos": count, "example": "/".join(key[1:])}


def leaking_tests(sets: "Sequence[Audited]", leaks: list) -> list:
    """Test videos of the last set that leak: sorted (data_set, method, video)."""
    last, known_in = sets[-1], {(one.name, "train") for one in sets[:-1]}
    known_in = known_in or {(last.name, "train"), (last.name, "validation")}
    names, videos = {"identity": set(), "source": set()}, set()
    for leak in leaks:
        places = {(p["data"], p["split"]): p["example"] for p in leak["places"]}
        if (last.name, "test") not in places or not known_in & places.keys():
            continue
        if leak["kind"] == "frames":
            videos.add(places[last.name, "test"])
        else:
            names[leak["kind"]].add(leak["name"])
    return sorted(
        key[1:]
        for (key, number) in last.videos.items()
        if key[0] == "test"
        and (
            "/".join(key[1:]) in videos
            or names["identity"] & last.identities[number]
            or names["source"] & last.recordings[number]
        )
    )


def report(sets: "Sequence[Audited]", leaks: list) -> list:
    """Lines of text: what was compared of each set, and of each kind of leak the number and the first ones."""
    lines = []
    for one in sets:
        counts = {split: sum(key[0] == split for key in one.videos) for split in SPLITS}
        videos = ", ".join(f"{split} {count}" for split, count in counts.items() if count)
        frames = f"{len(one.owners)} frames compared" + (f", {one.flat} flat ones not" if one.flat else "")
        frames += f", {one.unreadable} videos cannot be read" if one.unreadable else ""
        lines.append(f"{one.name}: videos: {videos}; {'names only' if one.listed_only else frames}.")
        lines += [f"{one.name}: {note}" for note in one.notes]
    for kind, plural in KINDS.items():
        of_kind = [leak for leak in leaks if leak["kind"] == kind]
        if not of_kind:
            continue
        lines += ["", f"{plural}: {len(of_kind)}"]
        for leak in of_kind[:EXAMPLES]:
            near = f" ({leak['frames']} frames, {leak['distance']} bits)" if kind == "frames" else ""
            lines.append(f"  {leak['name']}{near}")
            for p in leak["places"]:
                more = f" and {p['videos'] - 1} more" if p["videos"] > 1 else ""
                lines.append(f"    {p['split']} of {p['data']}: {p['example']}{more}")
        if len(of_kind) > EXAMPLES:
            lines.append(f"  ... and {len(of_kind) - EXAMPLES} more")
    return [*lines, ""]


def verdict(sets: "Sequence[Audited]", leaks: list) -> str:
    """The last line."""
    if leaks:
        counts = {plural: sum(leak["kind"] == kind for leak in leaks) for kind, plural in KINDS.items()}
        return f"{len(leaks)} leaks: " + ", ".join(f"{count} {plural}" for plural, count in counts.items())
    identities, sources = (
        len(set().union(*(names for one in sets for names in getattr(one, field))))
        for field in ("identities", "recordings")
    )
    frames = sum(len(one.owners) for one in sets)
    return f"no leaks: {identities} identities, {sources} sources, {frames} frames compared"


def _write(path, leaks):
    """All leaks as JSON, or as CSV with a line for each place."""
    if Path(path).suffix == ".json":
        write_json(path, {"leaks": leaks})
        return
    columns = ("kind", "name", "data", "split", "videos", "example", "frames", "distance")
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(leak | place for leak in leaks for place in leak["places"])
