"""Counters, gauges and histograms in Prometheus's text format: a handful of numbers need no library for them."""

import threading
from collections.abc import Iterable

BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
PREFIX = "tfdeepfake_"


class Metrics:
    """What the server counts; safe to be used by several threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._requests: dict[tuple, int] = {}
        self._seconds: dict[str, list] = {}
        self._bytes = 0

    def request(self, route: str, method: str, status: int, seconds: float, num_bytes: int) -> None:
        """Counts an answered request.

        Args:
          route: its pattern, not its path: there are few of them.
          method, status: of HTTP; seconds: it took; num_bytes: of its body.
        """
        with self._lock:
            key = (route, method, status)
            self._requests[key] = self._requests.get(key, 0) + 1
            counts = self._seconds.setdefault(route, [0] * (len(BUCKETS_S) + 1) + [0.0])
            counts[sum(seconds > bound for bound in BUCKETS_S)] += 1
            counts[-1] += seconds
            self._bytes += num_bytes

    def text(self, gauges: dict[str, float], verdicts: dict[str, int]) -> str:
        """The page for Prometheus.

        Args:
          gauges: {name: value now}.
          verdicts: {label or status: how many there were}.
        """
        return "\n".join([*self._lines(gauges, verdicts), ""])

    def _lines(self, gauges, verdicts) -> Iterable[str]:
        with self._lock:
            requests, num_bytes = dict(self._requests), self._bytes
            seconds = {route: list(counts) for route, counts in self._seconds.items()}
        yield f"# TYPE {PREFIX}requests_total counter"
        for (route, method, status), count in sorted(requests.items()):
            yield f'{PREFIX}requests_total{{route="{route}",method="{method}",status="{status}"}} {count}'
        yield f"# TYPE {PREFIX}request_seconds histogram"
        for route, (*counts, total) in sorted(seconds.items()):
            below = 0
            for bound, count in zip((*BUCKETS_S, "+Inf"), counts, strict=True):
                below += count
                yield f'{PREFIX}request_seconds_bucket{{route="{route}",le="{bound}"}} {below}'
            yield f'{PREFIX}request_seconds_sum{{route="{route}"}} {total:.6f}'
            yield f'{PREFIX}request_seconds_count{{route="{route}"}} {below}'
        yield f"# TYPE {PREFIX}received_bytes_total counter"
        yield f"{PREFIX}received_bytes_total {num_bytes}"
        yield f"# TYPE {PREFIX}verdicts_total counter"
        for verdict, count in sorted(verdicts.items()):
            yield f'{PREFIX}verdicts_total{{verdict="{verdict}"}} {count}'
        for name, value in sorted(gauges.items()):
            yield f"# TYPE {PREFIX}{name} gauge"
            yield f"{PREFIX}{name} {value:g}"
