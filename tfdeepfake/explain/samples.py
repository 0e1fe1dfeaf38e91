"""One video to what its network was shown, each sample with its maps: the very path of a verdict."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from tfdeepfake.data.examples import Example
from tfdeepfake.recipe import Recipe
from tfdeepfake.scoring.rules import probability
from tfdeepfake.verdict.timelines import Shown

if TYPE_CHECKING:
    import keras

    from tfdeepfake.verdict.batch import Network
    from tfdeepfake.verdict.settings import JudgeSettings


@dataclass(frozen=True, eq=False)
class Sample:
    """One input of the network and its maps; T is 1 for a frame network.

    Args:
      face: number of the face in the verdict.
      logit, probability: of FAKE, as the verdict has them.
      indices: int64 [T], frame numbers in the video; timestamps_s: float64 [T].
      frames: uint8 [T, h, w, 3], the crops; flow: float32 [T, h, w, 2] px/frame or None.
      matrices: float64 [T, 2, 3], from px of the video's full-size frame to px of the crop, both from their edges.
      face_boxes_px: float32 [T, 4].
      maps: {name: float32 [T, h, w] in 0..1}.
      peaks: {name: highest value before the map was scaled}.
    """

    face: int
    logit: float
    probability: float
    indices: np.ndarray
    timestamps_s: np.ndarray
    frames: np.ndarray
    flow: np.ndarray | None
    matrices: np.ndarray
    face_boxes_px: np.ndarray
    maps: dict = field(default_factory=dict)
    peaks: dict = field(default_factory=dict)

    def inputs(self, model: "keras.Model") -> dict:
        """{"frames": [(T,) h, w, 3], "flow": ...} as the network takes one example."""
        values = {"frames": self.frames, "flow": self.flow}
        shapes = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
        return {name: values[name].reshape(shape) for name, shape in shapes.items()}


def sample_of(shown: Shown, recipe: Recipe) -> Sample:
    """The sample of something that a verdict looked at, without maps yet."""
    example, at = shown.example, shown.at
    rows = np.arange(len(example.frames))[at].reshape(-1)
    return Sample(
        face=shown.face,
        logit=float(shown.logit),
        probability=float(probability(shown.logit, recipe.temperature)),
        indices=example.indices[rows],
        timestamps_s=example.timestamps_s[rows],
        frames=example.frames[rows],
        flow=None if example.flow is None else example.flow[rows],
        matrices=crop_matrices(example)[rows],
        face_boxes_px=example.face_boxes_px[rows],
    )


def crop_matrices(example: Example) -> np.ndarray:
    """float64 [T, 2, 3]: where px of the full-size frame lie in the crops of an example, counted from the edges."""
    height, width = example.frames.shape[1:3]
    if example.transforms is not None:
        scale = np.array([width, height])[None] / np.asarray(example.sides_px, np.float64)[:, None]
        return example.transforms * scale[:, :, None]
    x0, y0, x1, y1 = np.asarray(example.boxes_px, np.float64).T
    across, down = width / (x1 - x0), height / (y1 - y0)
    zero = np.zeros_like(across)
    return np.stack([np.stack([across, zero, -x0 * across], -1), np.stack([zero, down, -y0 * down], -1)], 1)


def with_maps(samples: list[Sample], model: "keras.Model", functions: list[Callable], at_once: int) -> list[Sample]:
    """The samples with maps of several kinds.

    Args:
      samples: without maps.
      model: keras.Model.
      functions: as `gradcam.gradcam` and `attention.attention` make them.
      at_once: examples in one call.
    Returns:
      As many Samples.
    """
    explained = []
    for start in tqdm(range(0, len(samples), at_once), desc="maps", unit="batch", disable=None, leave=False, delay=1):
        part = samples[start : start + at_once]
        rows = [sample.inputs(model) for sample in part]
        batch = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        named = {}
        for function in functions:
            named |= function(batch)
        for k, sample in enumerate(part):
            maps = {name: maps.values[k] for name, maps in named.items()}
            peaks = {name: float(maps.peak[k]) for name, maps in named.items()}
            explained.append(replace(sample, maps=maps, peaks=peaks))
    return explained


def most_suspicious(samples: list[Sample]) -> dict[int, Sample]:
    """{face: its sample of the highest probability}."""
    worst = {}
    for sample in samples:
        if sample.face not in worst or worst[sample.face].probability < sample.probability:
            worst[sample.face] = sample
    return worst


def maps_of_video(path: Path | str, network: "Network", settings: "JudgeSettings", functions: list[Callable]) -> tuple:
    """A verdict and the maps of everything it looked at.

    Args:
      path: video or image.
      network: `verdict.batch.Network`, loaded with runtime "keras".
      settings: `JudgeSettings`.
      functions: see `with_maps`.
    Returns:
      (Verdict, list of Sample in order of face and time; empty unless it is scored).
    """
    from tfdeepfake import model_inputs
    from tfdeepfake.verdict.cost import on_bar
    from tfdeepfake.verdict.judging import judge

    shown = []
    with tqdm(total=1, desc="judging", unit="file", disable=None, leave=False) as bar:
        tell = on_bar(bar, "clip" if network.recipe.data.input_type == "clip" else "face", network.recipe.gmacs)
        verdict = judge(path, network.model, network.recipe, network.detect, settings, keep=shown.extend, progress=tell)
    samples = [sample_of(one, network.recipe) for one in shown]
    samples.sort(key=lambda sample: (sample.face, int(sample.indices[0])))
    at_once = 2 if model_inputs.input_type(network.model) == "clip" else 8
    return verdict, with_maps(samples, network.model, functions, at_once)
