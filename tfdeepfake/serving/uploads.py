"""Bodies of requests that may be large: streamed to a file, counted, given up when they are too long or too slow."""

import asyncio
import contextlib
import re
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from tfdeepfake.report.text import printable

NAME_HEADER = "x-file-name"
UPLOAD_FILE = "upload"
FULL = "as many videos as this server takes are waiting: try again later."
CHUNK_BYTES = 1 << 20
_NAME_BYTES = 120


class Refused(Exception):
    """A request that is not taken: HTTP status, what is said, and headers of the answer."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None):
        self.status, self.text, self.headers = status, text, headers or {}
        super().__init__(text)


def safe_name(name: str) -> str:
    """A file name of a stranger as one that is a file's own, means nothing to FFmpeg, and reads as it is.

    Folders, control characters, and what could be an address (`:`), a pattern (`%`) or an option become `_`.
    """
    last = printable(re.split(r"[/\\]", name)[-1])
    kept = re.sub(r"[^\w .,()+@=\[\]-]+", "_", last).strip(" .-") or "video"
    stem, dot, suffix = kept.rpartition(".")
    suffix = f"{dot}{suffix}" if dot and stem and len(suffix) <= 8 else ""
    stem = kept[: len(kept) - len(suffix)]
    while len(f"{stem}{suffix}".encode()) > _NAME_BYTES:
        stem = stem[:-1]
    name = f"{stem}{suffix}"
    # Files of the job itself.
    return f"video_{name}" if name.lower() in _TAKEN else name


_TAKEN = frozenset("frames index.html predictions.json predictions.jsonl scores.csv progress.json upload".split())


async def read_body(request: Request, most_bytes: int, limit_s: float, idle_s: float) -> bytes:
    """The body of a request, held in memory; one with `Content-Encoding: gzip` unpacked, as TF Serving does.

    Raises:
      Refused: it is larger, also once unpacked, or slower than allowed, or no gzip.
    """
    body = b"".join([part async for part in stream(request, most_bytes, limit_s, idle_s)])
    if request.headers.get("content-encoding", "").strip().lower() not in ("gzip", "x-gzip"):
        return body
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = await asyncio.to_thread(unpacking.decompress, body, most_bytes + 1)
    except zlib.error:
        raise Refused(400, "is no gzip, which its Content-Encoding names.") from None
    if len(body) > most_bytes:
        raise Refused(413, f"is larger than the {most_bytes >> 20} MB that this server takes.")
    if not unpacking.eof:
        raise Refused(400, "is gzip that breaks off before its end.")
    return body


async def save_video(request: Request, folder: Path, most_bytes: int, limit_s: float, idle_s: float) -> tuple[str, int]:
    """Writes the video of a request to a file in `folder`.

    The body is the video itself, its name in the header X-File-Name (escaped as in addresses), or a form
    (multipart/form-data) whose first file is taken.

    Args:
      request: its body not yet read.
      folder: there already.
      most_bytes, limit_s, idle_s: of the body; seconds for all of it; seconds without a byte.
    Returns:
      (name of the file, its bytes).
    Raises:
      Refused: it is larger or slower than allowed, holds no file, or the disk is full.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    body = stream(request, most_bytes, limit_s, idle_s)
    path, form = folder / UPLOAD_FILE, None
    if kind == b"multipart/form-data":
        if not options.get(b"boundary"):
            raise Refused(400, "a form needs its boundary.")
        form = _Form(options[b"boundary"])
        body = form.parts(body)
    num_bytes = 0
    try:
        with open(path, "wb") as file:
            async for part in _gathered(body):
                num_bytes += len(part)
                await asyncio.to_thread(file.write, part)
    except OSError as error:
        raise Refused(507, f"cannot be stored ({error.strerror}).") from error
    if not num_bytes:
        raise Refused(400, "holds no video: send its bytes as the body, or a form with a file.")
    with contextlib.suppress(UnicodeError):
        given = form.name if form else unquote(request.headers.get(NAME_HEADER, ""))
        path = path.rename(folder / safe_name(given or "video"))
    return path.name, num_bytes


async def stream(
    request: Request, most_bytes: int, limit_s: float, idle_s: float, too_large: str | None = None
) -> AsyncIterator[bytes]:
    """Yields the parts of a body as they come.

    Args:
      request, most_bytes, limit_s, idle_s: as for `save_video`.
      too_large: what is said of a larger one.

    Raises:
      Refused: it is larger or slower than allowed.
    """
    said = request.headers.get("content-length", "")
    refused = Refused(413, too_large or f"is larger than the {most_bytes >> 20} MB that this server takes.")
    if said.isdecimal() and int(said) > most_bytes:
        raise refused
    parts, end, num_bytes = aiter(request.stream()), asyncio.get_running_loop().time() + limit_s, 0
    while True:
        left = min(idle_s, end - asyncio.get_running_loop().time())
        try:
            part = await asyncio.wait_for(anext(parts), max(left, 0.001))
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused(408, "comes too slowly.") from None
        num_bytes += len(part)
        if num_bytes > most_bytes:
            raise refused
        yield part


async def _gathered(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yields larger parts: one write for many."""
    held = bytearray()
    async for part in parts:
        held += part
        if len(held) >= CHUNK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


class _Form:
    """The first file of a form; other fields are passed over."""

    def __init__(self, boundary):
        self.name, self._out, self._header, self._value, self._taken, self._ours = "", [], b"", b"", False, False
        self._has_ended = False
        calls = {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._add_value,
            "on_header_end": self._header_ends,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._whole,
        }
        try:
            self._parser = MultipartParser(boundary, calls)
        except FormParserError:
            raise Refused(400, "is a form whose boundary is longer than allowed.") from None

    async def parts(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yields the bytes of the file."""
        try:
            async for part in stream:
                self._parser.write(part)
                for data in self._out:
                    yield data
                self._out.clear()
            self._parser.finalize()
        except FormParserError:
            raise Refused(400, "is a form that cannot be read.") from None
        if not self._has_ended:  # what there is of a file is not the file
            raise Refused(400, "is a form that breaks off before its end.")

    def _begin(self):
        self._header = self._value = b""

    def _field(self, data, start, end):
        self._header += data[start:end]

    def _add_value(self, data, start, end):
        self._value += data[start:end]

    def _header_ends(self):
        if self._header.lower() == b"content-disposition" and not self._taken:
            _, options = parse_options_header(self._value)
            if b"filename" in options:
                self.name, self._ours, self._taken = options[b"filename"].decode("utf-8", "replace"), True, True
        self._header = self._value = b""

    def _data(self, data, start, end):
        if self._ours:
            self._out.append(data[start:end])

    def _end(self):
        self._ours = False

    def _whole(self):
        self._has_ended = True
