"""Uploads waiting to be judged, judged, and kept for a while: a queue in front of worker processes.

Everything here runs in the server's event loop, but for the threads that wait for the processes.
"""

import asyncio
import contextlib
import errno
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.plain_answers import plain_process
from tfdeepfake.serving.judged import PROGRESS_FILE, Source, Task, judge_upload
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.verdict.judging import Verdict
from tfdeepfake.verdict.results import IMAGES, PAGE, RESULT
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.workers import OwnProcess, WorkerCrashed

UPLOADING, QUEUED, RUNNING, DONE, STOPPED = "uploading", "queued", "running", "done", "stopped"
POLL_S = 0.25
# Beyond the time for judging: drawing the images, and loading the network again where a process died.
_EXTRA_S = 90.0


class Full(Exception):
    """No further upload is taken now."""


@dataclass(eq=False)
class Job:
    """One upload.

    Args:
      id: unguessable; whoever has it may read the verdict.
      folder: of its files.
      name: of the video, as text that can be a file's name.
      state: one of UPLOADING, QUEUED, RUNNING, DONE, STOPPED (the server ended before it was judged).
      verdict: dict, when DONE (docs/predictions.md).
      length: bytes that a resumable upload will have; expires: when it is deleted unless more comes.
      process: that judges it, while it is RUNNING.
    """

    id: str
    folder: Path
    name: str = ""
    state: str = UPLOADING
    num_bytes: int = 0
    created: float = field(default_factory=time.time)
    ended: float | None = None
    verdict: dict | None = None
    length: int | None = None
    expires: float | None = None
    process: OwnProcess | None = None


