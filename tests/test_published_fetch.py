"""Published checkpoints are fetched, carried, listed and removed by name."""

import dataclasses
import shutil

import pytest
from support.loopback import serve, status

from tfdeepfake.errors import InputError
from tfdeepfake.published import fetch
from tfdeepfake.weights import cache

CONTENT = bytes(range(256)) * 100


pytestmark = pytest.mark.usefixtures("own_cache_and_no_proxy")


@pytest.fixture
def lines():
    return []


@pytest.fixture
def published(site, monkeypatch):
    """A checkpoint `tiny` on the server, without a known checksum, and one that has no address."""
    site["/tiny.pth?raw=1"] = serve(CONTENT)
    known = dataclasses.replace(
        fetch.SOURCES["meso4_df"],
        address=site.address("/tiny.pth?raw=1"),
        sha256=None,
        num_bytes=25_600,
        licence="MIT",
        trained_on="synthetic faces",
        unreachable="its server may be gone",
    )
    monkeypatch.setitem(fetch.SOURCES, "tiny", known)
    words = dataclasses.replace(known, address="its authors' page, https://weights.example")
    monkeypatch.setitem(fetch.SOURCES, "in_words", words)
    return site


def test_a_checkpoint_is_fetched_listed_and_removed_by_name(published, lines):
    path = fetch.fetch_published("tiny", progress=False, log=lines.append)
    assert path == cache.cached_path("tiny.pth") and path.read_bytes() == CONTENT
    assert "25.6 kB" in lines[0] and "MIT" in lines[0] and "synthetic faces" in lines[0]
    assert fetch.fetch_published("tiny", log=lines.append) == path and len(lines) == 1
    rows = {row.source: row for row in fetch.listing()}
    assert rows["tiny"].cached.is_whole and rows["in_words"].cached is rows["in_words"].address is None
    assert fetch.remove_published("tiny") == 25_600 and not cache.is_here("tiny.pth")
    assert fetch.remove_published("in_words") == 0


@pytest.mark.parametrize("here", [True, False])
def test_a_checkpoint_is_carried_to_a_machine_without_a_network(published, monkeypatch, tmp_path, here, lines):
    if here:
        fetch.fetch_published("tiny", progress=False)
    path = fetch.fetch_published("tiny", to=tmp_path / "stick", progress=False, log=lines.append)
    assert path.read_bytes() == CONTENT and cache.is_here("tiny.pth") == here and len(published.asked) == 1
    assert "put tiny.pth and tiny.pth.json into the folder `downloads`" in lines[-1]
    monkeypatch.setenv(cache.HOME_VARIABLE, str(tmp_path / "other"))
    shutil.copytree(tmp_path / "stick", tmp_path / "other" / "downloads")
    assert fetch.fetch_published("tiny").is_relative_to(tmp_path / "other") and len(published.asked) == 1


def test_what_cannot_be_fetched_says_how_to_get_it(published):
    with pytest.raises(
        InputError, match="first: its authors' page.*example .its server may be gone.*convert in_words FILE --out DIR"
    ):
        fetch.fetch_published("in_words")
    with pytest.raises(InputError, match="nonsense: is no known checkpoint.*meso4_df.*tiny"):
        fetch.fetch_published("nonsense")
    published["/tiny.pth?raw=1"] = status(404)
    with pytest.raises(InputError, match="tfdeepfake convert tiny FILE --out DIR .*its server may be gone"):
        fetch.fetch_published("tiny")


def test_every_direct_address_has_a_file_of_its_own():
    names = [fetch.file_name(row.source) for row in fetch.listing() if row.address]
    assert len(names) == len(set(names)) and {"meso4_df.h5", "i3d_kinetics.pt", "r3d_18_kinetics.pth"} <= set(names)
    for name in names:
        cache.cached_path(name)
