"""Requests that come at the same time, put together into one call of the network (as TF Serving's batching does).

The parameters are named as in TF Serving's batching_parameters_file. There are no threads of its own: whoever's request
is waiting when a call may begin takes the others along. A request that nobody else's follows is run at once.
"""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping

import numpy as np

from tfdeepfake.serving.servable import Servable

NUM_BATCH_THREADS = 2
# While another call runs it has the cores, and those that the last one answered ask again: a call gathers them for this
# fraction of the time that the last one took.
GATHERING_FRAC = 0.05


class Batcher:
    """A `Servable` whose `predict` shares calls of the network; safe to be used by several threads.

    Args:
      servable: what is called.
      max_batch_size: examples of one call; a request that has as many is not split, and runs by itself.
      batch_timeout_micros: how long the first request of a call waits for others, while anybody else asks; longer, a
        twentieth of the last call's time, while another call runs.
      max_calls: requests that wait or run at once.
      num_batch_threads: calls that run at once.
    """

    def __init__(
        self,
        servable: Servable,
        max_batch_size: int,
        batch_timeout_micros: int,
        max_calls: int = 32,
        num_batch_threads: int = NUM_BATCH_THREADS,
    ):
        self._servable, self._most, self._wait_s = servable, max_batch_size, batch_timeout_micros / 1e6
        # One call that runs and one that gathers, as TF Serving's guide has it.
        self.at_once = max(num_batch_threads, min(max_calls, 2 * max_batch_size))
        self._changed, self._free, self._num_threads = threading.Condition(), num_batch_threads, num_batch_threads
        self._last_call_s = 0.0
        self._waiting: list[_Request] = []
        self._num_inside = self.num_present = 0
        self.num_calls = self.num_requests = 0

    def __getattr__(self, name):
        return getattr(self._servable, name)

    @property
    def num_coming(self) -> int:
        """Requests that are being read."""
        return max(0, self._num_inside - self.num_present)

    @contextlib.contextmanager
    def coming(self) -> Iterator[None]:
        """Around a request from its arrival to its answer: a call that begins before its `predict` waits for it."""
        with self._changed:
            self._num_inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._num_inside -= 1
                self._changed.notify_all()

    def predict(
        self, version: int, signature: str, inputs: Mapping[str, np.ndarray], output_filter: tuple = ()
    ) -> dict[str, np.ndarray]:
        """As `Servable.predict`; what is wrong with a request is that request's error alone."""
        self._servable.check(version, signature, inputs, output_filter)
        request = _Request(version, signature, inputs, tuple(output_filter))
        with self._changed:
            self.num_present += 1
            self._waiting.append(request)
            self._changed.notify_all()
            self._changed.wait_for(lambda: request.done or (self._free and not request.taken))
            together = [] if request.done else self._take(request)
        start = time.monotonic()
        try:
            if together:
                self._run(together)
        finally:
            with self._changed:
                self.num_present -= 1
                if together:
                    self._free += 1
                    self._last_call_s = time.monotonic() - start
                for one in together:
                    one.done = True
                self._changed.notify_all()
        return request.outputs()

    def _take(self, first):
        """The requests of one call, `first` among them; waits for others. Holds the lock."""
        self._free -= 1
        first.taken = True
        start = time.monotonic()
        together, size = [first], first.size
        while size < self._most:
            for one in self._waiting:
                if not one.taken and one.kind == first.kind and size + one.size <= self._most:
                    one.taken = True
                    together.append(one)
                    size += one.size
            others_run = self._num_threads - self._free > 1
            wait_s = max(self._wait_s, GATHERING_FRAC * self._last_call_s if others_run else 0)
            left = start + wait_s - time.monotonic()
            alone = not self.num_coming and self.num_present == len(together)
            if size >= self._most or alone or left <= 0:
                break
            self._changed.wait(left)
        self._waiting = [one for one in self._waiting if one not in together]
        self.num_calls, self.num_requests = self.num_calls + 1, self.num_requests + len(together)
        return together

    def _run(self, together):
        first = together[0]
        if len(together) == 1:
            first.run(self._servable)
            return
        rows = {name: np.concatenate([one.inputs[name] for one in together]) for name in first.inputs}
        try:
            outputs = self._servable.predict(first.version, first.signature, rows, first.output_filter)
        except Exception:  # one of them is at fault, or all are too much: halves find out
            middle = len(together) // 2
            self._run(together[:middle])
            self._run(together[middle:])
            return
        start = 0
        for one in together:
            one.answer = {name: value[start : start + one.size] for name, value in outputs.items()}
            start += one.size


class _Request:
    def __init__(self, version, signature, inputs, output_filter):
        self.version, self.signature, self.inputs, self.output_filter = version, signature, inputs, output_filter
        shapes = tuple(sorted((name, value.dtype.str, value.shape[1:]) for name, value in inputs.items()))
        self.kind, self.size = (version, signature, output_filter, shapes), len(next(iter(inputs.values())))
        self.taken = self.done = False
        self.answer, self.error = None, None

    def run(self, servable):
        try:
            self.answer = servable.predict(self.version, self.signature, self.inputs, self.output_filter)
        except Exception as error:
            self.error = error

    def outputs(self):
        if self.error is not None:
            raise self.error
        return self.answer
