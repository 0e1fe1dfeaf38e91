"""What this process may take of the machine: cores and memory, as affinity and the groups of containers allow."""

import os
from collections.abc import Iterator
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS, _MEMORY = Path("/proc/self/cgroup"), Path("/proc/meminfo")


def usable_cores() -> int:
    """Cores that this process may keep busy, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    for folder in _groups("cpu"):
        quota = _numbers(folder / "cpu.max") or _numbers(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
        if len(quota) == 2 and quota[0] > 0 and quota[1] > 0:
            cores = min(cores, max(1, quota[0] // quota[1]))
    return cores


def free_bytes() -> int | None:
    """Memory that may still be taken, caches that the system gives up included; None where it does not tell."""
    free = None
    for line in _text(_MEMORY).splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) << 10
    for folder in _groups("memory"):
        limit = _numbers(folder / "memory.max") or _numbers(folder / "memory.limit_in_bytes")
        used = _numbers(folder / "memory.current") or _numbers(folder / "memory.usage_in_bytes")
        if free is not None and limit and used:
            free = min(free, limit[0] - used[0] + _cached(folder))
    return free if free is None else max(0, free)


def _groups(controller) -> Iterator[Path]:
    """Folders of the control groups that this process is in, each with those above it."""
    for line in _text(_OWN_GROUPS).splitlines():
        _, controllers, below = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _CONTROL_GROUPS / controllers
        # In a container the path is that of the host, and its own group lies at the root.
        folder = root / below.strip("/")
        yield from (one for one in (folder, *folder.parents) if one == root or root in one.parents)


def _cached(folder):
    """Bytes of files that a group holds and would give up first."""
    names = ("total_inactive_file", "inactive_file")
    counted = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
    return next((int(counted[name]) for name in names if name in counted), 0)


def _numbers(*paths):
    """Whole numbers of one-line files, [] where one is missing or says "max"."""
    words = [word for path in paths for word in (_text(path).split() or [""])]
    return [int(word) for word in words] if all(word.lstrip("-").isdigit() for word in words) else []


def _text(path):
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
