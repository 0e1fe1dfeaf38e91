"""The splits of anyone's videos: what was made of one another is never in two, and what a split rests on is said."""

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import Listing
from tfds_builders.core.splits import assign_splits
from tfds_builders.video_folder.sources import groups

CROSSING = "made of persons or videos of two splits"
# Where more of the videos than this are one group, persons are held apart and the fakes between them left out; where
# that would cost more of its fakes than this, fakes go with their targets alone.
MOST = 0.5


@dataclass(frozen=True)
class Told:
    """What is known of a video's sources.

    Args:
      video: VideoRecord; its split is None unless it was given.
      origins: names of what it was made of, the target or the video itself first.
      basis: how that is known: "source" (the column), a manner of names, "images", or "name" (of the file alone).
    """

    video: VideoRecord
    origins: tuple[str, ...]
    basis: str


def with_splits(told: list[Told], subject: str | Path) -> Listing:
    """Gives every video a split; `source` becomes its first origin.

    Args:
      subject: file or folder, for errors.
    Raises:
      InputError: a source was given two splits.
    """
    _check_given(told, subject)
    keys, alone = _keys(told)
    given = {names[0]: one.video.split for one, names in zip(told, keys, strict=True) if one.video.split}
    splits = assign_splits(_labels(told, keys), given)
    listing, across = Listing(), 0
    for one, names in zip(told, keys, strict=True):
        split = one.video.split or splits[names[0]]
        crosses = any(splits[name] != split for name in names)
        if crosses and one.video.split is None:
            listing.exclude(CROSSING, one.video.name)
            continue
        across += crosses
        listing.videos.append(dataclasses.replace(one.video, source=one.origins[0], split=split))
    listing.videos.sort(key=lambda video: video.name)
    listing.notes = _notes(told, alone, across)
    return listing


def _keys(told):
    """([names by which each video gets its split], manner whose fakes go with their targets alone, or "")."""
    group_of = groups([one.origins for one in told])
    given, sizes = {}, Counter(group_of)
    for one, group in zip(told, group_of, strict=True):
        given.setdefault(group, set()).add(one.video.split)
    # The column split may tear a group apart: then each of its names goes where the column says, as far as it does.
    by_name = {group for group, splits in given.items() if len(splits - {None}) > 1}
    group, size = sizes.most_common(1)[0]
    members = [one for one, its in zip(told, group_of, strict=True) if its == group]
    targets = {one.origins[0] for one in members}
    if given[group] != {None} or size <= MOST * len(told) or len(targets) < 3:
        return [one.origins if its in by_name else (its,) for one, its in zip(told, group_of, strict=True)], ""
    splits = assign_splits(_labels(members, [one.origins for one in members]))
    fakes = [one for one in members if one.video.label]
    lost = sum(len({splits[name] for name in one.origins}) > 1 for one in fakes)
    alone = lost > MOST * len(fakes)
    keys = [
        one.origins[: 1 if alone and its == group else None] if its in by_name | {group} else (its,)
        for one, its in zip(told, group_of, strict=True)
    ]
    return keys, fakes[0].basis if alone else ""


def _labels(told, keys):
    labels = {}
    for one, names in zip(told, keys, strict=True):
        for name in names:
            labels.setdefault(name, set()).add(one.video.label)
    return labels


def _check_given(told, subject):
    first = {}
    for one in told:
        video, name = one.video, one.origins[0] if one.basis == "source" else one.video.source
        if video.split and first.setdefault(name, video).split != video.split:
            raise InputError(
                subject,
                f"line {video.line}: source {name!r} is in {video.split}, but in {first[name].split} in line "
                f"{first[name].line}.",
                "A source must be in one split only, or the test measures what was learned by heart.",
            )


def _notes(told, alone, across):
    """Sentences on what the splits rest on."""
    notes = []
    if count := sum(one.video.split is not None for one in told):
        notes.append(f"the column split says where {count} of {len(told)} videos belong.")
    free = [one for one in told if one.video.split is None]
    if count := sum(one.basis == "source" for one in free):
        sources = len({one.origins[0] for one in free if one.basis == "source"})
        notes.append(f"the splits of {count} videos rest on the column source ({sources} sources).")
    fakes = Counter(one.basis for one in free if one.video.label)
    for manner in sorted(set(fakes) - {"source", "images", "name"}):
        where = "with its target; the other person may be in another split" if manner == alone else "with its sources"
        notes.append(f"{fakes[manner]} fakes are named in the manner of {manner}: each is {where}.")
    if count := sum(one.basis == "images" for one in free):
        videos = len({one.origins[0] for one in free if one.basis == "images"})
        notes.append(f"{count} images are frames of {videos} videos by their folders or names, and stay together.")
    if count := sum(one.basis == "name" for one in free):
        notes.append(
            f"warning: the splits of {count} of {len(told)} videos rest on file names alone, each name taken for a "
            "source. Where two show one person or were made of one video, say so in the column source of a CSV file."
        )
    if across:
        notes.append(
            f"warning: by their names {across} videos were made of others that the column split puts elsewhere: see "
            "`tfdeepfake audit`."
        )
    return notes
