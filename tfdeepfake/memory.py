"""Memory that has been freed goes back to the system."""

import ctypes
import functools
import sys


def give_back_memory() -> None:
    """Returns freed memory to the system, where the C library is glibc; elsewhere nothing happens.

    It keeps the pages between blocks that are still used, and takes the next frames from the system when they do not
    fit between: over many videos of different sizes a process would grow. Takes a few milliseconds.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim():
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
