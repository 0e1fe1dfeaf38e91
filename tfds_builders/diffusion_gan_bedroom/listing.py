"""The bedroom images as they are distributed: a folder for each generator, grouped into pseudo-videos (P4 4.7)."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfdeepfake.data.examples import NoFace, extract
from tfdeepfake.data.video import spaced_indices
from tfdeepfake.data.video.check import VideoError
from tfdeepfake.errors import InputError
from tfds_builders.core.listing import VideoRecord
from tfds_builders.core.manual import Listing

if TYPE_CHECKING:
    from tfdeepfake.data.examples import Example
    from tfdeepfake.recipe import DataRecipe


# P4 4.7: "we assume a video is composed of 200 images", over which predictions are averaged.
GROUP = 200
SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
# Fractions of images without folders for splits; the official splits are 39,000, 1,000 and 10,000 of 50,000.
FRACTIONS = {"train": 0.78, "validation": 0.02, "test": 0.2}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
INNER = "diffusion_model_deepfakes_lsun_bedroom"
GET = "It is at https://doi.org/10.5281/zenodo.7528112; unpack train, val and test beside each other."
LAYOUT = "It needs train/, val/ and test/ with a folder for each generator in them, or such folders themselves."
OTHER = "files that are no images"


@dataclass(frozen=True)
class Group(VideoRecord):
    """A pseudo-video: `images` in their order; `path` is the last of them, which is another when one is added."""

    images: tuple = ()


def list_videos(folder: Path, generators: tuple = (), **_: Any) -> Listing:
    """All pseudo-videos.

    In a split's folder the images of a generator lie in its folder or, beside the real ones meant for its training in
    0_real/, in 1_fake/; other real ones are in Real/. Without folders for splits each image has the split that a
    hash of its generator and name gives, in the fractions of the official splits; adding an image moves no other.

    Args:
      folder: Path.
      generators: those to take, with the real images meant for them and those of Real/; all when empty.
    Returns:
      Listing. `name` is GENERATOR/SPLIT/NUMBER, `source` the same: no two pseudo-videos have an image in common.
    Raises:
      InputError: no such folders or generator.
    """
    inner = folder / INNER
    folder = inner if inner.is_dir() else folder
    parts = {name: folder / name for name in SPLITS if (folder / name).is_dir()}
    listing, by_class = Listing(), {}
    for part, split in [(path, SPLITS[name]) for name, path in parts.items()] or [(folder, None)]:
        for name, label, images in _classes(part, listing):
            for at, path in images:
                to = split or split_of(f"{name}/{at}")
                by_class.setdefault((name, label, to), []).append(path)
    names = sorted({name for name, label, _ in by_class if label})
    if not names:
        raise InputError(folder, "holds no folder of generated images.", f"{LAYOUT} {GET}")
    if unknown := sorted(set(generators) - set(names)):
        raise InputError("generators", f"has no {unknown[0]!r} in {folder}.", f"There are {', '.join(names)}.")
    for (name, label, split), images in sorted(by_class.items()):
        if generators and name not in (*generators, "real", *(f"real-{one}" for one in generators)):
            continue
        images.sort()
        for number, first in enumerate(range(0, len(images), GROUP)):
            members = tuple(images[first : first + GROUP])
            video = f"{name}/{split}/{number:04d}"
            listing.videos.append(
                Group(members[-1], video, label, name if label else "real", video, split, images=members)
            )
    return listing


def split_of(name: str) -> str:
    """The split of an image by a hash of its name."""
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    edges = np.cumsum(list(FRACTIONS.values()))
    return list(FRACTIONS)[int(np.searchsorted(edges[:-1], place, side="right"))]


def _classes(part, listing):
    """Yields (name, label, [(name of the image, its Path)]) of the folders of a split."""
    for folder in sorted(p for p in part.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if folder.name.lower() == "real":
            yield "real", 0, _images(folder, listing)
        elif (folder / "0_real").is_dir() or (folder / "1_fake").is_dir():
            yield f"real-{folder.name}", 0, _images(folder / "0_real", listing)
            yield folder.name, 1, _images(folder / "1_fake", listing)
        else:
            yield folder.name, 1, _images(folder, listing)


def _images(folder, listing):
    """Yields (path as seen from the folder, Path) of the images below a folder; it may be absent."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(root) / name
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield path.relative_to(folder).as_posix(), path
            elif not name.startswith("."):
                listing.exclude(OTHER, path.as_posix())


def places(images: Sequence, recipe: "DataRecipe") -> np.ndarray:
    """Which images of a pseudo-video a recipe takes, int64 [N]: `num_frames` equally spaced, at most all; of input type
    clip `num_clips`.
    """
    return spaced_indices(len(images), recipe.num_clips if recipe.input_type == "clip" else recipe.num_frames)


def read_image(path: str | Path, recipe: "DataRecipe") -> "Example":
    """The Example of an image; of input type clip `num_frames` times the same image.

    Raises:
      VideoError: it cannot be read; NoFace: a detector is asked for and finds none.
    """
    still = {"input_type": "frame", "sampling": "spaced", "num_frames": 1, "num_clips": 1, "stride_frames": 1}
    try:
        example = extract(path, dataclasses.replace(recipe, **still))[0]
    except InputError:
        raise
    except Exception as error:  # one bad image must not cost the other 199; it is counted and named
        raise VideoError(path, f"unexpected {type(error).__name__}: {error}", "Download it again.") from error
    if recipe.input_type != "clip":
        return example
    arrays = {name: value for name, value in vars(example).items() if isinstance(value, np.ndarray)}
    return dataclasses.replace(example, **{n: np.repeat(array, recipe.num_frames, 0) for n, array in arrays.items()})


def read_group(images: Sequence, recipe: "DataRecipe") -> list:
    """Examples of a pseudo-video, `indices` the place in it; those that cannot be read are missing.

    Args:
      images: tuple of Path.
      recipe: DataRecipe of input type frame or clip.
    Raises:
      VideoError: none can be read.
    """
    examples, last_error = [], None
    for place in places(images, recipe):
        try:
            example = read_image(images[place], recipe)
        except (VideoError, NoFace) as error:
            last_error = error
            continue
        # An image has no time; a place in the order of names stands for the frame.
        count = len(example.frames)
        examples.append(
            dataclasses.replace(example, indices=np.full(count, place), timestamps_s=np.full(count, np.nan))
        )
    if not examples:
        raise VideoError(images[0].parent, f"none of {len(images)} images can be read ({last_error.problem})", GET)
    return examples
