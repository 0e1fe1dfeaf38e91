"""Published files that are others, servers and proxies that say no, full disks: refused, with the way by hand."""

import errno
import io
import shutil
import socket
import threading
from types import SimpleNamespace

import pytest
from support.fetching import CONTENT, CUT, NAME, OTHER, OTHER_SHA256, SHA256, begun, fetch, files, message
from support.loopback import page, redirect, serve, status

from tfdeepfake.errors import InputError
from tfdeepfake.weights import cache, connection, download

pytestmark = pytest.mark.usefixtures("own_cache_and_no_proxy")


@pytest.fixture
def lines():
    return []


# Other files than the published one.


def test_a_file_with_another_checksum_is_refused(site):
    site["/a"] = serve(OTHER)
    text = message(site, sha256=SHA256)
    assert f"sha256 is {OTHER_SHA256}, expected {SHA256}" in text and "a newer tfdeepfake may" in text and files() == []


def test_the_second_address_serves_where_the_first_lies(site):
    site["/a"], site["/b"] = serve(OTHER), serve(CONTENT)
    assert fetch(site, ["/a", "/b"], sha256=SHA256).read_bytes() == CONTENT


def test_a_later_file_is_held_to_the_checksum_of_the_first(site):
    site["/a"] = serve(CONTENT)
    path = fetch(site)
    assert cache.remove(NAME) == 300_000
    site["/a"] = serve(OTHER, etag='"2"')
    text = message(site)
    note = path.with_name(f"{NAME}.json")
    assert f"its sha256 is {OTHER_SHA256}, then {SHA256}" in text and f"delete {note} and fetch again" in text
    assert not path.exists()
    note.unlink()
    assert fetch(site).read_bytes() == OTHER
    # The published digits, once known, count for more than the first fetch.
    assert "expected " + SHA256 in message(site, sha256=SHA256)
    site["/a"] = serve(CONTENT)
    assert fetch(site, sha256=SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("known", [299_999, 300_001])
def test_a_file_of_another_size_is_refused(site, length, known):
    site["/a"] = serve(CONTENT, length=length)
    sent = "offers 300,000" if length else "sends more than 299,999" if known < 300_000 else "has 300,000"
    assert f"{sent} bytes, the published file has {known:,}" in message(site, num_bytes=known)
    assert not cache.is_here(NAME)


def test_a_file_without_end_is_stopped(site, monkeypatch):
    monkeypatch.setattr(download, "LARGEST_BYTES", 100_000)
    site["/a"] = serve(CONTENT, length=False)
    assert "sends more than 100,000 bytes" in message(site, sha256=SHA256) and files() == []


def test_an_empty_file_is_refused(site):
    site["/a"] = page(b"", "application/octet-stream")
    assert "broke off after 0" in message(site) and not cache.is_here(NAME)


def test_a_file_that_may_have_been_cut_is_refused(site):
    site["/a"] = serve(CONTENT, until=CUT, length=False)
    assert "does not say how large the file is" in message(site) and files() == []


HTML = b"\n<!DOCTYPE html><html><head><title> Hotel Wi-Fi\n</title></head></html>"


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_page_in_place_of_the_file_is_told(site, content_type):
    site["/a"], site["/portal"] = redirect("/portal"), page(HTML, content_type)
    text = message(site, num_bytes=300_000)
    assert 'gives a web page of 127.0.0.1 ("Hotel Wi-Fi") in place of the file' in text and "log in first" in text
    assert files() == []


def test_weights_that_begin_like_a_tag_are_no_page(site):
    site["/a"] = serve(b"<\0\0\0\0\0\0\0{}" + CONTENT)
    assert fetch(site).exists()


# What stands between.


def test_several_addresses_are_tried_in_turn_and_all_named(site, lines):
    site["/b"], site["/c"] = status(403), status(410)
    text = message(site, ["/a", "/b", "/c"], remedy="Or take mtcnn.")
    for words in (
        "/a is not there any more (404 Not Found); ",
        "the server says no (403",
        "(410 Gone).",
        "Or take mtcnn.",
    ):
        assert words in text
    assert text.count("A newer tfdeepfake") == 1
    site["/d"] = serve(CONTENT)
    assert fetch(site, ["/a", "/d"]).read_bytes() == CONTENT


@pytest.mark.parametrize("code, tries", [(429, 5), (500, 5), (511, 1), (418, 1)])
def test_a_server_in_trouble_is_asked_again(site, code, tries):
    site["/a"] = status(code)
    assert str(code) in message(site) and len(site.asked) == tries
    site["/a"] = [status(503), serve(CONTENT)]
    assert fetch(site).read_bytes() == CONTENT


def offline(monkeypatch, error):
    def resolve(*args, **kwargs):
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_offline_is_told_with_the_way_by_hand(monkeypatch):
    offline(monkeypatch, socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    with pytest.raises(InputError) as error:
        cache.fetch(NAME, ["https://weights.example/a", "https://weights.example/b"])
    text = str(error.value)
    assert "cannot be reached: weights.example has no known number (DNS). Is this machine online?" in text
    assert (
        f"download https://weights.example/a with a browser or on another machine and put it at {cache.home()}" in text
    )
    assert text.count("weights.example has") == 1


def test_a_name_server_that_never_answers_holds_nobody_up(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: ended.wait(60) and [])
    with pytest.raises(InputError, match="cannot be reached: weights.example does not answer within 0.05 s"):
        cache.fetch(NAME, ["https://weights.example/a", "https://mirror.example/a"], connect_s=0.1)
    ended.set()


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_closed_door_is_told():
    with pytest.raises(InputError, match="lets no connection through .Connection refused"):
        cache.fetch(NAME, [f"http://127.0.0.1:{closed_port()}/a"])


@pytest.mark.parametrize("code", [403, 407])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_says_no_is_told_without_its_password(site, monkeypatch, scheme, code):
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:secret@{site.host}")
    site["/a"] = site["weights.example:443"] = status(code)
    with pytest.raises(InputError) as error:
        cache.fetch(NAME, [f"{scheme}://weights.example/a"])
    text = str(error.value)
    assert f"the proxy {site.host}" in text and "says no" in text and str(code) in text and "secret" not in text


def test_a_proxy_that_is_not_there_is_told(monkeypatch):
    port = closed_port()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    with pytest.raises(InputError, match=f"the proxy 127.0.0.1:{port} lets no connection through.*Correct HTTPS_PROXY"):
        cache.fetch(NAME, ["https://weights.example/a"])


def test_a_proxy_serves(site, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://{site.host}")
    site["/a"] = serve(CONTENT)
    assert cache.fetch(NAME, ["http://weights.example/a"]).read_bytes() == CONTENT
    assert site.asked[0][0] == "http://weights.example/a"


def test_a_connection_that_cannot_be_trusted_is_told(site):
    with pytest.raises(InputError, match="no connection that can be trusted .*REQUESTS_CA_BUNDLE"):
        cache.fetch(NAME, [f"https://{site.host}/a"])


def test_a_redirect_out_of_https_is_refused():
    answer = SimpleNamespace(url="http://weights.example/a?key=secret")
    with pytest.raises(connection.Unavailable, match="leads to http://weights.example/a, where anybody"):
        download._offer(answer, "https://weights.example/a", None, 0)


# The disk.


def test_too_little_room_is_told_before_the_download(site, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    site["/a"] = serve(CONTENT)
    text = message(site)
    assert "the disk is full (300.0 kB are missing, 1.0 kB are free)" in text and cache.HOME_VARIABLE in text


class FullDisk(io.FileIO):
    """Has no room behind CUT bytes."""

    def write(self, piece):
        if self.tell() >= CUT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(piece)


def test_a_disk_that_fills_up_keeps_what_has_come(site, monkeypatch):
    site["/a"] = serve(CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(download, "open", FullDisk, raising=False)
        text = message(site)
    assert "the disk is full (No space left on device)" in text and "Free some space" in text
    assert fetch(site).read_bytes() == CONTENT and site.ranges() == [None, f"bytes={CUT}-"]


# Listing, removing, carrying.


def test_listing_and_removing(site):
    assert cache.listing() == [] and cache.remove(NAME) == 0 and not cache.is_here(NAME)
    site["/a"] = serve(CONTENT)
    fetch(site)
    begun(address="http://elsewhere/a", num_bytes=300_000)
    rows = [(r.name, r.num_bytes, r.is_whole, r.address, r.sha256) for r in cache.listing()]
    assert rows == [
        (NAME, 300_000, True, site.address("/a"), SHA256),
        (NAME, CUT, False, "http://elsewhere/a", None),
    ]
    assert cache.is_here(NAME) and cache.remove(NAME) == 300_000 + CUT
    assert cache.listing() == [] and files() == [f"{NAME}.json"]


def test_a_file_on_its_way_is_not_removed(site):
    begun()
    with cache.exclusive_lock(cache.cached_path(NAME).with_name(f".{NAME}.lock")):
        with pytest.raises(InputError, match="is being fetched by another process"):
            cache.remove(NAME)
    assert cache.remove(NAME) == CUT


def test_a_copy_serves_a_machine_without_a_network(site, monkeypatch, tmp_path):
    with pytest.raises(InputError, match="missing.*Fetch it first"):
        cache.copy(NAME, tmp_path / "stick")
    site["/a"] = serve(CONTENT)
    fetch(site)
    assert cache.copy(NAME, tmp_path / "stick") == tmp_path / "stick" / NAME
    assert cache.copy(NAME, cache.cached_path(NAME).parent) == cache.cached_path(NAME)
    offline(monkeypatch, socket.gaierror(socket.EAI_NONAME, "no"))
    path = cache.fetch(NAME, ["https://weights.example/a"], cache_dir=tmp_path / "stick")
    assert path.read_bytes() == CONTENT and cache.listing(tmp_path / "stick")[0].address == site.address("/a")


def test_sizes_in_words():
    assert [download.size_text(n) for n in (999, 267_000, 1_215_928_160)] == ["999 bytes", "267.0 kB", "1.2 GB"]
