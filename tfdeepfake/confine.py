"""What a process that opens strangers' files gives up first: memory, CPU time, files that it writes, the network.

Linux has all of it; elsewhere what the system lacks is left out, and `confine` says what holds.
"""

import ctypes
import platform
import struct
import sys

# (audit architecture, number of socket(2), of seccomp(2)), from the kernel's headers.
_MACHINES = {"x86_64": (0xC000003E, 41, 317), "aarch64": (0xC00000B7, 198, 277)}
_LOAD_WORD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES
_SET_FILTER, _ALL_THREADS, _NO_NEW_PRIVILEGES = 1, 1, 38
_OPEN_FILES = 1024


def confine(memory_bytes: int | None = None, file_bytes: int | None = None, network: bool = False) -> list[str]:
    """Limits this process and its threads, for good.

    Args:
      memory_bytes: of its own data, beyond what it has now; more is a MemoryError, or the end of the process.
      file_bytes: of a file that it writes; 0 for none.
      network: whether it may open sockets. Pipes it has stay open.
    Returns:
      Names of what is limited now: "memory", "files", "network".
    """
    held = []
    try:
        import resource
    except ImportError:  # no POSIX
        return held
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if file_bytes is not None:
        sys.dont_write_bytecode = True
        _limit(resource, resource.RLIMIT_NOFILE, _OPEN_FILES)
        _limit(resource, resource.RLIMIT_FSIZE, file_bytes)
        held.append("files")
    if memory_bytes is not None and sys.platform == "linux":
        _limit(resource, resource.RLIMIT_DATA, _data_bytes() + memory_bytes)
        held.append("memory")
    if not network and _no_sockets():
        held.append("network")
    return held


def limit_cpu(seconds: float) -> None:
    """Ends this process after so many more seconds of CPU time, those of all its threads together."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))


def _limit(resource, kind, value):
    _, hard = resource.getrlimit(kind)
    value = value if hard < 0 else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _data_bytes():
    """Data of this process that RLIMIT_DATA counts."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmData:"):
                return int(line.split()[1]) << 10
    return 0


def _no_sockets():
    """Refuses socket(2) to all threads of this process by a filter of system calls; False where there is none."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES or struct.calcsize("P") != 8:
        return False
    machine, socket_number, seccomp_number = _MACHINES[platform.machine()]

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    # Of another architecture (32-bit calls): refused, too. Offsets: 0 the call's number, 4 the architecture.
    program = (
        (_LOAD_WORD, 0, 0, 4),
        (_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD_WORD, 0, 0, 0),
        (_EQUAL, 0, 1, socket_number),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    filter_ = Filter(len(program), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return libc.syscall(seccomp_number, _SET_FILTER, _ALL_THREADS, ctypes.byref(filter_)) == 0
