"""Files are looked at in processes of their own: ahead of the network, and, where strangers sent them, within limits.

A process that reads a stranger's file may crash, hang, fill the memory, or come under somebody else's control. It has
limits (`confine`), it is ended when its time is up, and of what it answers nothing but arrays and plain facts is taken.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfdeepfake.machine import usable_cores
from tfdeepfake.plain_answers import plain_process
from tfdeepfake.verdict.clock import Clock
from tfdeepfake.verdict.looking import Failure, Looked, LookPlan, look
from tfdeepfake.workers import OwnProcess

if TYPE_CHECKING:
    from tfdeepfake.data.video import Frames
    from tfdeepfake.verdict.batch import Network
    from tfdeepfake.verdict.judging import Verdict
    from tfdeepfake.verdict.settings import JudgeSettings

# A process that does not end by itself when its time is up is ended so much later.
GRACE_S = 10.0
_REMEDY = "Convert it with a program you trust, or raise --memory-mb or --time-limit-s."
_REMEDY_WITHOUT_LIMITS = "Convert it with a program you trust; --workers 0 takes less memory."
# Arrays and the facts of a file.
_PLAIN = {
    ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"), ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "scalar"), ("tfdeepfake.verdict.looking", "Looked"),
    ("tfdeepfake.verdict.looking", "Failure"), ("tfdeepfake.data.examples", "Example"),
    ("tfdeepfake.data.video.read", "VideoInfo"), ("tfdeepfake.data.video.read", "Frames"),
    ("tfdeepfake.data.video.packets", "StreamInfo"),
}  # fmt: skip


@dataclass(frozen=True)
class _Job:
    """A file for another process. memory_mb: None without limits."""

    path: str
    plan: LookPlan
    detector: str
    weights: str | None
    memory_mb: int | None


@functools.cache
def _ready(detector, weights, memory_mb):
    """(the detector of this process, bytes that it takes); from here on the limits hold."""
    import av  # noqa: F401
    import cv2  # noqa: F401

    from tfdeepfake.data import faces

    detect = faces.make_detector(detector, weights)
    if memory_mb is not None:
        from tfdeepfake.confine import confine

        confine(memory_mb << 20, file_bytes=0)
    return detect, _most_bytes()


def _most_bytes():
    """The most memory that this process has had; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text(errors="replace").splitlines():
            if line.startswith("VmPeak:"):
                return int(line.split()[1]) << 10
    return 0


def _begin(job):
    """The detector, and CPU time for one file."""
    detect, _ = _ready(job.detector, job.weights, job.memory_mb)
    if job.memory_mb is not None:
        from tfdeepfake.confine import limit_cpu

        limit_cpu((job.plan.time_limit_s + GRACE_S) * (os.cpu_count() or 1))
    return detect


def _look(job):
    """`looking.look`; where the limit of memory may have been met, that is said."""
    try:
        looked = look(job.path, job.plan, _begin(job))
    except MemoryError:  # before a file was even opened
        looked = Looked(failure=Failure("error", "unexpected MemoryError", ""))
    failure = looked.failure
    if job.memory_mb is None or failure is None or failure.status == "no_face":
        return looked
    reason = f"needs more memory than the limit of {job.memory_mb} MB."
    if not failure.reason.startswith("unexpected MemoryError"):
        # FFmpeg seldom says that it got no memory: it calls the frame damaged, or a thread missing.
        _, before = _ready(job.detector, job.weights, job.memory_mb)
        if _most_bytes() - before < job.memory_mb << 19:
            return looked
        reason = f"{failure.reason} It may be the limit of {job.memory_mb} MB of memory."
    return dataclasses.replace(looked, failure=dataclasses.replace(failure, reason=reason, remedy=_REMEDY))


def _read(work):
    """Frames of a file, or None where they cannot be read."""
    from tfdeepfake.data import video

    job, indices, options = work
    _begin(job)
    clock = Clock(job.plan.time_limit_s)
    try:
        with clock.alarm():
            return video.read_frames(job.path, indices, **options)
    except (video.VideoError, MemoryError):
        return None


