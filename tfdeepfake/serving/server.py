"""The server: TF Serving's REST API, whole videos to verdicts, and a page for people. An ASGI application.

Starlette and uvicorn, not FastAPI: TF Serving's paths, bodies and errors leave nothing for a schema library to check.
"""

import asyncio
import contextlib
import hmac
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

from tfdeepfake.serving import rest
from tfdeepfake.serving.guard import VERDICT_POLICY, Guard, error_handlers, log_line
from tfdeepfake.serving.jobs import Full, Job, Jobs
from tfdeepfake.serving.judged import Source
from tfdeepfake.serving.maps_and_previews import MapsAndPreviews
from tfdeepfake.serving.metrics import Metrics
from tfdeepfake.serving.openapi import describe
from tfdeepfake.serving.pages import Pages
from tfdeepfake.serving.resumable import VERSION_HEADER, Resumable
from tfdeepfake.serving.servable import Servable
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.serving.shared_model import answers
from tfdeepfake.serving.uploads import FULL, Refused, read_body, save_video
from tfdeepfake.serving.work_folder import work_folder
from tfdeepfake.verdict.results import IMAGES, PAGE, RESULT
from tfdeepfake.verdict.settings import JudgeSettings

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
      servable: the SavedModel that answers TF Serving's API, or a `batching.Batcher` of it; without one, /v1/models
        answers 404.
      judge: how videos are judged.
      log: called with (event, **facts); None for silence.
    """
    settings, metrics, log = settings or ServeSettings(), Metrics(), log or (lambda event, **facts: None)
    return _Server(source, settings, servable, judge, metrics, log).app


class _Server:
    def __init__(self, source, settings, servable, judge, metrics, log):
        self.settings, self.servable, self.metrics = settings, servable, metrics
        asked, pages = answers(servable) if source.shared else None, Pages(source, settings, servable is not None)
        self.jobs = Jobs(source, settings, judge, log, asked)
        self.resumable = Resumable(self.jobs, settings)
        self.maps_and_previews = MapsAndPreviews(self.jobs, source, settings, asked)
        at_once, self.num_calls = getattr(servable, "at_once", _AT_ONCE), 0
        self.threads = ThreadPoolExecutor(at_once, thread_name_prefix="tensors")
        self.turn = asyncio.Semaphore(at_once)
        routes = [
            Route("/", pages.page),
            Route("/static/{name}", pages.static),
            Route("/v1/server", pages.about),
            Route("/v1/preview", self.post_preview, methods=["POST"]),
            Route("/v1/videos", self.post_video, methods=["POST"]),
            Route("/v1/videos", self.can_resume, methods=["OPTIONS"]),
            Route("/v1/videos/{id}", self.head_video, methods=["HEAD"]),
            Route("/v1/videos/{id}", self.patch_video, methods=["PATCH"]),
            Route("/v1/videos/{id}", self.get_video),
            Route("/v1/videos/{id}", self.delete_video, methods=["DELETE"]),
            Route("/v1/videos/{id}/events", self.get_events),
            Route("/v1/videos/{id}/faces/{face}/map", self.post_map, methods=["POST"]),
            Route(f"/v1/videos/{{id}}/{RESULT}", self.get_json),
            Route(f"/v1/videos/{{id}}/{PAGE}", self.get_page),
            Route(f"/v1/videos/{{id}}/{IMAGES}/{{folder}}/{{name}}", self.get_image),
            Route("/v1/models{rest:path}", self.tensors, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
            Route("/healthz", self.health),
            Route("/readyz", self.readiness),
            Route("/metrics", self.get_metrics),
            Route("/openapi.json", self.openapi),
        ]
        self.app = Starlette(
            routes=routes,
            lifespan=self.lifespan,
            middleware=[Middleware(Guard, metrics=metrics, hosts=settings.hosts, log=log)],
            exception_handlers=error_handlers(log),
        )
        self.app.state.jobs = self.jobs

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        with work_folder() as folder:
            await self.jobs.start(folder)
            try:
                yield
            finally:
                self.maps_and_previews.close()
                await self.jobs.stop()
                self.threads.shutdown(wait=False)

    # Videos.

    async def post_video(self, request: Request) -> Response:
        self._check_token(request)
        if VERSION_HEADER in request.headers:
            return self.resumable.create(request)
        try:
            job = self.jobs.open()
        except Full:
            raise Refused(429, FULL) from None
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

    async def can_resume(self, request: Request) -> Response:
        return self.resumable.options()

    async def head_video(self, request: Request) -> Response:
        job = self._job(request)
        return await self.resumable.tell(request, job) if VERSION_HEADER in request.headers else Response()

    async def patch_video(self, request: Request) -> Response:
        return await self.resumable.add(request, self._job(request))

    async def get_video(self, request: Request) -> Response:
        return JSONResponse(self.jobs.describe(self._job(request)))

    async def delete_video(self, request: Request) -> Response:
        job = self._job(request)
        await self.resumable.interrupt(job)
        self.jobs.remove(job)
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

    async def post_map(self, request: Request) -> Response:
        self._check_token(request)
        job, face = self._job(request), request.path_params["face"]
        if not re.fullmatch("[0-9]{1,9}", face):
            raise HTTPException(404, "there is no such face.")
        return await self.maps_and_previews.explain(job, int(face))

    async def post_preview(self, request: Request) -> Response:
        self._check_token(request)
        return await self.maps_and_previews.preview(request)

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
        if hasattr(self.servable, "num_requests"):
            gauges |= {"batches": self.servable.num_calls, "batched_requests": self.servable.num_requests}
        return PlainTextResponse(
            self.metrics.text(gauges, self.jobs.counts), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(describe(self.settings))

    def _check_token(self, request):
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        wanted = self.settings.token
        fits = hmac.compare_digest(given.strip().encode(), (wanted or "").encode())
        if wanted and not (fits and scheme.lower() == "bearer"):
            raise HTTPException(401, "a token is needed: Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"})
