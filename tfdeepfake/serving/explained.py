"""Where in a face the network looks, drawn when somebody asks, in a process that has the Keras network."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from tfdeepfake.confine import confine, limit_cpu
from tfdeepfake.serving.judged import FILE_BYTES, Source
from tfdeepfake.serving.kept_samples import read_sample
from tfdeepfake.verdict import batch
from tfdeepfake.verdict.results import IMAGES

MAPS = "maps"


@dataclass(frozen=True)
class ExplainTask:
    """A face to be explained.

    Args:
      source: the network.
      folder: of the job; face: its number.
      memory_bytes: that the process may take beyond the network's; time_limit_s: of CPU time on each core.
    """

    source: Source
    folder: str
    face: int
    memory_bytes: int = 4 << 30
    time_limit_s: float = 300.0


def explain_face(task: ExplainTask) -> dict:
    """Draws the face's crop and the maps over it, side by side.

    Returns:
      {"file", "face", "frame", "time_s", "maps": names in order, "empty": nothing speaks for FAKE}.
    Raises:
      InputError: no such face, or a network that has no maps.
    """
    network, maps = _ready(task.source, task.memory_bytes)
    from tfdeepfake.data.video.write import write_image
    from tfdeepfake.explain.overlays import map_image
    from tfdeepfake.explain.samples import with_maps

    limit_cpu(task.time_limit_s * (os.cpu_count() or 1))
    sample = with_maps([read_sample(task.folder, task.face)], network.model, [maps], 1)[0]
    image, t = map_image(sample)
    name = Path(IMAGES) / MAPS / f"map_{task.face}.jpg"
    (Path(task.folder) / name.parent).mkdir(parents=True, exist_ok=True)
    write_image(Path(task.folder) / name, image)
    return {
        "file": name.as_posix(),
        "face": task.face,
        "frame": int(sample.indices[t]),
        "time_s": round(float(sample.timestamps_s[t]), 4),
        "maps": list(sample.maps),
        "empty": not any(peak > 0 for peak in sample.peaks.values()),
    }


@functools.cache
def _ready(source, memory_bytes):
    """(network, function that makes maps); this process is confined from here on."""
    from tfdeepfake.quiet import load_backend

    load_backend()
    from tfdeepfake.explain.gradcam import gradcam

    network = batch.load_network(source.folder, source.detector, source.detector_weights, with_layers=True)
    maps = gradcam(network.model, recipe=network.recipe)
    confine(memory_bytes, FILE_BYTES)
    return network, maps
