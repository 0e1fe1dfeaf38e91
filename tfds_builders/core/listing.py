"""A video of a data set as its builder lists it, and the digest of a whole list."""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class VideoRecord:
    """A video: `path`, `name` (unique, as in the CSV or as seen from the folder), label 1 = fake, method, source, and
    the split it was given or None. `line` of the CSV, 0 without one. `mask` and `subgroups`: see `features.Video`."""

    path: Path
    name: str
    label: int
    method: str
    source: str
    split: str | None = None
    line: int = 0
    mask: object = None
    subgroups: dict = field(default_factory=dict, hash=False)


def _size(path):
    """Bytes of a file, or of all in a folder of frames; -1 of what cannot be read."""
    try:
        if path.is_dir():
            return sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
        return path.stat().st_size
    except OSError:
        return -1


def fingerprint(listed: Iterable[VideoRecord]) -> str:
    """Digest of a list of videos; tells whether a prepared set was built from what the folder holds now."""
    rows = [
        [v.name, v.label, v.method, v.source, v.split, _size(v.path)]
        + ([v.mask.stat().st_size] if v.mask else [])
        + ([v.subgroups] if v.subgroups else [])
        for v in listed
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
