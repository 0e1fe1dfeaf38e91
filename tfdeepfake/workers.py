"""Runs a function over many items in several processes, in order; a process that dies costs one item.

`concurrent.futures` gives up all pending work when a worker dies and cannot say at which item. A crafted video that
crashes the decoder must cost that one video, so each worker has a pipe and one item at a time.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any

from tfdeepfake.errors import InputError
from tfdeepfake.machine import usable_cores
from tfdeepfake.memory import give_back_memory
from tfdeepfake.quiet import LOG_LEVELS, close_stderr

# How many items per worker may be finished before a slower earlier one.
AHEAD = 8
# A process that has not started by then never will: importing takes some seconds, on a slow disk a minute.
START_LIMIT_S = 300.0


class WorkerCrashed(Exception):
    """The process that worked on an item died, or took too long and was killed; the text says how."""


def imap_ordered(
    function: Callable, items: Sequence, workers: int | None = None, time_limit_s: float = 600.0
) -> Iterator[tuple]:
    """Yields (item, result of function(item)) in the order of `items`.

    Processes are spawned, not forked: TensorFlow hangs in a forked child. Each process gets an equal
    number of cores and no GPU.

    Args:
      function: of one item; a function at the top of a module.
      items: list.
      workers: number of processes; None: one per core; 0: the function is called in this process.
      time_limit_s: a worker that takes longer over one item is killed. Not enforced when `workers` is 0.
    Yields:
      (item, result). The result is an instance of `WorkerCrashed` when the worker died over this item.
    Raises:
      Exception: whatever the function raises; no more items are worked on then.
      InputError: workers cannot be started.
    """
    if workers == 0:
        for item in items:
            yield item, function(item)
        return
    cores = usable_cores()
    count = min(workers or cores, len(items))
    pool = [None] * count
    done, given, out = {}, 0, 0
    try:
        while out < len(items):
            for n in range(count):
                if given == min(len(items), out + AHEAD * count):
                    break
                if pool[n] and pool[n].item is None and not pool[n].process.is_alive():
                    pool[n] = None
                if pool[n] is None:
                    pool[n] = _Worker(max(1, cores // count))
                if pool[n].item is None:
                    pool[n].give(given, (function, items[given]), time_limit_s)
                    given += 1
            for n, worker in enumerate(pool):
                if worker and worker.late():
                    done[worker.item] = worker.overdue(time_limit_s)
                    worker.end()
                    pool[n] = None
            busy = {w.pipe: n for n, w in enumerate(pool) if w and w.item is not None}
            for pipe in wait(list(busy), timeout=1.0):
                worker = pool[busy[pipe]]
                try:
                    fine, result = pipe.recv()
                except (EOFError, ConnectionError):
                    done[worker.item] = worker.death()
                    worker.end()
                    pool[busy[pipe]] = None
                    continue
                if fine is None:
                    worker.ready, worker.deadline = True, time.monotonic() + time_limit_s
                    continue
                if not fine:
                    raise result
                done[worker.item] = result
                worker.item = None
            while out in done:
                yield items[out], done.pop(out)
                out += 1
    finally:
        for worker in pool:
            if worker:
                worker.end()


class OwnProcess:
    """A process that functions run in: begun when it is first needed, kept for the next call, begun again when it died.

    Calls must come one after the other.

    Args:
      threads: of the libraries in it.
      load: of the bytes that it answers with; where it raises pickle.UnpicklingError, the process is ended.
      answers: function of what it asks by `ask_parent` before it answers.
    """

    def __init__(self, threads: int = 1, load: Callable = pickle.loads, answers: Callable | None = None):
        self._threads, self._load, self._answers, self._worker = threads, load, answers, None
        self._killed, self._interrupted, self._beginning = False, False, threading.Lock()

    def __call__(self, function: Callable, item: Any, time_limit_s: float = 600.0) -> Any:
        """function(item), see `run_isolated`."""
        with self._beginning:
            worker = self._worker
            if self._killed:
                return WorkerCrashed("it was not wanted any more.")
            if worker is None or self._interrupted or not worker.process.is_alive():
                self.close()
                worker, self._interrupted = _Worker(self._threads), False
                self._worker = worker
        worker.give(0, (function, item), time_limit_s)
        while True:
            try:
                if not worker.pipe.poll(max(0.0, worker.deadline - time.monotonic())):
                    died = worker.overdue(time_limit_s)
                    break
                fine, answer = self._load(worker.pipe.recv_bytes())
            except (EOFError, ConnectionError):
                died = worker.death()
                break
            except pickle.UnpicklingError as error:
                died = WorkerCrashed(f"the process that read it gave no plain answer ({error}).")
                break
            if fine is None:
                worker.ready, worker.deadline = True, time.monotonic() + time_limit_s
            elif fine == _ASKS:
                if self._answers is None or time.monotonic() > worker.deadline:
                    died = worker.overdue(time_limit_s)
                    break
                with contextlib.suppress(ConnectionError):  # it has died: seen when its answer is read
                    worker.pipe.send(self._answers(answer))
            elif fine:
                return answer
            else:
                raise answer
        self.close()
        return died

    def close(self) -> None:
        """Ends the process; the next call begins another."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def interrupt(self) -> None:
        """Ends what another thread waits for, which gets WorkerCrashed at once; the next call begins a new process."""
        with self._beginning:
            if self._worker is not None:
                self._interrupted = True  # a killed process may seem alive for a moment
                self._worker.process.kill()

    def kill(self) -> None:
        """Ends the process for good; may be called while another thread waits for its answer, which comes at once."""
        with self._beginning:
            self._killed, worker = True, self._worker
            if worker is not None:
                worker.process.kill()


