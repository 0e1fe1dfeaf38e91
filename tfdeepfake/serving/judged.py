"""Judging one upload, in a process that does nothing else: the network is loaded once, then the process is confined.

What it says on the way is a small file that the server reads; what it leaves is the folder that `predict --out` writes.
"""

import dataclasses
import functools
import json
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfdeepfake.confine import confine, limit_cpu
from tfdeepfake.errors import InputError
from tfdeepfake.serving.kept_samples import keep_samples, kept_faces
from tfdeepfake.verdict import batch
from tfdeepfake.verdict.judging import Verdict
from tfdeepfake.verdict.settings import JudgeSettings

PROGRESS_FILE = "progress.json"
# What a job does, in this order, with the fraction that is done when it begins; the network goes on from there.
STEPS = {"reading": 0.05, "faces": 0.25, "network": 0.5, "images": 0.9}
FILE_BYTES = 1 << 28  # of one image or page that is written


@dataclass(frozen=True)
class Source:
    """The network that judges.

    Args:
      folder: saved model folder, or exported folder.
      title: what pages and JSON call it, in the place of the folder's path.
      trained_on, licence: of the network, for the page.
      exported: the folder holds SavedModels, and the highest version judges.
      shared: the server's process has the network, see `shared_model.SharedModel`.
      network_reads: (input type, whether it reads flow) of a shared one, whose processes load no Keras then.
      backend: address of a server that scores in the place of this process, see `remote.RemoteModel`.
      backend_name: name of the model there.
      runtime, detector, detector_weights: see `verdict.batch.load_network`.
    """

    folder: str
    title: str
    trained_on: str = "unknown"
    licence: str = "unknown"
    exported: bool = False
    shared: bool = False
    network_reads: tuple[str, bool] | None = None
    backend: str | None = None
    backend_name: str | None = None
    runtime: str = "auto"
    detector: str | None = None
    detector_weights: str | None = None

    @property
    def explains(self) -> bool:
        """Whether there is a network with gradients: a saved model folder, scored here."""
        return not self.exported and not self.backend


@dataclass(frozen=True)
class Task:
    """One upload.

    Args:
      source: the network.
      folder: of the job; name: of the file in it. None: the network is loaded, and nothing else.
      settings: how it is judged.
      max_duration_s, max_pixels: of the video.
      memory_bytes: that the process may take beyond the network's.
    """

    source: Source
    folder: str = ""
    name: str | None = None
    settings: JudgeSettings = dataclasses.field(default_factory=JudgeSettings)
    max_duration_s: float = 600.0
    max_pixels: int = 1 << 24
    memory_bytes: int = 4 << 30


def judge_upload(task: Task) -> dict:
    """Judges the file and writes predictions.json, index.html, scores.csv and frames/ beside it.

    Returns:
      The verdict (docs/predictions.md), with "page": whether there is one. Of a warm-up {"limits": what is limited}.
    """
    network, limits = ready(task.source, task.memory_bytes)
    if task.name is None:
        return {"limits": limits}
    os.chdir(task.folder)  # names alone appear in what is written
    limit_cpu(task.settings.time_limit_s * (os.cpu_count() or 1))
    _progress("reading")
    refused = refusal(task.name, task.max_pixels, task.max_duration_s)
    if refused:
        return refused.to_dict() | {"name": task.name, "images": [], "page": False}
    watched = dataclasses.replace(network, detect=_Watched(network.detect, "faces"), model=_WatchedModel(network.model))
    keep = keep_samples if task.source.explains else None
    judged = batch.judge_many(Path(task.name), watched, Path("."), settings=task.settings, explain=keep)
    more = {"page": True, "threshold": judged["threshold"], "explainable": kept_faces(".")}
    return judged["verdicts"][0] | more


def refusal(path: str, max_pixels: int, max_duration_s: float = math.inf) -> Verdict | None:
    """The verdict on a video that is too long or too large; None where it is neither, or cannot be read at all.

    Args:
      max_pixels: most of one frame, width times height.
    """
    from tfdeepfake.data import video

    try:
        info = video.probe(path)
    except InputError:
        return None  # what is wrong with it will be its verdict
    said = None
    if info.duration_s and info.duration_s > max_duration_s:
        said = f"lasts {info.duration_s:.0f} s; this server takes {max_duration_s:g} s.", "Cut it."
    elif info.width * info.height > max_pixels:
        said = f"shows {info.width} x {info.height} px; this server takes {max_pixels} px.", "Make it smaller."
    return Verdict(path, "error", reason=said[0], remedy=said[1]) if said else None


@functools.cache
def ready(source: Source, memory_bytes: int) -> tuple[batch.Network, list[str]]:
    """(network, what this process is limited in); the limits hold from here on."""
    from tqdm import tqdm

    # Its usual lock is one of the system's, which outlives a process that is killed.
    tqdm.set_lock(threading.RLock())
    network = _network(source)
    # A connection to a backend may break and be made anew.
    return network, confine(memory_bytes, FILE_BYTES, network=source.backend is not None)


def _network(source):
    from tfdeepfake.data import faces
    from tfdeepfake.model_folder import load_recipe

    if not source.exported and not source.backend:
        loaded = batch.load_network(
            source.folder, source.detector, source.detector_weights, runtime=source.runtime, num_files=100
        )
        return dataclasses.replace(loaded, folder=Path(source.title))
    from tfdeepfake.serving.remote import RemoteModel, ServableModel

    recipe = load_recipe(source.folder)
    if source.backend:
        model = RemoteModel(source.backend, source.backend_name or source.title, recipe)
    elif source.shared:
        from tfdeepfake.serving.shared_model import SharedModel

        model = SharedModel(source.title, recipe, source.network_reads)
    else:
        from tfdeepfake.serving.servable import Servable

        model = ServableModel(Servable(source.folder), recipe)
    own = recipe.data.detector
    detector = "mtcnn" if own == "none" else source.detector or own
    if own != "none":
        recipe = recipe.with_detector(detector)
    detect = faces.make_detector(detector, source.detector_weights)
    return batch.Network(Path(source.title), model, recipe, detect, detector, own)


def _progress(step, more=0.0):
    part = f"{PROGRESS_FILE}.part"
    Path(part).write_text(json.dumps({"step": step, "fraction": round(STEPS[step] + more, 3)}))
    os.replace(part, PROGRESS_FILE)


class _Watched:
    """A function that says that its step has begun."""

    def __init__(self, function, step):
        self._function, self._step = function, step

    def __call__(self, *args: Any, **options: Any) -> Any:
        _progress(self._step)
        return self._function(*args, **options)


class _WatchedModel:
    """A network that says how many batches it has scored."""

    def __init__(self, model):
        self._model, self._calls = model, 0

    def __getattr__(self, name):
        return getattr(self._model, name)

    def predict_on_batch(self, batch: dict) -> Any:
        """As of the network."""
        done = self._calls / (self._calls + 4)  # how many there will be is not known here
        _progress("network", done * (STEPS["images"] - STEPS["network"]))
        self._calls += 1
        return self._model.predict_on_batch(batch)
