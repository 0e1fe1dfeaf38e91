"""Published files are fetched once, resumed, checked and refused, from a server that drops, lies and stalls."""

import errno
import hashlib
import io
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from support import loopback
from support.loopback import chunked, page, redirect, serve, status

from tfdeepfake.errors import InputError
from tfdeepfake.weights import cache, connection, download

CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
SHA256, OTHER_SHA256 = (hashlib.sha256(c).hexdigest() for c in (CONTENT, OTHER))
# Of a piece that was cut nothing is kept.
CUT = 3 * download.PIECE_BYTES
NAME = "tiny.pth"


@pytest.fixture(autouse=True)
def own_cache_and_no_proxy(monkeypatch, tmp_path):
    loopback.isolate(monkeypatch, tmp_path / "home")


@pytest.fixture
def site():
    with loopback.Site() as site:
        yield site


@pytest.fixture
def lines():
    return []


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


# Once, checked, kept.


@pytest.mark.parametrize("known", [{"sha256": SHA256, "num_bytes": 300_000}, {"sha256": SHA256[:8]}, {}])
def test_a_file_is_fetched_once_with_a_note_of_where_it_came_from(site, known):
    site["/a"] = serve(CONTENT)
    path = fetch(site, **known)
    assert path == cache.cached_path(NAME) and path.read_bytes() == CONTENT
    assert fetch(site, **known) == path and len(site.asked) == 1
    assert site.asked[0][1]["Accept-Encoding"] == "identity"
    note = json.loads(path.with_name(f"{NAME}.json").read_text())
    assert note.pop("date")[:2] == "20"
    assert note == {"address": site.address("/a"), "sha256": SHA256, "num_bytes": 300_000}
    assert files() == [NAME, f"{NAME}.json"]


