"""One published file over HTTP: resumes a broken download, refuses what is not the file, says what failed.

requests does HTTP, TLS, redirects and the proxies that the environment names. Resuming by Range with If-Range, and
telling the file from a page in its place, are ours: pooch 1.9 starts every download anew and huggingface_hub serves its
own site only.
"""

import errno
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tfdeepfake.counting import bar_hidden
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json, write_json
from tfdeepfake.weights.connection import Unavailable, explained, page_problem, refuse_unreachable, status_problem

# Most tries in a row without new bytes, and the seconds before the second of them; doubled for each further one.
TRIES = 5
WAIT_S = 1.0
PIECE_BYTES = 1 << 16
# Where neither we nor the server know the size.
LARGEST_BYTES = 32 << 30
REPLACED = "Its authors may have replaced it: a newer tfdeepfake may know the new one."


def size_text(num_bytes: int) -> str:
    """1215928160 -> "1.2 GB"."""
    for unit, each in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if num_bytes >= each:
            return f"{num_bytes / each:.1f} {unit}"
    return f"{num_bytes} bytes"


@dataclass(frozen=True)
class Part:
    """The beginning of a file, and beside it as JSON where it came from: address, validator, num_bytes."""

    path: Path

    @property
    def origin_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def num_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def origin(self) -> dict:
        """Empty where it is missing or damaged: the part is then of unknown origin."""
        try:
            return read_json(self.origin_path)
        except InputError:
            return {}

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.origin_path.unlink(missing_ok=True)