class Lookers:
    """Processes that look at files.

    Args:
      plan: of all files.
      detector, weights: see `faces.make_detector`.
      processes: how many.
      memory_mb: of each, beyond what its libraries take, and the other limits of `confine`; None for no limits.
    """

    def __init__(
        self,
        plan: LookPlan,
        detector: str,
        weights: Path | str | None = None,
        processes: int = 1,
        memory_mb: int | None = None,
    ):
        self._job = _Job("", plan, detector, None if weights is None else str(weights), memory_mb)
        begin = OwnProcess if memory_mb is None else functools.partial(plain_process, _PLAIN)
        threads = max(1, usable_cores() // processes)
        self._all = [begin(threads=threads) for _ in range(processes)]
        self._free = queue.LifoQueue()
        for process in self._all:
            self._free.put(process)
        self._reader = begin(threads=1)  # its frames are waited for while the others look ahead

    def look(self, path: Path | str) -> Looked:
        """Looks at a file in the first process that is free. May be called from several threads.

        Returns:
          Looked; of a file over which the process died or took too long, a failure that names the limits.
        """
        process = self._free.get()
        try:
            answer = self._ask(process, _look, self._of(path))
        finally:
            self._free.put(process)
        return answer if isinstance(answer, Looked) else Looked(failure=self._died(answer))

    def ahead(self, paths: Iterable[Path | str]) -> Iterator[tuple[Path | str, Looked]]:
        """Yields (path, Looked) in order; meanwhile as many more as there are processes, and one, are looked at."""
        waiting, paths = collections.deque(), iter(paths)
        pool = concurrent.futures.ThreadPoolExecutor(len(self._all))
        try:
            while True:
                while len(waiting) < len(self._all) + 2:
                    path = next(paths, None)
                    if path is None:
                        break
                    waiting.append((path, pool.submit(self.look, path)))
                if not waiting:
                    return
                path, future = waiting.popleft()
                yield path, future.result()
        finally:
            for process in self._all:  # first, or the pool would wait for files that nobody wants any more
                process.kill()
            pool.shutdown(cancel_futures=True)
            self.close()

    def read_frames(self, path: Path | str, indices: Any, **options: Any) -> "Frames":
        """`video.read_frames` in one of the processes.

        Raises:
          video.VideoError: they cannot be read.
        """
        from tfdeepfake.data import video

        answer = self._ask(self._reader, _read, (self._of(path), indices, options))
        if not isinstance(answer, video.Frames):
            raise video.VideoError(path, "cannot be read again.")
        return answer

    def close(self) -> None:
        """Ends the processes; the next call begins others."""
        for process in (*self._all, self._reader):
            process.close()

    def _of(self, path):
        return dataclasses.replace(self._job, path=os.fspath(path))

    def _ask(self, process, function, work):
        return process(function, work, self._job.plan.time_limit_s + GRACE_S)

    def _died(self, crash):
        limits = [f"{self._job.plan.time_limit_s:g} s"]
        if self._job.memory_mb is not None:
            limits.insert(0, f"{self._job.memory_mb} MB of memory")
        remedy = _REMEDY_WITHOUT_LIMITS if self._job.memory_mb is None else _REMEDY
        return Failure("error", f"{crash} Its limits: {', '.join(limits)}.", remedy)


_mine = threading.local()


def judge_isolated(
    path: Path | str, network: "Network", settings: "JudgeSettings", keep: Callable[[list], None] | None = None
) -> "Verdict":
    """`judging.judge` with the file read, and its faces found, in a process of this thread's own, within its limits.

    The process is kept for the thread's next call with the same network and settings; `release` ends it.

    Args:
      path: of the file.
      network: of `batch.load_network`.
      settings: `memory_mb` and `time_limit_s` are the limits.
      keep: see `judge`.
    Returns:
      Verdict.
    """
    from tfdeepfake.verdict.judging import judge_looked

    kind = (network.folder, network.detector, settings)
    if getattr(_mine, "kind", None) != kind:
        release()
        _mine.lookers, _mine.kind = lookers(network, settings, isolate=True), kind
    looked = _mine.lookers.look(path)
    return judge_looked(path, looked, network.model, network.recipe, settings, keep)


def release() -> None:
    """Ends the process that `judge_isolated` keeps for this thread."""
    with contextlib.suppress(AttributeError):
        _mine.lookers.close()
    _mine.kind = None


def lookers(network: "Network", settings: "JudgeSettings", isolate: bool, processes: int = 1) -> Lookers:
    """`Lookers` for a network."""
    from tfdeepfake.verdict.judging import look_plan

    plan = look_plan(network.model, network.recipe, settings)
    memory_mb = settings.memory_mb if isolate else None
    return Lookers(plan, network.detector, network.detector_weights, processes, memory_mb)
