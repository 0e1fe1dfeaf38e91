"""A video of a data set as its builder lists it, and the digest of a whole list."""

import hashlib
import json
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


def fingerprint(listed):
    """Digest of a list of videos; tells whether a prepared set was built from what the folder holds now."""
    rows = [
        [v.name, v.label, v.method, v.source, v.split, v.path.stat().st_size]
        + ([v.mask.stat().st_size] if v.mask else [])
        + ([v.subgroups] if v.subgroups else [])
        for v in listed
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
