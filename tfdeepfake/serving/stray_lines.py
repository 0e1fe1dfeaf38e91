"""What libraries write past Python to standard error, such as libjpeg of a damaged file, as lines of the log.

The graph decodes JPEG files with a copy of libjpeg of its own, which heeds no setting, and writes between the server's
lines of JSON. Standard error is a pipe therefore, while the server runs, and Python's own lines go where it was before.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

MOST_CHARACTERS = 500
_END_S = 2.0  # a process that was begun meanwhile may hold the pipe open


@contextlib.contextmanager
def stray_lines(log: Callable) -> Iterator[None]:
    """Inside this block each line that is written to file descriptor 2 is a call log("library", line=TEXT).

    `sys.stderr` writes where that descriptor led before.
    """
    try:
        aside = os.dup(2)
    except OSError:  # a process without standard error
        yield
        return
    before = sys.stderr
    before.flush()
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    sys.stderr = os.fdopen(aside, "w", buffering=1, encoding=before.encoding, errors="backslashreplace")
    thread = threading.Thread(target=_read, args=(reading, log), name="stray_lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(aside, 2)  # which closes the pipe's end
        thread.join(_END_S)
        sys.stderr.flush()
        sys.stderr, mine = before, sys.stderr
        mine.close()


def _read(reading, log):
    with os.fdopen(reading, encoding="utf-8", errors="backslashreplace") as lines:
        for line in iter(lambda: lines.readline(1 << 16), ""):
            if text := line.strip():
                log("library", line=text[:MOST_CHARACTERS])
