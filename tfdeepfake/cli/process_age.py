"""How long this process has been running: start-up as the user waits for it, imports included."""

import os
import time

IMPORTED = time.perf_counter()


def process_age_s() -> float:
    """Seconds since the process began; where the system does not tell, since this module was imported."""
    try:
        with open("/proc/self/stat", encoding="utf-8") as stream:
            # The name, in brackets, may hold anything; the start is the 20th field behind it, in ticks since the boot.
            ticks = int(stream.read().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return time.perf_counter() - IMPORTED
