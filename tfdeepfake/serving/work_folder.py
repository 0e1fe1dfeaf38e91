"""The server's own folder: gone when it ends, and swept by the next server where one was killed."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "tfdeepfake-serve-"
_LOCK_FILE = "lock"


@contextlib.contextmanager
def work_folder(parent: Path | str | None = None) -> Iterator[Path]:
    """A new folder that nobody else may read, locked as long as it is in use; removes those of killed servers first.

    Args:
      parent: where it lies; the system's place for such folders when not given.
    """
    parent = Path(parent or tempfile.gettempdir())
    for left in parent.glob(f"{PREFIX}*"):
        with _lock(left, new=False) as held:
            if held:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    with _lock(folder, new=True):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _lock(folder, new):
    """Whether the folder's lock could be had: not where another process holds it, nor in a stranger's folder."""
    try:
        import fcntl

        file = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if new else 0), 0o600)
    except (ImportError, OSError):
        yield False
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.fstat(file).st_uid == os.getuid()
        except OSError:
            held = False
        yield held
    finally:
        os.close(file)
