"""Synthetic talking heads and four manipulations of them: the data set that needs no download.

Each video has a person (`Identity`), a room with a camera (`Scene`) and a `Motion`; all follow from seeds.
The manipulations are in `fakes.py`.

A fake's motion is never a real video's motion, so no pair of videos differs by the manipulation alone, while
rooms, clothes, camera and compression of a fake are those of one of the person's real videos: nothing but the
manipulation tells them apart.
"""

import hashlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfdeepfake.data.synthetic.fakes import METHODS, draw_fake, frames_and_masks
from tfdeepfake.data.synthetic.people import (
    FPS,
    FRAMES,
    HEIGHT_PX,
    WIDTH_PX,
    identity,
    motion,
    scene,
)
from tfdeepfake.vocabulary import SPLITS


@dataclass(frozen=True)
class ClipSpec:
    """One video of the set: everything needed to draw it.

    `target` and `source` are identity numbers (source None for a real video); `video` is unique within the set.
    """

    video: str
    split: str
    label: int
    method: str
    target: int
    source: int | None
    set_seed: int
    scene: int
    seed: int
    source_seed: int | None
    num_frames: int
    fps: int
    width: int
    height: int
    strength: float = 1.0

    @property
    def file_name(self) -> str:
        return f"{self.video}.mp4"


def _number(*parts):
    """A 31-bit seed from names: equal on every machine, unlike `hash`."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big") >> 1


def make_set(
    identities: tuple = (36, 8, 16),
    real_per_identity: int = 2,
    fakes_per_method: int = 1,
    seed: int = 0,
    num_frames: int = FRAMES,
    fps: int = FPS,
    width: int = WIDTH_PX,
    height: int = HEIGHT_PX,
    strength: float = 1.0,
) -> list:
    """Lists the videos of a set: per identity `real_per_identity` real ones in different rooms and
    `fakes_per_method` fakes by each method.

    Args:
      identities: people in train, validation and test; a split needs none or two, because a fake has a target
        and another person of the same split as its source.
      strength: factor of what gives the fakes away, see `fakes.draw_fake`.
    Returns:
      list[ClipSpec], real and fake, ordered by split and identity.
    Raises:
      ValueError: a split of one identity, fakes without a real video whose room they could have, or a negative
        strength.
    """
    if len(identities) != len(SPLITS) or any(n == 1 or n < 0 for n in identities):
        raise ValueError(f"identities needs three counts for {SPLITS}, each 0 or at least 2, got {identities}.")
    if real_per_identity < 1:
        raise ValueError(f"real_per_identity needs at least 1, got {real_per_identity}.")
    if not 0 <= strength < math.inf:
        raise ValueError(f"strength needs a number from 0 on, got {strength}.")
    specs, first = [], 0
    for split, count in zip(SPLITS, identities, strict=True):
        people = range(first, first + count)
        rng = np.random.default_rng([seed, 8, SPLITS.index(split)])
        order = rng.permutation(count)
        first += count
        for person in people:
            common = dict(
                split=split, target=person, set_seed=seed, num_frames=num_frames, fps=fps, width=width, height=height,
                strength=strength,
            )  # fmt: skip
            rooms = [person * 100 + k for k in range(real_per_identity)]
            for k, scene_number in enumerate(rooms):
                name = f"{person:03d}_{k}"
                specs.append(
                    ClipSpec(
                        name,
                        label=0,
                        method="real",
                        source=None,
                        scene=scene_number,
                        seed=_number(seed, name),
                        source_seed=None,
                        **common,
                    )
                )
            turn = int(rng.integers(len(rooms)))  # no method may keep to one room of each person
            for k, (method, copy) in enumerate(itertools.product(METHODS, range(fakes_per_method))):
                place = int(np.flatnonzero(order == person - people[0])[0])
                other = people[int(order[(place + 1 + k % (count - 1)) % count])]
                name = f"{person:03d}_{other:03d}_{method}" + (f"_{copy}" if copy else "")
                specs.append(ClipSpec(
                    name, label=1, method=method, source=other, scene=rooms[(k + turn) % len(rooms)],
                    seed=_number(seed, name), source_seed=_number(seed, name, "source"), **common,
                ))  # fmt: skip
    return specs


def frames_of(spec: ClipSpec) -> "Iterator[tuple[np.ndarray, np.ndarray]]":
    """Yields (frame, mask) of a video of the set; the mask of a real video is zero everywhere."""
    person, place = identity(spec.set_seed, spec.target), scene(spec.set_seed, spec.scene)
    move = motion(spec.seed, spec.num_frames, spec.fps)
    if not spec.label:
        yield from frames_and_masks(person, place, move, spec.width, spec.height)
        return
    source = identity(spec.set_seed, spec.source), motion(spec.source_seed, spec.num_frames, spec.fps)
    yield from draw_fake(spec.method, (person, place, move), source, spec.seed, spec.width, spec.height, spec.strength)


def write_clip(spec: ClipSpec, folder: str | Path) -> Path:
    """Draws a video of the set and writes it as H.264 .mp4, real and fake through the same encoder once.

    Returns:
      Path of the file, `folder / spec.file_name`.
    """
    from tfdeepfake.data.video import write_video

    path = Path(folder) / spec.file_name
    # x264's macroblock tree gives other bytes from run to run on the same frames (seen with x264 core of PyAV 18.1),
    # and drawing a set again must give the same files.
    crf = scene(spec.set_seed, spec.scene).crf
    write_video(path, (frame for frame, _ in frames_of(spec)), spec.fps, crf=crf, options={"mbtree": "0"})
    return path
