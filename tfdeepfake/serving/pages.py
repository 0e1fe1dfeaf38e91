"""The page for people: its HTML, script and style, and what it asks about the server."""

import importlib.resources

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tfdeepfake import __version__
from tfdeepfake.serving.guard import CAMERA_POLICY, PAGE_POLICY
from tfdeepfake.serving.judged import Source
from tfdeepfake.serving.settings import ServeSettings

SCRIPTS = ("app.js", "dom.js", "tabs.js", "upload.js", "verdict.js", "webcam.js")
_STATIC = {"icon.svg": "image/svg+xml", "app.css": "text/css"} | dict.fromkeys(SCRIPTS, "text/javascript")


class Pages:
    """Answers for the page.

    Args:
      source: the network.
      settings: what it says of limits.
      tensors: whether TF Serving's API is answered.
    """

    def __init__(self, source: Source, settings: ServeSettings, tensors: bool):
        self.source, self.settings, self.tensors = source, settings, tensors

    async def page(self, request: Request) -> Response:
        """The page itself; it alone may ask for the camera."""
        return Response(
            _file("page.html"),
            media_type="text/html",
            headers={"content-security-policy": PAGE_POLICY, "permissions-policy": CAMERA_POLICY},
        )

    async def static(self, request: Request) -> Response:
        """Its script, style and icon."""
        name = request.path_params["name"]
        if name not in _STATIC:
            raise HTTPException(404, "there is nothing here.")
        text = _style() if name == "app.css" else _file(name)
        return Response(text, media_type=_STATIC[name])

    async def about(self, request: Request) -> Response:
        """Model and limits."""
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
                "explains": self.source.explains,
                "tensors": self.tensors,
            }
        )


def _file(name):
    return importlib.resources.files("tfdeepfake.serving").joinpath("templates", name).read_text(encoding="utf-8")


def _style():
    """The style of verdict pages, and what this page adds."""
    from tfdeepfake.report.html import environment

    shared = "".join(environment().get_template(name).render() for name in ("page.css", "verdicts.css"))
    return shared + _file("app.css")