# Beam calls from several threads of a process; each thread has its own process, which it uses again for the next item.
_mine = threading.local()


def run_isolated(function: Callable, item: Any, threads: int = 1, time_limit_s: float = 600.0) -> Any:
    """function(item) from a process that belongs to the calling thread, for callers that `imap_ordered` cannot serve.

    Returns:
      What the function returns, or an instance of `WorkerCrashed` when the process died over this item.
    Raises:
      What the function raises; InputError: the process cannot be started.
    """
    if not hasattr(_mine, "process"):
        _mine.process = OwnProcess(threads)
    return _mine.process(function, item, time_limit_s)


class _Worker:
    """A process, its pipe, and the number of the item it works on."""

    def __init__(self, threads):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.item, self.deadline, self.ready = None, 0.0, False
        self.process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        try:
            with _starting, _environment(threads):
                self.process.start()
        except OSError as error:
            raise InputError(
                "workers", f"no further process can be started ({error.strerror}).", "Use fewer."
            ) from error
        theirs.close()

    def late(self):
        # The caller may have been busy for long: an answer that is already there came in time.
        return self.item is not None and time.monotonic() > self.deadline and not self.pipe.poll()

    def give(self, number, work, time_limit_s):
        self.item = number
        self.deadline = time.monotonic() + (time_limit_s if self.ready else START_LIMIT_S)
        with contextlib.suppress(ConnectionError):  # it has died: seen when its answer is read
            self.pipe.send(work)

    def overdue(self, time_limit_s):
        """The WorkerCrashed of a worker whose time is up."""
        self._must_have_started()
        return WorkerCrashed(f"it took longer than {time_limit_s:g} s.")

    def _must_have_started(self):
        if not self.ready:
            raise InputError(
                "workers",
                "a worker process did not start.",
                "In a script, call this under `if __name__ == '__main__':`, or with workers=0 in this process.",
            )

    def death(self):
        """The WorkerCrashed of a worker whose pipe is closed."""
        self._must_have_started()
        self.process.join(10)
        code = self.process.exitcode
        try:
            how = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
        except ValueError:
            how = f"signal {-code}"
        return WorkerCrashed(f"the process that read it died ({how}).")

    def end(self):
        self.pipe.close()
        self.process.kill()
        self.process.join()


# One thread after another changes the environment and puts it back.
_starting = threading.Lock()


@contextlib.contextmanager
def _environment(threads):
    """Environment that a worker is born with; libraries read it before any of our code runs there."""
    wanted = LOG_LEVELS | {
        "CUDA_VISIBLE_DEVICES": "-1",
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def ask_parent(question: Any) -> Any:
    """What the parent's `OwnProcess.answers` says to a question, in a function that runs in such a process.

    Raises:
      RuntimeError: this process is none.
    """
    if _parent is None:
        raise RuntimeError("ask_parent needs a process that OwnProcess has begun.")
    _parent.send_bytes(pickle.dumps((_ASKS, question)))
    return pickle.loads(_parent.recv_bytes())


# In a worker: its pipe. Of a message: that it is a question.
_parent, _ASKS = None, "asks"


def _serve(pipe, threads):
    """Main function of a worker: sends (None, None) once it has started, then answers (function, item) with
    (True, result) or (False, exception)."""
    global _parent
    _parent = pipe
    # Ctrl-C reaches the whole group of processes; the parent ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(threads)
    pipe.send((None, None))
    # Exceptions travel by the pipe; what C libraries write would tear the parent's progress bar, and TensorFlow, which
    # is loaded when a detector needs it, writes some lines whatever its log level is.
    close_stderr()
    while True:
        try:
            work = pipe.recv_bytes()
        except (EOFError, ConnectionError):
            return  # the parent is gone
        with contextlib.suppress(ConnectionError):
            pipe.send_bytes(_answer(work))
        give_back_memory()


def _end_with_parent():
    """Ends this process when its parent has gone, however that ended and whatever is at work here."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _answer(work):
    """What a worker answers to a pickled (function, item), pickled."""
    try:
        function, item = pickle.loads(work)
        answer = True, function(item)
    except Exception as error:
        answer = False, error
    try:
        return pickle.dumps(answer)
    except Exception:  # pickle raises many types of errors for what it cannot take
        return pickle.dumps((False, RuntimeError(f"{type(answer[1]).__name__}: {answer[1]}")))
