"""A process for what a page asks for now and then: begun when it is first asked, ended when nobody asks any more."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tfdeepfake.errors import InputError
from tfdeepfake.plain_answers import plain_process
from tfdeepfake.serving.uploads import Refused
from tfdeepfake.workers import WorkerCrashed

MOST_WAITING, IDLE_S = 4, 120.0
# Beyond the time for the work: loading the network.
_EXTRA_S = 90.0


class OnRequest:
    """Runs functions in a process of its own, one after the other.

    Args:
      time_limit_s: of one call.
      answers: of what the process asks meanwhile, see `shared_model`.
    """

    def __init__(self, time_limit_s: float, answers: Callable | None = None):
        self._time_limit_s = time_limit_s
        self._process = plain_process(answers=answers)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="on-request")
        self._num, self._timer = 0, None

    async def __call__(self, function: Callable, task: Any) -> Any:
        """function(task).

        Raises:
          Refused: too many wait, the process died over it, or it says what is wrong.
        """
        if self._num >= MOST_WAITING:
            raise Refused(429, "too many ask for this: try again later.")
        self._num += 1
        loop = asyncio.get_running_loop()
        if self._timer:
            self._timer.cancel()
        try:
            answer = await loop.run_in_executor(self._thread, self._run, function, task)
        finally:
            self._num -= 1
            if not self._num:
                self._timer = loop.call_later(IDLE_S, self._process.close)
        if isinstance(answer, WorkerCrashed):
            raise Refused(422, str(answer))
        return answer

    def close(self) -> None:
        """Ends the process now, whatever it does."""
        if self._timer:
            self._timer.cancel()
        self._process.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, function, task):
        """In a thread, which waits for the process."""
        try:
            return self._process(function, task, time_limit_s=self._time_limit_s + _EXTRA_S)
        except InputError as error:
            return WorkerCrashed(f"{error.problem} {error.remedy}".strip())
        except Exception as error:  # whatever is wrong with one request, the next is answered
            return WorkerCrashed(f"unexpected {type(error).__name__}.")