def test_the_cache_folder_moves_with_the_environment(monkeypatch, tmp_path):
    assert cache.cached_path(NAME) == tmp_path / "home" / "downloads" / NAME
    monkeypatch.delenv(cache.HOME_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.home() == tmp_path / "xdg" / "tfdeepfake"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.home() == tmp_path / ".cache" / "tfdeepfake"
    assert cache.cached_path(NAME, tmp_path) == tmp_path / NAME


@pytest.mark.parametrize("name", ["", "..", "a/b", ".a", "a.json", "a.part"])
def test_a_name_is_a_file_name(name):
    with pytest.raises(ValueError, match="name needs a file name"):
        cache.cached_path(name)


def test_a_file_put_there_by_hand_serves_and_is_remembered(site):
    path = cache.cached_path(NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert fetch(site) == path and site.asked == []
    (row,) = cache.listing()
    assert (row.sha256, row.address) == (SHA256, None)


def test_a_file_damaged_on_disk_is_fetched_again(site, lines):
    site["/a"] = serve(CONTENT)
    path = fetch(site)
    path.write_bytes(OTHER)
    assert fetch(site, log=lines.append).read_bytes() == CONTENT and len(site.asked) == 2
    assert "is another file than the published one" in lines[0]


@pytest.mark.parametrize("reason", [errno.EACCES, errno.EROFS])
def test_a_cache_folder_that_is_read_only_serves(site, monkeypatch, reason):
    path = cache.cached_path(NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)

    def refuse(*args):
        raise OSError(reason, "not here")

    monkeypatch.setattr(cache, "write_json", refuse)
    assert fetch(site, sha256=SHA256) == path
    path.unlink()
    site["/a"] = serve(CONTENT)
    text = message(site, sha256=SHA256)
    assert "cannot be read or written (not here)" in text and "Set TFDEEPFAKE_HOME to another folder" in text


def test_the_bar_shows_bytes(site, capsys):
    site["/a"] = serve(CONTENT)
    cache.fetch(NAME, [site.address("/a")], progress=True)
    shown = capsys.readouterr().err
    assert NAME in shown and "100%" in shown and "300k/300k" in shown


def test_a_redirect_is_followed(site):
    site["/a"], site["/b"] = redirect("/b"), serve(CONTENT)
    assert fetch(site).read_bytes() == CONTENT
    site["/round"] = redirect("/round")
    assert "without end" in message(site, "/round", cache_dir=cache.home() / "else")


# Going on.


def test_a_cut_line_is_taken_up_again(site, lines):
    site["/a"] = [serve(CONTENT, until=CUT), serve(CONTENT)]
    assert fetch(site, log=lines.append).read_bytes() == CONTENT
    assert site.ranges() == [None, f"bytes={CUT}-"] and site.asked[1][1]["If-Range"] == '"1"'
    assert "broke off" in lines[0] and "trying again" in lines[0] and lines[1] == f"{NAME}: resumed at 196.6 kB."


def test_a_line_that_stays_cut_is_told_and_gone_on_from_later(site):
    site["/a"] = [serve(CONTENT, until=CUT), *[status(503)] * download.TRIES]
    text = message(site)
    assert "503" in text and "resumes behind the 196.6 kB" in text and "with a browser" in text
    assert files() == [f"{NAME}.part", f"{NAME}.part.json"]
    asked = len(site.asked)
    assert asked == 1 + download.TRIES - 1
    site["/a"] = serve(CONTENT)
    assert fetch(site).read_bytes() == CONTENT and site.ranges()[asked:] == [f"bytes={CUT}-"]


def test_a_stall_is_told_after_its_timeout(site, monkeypatch):
    monkeypatch.setattr(download, "TRIES", 2)
    ended = threading.Event()
    site["/a"] = serve(CONTENT, until=CUT, then=lambda: ended.wait(20))
    text = message(site, timeout_s=0.1)
    ended.set()
    assert "has stalled: nothing came for 0.1 s" in text and len(site.asked) >= 2


def test_a_server_that_never_answers_is_told(site, monkeypatch):
    monkeypatch.setattr(download, "TRIES", 1)
    ended = threading.Event()
    site["/a"] = lambda request: ended.wait(20)
    text = message(site, timeout_s=0.1)
    ended.set()
    assert "has stalled: nothing came for 0.1 s" in text


@pytest.mark.parametrize(
    "second", [serve(OTHER, etag='"2"'), serve(OTHER, ranges=False), serve(OTHER, etag='"2"', ranges=False)]
)
def test_a_changed_file_begins_anew(site, second):
    site["/a"] = [serve(CONTENT, until=CUT), second]
    assert fetch(site).read_bytes() == OTHER


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_validator_and_a_checksum_nothing_is_gone_on_from(site, etag):
    site["/a"] = [serve(CONTENT, etag=etag, until=CUT), serve(OTHER, etag=etag)]
    assert fetch(site).read_bytes() == OTHER and site.ranges() == [None, None]


def test_a_known_checksum_lets_any_address_go_on(site):
    site["/a"] = [serve(CONTENT, etag=None, until=CUT), status(404)]
    site["/b"] = serve(CONTENT, etag=None)
    assert fetch(site, ["/a", "/b"], sha256=SHA256).read_bytes() == CONTENT
    assert site.ranges() == [None, f"bytes={CUT}-", f"bytes={CUT}-"]


def test_halves_of_two_files_are_fetched_whole(site, lines):
    begun(OTHER[:CUT], address="http://elsewhere/a", num_bytes=300_000)
    site["/a"] = serve(CONTENT)
    assert fetch(site, sha256=SHA256, log=lines.append).read_bytes() == CONTENT
    assert site.ranges() == [f"bytes={CUT}-", None] and "does not fit together" in lines[-1]


def test_a_wrong_file_over_a_bad_line_is_fetched_twice_and_no_more(site):
    site["/a"] = [serve(OTHER, until=CUT), serve(OTHER)] * 4
    assert "gives another file than the published one" in message(site, sha256=SHA256)
    assert site.ranges() == [None, f"bytes={CUT}-"] * 2


def test_a_file_sent_in_pieces_is_gone_on_from(site):
    site["/a"] = [chunked(CONTENT, CUT), serve(CONTENT)]
    assert fetch(site).read_bytes() == CONTENT and site.ranges()[1].startswith("bytes=")


def test_a_part_of_unknown_origin_counts_for_nothing(site):
    begun(OTHER[:CUT])
    site["/a"] = serve(CONTENT)
    assert fetch(site).read_bytes() == CONTENT and site.ranges() == [None]


@pytest.mark.parametrize("known", [{}, {"num_bytes": 300_000}])
def test_a_part_that_was_whole_already_only_takes_its_place(site, known):
    begun(CONTENT, address=site.address("/a"), validator='"1"', num_bytes=300_000)
    site["/a"] = serve(CONTENT)
    assert fetch(site, **known).read_bytes() == CONTENT
    assert site.ranges() == ([] if known else ["bytes=300000-"])


@pytest.mark.parametrize(
    "lie",
    [
        status(206, Content_Range="bytes 100-299999/300000"),
        status(206, Content_Range=f"bytes {CUT}-399999/400000"),
        status(206),
        status(416, Content_Range="bytes */100"),
        status(416),
    ],
)
def test_a_lie_about_the_missing_part_begins_anew(site, lie):
    begun(address=site.address("/a"), validator='"1"', num_bytes=300_000)
    site["/a"] = [lie, serve(CONTENT)]
    assert fetch(site).read_bytes() == CONTENT and site.ranges() == [f"bytes={CUT}-", None]


FETCH = """
import sys
from tfdeepfake.weights import cache
print(cache.fetch(sys.argv[1], sys.argv[2:], log=lambda line: print(line, flush=True)), flush=True)
"""


def process(site):
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, NAME, site.address("/a")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_process_leaves_a_part_that_the_next_goes_on_from(site):
    stalled, ended = threading.Event(), threading.Event()

    def stall():
        stalled.set()
        ended.wait(60)

    site["/a"] = [serve(CONTENT, until=CUT, then=stall), serve(CONTENT)]
    killed = process(site)
    assert stalled.wait(60)
    part = cache.cached_path(NAME).with_name(f"{NAME}.part")
    while not part.exists() or part.stat().st_size < download.PIECE_BYTES:
        assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    ended.set()
    have = part.stat().st_size
    assert fetch(site).read_bytes() == CONTENT and site.ranges() == [None, f"bytes={have}-"]


def test_two_processes_at_once_fetch_once(site):
    asked, waiting = threading.Event(), threading.Event()

    def answer(request):
        asked.set()
        waiting.wait(60)
        serve(CONTENT)(request)

    site["/a"] = answer
    first = process(site)
    assert asked.wait(60)
    second = process(site)
    assert "another process holds this lock" in second.stdout.readline()
    waiting.set()
    outputs = [p.communicate() for p in (first, second)]
    assert [p.returncode for p in (first, second)] == [0, 0], outputs
    assert len(site.asked) == 1 and all(out.strip().endswith(NAME) for out, _ in outputs)
    assert cache.cached_path(NAME).read_bytes() == CONTENT


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
