"""Uploads that go on after a cut connection: tus 1.0.0, core with creation, expiration and termination.

The protocol is that of https://tus.io/protocols/resumable-upload: POST makes an upload, PATCH adds bytes at an offset,
HEAD tells how many there are, DELETE ends it. The upload is a job of the queue from its beginning, under one id; it has
the limits of any other upload, and is deleted when nothing comes for a while.
"""

import asyncio
import base64
import binascii
import contextlib
import threading
import time
from email.utils import formatdate

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tfdeepfake.serving.jobs import UPLOADING, Full, Job, Jobs
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.serving.uploads import CHUNK_BYTES, FULL, UPLOAD_FILE, Refused, safe_name, stream

VERSION, VERSION_HEADER = "1.0.0", "tus-resumable"
EXTENSIONS = "creation,expiration,termination"
_KIND = "application/offset+octet-stream"


class Resumable:
    """The protocol's answers.

    Args:
      jobs: the queue.
      settings: limits.
    """

    def __init__(self, jobs: Jobs, settings: ServeSettings):
        self._jobs, self._settings = jobs, settings
        self._receiving: dict[str, asyncio.Task] = {}

    @property
    def _most_bytes(self):
        return self._settings.max_upload_mb << 20

    def options(self) -> Response:
        """What this server can do."""
        about = {"tus-version": VERSION, "tus-extension": EXTENSIONS, "tus-max-size": str(self._most_bytes)}
        return Response(status_code=204, headers={VERSION_HEADER: VERSION} | about)

    def create(self, request: Request) -> Response:
        """201 with the place that bytes are sent to.

        Raises:
          Refused: no length or one that is too large, metadata that cannot be read, a full queue.
        """
        _check_version(request)
        length = _number(request, "upload-length")
        if length == 0:
            raise Refused(400, "holds no video: Upload-Length is 0.")
        if length > self._most_bytes:
            raise Refused(413, f"is larger than the {self._settings.max_upload_mb} MB that this server takes.")
        name = safe_name(_file_name(request.headers.get("upload-metadata", "")))
        try:
            job = self._jobs.open()
        except Full:
            raise Refused(429, FULL) from None
        job.name, job.length, job.num_bytes = name, length, 0
        (job.folder / UPLOAD_FILE).touch()
        self._prolong(job)
        return Response(status_code=201, headers={"location": f"/v1/videos/{job.id}"} | _expires(job))

    async def tell(self, request: Request, job: Job) -> Response:
        """How many bytes are here; a PATCH that still waits for bytes of a lost connection is given up."""
        _check_version(request)
        if job.length is None:
            raise Refused(404, "is no upload of this kind.")
        await self.interrupt(job)
        headers = {"upload-offset": str(job.num_bytes), "upload-length": str(job.length)}
        return Response(headers=headers | (_expires(job) if job.state == UPLOADING else {}))

    async def add(self, request: Request, job: Job) -> Response:
        """Takes bytes; the last of them hand the video to the queue.

        Raises:
          Refused: another place or kind than the protocol's, more than was announced, too slow, a full disk.
        """
        _check_version(request)
        if job.length is None:
            raise Refused(404, "is no upload of this kind.")
        if request.headers.get("content-type") != _KIND:
            raise Refused(415, f"needs Content-Type {_KIND}.")
        offset = _number(request, "upload-offset")
        await self.interrupt(job)
        if job.state != UPLOADING:
            raise Refused(409, "is complete: all of its bytes are here.")
        if offset != job.num_bytes:
            raise Refused(409, f"has {job.num_bytes} bytes here, not {offset}.")
        receiving = self._receiving[job.id] = asyncio.ensure_future(self._receive(request, job))
        try:
            await asyncio.wait({receiving})
            if receiving.cancelled():
                raise Refused(409, "was gone on with by another request.")
            receiving.result()
        except ClientDisconnect:
            return Response(status_code=499)
        finally:
            if self._receiving.get(job.id) is receiving:
                del self._receiving[job.id]
        if self._jobs.find(job.id) is None:
            raise Refused(404, "was deleted.")
        if job.num_bytes == job.length:
            (job.folder / UPLOAD_FILE).rename(job.folder / job.name)
            job.expires = None
            self._jobs.submit(job)
        headers = {"upload-offset": str(job.num_bytes)} | (_expires(job) if job.state == UPLOADING else {})
        return Response(status_code=204, headers=headers)

    async def _receive(self, request, job):
        """Appends the body to the file; what came before it broke off is kept."""
        limits = job.length - job.num_bytes, self._left_s(job), self._settings.idle_limit_s
        job.expires, held, lock = None, bytearray(), threading.Lock()
        try:
            with open(job.folder / UPLOAD_FILE, "ab") as file:

                def write():
                    # Who is interrupted while a thread writes waits for it here.
                    with lock:
                        if held:
                            file.write(held)
                            file.flush()
                            job.num_bytes += len(held)
                            held.clear()

                try:
                    async for part in stream(request, *limits, f"is longer than the {job.length} bytes announced."):
                        held += part
                        if len(held) >= CHUNK_BYTES:
                            await asyncio.to_thread(write)
                finally:
                    write()
        except OSError as error:
            self._jobs.remove(job)
            raise Refused(507, f"cannot be stored ({error.strerror}).") from error
        finally:
            self._prolong(job)

    async def interrupt(self, job: Job) -> None:
        """Ends a PATCH that still waits for bytes; those it has are kept."""
        receiving = self._receiving.pop(job.id, None)
        if receiving is not None:
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await receiving

    def _left_s(self, job):
        return job.created + self._settings.upload_limit_s - time.time()

    def _prolong(self, job):
        job.expires = time.time() + min(self._settings.resume_limit_s, max(0.0, self._left_s(job)))


def _check_version(request):
    if request.headers.get(VERSION_HEADER) != VERSION:
        raise Refused(412, f"needs {VERSION_HEADER}: {VERSION}.", {"tus-version": VERSION})


def _number(request, name):
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Refused(400, f"needs {name}, a whole number of bytes.")
    return int(text)


def _file_name(metadata):
    """The value of the key filename: pairs of a key and a value in base64, parted by commas."""
    for pair in metadata.split(","):
        key, _, value = pair.strip().partition(" ")
        if key == "filename":
            try:
                return base64.b64decode(value, validate=True).decode("utf-8", "replace")
            except (binascii.Error, ValueError):
                raise Refused(400, "has metadata whose filename is no base64.") from None
    return ""


def _expires(job):
    return {"upload-expires": formatdate(job.expires, usegmt=True)} if job.expires else {}
