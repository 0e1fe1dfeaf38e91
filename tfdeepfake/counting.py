"""A line that counts the seconds of work which tells nothing of its progress, and where bars are shown."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tqdm

EVERY_S = 1.0


def bar_hidden() -> bool | None:
    """`disable` of a bar of `tqdm.auto`: None lets it look for a terminal; a notebook shows it without one."""
    return False if "ipykernel" in sys.modules else None


@contextlib.contextmanager
def counting(what: str) -> Iterator[None]:
    """Shows `what: 00:12` on a terminal and in a notebook, counts on, and takes it away at the end.

    It goes on where standard error is put aside meanwhile (`quiet.hide_stderr`).
    """
    from tqdm.auto import tqdm

    with contextlib.ExitStack() as held:
        hidden = bar_hidden()
        options = {"disable": hidden} if hidden is False else {"disable": None, "file": _terminal(held)}
        bar = held.enter_context(tqdm(desc=what, bar_format="{desc}: {elapsed}", leave=False, **options))
        with moving(bar):
            yield


@contextlib.contextmanager
def moving(bar: "tqdm.tqdm") -> Iterator[None]:
    """Draws a bar again every second, so that its clock goes on during steps that take long."""
    if bar.disable:
        yield
        return
    ended = threading.Event()

    def count():
        while not ended.wait(EVERY_S):
            bar.refresh()

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _terminal(held):
    """Standard error, of its own so that it stays the terminal, or as it is where it is no file of the process."""
    try:
        return held.enter_context(os.fdopen(os.dup(sys.stderr.fileno()), "w"))
    except (OSError, ValueError, AttributeError):
        return sys.stderr