def download(
    address: str,
    part: Part,
    num_bytes: int | None = None,
    any_origin: bool = False,
    timeout_s: float = 30.0,
    connect_s: float = 4.0,
    progress: bool | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> bool:
    """Fetches the whole file of one address into `part`; a broken connection is resumed by itself.

    Args:
      address: http or https.
      part: an earlier try may have begun it; it stays when this try fails.
      num_bytes: size of the file, where it is known.
      any_origin: resume a part from another address, or from a server that cannot say whether its file has changed.
        For files whose checksum is known.
      timeout_s: a server that sends nothing for so long counts as stalled.
      connect_s: a server without a connection after so long counts as unreachable.
      progress: bar in bytes; None shows it on a terminal and in a notebook.
      log: called with a line when a try failed or an earlier one is resumed.
    Returns:
      Whether bytes of an earlier try were used.
    Raises:
      Unavailable: what came was not the file, or nothing came.
      OSError: the disk is full, or the folder cannot be written to.
    """
    import requests

    refuse_unreachable(address, connect_s)
    resumed, farthest, tries = False, part.num_bytes(), 0
    with requests.Session() as session:
        while True:
            try:
                resumed |= _one_try(
                    session, address, part, num_bytes, any_origin, (connect_s, timeout_s), progress, log
                )
                return resumed
            except Unavailable as error:
                reached = part.num_bytes()
                tries = 1 if reached > farthest else tries + 1
                farthest = max(farthest, reached)
                if not error.passing or tries >= TRIES:
                    raise
                log(f"{address} {error.problem}; trying again.")
                time.sleep(WAIT_S * 2 ** (tries - 1))


def _one_try(session, address, part, num_bytes, any_origin, timeout, progress, log):
    """One request, see `download`. True when it used bytes of an earlier one."""
    import requests

    origin, have = part.origin(), part.num_bytes()
    validator = origin.get("validator") if origin.get("address") == address else None
    if not (validator or any_origin) or have > (num_bytes or LARGEST_BYTES):
        have = 0
    if have and have == num_bytes:
        return True
    # Compressed on the way, the bytes of a part would not be those of the file.
    headers = {"Accept-Encoding": "identity", "User-Agent": "tfdeepfake"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    try:
        with session.get(address, headers=headers, stream=True, timeout=timeout) as response:
            if response.status_code == 416 and have:
                whole = response.headers.get("Content-Range") == f"bytes */{have}"
                if whole and not num_bytes:
                    return True
                part.remove()
                if whole:
                    raise _of_another_size(f"has {have:,} bytes", num_bytes)
                raise Unavailable("has another file than the one that was begun", passing=True)
            start, total = _offer(response, address, part, have)
            pieces = response.iter_content(PIECE_BYTES)
            first = next(pieces, b"")
            if not start:
                page = page_problem(response.headers.get("Content-Type", ""), first, urlsplit(response.url).hostname)
                if page:
                    raise page
            if num_bytes and total not in (None, num_bytes):
                raise _of_another_size(f"offers {total:,} bytes", num_bytes)
            if total is None and not (num_bytes or any_origin or response.raw.chunked):
                raise Unavailable("does not say how large the file is: a part of it could not be told from the whole")
            if start:
                log(f"{part.path.stem}: resumed at {size_text(start)}.")
            else:
                part.remove()
                begun = {"address": address, "validator": _validator(response.headers), "num_bytes": total}
                write_json(part.origin_path, begun)
            _receive(part, start, total, num_bytes, first, pieces, progress)
            return bool(start)
    except requests.RequestException as error:
        raise explained(error, address, timeout[1]) from error


def _offer(response, address, part, have):
    """(first byte, size of the whole file or None) of what an answer sends."""
    if address.startswith("https:") and not response.url.startswith("https:"):
        raise Unavailable(f"leads to {response.url.split('?')[0]}, where anybody on the way could put another file")
    headers = response.headers
    if response.status_code == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        total = int(span[2]) if span and span[2] != "*" else None
        known = part.origin().get("num_bytes")
        if not have or not span or int(span[1]) != have or (known and total and total != known):
            part.remove()
            raise Unavailable("sent another part than the one that was missing", passing=True)
        return have, total
    if response.status_code != 200:
        raise status_problem(response.status_code, response.reason, address)
    length = headers.get("Content-Length", "")
    # Of a compressed answer it is the compressed size.
    plain = headers.get("Content-Encoding", "identity") == "identity"
    return 0, int(length) if plain and length.isdecimal() else None


def _validator(headers):
    """What tells this file from a later one under the same address; a weak ETag may not be asked for by If-Range."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def _receive(part, start, total, num_bytes, piece, pieces, progress):
    """Writes `piece` and all `pieces` behind the first `start` bytes of the part."""
    missing = (total or num_bytes or 0) - start
    free = shutil.disk_usage(part.path.parent).free
    if missing > free:
        raise OSError(errno.ENOSPC, f"{size_text(missing)} are missing, {size_text(free)} are free")
    size, limit = start, num_bytes or total or LARGEST_BYTES
    with (
        open(part.path, "ab" if start else "wb") as stream,
        _bar(progress, total=total or num_bytes, initial=start, desc=part.path.stem) as bar,
    ):
        while piece:
            size += len(piece)
            if size > limit:
                part.remove()
                raise _of_another_size(f"sends more than {limit:,} bytes", num_bytes)
            stream.write(piece)
            # After a kill the file holds what the bar has shown.
            stream.flush()
            bar.update(len(piece))
            piece = next(pieces, b"")
    if size < (total or 1):
        raise Unavailable(f"broke off after {size:,} of {total or 'all'} bytes", passing=True)
    if num_bytes and size < num_bytes:
        # The server did not say how much it would send: the line may have been cut.
        raise _of_another_size(f"sent {size:,} bytes", num_bytes, passing=True)


def _of_another_size(sent, num_bytes, passing=False):
    published = f", the published file has {num_bytes:,}" if num_bytes else ", which no published file has"
    return Unavailable(sent + published, REPLACED, passing)


def _bar(progress, **options):
    from tqdm.auto import tqdm

    hidden = False if progress else bar_hidden()
    return tqdm(unit="B", unit_scale=True, disable=True if progress is False else hidden, **options)
