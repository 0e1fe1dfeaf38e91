"""The server: TF Serving's REST API, whole videos to verdicts, and a page for people. An ASGI application.

Starlette and uvicorn, not FastAPI: TF Serving's paths, bodies and errors leave nothing for a schema library to check.
"""

import asyncio
import contextlib
import hmac
import importlib.resources
import json
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tfdeepfake import __version__
from tfdeepfake.serving import rest
from tfdeepfake.serving.guard import PAGE_POLICY, VERDICT_POLICY, Guard, log_line
from tfdeepfake.serving.jobs import Full, Job, Jobs
from tfdeepfake.serving.judged import Source
from tfdeepfake.serving.metrics import Metrics
from tfdeepfake.serving.openapi import describe
from tfdeepfake.serving.servable import Servable
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.serving.uploads import Refused, read_body, save_video
from tfdeepfake.serving.work_folder import work_folder
from tfdeepfake.verdict.results import IMAGES, PAGE, RESULT
from tfdeepfake.verdict.settings import JudgeSettings

_STATIC = {"app.js": "text/javascript", "app.css": "text/css", "icon.svg": "image/svg+xml"}
_HEARTBEAT_S = 15.0
_AT_ONCE = 2  # calls of a SavedModel; each uses several cores


def create_app(
    source: Source,
    settings: ServeSettings | None = None,
    servable: Servable | None = None,
    judge: JudgeSettings | None = None,
    log: Callable | None = log_line,
) -> Starlette:
    """The application; whatever it stores lies in a folder of its own that goes with it.

    Args:
      source: the network that judges videos.
      settings: `ServeSettings()` when not given.
      servable: the SavedModel that answers TF Serving's API; without one, /v1/models answers 404.
      judge: how videos are judged.
      log: called with (event, **facts); None for silence.
    """
    settings, metrics, log = settings or ServeSettings(), Metrics(), log or (lambda event, **facts: None)
    return _Server(source, settings, servable, judge, metrics, log).app


