"""Connections of HTTP are given up when the head of a request does not come: each counts among those taken at once.

uvicorn limits how long a connection waits between two requests, but not how long the head of one may take.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_LIMIT_S = 10.0


class Connection(H11Protocol):
    """uvicorn's, closed when the head of a request takes longer than HEAD_LIMIT_S."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self):
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_LIMIT_S, self._give_up)

    def _stop(self):
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self):
        self._head_timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
