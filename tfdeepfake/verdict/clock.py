"""Time spent on one file: the seconds of each step, and the limit after which it is given up."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator


class TimeUp(BaseException):
    """The time limit of one file. Not an Exception: a decoder's `except Exception` must not swallow it."""


class Clock:
    """Counts the seconds of one file's steps and watches its limit."""

    def __init__(self, limit_s: float, spent: dict[str, float] | None = None):
        """`spent`: seconds of steps that were made elsewhere, which count."""
        self.limit_s = limit_s
        self.seconds = {"decode": 0.0, "detect": 0.0, "network": 0.0} | (spent or {})
        self._deadline = time.monotonic() + limit_s - sum(self.seconds.values())

    def check(self) -> None:
        """Raises TimeUp when the limit has passed."""
        if time.monotonic() > self._deadline:
            raise TimeUp

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Adds the seconds of its block to `name`, but for those of steps inside the block."""
        self.check()
        start, others = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            inside = sum(self.seconds.values()) - others
            self.seconds[name] += time.perf_counter() - start - inside

    @contextlib.contextmanager
    def alarm(self) -> Iterator[None]:
        """Raises TimeUp in this block when the limit has passed, wherever it is.

        The alarm reaches a decoder that hangs in a loop, but exists only in the main thread of a POSIX process;
        elsewhere the checks between steps and batches have to do.
        """
        if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            yield
            return

        def ring(signum, stack):
            raise TimeUp

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, max(1e-3, self._deadline - time.monotonic()))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