class _Server:
    def __init__(self, source, settings, servable, judge, metrics, log):
        self.source, self.settings, self.servable, self.metrics = source, settings, servable, metrics
        self.jobs = Jobs(source, settings, judge, log)
        self.threads, self.num_calls = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tensors"), 0
        self.turn = asyncio.Semaphore(_AT_ONCE)
        routes = [
            Route("/", self.page),
            Route("/static/{name}", self.static),
            Route("/v1/server", self.about),
            Route("/v1/videos", self.post_video, methods=["POST"]),
            Route("/v1/videos/{id}", self.get_video),
            Route("/v1/videos/{id}", self.delete_video, methods=["DELETE"]),
            Route("/v1/videos/{id}/events", self.get_events),
            Route(f"/v1/videos/{{id}}/{RESULT}", self.get_json),
            Route(f"/v1/videos/{{id}}/{PAGE}", self.get_page),
            Route(f"/v1/videos/{{id}}/{IMAGES}/{{folder}}/{{name}}", self.get_image),
            Route("/v1/models{rest:path}", self.tensors, methods=["GET", "POST"]),
            Route("/healthz", self.health),
            Route("/readyz", self.readiness),
            Route("/metrics", self.get_metrics),
            Route("/openapi.json", self.openapi),
        ]
        self.app = Starlette(
            routes=routes,
            lifespan=self.lifespan,
            middleware=[Middleware(Guard, metrics=metrics, hosts=settings.hosts, log=log)],
            exception_handlers={HTTPException: _http_error, Refused: _refused, Exception: _unexpected(log)},
        )
        self.app.state.jobs = self.jobs

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        with work_folder() as folder:
            await self.jobs.start(folder)
            try:
                yield
            finally:
                await self.jobs.stop()
                self.threads.shutdown(wait=False)

    # The page.

    async def page(self, request: Request) -> Response:
        return Response(_file("page.html"), media_type="text/html", headers={"content-security-policy": PAGE_POLICY})

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            raise HTTPException(404, "there is nothing here.")
        text = _style() if name == "app.css" else _file(name)
        return Response(text, media_type=_STATIC[name])

    async def about(self, request: Request) -> Response:
        s = self.settings
        return JSONResponse(
            {
                "tool": f"tfdeepfake {__version__}",
                "model": self.source.title,
                "trained_on": self.source.trained_on,
                "licence": self.source.licence,
                "needs_token": bool(s.token),
                "max_upload_bytes": s.max_upload_mb << 20,
                "max_duration_s": s.max_duration_s,
                "keep_minutes": s.keep_minutes,
                "tensors": self.servable is not None,
            }
        )

    # Videos.

    async def post_video(self, request: Request) -> Response:
        self._check_token(request)
        try:
            job = self.jobs.open()
        except Full:
            raise Refused(429, "as many videos as this server takes are waiting: try again later.") from None
        s = self.settings
        try:
            most, limits = s.max_upload_mb << 20, (s.upload_limit_s, s.idle_limit_s)
            job.name, job.num_bytes = await save_video(request, job.folder, most, *limits)
            self.jobs.submit(job)
        except ClientDisconnect:
            self.jobs.remove(job)
            return Response(status_code=499)
        except BaseException:
            self.jobs.remove(job)
            raise
        said = self.jobs.describe(job)
        return JSONResponse(said, 202, headers={"location": said["links"]["self"]})

    async def get_video(self, request: Request) -> Response:
        return JSONResponse(self.jobs.describe(self._job(request)))

    async def delete_video(self, request: Request) -> Response:
        self.jobs.remove(self._job(request))
        return Response(status_code=204)

    async def get_events(self, request: Request) -> Response:
        return StreamingResponse(self._event_lines(self._job(request)), media_type="text/event-stream")

    async def _event_lines(self, job: Job) -> AsyncIterator[str]:
        events = aiter(self.jobs.events(job))
        pending = None
        while True:
            pending = pending or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({pending}, timeout=_HEARTBEAT_S)
            if not done:
                yield ": still here\n\n"
                continue
            try:
                said, pending = pending.result(), None
            except StopAsyncIteration:
                return
            yield f"event: {said['state']}\ndata: {json.dumps(said)}\n\n"

    async def get_json(self, request: Request) -> Response:
        return self._written(request, RESULT, media_type="application/json", download=True)

    async def get_page(self, request: Request) -> Response:
        headers = {"content-security-policy": VERDICT_POLICY}
        return self._written(request, PAGE, media_type="text/html", headers=headers)

    async def get_image(self, request: Request) -> Response:
        folder, name = request.path_params["folder"], request.path_params["name"]
        if not re.fullmatch(r"[\w.-]+", folder) or folder.startswith(".") or not re.fullmatch(r"\w+\.jpg", name):
            raise HTTPException(404, "there is nothing here.")
        return self._written(request, f"{IMAGES}/{folder}/{name}", media_type="image/jpeg")

    def _written(self, request, name, download=False, **options):
        job = self._job(request)
        path = job.folder / name
        if not job.verdict or not job.verdict.get("page") or not path.is_file():
            raise HTTPException(404, "there is nothing here.")
        if download or "download" in request.query_params:
            options["filename"] = f"{Path(job.name).stem}-{Path(name).name}"
        return FileResponse(path, **options)

    def _job(self, request) -> Job:
        job = self.jobs.find(request.path_params["id"])
        if job is None:
            raise HTTPException(404, "there is no such video here, or its verdict has been deleted.")
        return job

    # TF Serving's API.

    async def tensors(self, request: Request) -> Response:
        if self.servable is None:
            raise HTTPException(404, "this server answers no requests with tensors.")
        s, body = self.settings, b""
        if request.method == "POST":
            self._check_token(request)
            if self.num_calls >= s.max_calls:
                raise Refused(429, "as many requests as this server takes are waiting: try again later.")
        self.num_calls += 1
        try:
            if request.method == "POST":
                body = await read_body(request, s.max_body_mb << 20, s.upload_limit_s, s.idle_limit_s)
            path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
            # What is asked about the model does not wait behind those who use it.
            threads, turn = (self.threads, self.turn) if request.method == "POST" else (None, contextlib.nullcontext())
            async with turn:
                if await request.is_disconnected():
                    return Response(status_code=499)
                call = (threads, rest.answer, self.servable, request.method, path, body)
                status, answer = await asyncio.get_running_loop().run_in_executor(*call)
        except ClientDisconnect:
            return Response(status_code=499)
        finally:
            self.num_calls -= 1
        return Response(answer, status, media_type="application/json")

    # For whoever runs it.

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readiness(self, request: Request) -> Response:
        ready = self.jobs.ready and not self.jobs.stopping.is_set()
        said = {"ready": ready, "limits": self.jobs.limits} | (
            {"reason": self.jobs.problem} if self.jobs.problem else {}
        )
        return JSONResponse(said, 200 if ready else 503)

    async def get_metrics(self, request: Request) -> Response:
        gauges = {"videos_open": self.jobs.num_open, "tensor_calls": self.num_calls, "ready": self.jobs.ready}
        return PlainTextResponse(
            self.metrics.text(gauges, self.jobs.counts), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(describe(self.settings))

    def _check_token(self, request):
        given = request.headers.get("authorization", "")
        wanted = self.settings.token
        if wanted and not hmac.compare_digest(given.encode(), f"Bearer {wanted}".encode()):
            raise HTTPException(401, "a token is needed: Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"})


def _file(name):
    return importlib.resources.files("tfdeepfake.serving").joinpath("templates", name).read_text(encoding="utf-8")


def _style():
    """The style of verdict pages, and what this page adds."""
    from tfdeepfake.report.html import environment

    shared = "".join(environment().get_template(name).render() for name in ("page.css", "verdicts.css"))
    return shared + _file("app.css")


async def _http_error(request, error):
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _refused(request, error):
    headers = {"retry-after": "5"} if error.status == 429 else {}
    # What is left of the body is not read: the connection ends.
    return JSONResponse({"error": error.text}, error.status, headers=headers | {"connection": "close"})


def _unexpected(log):
    async def answer(request, error):
        log("fault", error=f"{type(error).__name__}: {error}"[:500])
        return JSONResponse({"error": "a fault of this server; it has been logged."}, 500)

    return answer
