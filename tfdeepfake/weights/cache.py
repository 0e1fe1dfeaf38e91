"""Published files in a cache folder: fetched once, checked before anything reads them, listed and removed.

NAME             the file, whole and checked
NAME.json        where it came from: address, sha256, num_bytes, date; stays when the file is removed
NAME.part[.json] the beginning of a file that is not whole yet
.NAME.lock       held by the process that fetches it
"""

import datetime
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path, exclusive_lock, read_json, write_json
from tfdeepfake.files import sha256 as checksum
from tfdeepfake.weights.connection import Unavailable, Unreachable
from tfdeepfake.weights.download import REPLACED, Part, download, size_text

HOME_VARIABLE = "TFDEEPFAKE_HOME"


def home() -> Path:
    """Folder of all files that this machine has fetched: $TFDEEPFAKE_HOME, or `tfdeepfake` in the user's cache.

    Raises:
      InputError: neither is known.
    """
    if given := os.environ.get(HOME_VARIABLE):
        return Path(given).expanduser()
    try:
        # The XDG specification says to ignore a relative path.
        cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (cache if cache.is_absolute() else Path.home() / ".cache") / "tfdeepfake"
    except RuntimeError:
        raise InputError(
            HOME_VARIABLE, "is not set, and this user has no home folder.", "Set it to a folder that may be written to."
        ) from None


def cached_path(name: str, cache_dir: Path | str | None = None) -> Path:
    """Path of the file of this name, there or not: in `cache_dir`, or in `downloads` of `home()`."""
    if not name or name != Path(name).name or name.startswith(".") or name.endswith((".json", ".part")):
        raise ValueError(f"name needs a file name without folders and not of .json or .part, got {name!r}.")
    return (Path(cache_dir) if cache_dir is not None else home() / "downloads") / name


def fetch(
    name: str,
    addresses: str | Sequence[str],
    *,
    sha256: str | None = None,
    num_bytes: int | None = None,
    cache_dir: Path | str | None = None,
    remedy: str = "",
    progress: bool | None = None,
    log: Callable[[str], None] = lambda line: None,
    timeout_s: float = 30.0,
    connect_s: float = 4.0,
) -> Path:
    """A published file: the cached one, or else fetched from its addresses in turn.

    A broken download is resumed, by itself and when this is called again. A second process waits for the first and
    takes its file. Where no sha256 is known, that of the first fetch is written beside the file, and a file with
    another one is refused later.

    Args:
      name: of the file in the cache folder.
      addresses: http or https, all of the same file.
      sha256: hex digits, all 64 or the first of them; None where nobody has published them.
      num_bytes: size of the file, where it is known.
      cache_dir: see `cached_path`.
      remedy: another way to get the file, for errors, which already say where a file from a browser may be put.
      progress: bar in bytes; None shows it on a terminal and in a notebook.
      log: called with a line when the user has to wait, or something did not go as planned.
      timeout_s: a server that sends nothing for so long has stalled.
      connect_s: all hosts together have so long to take a connection.
    Returns:
      Path of the file, whose checksum this call has verified.
    Raises:
      InputError: no address gave the file; it is another file than the published or the first fetched one; the folder
        cannot be written to.
    """
    path = cached_path(name, cache_dir)
    addresses = [addresses] if isinstance(addresses, str) else addresses
    try:
        if _is_good(path, sha256, num_bytes):
            return path
        lock = path.with_name(f".{name}.lock")
        with exclusive_lock(lock, log=lambda line: log(f"{name}: may be on its way already. {line}")):
            # Another process may have fetched it in the meantime.
            if _is_good(path, sha256, num_bytes):
                return path
            if path.exists():
                log(f"{path}: is another file than the published one; that is fetched and takes its place.")
            part = Part(path.with_name(f"{name}.part"))
            limits = {"timeout_s": timeout_s, "connect_s": connect_s, "progress": progress, "log": log}
            address, digest = _from_one_of(addresses, path, part, sha256, num_bytes, remedy, limits)
            with open(part.path, "rb") as stream:
                os.fsync(stream.fileno())
            # The note first: a kill between the two leaves a checksum that the part has to match.
            _write_note(path, digest, part.num_bytes(), address)
            os.replace(part.path, path)
            part.remove()
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        problem = "the disk is full" if full else "cannot be read or written"
        advice = "Free some space (the part that has come is kept and resumed), or set" if full else "Set"
        raise InputError(
            path, f"{problem} ({error.strerror or error}).", f"{advice} {HOME_VARIABLE} to another folder."
        ) from error
    return path


def _from_one_of(addresses, path, part, sha256, num_bytes, remedy, limits):
    """Fetches the file into `part` from the first address that gives it: (address, checksum)."""
    hosts = {urlsplit(address).netloc for address in addresses}
    limits["connect_s"] /= len(hosts)
    problems, remedies = [], []
    for address in addresses:
        if urlsplit(address).netloc not in hosts:
            continue
        try:
            return address, _checked(address, path, part, sha256, num_bytes, limits)
        except Unavailable as error:
            problems.append(f"{address} {error.problem}")
            remedies.append(error.remedy)
            if isinstance(error, Unreachable):
                hosts.remove(urlsplit(address).netloc)
    if path.exists():
        problems.insert(0, f"what stands at {path} is another file")
    if part.num_bytes():
        remedies.append(f"The same command resumes behind the {size_text(part.num_bytes())} that have come.")
    remedies.append(f"Or download {addresses[0]} with a browser or on another machine and put it at {path}.")
    raise InputError(path.name, f"{'; '.join(problems)}.", " ".join(filter(None, [*dict.fromkeys(remedies), remedy])))


