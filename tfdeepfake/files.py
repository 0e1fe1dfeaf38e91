"""Writing files so that a crash leaves no half of one; JSON, and lists of it to resume; checksums; the lock."""

import contextlib
import errno
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tfdeepfake.errors import InputError

# What the system says of a place that cannot be written to.
_REFUSALS = frozenset(
    getattr(errno, name)
    for name in "EACCES EPERM EROFS ENOTDIR EISDIR EEXIST ENOENT ENAMETOOLONG ELOOP ENXIO EFBIG EINVAL".split()
)


def raise_if_full(error: OSError, path: str | Path) -> None:
    """Turns "no space left" (or a quota) into an InputError that names the file; passes others on."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise InputError(
            path,
            "the disk is full while writing this file.",
            "Free some space or choose another folder, then run the same command again: finished work is kept.",
        ) from error
    raise error


def raise_if_unwritable(error: OSError, path: Path | str) -> None:
    """As `raise_if_full`, and also turns what the system says of a place that cannot be written to."""
    if error.errno in _REFUSALS:
        raise InputError(path, f"cannot be written ({error.strerror}).", "Choose another place.") from error
    raise_if_full(error, path)


def check_output_file(path: Path | str, suffixes: tuple[str, ...] = ()) -> None:
    """Refuses a file that could not be written, before anything is computed for it; nothing is made.

    Args:
      path: it and its folder need not be there.
      suffixes: one of which it needs; any when not given.
    Raises:
      InputError: it is a folder or a device, has another suffix, or its folder cannot be written to.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(path, "is a folder; a file is to be written.", "Give the name of a file.")
    if os.path.exists(path) and not path.is_file():
        raise InputError(path, "is a device; a file is to be written.", "Give the name of a file.")
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(path, f"needs the suffix {' or '.join(suffixes)}.", "The suffix decides the format.")
    _check_writable(path.parent, path)


def check_output_folder(path: Path | str) -> None:
    """Refuses a folder that could not be written to, before anything is computed for it; nothing is made.

    Raises:
      InputError: it is a file, or it or the folder around it cannot be written to.
    """
    path = Path(path)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise InputError(path, "is a file; a folder is to be written.", "Give the name of a folder.")
    _check_writable(path, path)