class Jobs:
    """The queue.

    Args:
      source: the network that judges.
      settings: limits.
      judge: how each is judged.
      log: called with (event, **facts).
      answers: of what the processes ask meanwhile, see `shared_model`.
    """

    def __init__(
        self,
        source: Source,
        settings: ServeSettings,
        judge: JudgeSettings | None = None,
        log: Callable = lambda event, **facts: None,
        answers: Callable | None = None,
    ):
        self._source, self._settings, self._log, self._answers = source, settings, log, answers
        self.folder = None
        self._judge = judge or JudgeSettings(time_limit_s=settings.time_limit_s)
        self._jobs: dict[str, Job] = {}
        self._waiting: asyncio.Queue[Job] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="judge")
        self._tasks: list[asyncio.Task] = []
        self._processes: list[OwnProcess] = []
        self.stopping = asyncio.Event()
        self.ready, self.problem, self.limits = False, "", []
        self.counts: dict[str, int] = {}

    async def start(self, folder: Path) -> None:
        """Starts the processes; `ready` once each has its network. The jobs' files lie in `folder`."""
        self.folder = folder
        self._processes = [plain_process(answers=self._answers) for _ in range(self._settings.workers)]
        self._tasks = [asyncio.create_task(self._work(process)) for process in self._processes]
        self._tasks.append(asyncio.create_task(self._sweep()))

    async def stop(self) -> None:
        """Takes nothing more, lets finish what is judged now, and removes all files."""
        self.stopping.set()
        for job in self._jobs.values():
            if job.state in (UPLOADING, QUEUED):
                self._end(job, STOPPED)
        for task in self._tasks[: self._settings.workers]:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for task in self._tasks:
            task.cancel()
        self.abandon()
        self._threads.shutdown(wait=False)
        for job in list(self._jobs.values()):
            self.remove(job)

    def abandon(self) -> None:
        """Ends the processes now, whatever they do; may be called in any thread."""
        for process in self._processes:
            process.close()

    @property
    def num_open(self) -> int:
        """Uploads, waiting and running jobs."""
        return sum(job.state in (UPLOADING, QUEUED, RUNNING) for job in self._jobs.values())

    def open(self) -> Job:
        """A job for an upload that begins.

        Raises:
          Full: the queue is full, or the server ends.
        """
        if self.stopping.is_set() or self.num_open >= self._settings.max_queue:
            raise Full
        job = Job(secrets.token_urlsafe(24), self.folder / secrets.token_hex(16))
        job.folder.mkdir(mode=0o700, parents=True)
        self._jobs[job.id] = job
        return job

    def submit(self, job: Job) -> None:
        """The upload is complete: it is judged when its turn comes."""
        if self.stopping.is_set():
            self._end(job, STOPPED)
            return
        job.state = QUEUED
        self._waiting.put_nowait(job)

    def find(self, job_id: str) -> Job | None:
        """The job of an id; None when there is none, or none any more."""
        return self._jobs.get(job_id)

    def remove(self, job: Job) -> None:
        """Forgets a job and deletes its files; what is being judged is ended, and then deleted."""
        self._jobs.pop(job.id, None)
        if job.state == RUNNING:
            job.process.interrupt()
            return
        if job.state != DONE:
            self._end(job, STOPPED)  # for whoever follows its events
        shutil.rmtree(job.folder, ignore_errors=True)

    def position(self, job: Job) -> int:
        """How many jobs are before this one; 0 for the next one, and for all that do not wait."""
        waiting = [other for other in self._jobs.values() if other.state == QUEUED]
        return waiting.index(job) if job in waiting else 0

    def describe(self, job: Job) -> dict:
        """What the API says of a job."""
        step, fraction = self._progress(job)
        kept_s = self._settings.keep_minutes * 60
        at = f"/v1/videos/{job.id}"
        links = {"self": at, "events": f"{at}/events"}
        if job.verdict and job.verdict.get("page"):
            links |= {"json": f"{at}/{RESULT}", "page": f"{at}/{PAGE}", "images": f"{at}/{IMAGES}/"}
        return {
            "id": job.id,
            "name": job.name,
            "state": job.state,
            "before": self.position(job),
            "step": step,
            "fraction": fraction,
            "expires_in_s": None if job.ended is None else max(0, round(job.ended + kept_s - time.time())),
            "verdict": job.verdict,
            "links": links,
        }

    async def events(self, job: Job) -> AsyncIterator[dict]:
        """Yields `describe` whenever it changes, until the job has ended."""
        said = None
        while True:
            if self.stopping.is_set() and job.state in (UPLOADING, QUEUED):
                self._end(job, STOPPED)
            now = self.describe(job)
            shown = {key: now[key] for key in ("state", "before", "step", "fraction")}
            if shown != said:
                said = shown
                yield now
            if job.state in (DONE, STOPPED):
                return
            await asyncio.sleep(POLL_S)

    def _progress(self, job):
        if job.state != RUNNING:
            return job.state, 1.0 if job.state == DONE else 0.0
        try:
            said = json.loads((job.folder / PROGRESS_FILE).read_text())
            return said["step"], said["fraction"]
        except (OSError, ValueError, KeyError):
            return "reading", 0.0

    async def _work(self, process):
        """Judges one job after the other; the first thing its process does is to load the network."""
        loop = asyncio.get_running_loop()
        try:
            task = Task(self._source, memory_bytes=self._memory)
            warm = await loop.run_in_executor(self._threads, self._judged, process, task)
            if isinstance(warm, WorkerCrashed):
                self.problem = str(warm)
            else:
                self.limits, self.ready = warm["limits"], True
        except (InputError, OSError, ValueError) as error:
            self.problem = str(error)
        except Exception as error:  # who asks whether it is ready learns of it, and the server ends in order
            self.problem = f"unexpected {type(error).__name__}: {error}"
        if self.problem:
            self._log("no_network", reason=self.problem)
        while not self.stopping.is_set():
            try:
                job = await asyncio.wait_for(self._waiting.get(), POLL_S)
            except TimeoutError:
                continue
            if job.state == QUEUED and job.id in self._jobs:
                await self._judge_one(loop, process, job)

    async def _judge_one(self, loop, process, job):
        job.state, job.process, start = RUNNING, process, time.monotonic()
        task = Task(
            self._source,
            str(job.folder),
            job.name,
            self._judge,
            self._settings.max_duration_s,
            self._settings.max_pixels,
            self._memory,
        )
        try:
            job.verdict = await loop.run_in_executor(self._threads, self._judged, process, task)
            if isinstance(job.verdict, WorkerCrashed):
                job.verdict = _failed(job, f"cannot be judged: {job.verdict}", "Cut it, or send another format.")
        except InputError as error:  # the network is gone, or no process can be started
            self._log("failed", job=job.id[:6], reason=str(error))
            job.verdict = _failed(job, "cannot be judged now.", "Try again later.")
        except Exception as error:  # whatever is wrong with one upload, the next is judged
            self._log("failed", job=job.id[:6], reason=f"{type(error).__name__}: {error}")
            is_full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            reason = (
                "cannot be judged now: the server's disk is full." if is_full else f"unexpected {type(error).__name__}."
            )
            job.verdict = _failed(job, reason, "Tell whoever runs this server.")
        job.process, seconds = None, round(time.monotonic() - start, 3)
        if job.id not in self._jobs:  # deleted in the meantime
            self._end(job, STOPPED)
            self.remove(job)
            self._log("deleted", job=job.id[:6], bytes=job.num_bytes, seconds=seconds)
            return
        (job.folder / job.name).unlink(missing_ok=True)
        said = job.verdict.get("label") or job.verdict["status"]
        self.counts[said] = self.counts.get(said, 0) + 1
        self._end(job, DONE)
        self._log("judged", job=job.id[:6], verdict=said, bytes=job.num_bytes, seconds=seconds)

    def _judged(self, process, task):
        """In a thread, which waits for the process."""
        return process(judge_upload, task, time_limit_s=self._settings.time_limit_s + _EXTRA_S)

    @property
    def _memory(self):
        return self._settings.memory_mb << 20

    def _end(self, job, state):
        job.state, job.ended = state, time.time()

    async def _sweep(self):
        """Deletes what is older than it is kept."""
        while True:
            await asyncio.sleep(min(10.0, self._settings.keep_minutes * 60, self._settings.resume_limit_s))
            now = time.time()
            limit = now - self._settings.keep_minutes * 60
            for job in list(self._jobs.values()):
                if (job.ended or now) < limit or (job.state == UPLOADING and (job.expires or now) < now):
                    self.remove(job)


def _failed(job, reason, remedy):
    verdict = Verdict(job.name, "error", reason=reason, remedy=remedy).to_dict()
    return verdict | {"name": job.name, "images": [], "page": False}
