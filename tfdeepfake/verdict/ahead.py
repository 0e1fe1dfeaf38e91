"""Whether files are looked at ahead of the network, and in how many processes: as the user says, else as it pays."""

import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfdeepfake.errors import InputError
from tfdeepfake.machine import free_bytes, usable_cores
from tfdeepfake.memory import give_back_memory
from tfdeepfake.verdict.isolated import Lookers, lookers
from tfdeepfake.verdict.judging import look_plan
from tfdeepfake.verdict.looking import Looked, look

if TYPE_CHECKING:
    from tfdeepfake.verdict.batch import Network
    from tfdeepfake.verdict.settings import JudgeSettings

# What is left must take so long, at the pace until then, to be worth the processes' start of 2 to 4 s of CPU.
WORTH_S = 10.0
# More were not measured; each takes memory, and the network wants cores, too.
MOST_PROCESSES = 4
# A second process for files of strangers, whose pace is not known yet, comes with so many for each.
_FILES_EACH = 4
# Memory that a process is counted with: it holds the frames of a file that are looked at, 32 of 4K are 0.8 GB, and what
# it makes of them (`benchmarks/README.md`). And what has to stay free beside them.
PROCESS_BYTES, SPARE_BYTES = 2 << 30, 1 << 30


class Ahead:
    """Files looked at in order, in this process or in others ahead of the network.

    Args:
      network, settings: as for `batch.judge_many`.
      guarded: whether a process that is begun would run nothing of the user's, see `runs_script_again`.
    """

    def __init__(self, network: "Network", settings: "JudgeSettings", guarded: bool):
        self._network, self.settings = network, settings
        self._may_begin = guarded or not runs_script_again()
        self._lookers: Lookers | None = None

    @property
    def read_frames(self) -> Callable | None:
        """What reads frames of strangers' files again, in a process with limits; None where none are asked for."""
        return self._lookers.read_frames if self._lookers and self.settings.isolate else None

    def looked(self, paths: Sequence[Path | str]) -> Iterator[tuple[Path | str, Looked]]:
        """Yields (path, Looked) in order. To be closed when it is left before its end."""
        wanted = self.settings.workers
        if wanted or self.settings.isolate:
            yield from self._in_processes(paths, wanted or max(1, self._worth(len(paths) // _FILES_EACH)))
            return
        begun, done = time.perf_counter(), 0
        plan = look_plan(self._network.model, self._network.recipe, self.settings)
        while done < len(paths):
            path = paths[done]
            yield path, look(path, plan, self._network.detect)
            give_back_memory()
            done += 1
            left_s = (time.perf_counter() - begun) / done * (len(paths) - done)
            processes = self._worth((len(paths) - done + 1) // 2, left_s) if wanted is None else 0
            if processes:
                try:
                    for one in self._in_processes(paths[done:], processes):
                        done += 1
                        yield one
                except InputError as error:
                    if error.subject != "workers":
                        raise
                    wanted = 0  # no process can be begun here: nobody asked for one

    def _in_processes(self, paths, count):
        self._lookers = lookers(self._network, self.settings, self.settings.isolate, count)
        with contextlib.closing(self._lookers.ahead(paths)) as ahead:
            yield from ahead

    def _worth(self, most, left_s=WORTH_S):
        """How many processes, up to `most`, it pays to begin for files that would take so long here; 0 for none."""
        cores = usable_cores()
        if cores < 2 or left_s < WORTH_S or not self._may_begin:
            return 0
        room = ((free_bytes() or 0) - SPARE_BYTES) // PROCESS_BYTES
        return max(0, min(cores, MOST_PROCESSES, most, room))


def runs_script_again() -> bool:
    """Whether a process that is begun would run the user's script, up to an `if __name__ == "__main__":` it may lack.

    Notebooks, interactive sessions and `python -m` of a package have no such script. A frozen program would run all
    of itself, and a daemon may begin no process.
    """
    if getattr(sys, "frozen", False) or multiprocessing.current_process().daemon:
        return True
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return not spec.name.endswith("__main__")
    return getattr(main, "__file__", None) is not None
