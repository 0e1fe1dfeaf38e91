"""What surrounds every request: who may ask, what browsers are told, what is counted and logged."""

import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tfdeepfake.serving.metrics import Metrics
from tfdeepfake.serving.resumable import VERSION, VERSION_HEADER
from tfdeepfake.serving.uploads import Refused
from tfdeepfake.verdict.results import IMAGES

_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# A verdict page holds its style and its images itself, and no script; it may run nothing.
VERDICT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
# The page's webcam tab; other answers have no use for a camera.
CAMERA_POLICY = "camera=(self), microphone=(), geolocation=()"
HEADERS = {
    "content-security-policy": _NOTHING,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
# Of a job: whoever has it reads the verdict, so that logs hold its beginning alone.
_ID = re.compile(r"(/v1/videos/[\w-]{6})[\w-]+")
# The folder of a video's images has the video's name in it.
_NAME = re.compile(rf"(/{IMAGES}/)[^/]+")
# In the scope of a request: there is no more of its body.
_LINGER_S, _ENDED = 2.0, "tfdeepfake.ended"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Who looks after a server (a cluster, a load balancer) asks by the machine's address, and learns nothing of anybody.
PROBES = ("/healthz", "/readyz")


def log_line(event: str, **facts: Any) -> None:
    """Writes a line of JSON to standard error."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event} | facts
    sys.stderr.write(json.dumps(line, ensure_ascii=True, default=str) + "\n")  # in one piece: threads write, too
    sys.stderr.flush()


class Guard:
    """ASGI middleware around all routes.

    Args:
      app: what answers.
      metrics: what is counted.
      hosts: names the server may be called by; any when empty. A page of a stranger cannot make its own name lead here.
        PROBES answer by any name.
      log: called with (event, **facts) for each request.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, hosts: list[str], log: Callable | None = log_line):
        self._app, self._metrics, self._hosts, self._log = app, metrics, frozenset(h.lower() for h in hosts), log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, num_bytes = time.perf_counter(), 0, 0
        asked, more_headers = dict(scope["headers"]), HEADERS
        if VERSION_HEADER.encode() in asked:  # the protocol of resumable uploads wants it in every answer
            more_headers = HEADERS | {VERSION_HEADER: VERSION}
        override = asked.get(b"x-http-method-override", b"").decode("latin-1")
        if scope["method"] == "POST" and override in ("PATCH", "DELETE"):  # of those who cannot send these
            scope = scope | {"method": override}

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                scope[_ENDED] = True
            return message

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message["headers"]}
                more = [(n.encode(), v.encode()) for n, v in more_headers.items() if n.encode() not in given]
                message = message | {"headers": [*message["headers"], *more]}
            await send(message)

        try:
            refused = self._refusal(scope)
            if refused:
                await _answer(guarded, *refused)
            else:
                await self._app(scope, counted, guarded)
        finally:
            seconds, route = time.perf_counter() - start, scope.get("route")
            pattern = getattr(route, "path", "none")
            self._metrics.request(pattern, _known(scope["method"]), status, seconds, num_bytes)
            if self._log:
                path = _NAME.sub(r"\1...", _ID.sub(r"\1...", scope["path"]))[:200]
                facts = {"method": scope["method"], "path": path, "status": status, "bytes": num_bytes}
                self._log("request", **facts, ms=round(seconds * 1000, 1))

    def _refusal(self, scope):
        """(status, text) of a request that comes from nowhere it should; None of any other."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if b"transfer-encoding" in headers and b"content-length" in headers:
            # A proxy in front that goes by the other one would let a second request hide in the body of the first.
            return 400, "has two lengths: Content-Length and Transfer-Encoding."
        host = re.sub(r":\d*$", "", headers.get(b"host", "")).strip("[]").lower()
        if self._hosts and host not in self._hosts and scope["path"] not in PROBES:
            return 421, "this server is not called by that name."
        # Browsers alone send this: a page of another site makes its visitor's browser ask.
        if scope["method"] not in SAFE_METHODS and headers.get(b"sec-fetch-site") in ("cross-site", "same-site"):
            return 403, "pages of other sites may not use this server."
        return None


def _known(method):
    return method if method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT") else "other"


async def _answer(send, status, text):
    body = json.dumps({"error": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))  # its body has not been read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Lingering(JSONResponse):
    """An answer before the body has come: what still comes is thrown away for a moment, and then the connection ends.

    A connection that is closed over unread bytes is reset, and takes the answer along before the client has read it.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while not scope.get(_ENDED):
                    await receive()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def error_handlers(log: Callable) -> dict:
    """{exception: what answers in its place}; a fault is logged, and told nobody."""

    async def http_error(request, error):
        headers = error.headers
        if error.status_code == 405:  # of all routes of this path, not of the first alone
            routes = [r for r in request.app.routes if r.matches(request.scope)[0] is not Match.NONE]
            headers = {"allow": ", ".join(sorted({method for route in routes for method in route.methods}))}
        return JSONResponse({"error": error.detail}, error.status_code, headers=headers)

    async def refused(request, error):
        headers = {"retry-after": "5"} if error.status == 429 else {}
        headers |= error.headers | {"connection": "close"}
        return _Lingering({"error": error.text}, error.status, headers=headers)

    async def fault(request, error):
        log("fault", error=f"{type(error).__name__}: {error}"[:500])
        return JSONResponse({"error": "a fault of this server; it has been logged."}, 500)

    return {HTTPException: http_error, Refused: refused, Exception: fault}
