"""Published checkpoints that have an address of their own: fetched by name, carried elsewhere, listed, removed."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from tfdeepfake.errors import InputError
from tfdeepfake.published.entry import Published
from tfdeepfake.published.sources import SOURCES, find_published
from tfdeepfake.weights import cache


def direct_address(known: Published) -> str | None:
    """The address of a checkpoint, where it is one that gives the file; None where it is words for people."""
    return known.address if re.fullmatch(r"https?://\S+", known.address) else None


def file_name(source: str) -> str | None:
    """Name of a checkpoint's file in the cache folder; None where it cannot be fetched.

    Raises:
      InputError: unknown source.
    """
    address = direct_address(find_published(source))
    return source + PurePosixPath(urlsplit(address).path).suffix if address else None


def files_of(source: str, folder: Path | str) -> dict[str, Path]:
    """Files of a checkpoint of several that vote, in a folder: {name of the member: path}.

    They may be called as their authors call them, or as `fetch_published` does.

    Raises:
      InputError: unknown source, or a file is missing; names it.
    """
    folder, files = Path(folder), {}
    known = find_published(source)
    if not folder.is_dir():
        problem = f"is no folder; {source} is {len(known.members)} files."
        raise InputError(folder, problem, f"Give the folder of {known.address}.")
    for name in known.members:
        member = find_published(name)
        places = [folder / file for file in (file_name(name), PurePosixPath(member.address).name) if file]
        files[name] = next((place for place in places if place.is_file()), None)
        if files[name] is None:
            raise InputError(places[0], "this file is missing.", f"Get it first: {member.whereabouts}")
    return files


def fetch_all(source: str, **options: Any) -> dict[str, Path]:
    """The files of a checkpoint: {source: path}, or those of the several that vote; see `fetch_published`.

    Those that are here are not fetched again, and a download that was broken goes on, file by file.
    """
    known, log = find_published(source), options.get("log", lambda line: None)
    if known.members:
        log(f"{source}: {len(known.members)} files, {known.size} together.")
    return {name: fetch_published(name, **options) for name in known.members or (source,)}


def fetch_published(
    source: str,
    to: Path | str | None = None,
    progress: bool | None = None,
    log: Callable[[str], None] = lambda line: None,
    **limits: float,
) -> Path:
    """The file of a checkpoint, from the cache folder or its address; see `cache.fetch`.

    Args:
      source: a key of `sources.SOURCES`.
      to: a folder for a machine without a network; the file and its note are put there and not into the cache folder.
      progress: bar in bytes; None shows it on a terminal and in a notebook.
      log: called with lines for the user: size, licence and training data before; where to put the file after.
      **limits: `timeout_s` and `connect_s` of `cache.fetch`.
    Returns:
      Path of the file.
    Raises:
      InputError: unknown source, or one without an address of its own; see also `cache.fetch`.
    """
    known, name = find_published(source), file_name(source)
    if known.members:
        raise InputError(source, f"is {len(known.members)} files.", f"Fetch them one by one: {known.address}.")
    convert = f"tfdeepfake convert {source} FILE --out DIR"
    if name is None:
        raise InputError(
            source, "has no address that gives the file.", f"Get it first: {known.whereabouts}. Then: {convert}"
        )
    options = {"sha256": known.sha256, "num_bytes": known.num_bytes, "progress": progress, "log": log, **limits}
    options["remedy"] = f"Or give a file that you have: {convert}"
    if known.unreachable:
        options["remedy"] += f" (of the address it is known that {known.unreachable})"
    here = cache.is_here(name)
    if not here:
        log(
            f"{source} ({known.size}) from {known.address}. Licence: {known.licence}. Trained on: {known.trained_on} "
            f"({known.data_terms})."
        )
    path = cache.fetch(name, [known.address], cache_dir=None if here else to, **options)
    if to is None:
        return path
    if here:
        path = cache.copy(name, to)
    log(
        f"On the other machine: put {name} and {name}.json into the folder `downloads` of ${cache.HOME_VARIABLE} "
        f"(~/.cache/tfdeepfake where it is not set), or: {convert.replace('FILE', name)}"
    )
    return path


def remove_published(source: str) -> int:
    """Removes the file of a checkpoint from the cache folder: bytes that were freed, 0 when it was not here.

    Raises:
      InputError: unknown source, or one that another process fetches now.
    """
    members = find_published(source).members
    if members:
        return sum(map(remove_published, members))
    name = file_name(source)
    return cache.remove(name) if name else 0


@dataclass(frozen=True)
class Listed:
    """A checkpoint and its file in the cache folder.

    Args:
      source: its name.
      known: facts about it.
      address: that gives the file, or None.
      cached: `cache.Cached`, whole or not; None when nothing is here.
      members: of several that vote, the `Listed` of each.
    """

    source: str
    known: Published
    address: str | None
    cached: cache.Cached | None
    members: tuple = ()


def listing() -> list[Listed]:
    """Every checkpoint, in the order of the tables."""
    # A whole file counts for more than the beginning of its next fetch.
    here = {row.name: row for row in sorted(cache.listing(), key=lambda row: row.is_whole)}
    rows = {s: Listed(s, known, direct_address(known), here.get(file_name(s))) for s, known in SOURCES.items()}
    return [dataclasses.replace(row, members=tuple(rows[name] for name in row.known.members)) for row in rows.values()]
