"""The real videos of a folder, and a pseudo-fake or several for each of them."""

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfdeepfake.data.blend import self_blend
from tfdeepfake.data.examples import NoFace
from tfdeepfake.data.video import is_media
from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import Listing, media_in
from tfds_builders.core.splits import assign_splits
from tfds_builders.video_folder import listing as video_folder

if TYPE_CHECKING:
    from tfdeepfake.data.examples import Example


METHOD = "self_blended"
FAKES = "fakes, of which self_blended takes none"
LAYOUT = "Real videos: in the folder itself, in its subfolder real/, or as real in a CSV file as video_folder reads it."


def list_videos(folder: str | Path, fakes_per_real: int = 1, masks: bool = False, **_: Any) -> Listing:
    """Real videos and their pseudo-fakes, which have the source and so the split of the real one.

    Sources have the splits that `video_folder` gives them, fakes of the folder included: what is trained here can be
    tested on them there.

    Args:
      folder: Path, in the layout of `video_folder`, in which fakes may be missing; or with real videos directly in it.
      fakes_per_real: pseudo-fakes of each real video.
      masks: whether they are stored.
    Returns:
      Listing. The pseudo-fakes of VIDEO are named VIDEO#1, VIDEO#2, ...
    Raises:
      InputError: no real video, a wrong CSV file, or `fakes_per_real` is below 1.
    """
    if fakes_per_real < 1:
        raise InputError("fakes_per_real", f"needs at least 1, got {fakes_per_real}.")
    listing, videos = Listing(), _all_videos(folder)
    listing.exclude(FAKES, *(v.name for v in videos if v.label))
    for real in (v for v in videos if not v.label):
        real = dataclasses.replace(real, mask="" if masks else None)
        listing.videos.append(real)
        for number in range(1, fakes_per_real + 1):
            listing.videos.append(dataclasses.replace(real, name=f"{real.name}#{number}", label=1, method=METHOD))
    return listing


def _all_videos(folder):
    """Real videos and fakes, as `video_folder.listing.list_videos` gives them."""
    inside = [p for p in folder.iterdir() if not p.name.startswith(".")]
    laid_out = (folder / "real").is_dir() or any(p.suffix.lower() == ".csv" for p in inside)
    if laid_out or not any(is_media(p) for p in inside):
        return video_folder.list_videos(folder, needed=("real",))
    # Not of subfolders: those of a whole data set hold its fakes.
    paths = media_in(folder, LAYOUT)
    splits = assign_splits({path.stem: {0} for path in paths})
    return [VideoRecord(path, path.name, 0, "real", path.stem, splits[path.stem]) for path in paths]


def blend(name: str, seed: int, drift: float, example: "Example") -> "Example":
    """The pseudo-fake of a run of frames. Its random draw depends on name, face, place and seed.

    Args:
      name: of the pseudo-fake.
      drift: see `blend.self_blend`.
      example: Example with landmarks.
    Raises:
      NoFace: the face lies outside the frames.
    """
    text = f"{seed}/{name}/{example.face}/{int(example.indices[0])}"
    rng = np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))
    try:
        frames, mask = self_blend(example.frames, example.landmarks_px, rng, drift=drift)
    except ValueError as error:
        raise NoFace(name, f"nothing can be blended ({error})") from None
    return dataclasses.replace(example, frames=frames, mask=np.rint(255 * mask).astype(np.uint8))
