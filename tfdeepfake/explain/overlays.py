"""For the verdict page: where, in the most suspicious sample of each face, a network looks."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.explain.draw import cell
from tfdeepfake.explain.gradcam import gradcam
from tfdeepfake.explain.samples import Sample, most_suspicious, sample_of, with_maps
from tfdeepfake.verdict.images import FACES_SHOWN, folder_name

if TYPE_CHECKING:
    from tfdeepfake.verdict.batch import Network

SIDE_PX = 320


def overlays(network: "Network") -> Callable:
    """A function that draws the maps of one verdict, see `verdict.batch.judge_many`.

    Args:
      network: loaded with runtime "keras".
    Returns:
      Function of (path, record, list of `Shown`, out_dir, folder) that writes an image for each deciding face, its crop
      and the maps over it side by side, and returns [{"file", "kind": "map", "face", "frame", "time_s", "empty"}].
    """
    maps = gradcam(network.model, recipe=network.recipe)

    def draw(path: Path | str, record: dict, shown: list, out_dir: Path, folder: str) -> list[dict]:
        from tfdeepfake.data.video.write import write_image

        if not shown:
            return []
        faces = [face["face"] for face in record["faces"] if not (face["brief"] or face["weak"])][:FACES_SHOWN]
        worst = most_suspicious([sample_of(one, network.recipe) for one in shown if one.face in faces])
        samples = with_maps([worst[face] for face in faces], network.model, [maps], 2)
        images = []
        for sample in samples:
            image, t = map_image(sample)
            name = Path(folder) / folder_name(record["name"], path) / f"map_{sample.face}.jpg"
            write_image(Path(out_dir) / name, image)
            place = {"frame": int(sample.indices[t]), "time_s": round(float(sample.timestamps_s[t]), 4)}
            empty = not any(peak > 0 for peak in sample.peaks.values())
            images.append({"file": name.as_posix(), "kind": "map", "face": sample.face, **place, "empty": empty})
        return images

    return draw


def map_image(sample: Sample) -> tuple[np.ndarray, int]:
    """(uint8 [H, W, 3], the crop and each map over it side by side; number of the frame, of a clip that whose maps hold
    most)."""
    t = int(sum(values.sum(axis=(1, 2)) for values in sample.maps.values()).argmax())
    return np.concatenate([cell(sample, t, name, SIDE_PX) for name in ("crop", *sample.maps)], axis=1), t
