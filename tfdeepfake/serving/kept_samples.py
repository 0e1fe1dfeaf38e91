"""What is kept of a judged video, which itself is deleted: of each deciding face the input that speaks most for FAKE.

It lies beside the verdict, is deleted with it, and lets a map be drawn when somebody asks for one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.verdict.images import FACES_SHOWN

if TYPE_CHECKING:
    from tfdeepfake.explain.samples import Sample
    from tfdeepfake.verdict.batch import Network

SAMPLES = "samples"
_FIELDS = ("logit", "probability", "indices", "timestamps_s", "frames", "flow", "matrices", "face_boxes_px")


def keep_samples(network: "Network") -> Callable:
    """What `verdict.batch.judge_many` takes as `explain`: keeps inputs, and draws nothing yet."""
    from tfdeepfake.explain.samples import most_suspicious, sample_of

    def keep(path, record, shown, out_dir, folder):
        faces = [face["face"] for face in record["faces"] if not (face["brief"] or face["weak"])][:FACES_SHOWN]
        folder = Path(out_dir) / SAMPLES
        folder.mkdir(exist_ok=True)
        for face, sample in most_suspicious([sample_of(one, network.recipe) for one in shown]).items():
            if face in faces:
                values = {name: getattr(sample, name) for name in _FIELDS if getattr(sample, name) is not None}
                np.savez(folder / f"face_{face}.npz", **values)
        return []

    return keep


def kept_faces(folder: Path | str) -> list[int]:
    """Numbers of the faces of a job that can be explained."""
    return sorted(int(path.stem.removeprefix("face_")) for path in (Path(folder) / SAMPLES).glob("face_*.npz"))


def read_sample(folder: Path | str, face: int) -> "Sample":
    """The kept input of a face, without maps.

    Raises:
      InputError: none is kept.
    """
    from tfdeepfake.explain.samples import Sample

    path = Path(folder) / SAMPLES / f"face_{face}.npz"
    if not path.is_file():
        raise InputError(f"face {face}", "has no map: it does not decide.")
    with np.load(path, allow_pickle=False) as values:
        kept = {name: values[name] for name in values.files}
    return Sample(face=face, **{"flow": None} | kept | {n: float(kept[n]) for n in ("logit", "probability")})
