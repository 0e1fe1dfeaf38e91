"""Finds the model, makes the application, listens, and ends in order."""

import contextlib
import dataclasses
import gc
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import uvicorn

from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import load_recipe
from tfdeepfake.serving.address import cannot_use, take_address
from tfdeepfake.serving.batching import Batcher
from tfdeepfake.serving.connections import Connection
from tfdeepfake.serving.guard import log_line
from tfdeepfake.serving.judged import Source
from tfdeepfake.serving.servable import Servable, is_exported
from tfdeepfake.serving.server import create_app
from tfdeepfake.serving.settings import LOOPBACK, ServeSettings
from tfdeepfake.serving.signatures import DEFAULT
from tfdeepfake.serving.stray_lines import stray_lines
from tfdeepfake.serving.warmup import batch_sizes
from tfdeepfake.verdict import named
from tfdeepfake.verdict.settings import JudgeSettings


def serve(
    model: str | None,
    settings: ServeSettings,
    *,
    tensors: bool = True,
    labels: Mapping[str, int] | None = None,
    num_samples: int | None = None,
    backend: str | None = None,
    backend_name: str | None = None,
    detector: str | None = None,
    detector_weights: str | None = None,
    runtime: str = "auto",
) -> int:
    """Serves until SIGTERM or Ctrl-C; what is being judged then is finished and sent.

    Args:
      model: folder that `export` wrote, saved model folder, run folder, or name of a published detector.
      settings: where it listens, and its limits.
      tensors: whether TF Serving's API is answered; a model folder is exported for it, into a folder that goes again.
      labels: {label: version} of TF Serving's API.
      num_samples: of each video.
      backend, backend_name, detector, detector_weights, runtime: see `judged.Source`.
    Returns:
      Exit code.
    Raises:
      InputError: the model or the address cannot be used.
    """
    exported = model is not None and is_exported(model)
    if labels and not (tensors and exported):
        raise InputError("--label", "belongs to versions of an exported folder.", "Give the folder that export wrote.")
    if settings.grpc_port is not None and not tensors:
        raise InputError("--grpc-port", "is TF Serving's API, which --no-tensors leaves out.")
    with _taken(settings) as sockets:
        judge = JudgeSettings(num_samples=num_samples, time_limit_s=settings.time_limit_s)
        if exported:
            folder = Path(model)
        else:
            located = named.locate(model, log=_say)
            folder, judge = located.ready(_say), located.affordable(judge, _say)
        title = settings.name or _title(model, folder)
        recipe = load_recipe(folder)
        source = Source(
            str(folder.resolve()),
            title,
            recipe.data_version,
            recipe.licence,
            exported=exported,
            backend=backend,
            backend_name=backend_name,
            runtime=runtime,
            detector=detector,
            detector_weights=detector_weights,
        )
        with tempfile.TemporaryDirectory(prefix="tfdeepfake-export-") as temporary:
            servable = _servable(folder, title, exported, labels, Path(temporary), settings) if tensors else None
            grpc_server = None
            if settings.grpc_port is not None:
                from tfdeepfake.serving.grpc_api import start_grpc

                address = f"{settings.host}:{settings.grpc_port}"
                limits = {"max_bytes": settings.max_body_mb << 20, "max_calls": settings.max_calls}
                grpc_server = start_grpc(servable, address, servable.at_once, token=settings.token, **limits)
                log_line("grpc", address=f"{settings.host}:{grpc_server.port}")
            if settings.host not in LOOPBACK and not settings.token:
                _say("Whoever reaches this address may use the server: --token asks for one.")
                _say("Encryption is a proxy's work.")
            shared = exported and not backend and isinstance(servable, Batcher)
            network_reads = servable.network_reads(servable.versions[-1]) if shared else None
            source = dataclasses.replace(source, shared=shared, network_reads=network_reads)
            app = create_app(source, settings, servable, judge)
            return _listen(app, settings, sockets, grpc_server)


@contextlib.contextmanager
def _taken(settings):
    """The sockets of HTTP, bound before anything is fetched or loaded; the port of gRPC is looked at."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(one) for one in take_address(settings.host, settings.port)]
        if settings.grpc_port is not None:
            for one in take_address(settings.host, settings.grpc_port, "--grpc-port"):
                one.close()  # gRPC takes no socket of others
        yield sockets


def _listen(app, settings, sockets, grpc_server):
    port = sockets[0].getsockname()[1]
    # What the network and its libraries hold stays: it is not searched for garbage with every large request.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app,
        settings.host,
        settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        http=Connection,
        timeout_keep_alive=10,
        # Beyond the time of the video that is judged now.
        timeout_graceful_shutdown=int(settings.time_limit_s) + 30,
        h11_max_incomplete_event_size=1 << 16,
        limit_concurrency=256,
    )
    server = _Server(config, app.state.jobs)
    # uvicorn sends itself the signal again when all is done; there is still something to put away then.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        try:
            for one in sockets:
                one.listen(config.backlog)
        except OSError as error:  # two servers were started at the same moment
            raise cannot_use(settings.host, port, "--port", error) from error
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        _say(f"Page: http://{host}:{port}/  Stop it with Ctrl-C.")
        with stray_lines(log_line):
            server.run(sockets)
    finally:
        if grpc_server:
            grpc_server.stop(5).wait()
    return 0


class _Server(uvicorn.Server):
    """Tells the jobs of the end at once: streams of what waits would keep it up otherwise."""

    def __init__(self, config: uvicorn.Config, jobs):
        super().__init__(config)
        self._jobs = jobs

    def handle_exit(self, sig: int, frame) -> None:
        log_line("stopping", signal=sig)
        if self.should_exit:  # the second time: nothing is waited for
            self._jobs.abandon()
        self._jobs.stopping.set()
        super().handle_exit(sig, frame)


def _servable(model_folder, title, exported, labels, temporary, settings):
    folder = model_folder
    if not exported:
        from tfdeepfake.quiet import load_tensorflow

        _say("Exporting the SavedModel for TF Serving's API (--no-tensors leaves it out).")
        load_tensorflow()
        from tfdeepfake.serving.export import export

        folder = temporary / "model"
        export(model_folder, folder)
    servable = Servable(folder, title, labels)
    inputs = servable.inputs(servable.versions[-1], DEFAULT)
    most = settings.max_batch_size or batch_sizes(inputs)[-1]
    servable.largest_call = max(most, batch_sizes(inputs)[-1])
    return servable if most == 1 else Batcher(servable, most, settings.batch_timeout_micros, settings.max_calls)


def _title(model, folder):
    """The name of a detector, or of the folder that was named; of a run's best/ the run's."""
    if model is not None and not Path(model).exists():
        return str(model)
    folder = Path(folder).resolve()
    return folder.parent.name if folder.name == "best" else folder.name


def _say(line):
    print(line, file=sys.stderr, flush=True)
