"""A verdict on one image of a webcam, a look and no more: nothing of it is kept."""

import os
from dataclasses import dataclass

from tfdeepfake.confine import limit_cpu
from tfdeepfake.serving.judged import Source, ready, refusal
from tfdeepfake.verdict.judging import judge
from tfdeepfake.verdict.settings import JudgeSettings

MOST_BYTES, JPEG_START = 2 << 20, b"\xff\xd8\xff"


@dataclass(frozen=True)
class PreviewTask:
    """An image to be judged.

    Args:
      source: the network.
      path: of the JPEG file; whoever asks deletes it.
      memory_bytes: that the process may take beyond the network's.
      time_limit_s: for judging it.
      max_pixels: of the image.
    """

    source: Source
    path: str
    memory_bytes: int = 4 << 30
    time_limit_s: float = 20.0
    max_pixels: int = 1 << 24


def judge_preview(task: PreviewTask) -> dict:
    """What a page shows of an image: a verdict without its timeline.

    Returns:
      {"preview": True, "status", "label", "probability", "reason", "remedy", "threshold", "width", "height",
      "faces": [{"face", "label", "probability", "box": x0, y0, x1, y1 in px}]}.
    """
    network, _ = ready(task.source, task.memory_bytes)
    limit_cpu(task.time_limit_s * (os.cpu_count() or 1))
    settings = JudgeSettings(time_limit_s=task.time_limit_s)
    verdict = refusal(task.path, task.max_pixels)
    verdict = verdict or judge(task.path, network.model, network.recipe, network.detect, settings)
    names = ("status", "label", "probability", "reason", "remedy")
    faces = [
        {name: face[name] for name in ("face", "label", "probability")}
        | {"box": [float(side) for side in face["timeline"][0]["box"]]}
        for face in verdict.to_dict()["faces"]
    ]
    return {
        "preview": True,
        **{name: getattr(verdict, name) for name in names},
        "threshold": verdict.threshold,
        "width": verdict.video.get("width"),
        "height": verdict.video.get("height"),
        "faces": [] if verdict.whole_frame else faces,
    }
