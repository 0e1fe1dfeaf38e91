"""The time that a run over many files may take: which are still begun, and which are not reached."""

import time


class Budget:
    """Seconds for all files together.

    A file is begun only while what is left is as much as the slowest one took, so that none is cut off; the first one
    is begun while anything is left.

    Attributes:
      not_reached: names of the files that were not begun.
    """

    def __init__(self, seconds: float | None, start: float):
        """Begins the count.

        Args:
          seconds: None for no limit.
          start: `time.perf_counter()` from which they are counted.
        """
        self._seconds, self._start = seconds, start
        self._begun, self._slowest = None, 0.0
        self.not_reached = []

    def begins(self, name: str) -> bool:
        """Whether a file is begun, now that the one before is done; its name is kept where not."""
        now = time.perf_counter()
        if self._begun is not None:
            self._slowest, self._begun = max(self._slowest, now - self._begun), None
        left = float("inf") if self._seconds is None else self._seconds - (now - self._start)
        if left <= 0 or left < self._slowest:
            self.not_reached.append(name)
            return False
        self._begun = now
        return True

    def notes(self) -> list[str]:
        """A line on what was not reached, if anything."""
        count = len(self.not_reached)
        if not count:
            return []
        were = "file was" if count == 1 else "files were"
        return [f"{count} {were} not reached within {self._seconds:.4g} s; the same command goes on there."]
