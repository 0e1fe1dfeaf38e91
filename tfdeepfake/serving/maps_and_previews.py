"""What the page asks for beside whole videos: a map of a judged face, and a look at an image of a webcam."""

import secrets
import shutil
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tfdeepfake.serving.explained import MAPS, ExplainTask, explain_face
from tfdeepfake.serving.jobs import Job, Jobs
from tfdeepfake.serving.judged import Source
from tfdeepfake.serving.on_request import OnRequest
from tfdeepfake.serving.preview import JPEG_START, MOST_BYTES, PreviewTask, judge_preview
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.serving.uploads import Refused, read_body
from tfdeepfake.verdict.results import IMAGES

_PREVIEW_LIMIT_S = 20.0


class MapsAndPreviews:
    """Answers to these requests, from a process for each kind.

    Args:
      jobs: the queue, whose folder is used.
      source: the network.
      settings: limits.
      answers: of what a process asks, see `shared_model`.
    """

    def __init__(self, jobs: Jobs, source: Source, settings: ServeSettings, answers: Callable | None = None):
        self._jobs, self._source, self._settings = jobs, source, settings
        self._explain = OnRequest(settings.time_limit_s)
        self._preview = OnRequest(_PREVIEW_LIMIT_S, answers)
        self._drawn: dict[tuple, dict] = {}

    def close(self) -> None:
        """Ends the processes."""
        self._explain.close()
        self._preview.close()

    async def explain(self, job: Job, face: int) -> Response:
        """Draws the map of a face, once.

        Raises:
          Refused: too many ask, or the network has no map.
          HTTPException: no map of such a face can be drawn.
        """
        if face not in (job.verdict or {}).get("explainable", ()):
            raise HTTPException(404, "there is no such face, or no map of it.")
        self._drawn = {key: said for key, said in self._drawn.items() if self._jobs.find(key[0])}
        said = self._drawn.get((job.id, face))
        if said is None:
            s = self._settings
            task = ExplainTask(self._source, str(job.folder), face, s.memory_mb << 20, s.time_limit_s)
            said = await self._explain(explain_face, task)
            if self._jobs.find(job.id) is None:  # deleted in the meantime
                shutil.rmtree(job.folder, ignore_errors=True)
                raise HTTPException(404, "the verdict has been deleted.")
            self._drawn[job.id, face] = said
        return JSONResponse(said | {"link": f"/v1/videos/{job.id}/{IMAGES}/{MAPS}/map_{face}.jpg"})

    async def preview(self, request: Request) -> Response:
        """Judges a JPEG file, of which nothing stays.

        Raises:
          Refused: no JPEG file, too large or slow, too many ask.
        """
        s = self._settings
        content = await read_body(request, MOST_BYTES, _PREVIEW_LIMIT_S, s.idle_limit_s)
        if not content.startswith(JPEG_START):
            raise Refused(415, "is no JPEG file.")
        path = self._jobs.folder / f"preview-{secrets.token_hex(8)}.jpg"
        try:
            path.write_bytes(content)
            task = PreviewTask(self._source, str(path), s.memory_mb << 20, _PREVIEW_LIMIT_S, s.max_pixels)
            return JSONResponse(await self._preview(judge_preview, task))
        except OSError as error:
            raise Refused(507, f"cannot be stored ({error.strerror}).") from error
        finally:
            path.unlink(missing_ok=True)