def _check_writable(folder, subject):
    """Makes a nameless file in the nearest folder that is there: permissions alone do not tell."""
    while not os.path.lexists(folder):
        folder = folder.parent
    if not os.path.isdir(folder):
        raise InputError(subject, f"cannot be written: {folder} is no folder.", "Choose another place.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            subject, f"cannot be written: {folder} refuses it ({error.strerror}).", "Choose another place."
        ) from error


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it over `path` when the block succeeds.

    The rename is atomic, so a reader (or a run that is started again after SIGKILL) sees the old file or
    the whole new one. The temporary file keeps the suffix, because Keras chooses the format by it.

    Raises:
      InputError: the disk is full, or the file cannot be written there. Errors of the block pass as they are, unless
        they say so of the temporary file.
    """
    path = Path(path)
    temporary = None
    if os.path.exists(path) and not path.is_file():
        check_output_file(path)
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".tmp-", suffix=f"-{path.name}", dir=path.parent)
            os.close(handle)
            # mkstemp makes files private; a result is as readable as any other file the user writes.
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
        except OSError as error:
            _check_writable(path.parent, path)  # says what is in the way
            raise_if_unwritable(error, path)
        try:
            yield Path(temporary)
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
        except OSError as error:
            if error.filename is not None and os.fspath(error.filename) == temporary:
                raise_if_unwritable(error, path)
            raise_if_full(error, path)
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes a JSON file atomically; NaN is refused, because it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


# A recipe has some kB. What Python makes of a text takes up to twenty times as much memory.
MOST_JSON_BYTES = 16 << 20


def read_json(path: str | Path, remedy: str = "") -> Any:
    """Reads a JSON object.

    Raises:
      InputError: the file is missing, unreadable, too long, nested too deep, no JSON object, or has numbers that JSON
        does not know.
    """
    try:
        with open(path, "rb") as stream:
            text = stream.read(MOST_JSON_BYTES + 1)
        if len(text) > MOST_JSON_BYTES:
            raise InputError(
                path, f"is longer than the {MOST_JSON_BYTES >> 20} MB that are read of such a file.", remedy
            )
        value = json.loads(text.decode(), parse_constant=_no_number, parse_float=_finite)
    except InputError:
        raise
    except RecursionError:
        raise InputError(path, "is not valid JSON (nested too deep).", remedy) from None
    except FileNotFoundError:
        raise InputError(path, "this file is missing.", remedy) from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror}).", remedy) from None
    except ValueError as error:
        raise InputError(path, f"is not valid JSON ({error}).", remedy) from None
    if not isinstance(value, dict):
        raise InputError(path, f"needs a JSON object, got {type(value).__name__}.", remedy)
    return value


def _no_number(name):
    raise ValueError(f"{name} is no number of JSON")


def _finite(text):
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large for a number")
    return number


def _json_line(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def begin_json_lines(path: Path | str, values: Iterable = ()) -> None:
    """Writes a file of JSON lines anew: a stop on the way leaves all the old lines or all the new ones."""
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        stream.writelines(map(_json_line, values))


def append_json_line(path: Path | str, value: Any) -> None:
    """Adds a line and waits until it is on the disk, so that whatever happens later cannot take it away.

    The file is made where it is missing. A last line that was cut off when its run was killed goes first.

    Raises:
      InputError: the disk is full; the lines before are kept and nothing of this one.
    """
    rest = memoryview(_json_line(value))
    try:
        # Without a buffer: what did not fit would be written again when the file is closed.
        with open(path, "a+b", buffering=0) as stream:
            whole = _end_of_last_line(stream)
            stream.truncate(whole)
            try:
                while rest:
                    rest = rest[stream.write(rest) :]
                os.fsync(stream.fileno())
            except OSError:
                stream.truncate(whole)
                raise
    except OSError as error:
        raise_if_full(error, path)


def _end_of_last_line(stream):
    """Bytes up to the last line's end."""
    end = stream.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - (1 << 16))
        stream.seek(start)
        at = stream.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def read_json_lines(path: Path | str, order: Iterable[int] | None = None) -> Iterator:
    """Yields the values of a file of JSON lines, one at a time; a last line that was cut off is left out.

    Args:
      path: the file.
      order: line numbers from 0, to read in this order; all lines as they stand when not given.
    Raises:
      InputError: the file cannot be read, or a line is no JSON; names it.
    """
    try:
        with open(path, "rb") as stream:
            if order is None:
                for number, line in enumerate(stream):
                    if line.endswith(b"\n"):
                        yield _parsed(line, path, number)
                return
            starts = [0]
            for line in stream:
                starts.append(starts[-1] + len(line))
            for number in order:
                stream.seek(starts[number])
                yield _parsed(stream.readline(), path, number)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror}).") from None


def _parsed(line, path, number):
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"line {number + 1} is not valid JSON ({error}).") from None


def sha256(path: str | Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def exclusive_lock(
    path: Path | str, busy: Exception | None = None, log: Callable[[str], None] | None = None
) -> Iterator[bool]:
    """Holds a lock file; the system lets go of it when the process ends, however it ends. It keeps threads apart too.

    The file stays where it is: were it removed, a process that waits for it and one that comes later would both hold
    a lock of that name.

    Args:
      path: the lock file, made where it is missing, folders included.
      busy: raised at once when another holds the lock; None waits until that one is done.
      log: called with a line that says whom it waits for, or that this file system has no locks.
    Yields:
      bool: False where there are no such locks (some network drives; Windows) and nothing is held.
    Raises:
      InputError: the disk is full. Other errors of the folder pass as they are.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # For writing too: network drives turn this lock into one that needs it.
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise_if_full(error, path)
    held = True
    try:
        try:
            import fcntl  # not on Windows

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if busy is not None:
                raise busy from None
            if log is not None:
                log(f"{path}: another process holds this lock; waiting until it is done.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except (ImportError, OSError):
            held = False
            if log is not None:
                log(f"{path}: this file system has no locks; do not run this twice at once.")
        yield held
    finally:
        if held:
            # A forked child has the same lock: closing alone would leave it held for as long as that lives.
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)
