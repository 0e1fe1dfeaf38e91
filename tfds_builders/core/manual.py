"""For the builders of published data sets: from the folder that the user downloaded to videos with official splits.

Each such builder has a `listing.py` that reads folders and lists without TensorFlow; it is the builder's `LIST`. Where
videos come as archives, its `UNPACK` extracts one to a file; its `read_of` and `change_of` return the functions that
read and change one, see `features.Video`.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfdeepfake.data.video.walk import walk
from tfdeepfake.errors import InputError
from tfds_builders.core.splits import assign_splits

if TYPE_CHECKING:
    from tfds_builders.core.building import VideoBuilder


NOT_LISTED = "not in the official lists"
NO_FILE = "listed, but there is no such file"
# Names stored in the metadata for each reason; of a set that was downloaded in part, thousands are missing.
MOST_NAMES = 100


@dataclass
class Listing:
    """What a folder holds.

    Args:
      videos: list of `video_folder.listing.VideoRecord`, each with a split.
      left_out: {reason: names of videos that are not used}.
      notes: sentences about the splits that whoever reports figures on them should know.
    """

    videos: list = field(default_factory=list)
    left_out: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)

    def exclude(self, reason: str, *names: str) -> None:
        if names:
            self.left_out.setdefault(reason, []).extend(names)


def need_folder(path: str | Path, remedy: str) -> Path:
    """The path, when it is a folder.

    Raises:
      InputError: it is not; says `remedy`.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(path, "this folder is missing.", remedy)
    return path


def find_file(folder: str | Path, names: Sequence[str], remedy: str, beside: Sequence[str] = ()) -> Path:
    """The first of several places below a folder at which a file lies.

    Args:
      beside: folders of the data set, of which one at least is there unless the wrong folder was given.
    Raises:
      InputError: at none; names the first and says `remedy`, or that the folder holds nothing of the data set.
    """
    for name in names:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    if beside and not any((Path(folder) / name).is_dir() for name in beside):
        parts = ", ".join((names[0], *(f"{name}/" for name in beside)))
        raise InputError(folder, f"holds nothing of the data set (none of {parts}).", f"Give another --dir. {remedy}")
    raise InputError(Path(folder) / names[0], "this list is missing.", remedy)


def read_text(path: str | Path) -> str:
    """Text of a UTF-8 file, with or without byte order mark.

    Raises:
      InputError: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(path, f"is not UTF-8 (byte {error.start}).", "Take the file as it is distributed.") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror}).", "Check path and permissions.") from None


def media_in(folder: str | Path, remedy: str) -> list[Path]:
    """Videos directly in a folder, by name; a folder that holds the frames of one is one.

    Raises:
      InputError: the folder is missing or has none; says `remedy`.
    """
    paths = [path for path in media_below(need_folder(folder, remedy)) if path.parent == Path(folder)]
    if not paths:
        raise InputError(folder, "holds no videos.", remedy)
    return paths


def media_below(folder: str | Path) -> list[Path]:
    """Videos in a folder and its subfolders, by path; see `video.walk`.

    Raises:
      InputError: a folder cannot be read.
    """
    content = walk(folder, as_video=False)
    for path, why in content.unreadable:
        raise InputError(path, why, "Check its permissions.")
    return content.media


def hold_out(names: Iterable[str], split: str = "validation") -> set:
    """Names of a tenth of the names, chosen by a hash of each; none of fewer than three.

    Args:
      names: of persons, original videos or parts that are in no other split yet.
    """
    return {name for name, at in assign_splits({name: set() for name in names}).items() if at == split}


def listing_of(builder: "VideoBuilder", folder: str | Path) -> Listing:
    """What a folder holds for a builder with `LIST`, under the options of its config."""
    how = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    listing = builder.LIST(need_folder(folder, how), **_options(builder))
    if not listing.videos:
        why = "; ".join(f"{len(names)} are {reason}" for reason, names in listing.left_out.items())
        raise InputError(folder, f"holds no video of {builder.name} that can be used ({why}).", how)
    listing.videos.sort(key=lambda v: (v.method, v.name))
    return listing


def manual_generators(builder: "VideoBuilder", dl_manager: Any) -> dict:
    """What `_split_generators` of a builder with `LIST` returns; writes into the metadata what was left out."""
    from tfds_builders.core.building import make_video, split_generators

    folder = builder.folder or dl_manager.manual_dir
    listing = listing_of(builder, folder)
    note_listing(builder, listing)
    videos = [
        make_video(
            builder.builder_config,
            path=str(v.path),
            split=v.split,
            label=v.label,
            data_set=builder.name,
            method=v.method,
            video=v.name,
            source=v.source,
            unpack=functools.partial(builder.UNPACK, v) if hasattr(builder, "UNPACK") else None,
            read=builder.read_of(v) if hasattr(builder, "read_of") else None,
            change=builder.change_of(v) if hasattr(builder, "change_of") else None,
            mask=v.mask,
            subgroups={name: v.subgroups.get(name, "") for name in builder.SUBGROUPS},
        )
        for v in listing.videos
    ]
    return split_generators(builder, videos, str(folder))


def left_out_lines(metadata: dict) -> list:
    """Lines of text: the notes; for each reason to leave videos out, their number and the first names."""
    lines = list(metadata.get("notes", []))
    for reason, entry in metadata.get("left_out", {}).items():
        number, names = entry["videos"], ", ".join(entry["names"][:3])
        lines.append(f"{number} video{'s' * (number != 1)} left out, {reason}: {names}{', ...' if number > 3 else ''}")
    return lines


def note_listing(builder: "VideoBuilder", listing: Listing) -> None:
    """Keeps in a builder's metadata what was listed, what was left out, and the notes."""
    from tfds_builders.core.listing import fingerprint

    builder.info.metadata["videos"] = fingerprint(listing.videos)
    builder.info.metadata["left_out"] = {
        reason: {"videos": len(names), "names": names[:MOST_NAMES]} for reason, names in listing.left_out.items()
    }
    builder.info.metadata["notes"] = listing.notes


def _options(builder):
    return builder.OPTIONS | builder.builder_config.options