def _checked(address, path, part, sha256, num_bytes, limits):
    expected = _expected(path, sha256)
    for again in (True, False):
        resumed = download(address, part, num_bytes, any_origin=bool(expected), **limits)
        digest = checksum(part.path)
        if digest.startswith(expected):
            return digest
        part.remove()
        if not (resumed and again):
            break
        # The two parts may be of two files.
        limits["log"](f"{path.name}: does not fit together (sha256); fetching the whole of it.")
    note = _note(path)
    if sha256 and not digest.startswith(sha256):
        raise Unavailable(
            f"gives another file than the published one (its sha256 is {digest}, expected {sha256})", REPLACED
        )
    raise Unavailable(
        f"gives another file than on {note['date']} (its sha256 is {digest}, then {note['sha256']})",
        f"If its authors have replaced it and you trust the new one, delete {_note_path(path)} and fetch again.",
    )


def _expected(path, sha256):
    """Digits that the checksum has to begin with: all of the first fetch's, unless the published ones are others."""
    first = _note(path).get("sha256", "")
    return first if first.startswith(sha256 or "") else sha256


def _is_good(path, sha256, num_bytes):
    if not path.is_file() or num_bytes not in (None, path.stat().st_size):
        return False
    digest = checksum(path)
    if not digest.startswith(_expected(path, sha256)):
        return False
    if _note(path).get("sha256") != digest:
        # Put there by hand. In a folder that may only be read the file serves without a note.
        try:
            _write_note(path, digest, path.stat().st_size, None)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
    return True


def _note_path(path):
    return path.with_name(path.name + ".json")


def _note(path):
    """Empty where there is none, or a damaged one."""
    try:
        return read_json(_note_path(path))
    except InputError:
        return {}


def _write_note(path, digest, num_bytes, address):
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    write_json(_note_path(path), {"address": address, "sha256": digest, "num_bytes": num_bytes, "date": date})


@dataclass(frozen=True)
class Cached:
    """A file of the cache folder.

    Args:
      name: as given to `fetch`.
      path: of the file, or of the part of it that has come.
      num_bytes: on disk.
      is_whole: False while it is being fetched, and after an interrupted download.
      address: that gave it; None when it was put there by hand.
      sha256: None while it is not whole.
      date: of its fetch, UTC, YYYY-MM-DD; None while it is not whole.
    """

    name: str
    path: Path
    num_bytes: int
    is_whole: bool
    address: str | None = None
    sha256: str | None = None
    date: str | None = None


def listing(cache_dir: Path | str | None = None) -> list[Cached]:
    """All files of the cache folder by name; none when there is no folder."""
    folder = cached_path("any", cache_dir).parent
    rows = []
    for path in sorted(folder.glob("[!.]*")):
        if path.suffix == ".part":
            origin = Part(path).origin()
            rows.append(Cached(path.stem, path, path.stat().st_size, False, origin.get("address")))
        elif path.suffix != ".json" and path.is_file():
            note = _note(path)
            known = {field: note.get(field) for field in ("address", "sha256", "date")}
            rows.append(Cached(path.name, path, path.stat().st_size, True, **known))
    return rows


def is_here(name: str, cache_dir: Path | str | None = None) -> bool:
    """Whether the whole file is in the cache folder; `fetch` verifies its checksum too."""
    return cached_path(name, cache_dir).is_file()


def remove(name: str, cache_dir: Path | str | None = None) -> int:
    """Removes a file, or the part of it that has come. Its note stays: a later fetch has to match its checksum.

    Returns:
      Bytes that were freed; 0 when nothing was here.
    Raises:
      InputError: another process fetches it now, or the folder cannot be written to.
    """
    path = cached_path(name, cache_dir)
    part = Part(path.with_name(f"{name}.part"))
    if not path.exists() and not part.num_bytes():
        return 0
    busy = InputError(name, "is being fetched by another process.", "Wait for it, or stop it.")
    try:
        with exclusive_lock(path.with_name(f".{name}.lock"), busy):
            freed = part.num_bytes() + (path.stat().st_size if path.exists() else 0)
            path.unlink(missing_ok=True)
            part.remove()
            return freed
    except OSError as error:
        raise InputError(path, f"cannot be removed ({error.strerror}).") from error


def copy(name: str, out_dir: Path | str, cache_dir: Path | str | None = None) -> Path:
    """Copies a file that is here, and its note, for a machine without a network: into its own cache folder.

    Raises:
      InputError: the file is not here, or `out_dir` cannot be written to.
    """
    source, target = cached_path(name, cache_dir), cached_path(name, out_dir)
    if not source.is_file():
        raise InputError(source, "this file is missing.", "Fetch it first.")
    try:
        if not (target.exists() and target.samefile(source)):
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
            if _note(source):
                write_json(_note_path(target), _note(source))
    except OSError as error:
        raise InputError(target, f"cannot be written ({error.strerror}).", "Choose another folder.") from error
    return target
