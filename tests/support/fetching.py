"""For tests of fetching: two files, and what the cache folder holds of them."""

import hashlib
import json

import numpy as np
import pytest

from tfdeepfake.errors import InputError
from tfdeepfake.weights import cache, download

CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
SHA256, OTHER_SHA256 = (hashlib.sha256(c).hexdigest() for c in (CONTENT, OTHER))
# Of a piece that was cut nothing is kept.
CUT = 3 * download.PIECE_BYTES
NAME = "tiny.pth"


def fetch(site, path="/a", **options):
    paths = [path] if isinstance(path, str) else path
    return cache.fetch(NAME, [site.address(p) for p in paths], progress=False, **options)


def message(site, path="/a", **options):
    with pytest.raises(InputError) as error:
        fetch(site, path, **options)
    text = str(error.value)
    assert text.startswith(f"{NAME}: ") or str(cache.cached_path(NAME)) in text
    return text


def files():
    """Names in the cache folder, the lock's apart."""
    folder = cache.cached_path(NAME).parent
    return sorted(p.name for p in folder.glob("[!.]*"))


def begun(content=CONTENT[:CUT], **origin):
    """A part as a broken download leaves it."""
    part = download.Part(cache.cached_path(f"{NAME}x").with_name(f"{NAME}.part"))
    part.path.parent.mkdir(parents=True, exist_ok=True)
    part.path.write_bytes(content)
    if origin:
        part.origin_path.write_text(json.dumps(origin))
    return part
