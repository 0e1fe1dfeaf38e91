"""Published files are fetched once and resumed, from a server that drops, lies and stalls."""

import errno
import json
import signal
import subprocess
import sys
import threading

import pytest
from support.fetching import CONTENT, CUT, NAME, OTHER, SHA256, begun, fetch, files, message
from support.loopback import chunked, redirect, serve, status

from tfdeepfake.weights import cache, download

pytestmark = pytest.mark.usefixtures("own_cache_and_no_proxy")


@pytest.fixture
def lines():
    return []


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
