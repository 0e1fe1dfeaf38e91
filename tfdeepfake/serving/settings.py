"""What whoever starts the server may choose: where it listens, and how much it takes from strangers."""

import math
from dataclasses import dataclass
from pathlib import Path

from tfdeepfake.errors import InputError
from tfdeepfake.settings import setting

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def check_served_name(of: str | Path, name: str, remedy: str = "") -> None:
    """Raises the InputError of `of` where a model cannot be served under a name: it stands in addresses and configs."""
    if not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise InputError(of, f"needs letters, digits, '.', '_' and '-', got {name!r}.", remedy)


@dataclass(frozen=True)
class ServeSettings:
    """How a server runs; each field's meaning is in its `setting`, and in `tfdeepfake serve --help`.

    Raises:
      InputError: a field's value is not allowed; names the field.
    """

    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0 lets other machines in")
    port: int = setting(8501, "port of HTTP")
    grpc_port: int | None = setting(None, "port of TF Serving's gRPC API (default: none)")
    name: str | None = setting(None, "name the model is served under (default: its folder's)")
    token: str | None = setting(
        None, "what requests that cost time have to bring as `Authorization: Bearer TOKEN`; also TFDEEPFAKE_TOKEN"
    )
    allowed_hosts: list = setting(
        [],
        "names the server is called by, separated by commas; others are refused (default: on 127.0.0.1 its own)",
    )
    workers: int = setting(1, "videos that are judged at once, each in a process of its own")
    max_queue: int = setting(16, "videos that are uploaded, wait or are judged at once; more are answered with 429")
    max_upload_mb: int = setting(200, "size of a video")
    max_duration_s: float = setting(600.0, "length of a video")
    max_pixels: int = setting(1 << 24, "width times height of a video, or of an image of a webcam")
    time_limit_s: float = setting(300.0, "seconds for judging one video")
    memory_mb: int = setting(4096, "memory that judging one video may take")
    upload_limit_s: float = setting(900.0, "seconds for uploading one video")
    idle_limit_s: float = setting(20.0, "seconds without a byte after which an upload is given up")
    resume_limit_s: float = setting(120.0, "seconds after which an upload that was cut and does not go on is deleted")
    keep_minutes: float = setting(
        60.0, "after which a verdict is deleted; the video itself is deleted once it is judged"
    )
    max_body_mb: int = setting(32, "size of a request with tensors")
    max_calls: int = setting(32, "requests with tensors that wait or run at once; more are answered with 429")
    max_batch_size: int | None = setting(
        None,
        "crops or clips of several requests in one call of the network; 1: requests are not put together (default: "
        "32 crops or 4 clips)",
    )
    batch_timeout_micros: int = setting(2000, "microseconds that such a call waits for others, at least")

    def __post_init__(self):
        least = {"grpc_port": 0, "port": 0, "batch_timeout_micros": 0}
        for name in ("port", "grpc_port", "workers", "max_queue", "max_upload_mb", "max_pixels", "memory_mb"):
            self._check_whole(name, least.get(name, 1))
        for name in ("max_body_mb", "max_calls", "max_batch_size", "batch_timeout_micros"):
            self._check_whole(name, least.get(name, 1))
        for name in ("port", "grpc_port"):
            if (getattr(self, name) or 0) > 65535:
                raise InputError(name, f"needs a whole number up to 65535, got {getattr(self, name)}.")
        for name in (
            "max_duration_s",
            "time_limit_s",
            "upload_limit_s",
            "idle_limit_s",
            "resume_limit_s",
            "keep_minutes",
        ):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise InputError(name, f"needs a number above 0, got {value}.")
        if self.name is not None:
            check_served_name("name", self.name)

    def _check_whole(self, name, least):
        value = getattr(self, name)
        if value is not None and (not isinstance(value, int) or value < least):
            raise InputError(name, f"needs a whole number from {least} on, got {value!r}.")

    @property
    def hosts(self) -> list[str]:
        """Names the server may be called by; empty: any."""
        return list(self.allowed_hosts) or (list(LOOPBACK) if self.host in LOOPBACK else [])
