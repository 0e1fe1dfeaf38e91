"""The page in a browser, as a person uses it: drop, wait, play, open a face, download, look into the webcam.

Judging is pretended. Skipped where there is no Chromium.
"""

import contextlib
import io
import json
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image
from support import media
from support.browser import Browser, find_browser
from support.pretended import SOURCE, Judge

from tfdeepfake.serving import jobs, on_request
from tfdeepfake.serving.explained import explain_face
from tfdeepfake.serving.server import create_app
from tfdeepfake.serving.settings import ServeSettings

pytestmark = pytest.mark.skipif(find_browser() is None, reason="needs Chromium (apt-get install chromium)")
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


def jpeg():
    stream = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), 120, np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def scored(name):
    """A verdict of one face over three seconds; face 1 is most like a fake in the middle."""
    timeline = [
        {"time_s": t, "end_s": t, "probability": p, "box": [20.0, 30.0, 80.0, 90.0]}
        for t, p in ((0.5, 0.3), (1.5, 0.9), (2.5, 0.6))
    ]
    face = {"face": 1, "label": "UNSURE", "probability": 0.6, "fraction": 1.0, "brief": False, "weak": False}
    face["classes"] = {"real": 0.4, "face swap": 0.15, "reenactment": 0.45}
    return {
        "name": name,
        "status": "scored",
        "label": "UNSURE",
        "probability": 0.6,
        "interval": [0.4, 0.8],
        "threshold": 0.5,
        "deciding_face": 1,
        "doubts": [{"face": None, "text": "the interval holds the threshold 0.50"}],
        "num_samples": 3,
        "whole_frame": False,
        "video": {"width": 128, "height": 96, "duration_s": 3.0, "codec": "h264", "is_image": False, "notes": []},
        "faces": [face | {"timeline": timeline}],
        "faces_not_judged": 0,
        "images": [{"kind": "face", "face": 1, "file": "frames/a-1/face_1.jpg"}],
        "page": True,
        "explainable": [1],
    }


def still(name):
    """A verdict of one face in an image."""
    verdict = scored(name)
    del verdict["faces"][0]["timeline"][1:]
    return verdict


class OnRequest:
    """In the place of the processes for maps and previews."""

    def __init__(self, **options):
        pass

    def close(self):
        pass

    def __call__(self, function, task, time_limit_s):
        if function is explain_face:
            path = Path(task.folder) / "frames" / "maps" / "map_1.jpg"
            path.parent.mkdir(parents=True)
            path.write_bytes(jpeg())
            return {"file": "frames/maps/map_1.jpg", "face": 1, "time_s": 1.5, "maps": ["frames"], "empty": False}
        assert Path(task.path).read_bytes().startswith(b"\xff\xd8")
        face = {"face": 1, "label": "REAL", "probability": 0.2, "box": [10, 10, 50, 50]}
        said = {"status": "scored", "label": "REAL", "probability": 0.2, "reason": "", "remedy": "", "threshold": 0.5}
        return said | {"preview": True, "width": 640, "height": 480, "faces": [face]}


@pytest.fixture
def looking():
    """In the place of the process that judges."""
    judge = Judge()
    judge.image, judge.verdict = jpeg(), scored
    return judge


@contextlib.contextmanager
def serving(monkeypatch, judge, **settings):
    """Address of a server."""
    monkeypatch.setattr(jobs, "plain_process", lambda **options: judge)
    monkeypatch.setattr(on_request, "plain_process", OnRequest)
    app = create_app(SOURCE, ServeSettings(**settings), log=None)
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def address(monkeypatch, looking):
    with serving(monkeypatch, looking) as where:
        yield where


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A video of three seconds, with 300 kB behind it that players pass over."""
    path = media.make_video(tmp_path_factory.mktemp("clip") / "clip <b>.mp4", media.moving_frames(75))
    with open(path, "ab") as file:
        file.write(struct.pack(">I", 300_000) + b"free" + bytes(299_992))
    return path


@contextlib.contextmanager
def cutting(address, after_bytes):
    """Port that leads to the server; the first connection that carries so many bytes there is cut."""
    listener, cut = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def pump(source, sink, counted):
        total = 0
        with contextlib.suppress(OSError):
            while part := source.recv(1 << 14):
                total += len(part)
                if counted and total > after_bytes and not cut.is_set():
                    cut.set()
                    break
                sink.sendall(part)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                theirs, ours = listener.accept()[0], socket.create_connection(address)
                for pair in ((theirs, ours, True), (ours, theirs, False)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], cut
    listener.close()


def drop(browser, path):
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.call("Input.dispatchDragEvent", type=kind, x=300, y=400, data=data)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_person_judges_a_video(address, clip, tmp_path, width, dark):
    with cutting(address, 150_000) as (port, cut), Browser(tmp_path, width, 800, dark) as browser:
        browser.open(f"http://127.0.0.1:{port}/")
        browser.until("document.querySelector('#limits').textContent.includes('200 MB')")
        if width > 700:
            drop(browser, clip)
        else:  # phones drop nothing
            browser.choose_files("#files", [clip])
        # The upload is cut on the way, and goes on.
        browser.until("document.querySelector('article .badge')?.textContent === 'UNSURE'")
        assert cut.is_set()
        text = browser.evaluate("document.querySelector('article').innerText")
        assert "clip <b>.mp4" in text and "0.60" in text
        methods = "[...document.querySelectorAll('.methods li')].map((one) => one.textContent).join()"
        assert browser.evaluate(methods) == "reenactment0.45,face swap0.15"
        assert browser.evaluate("document.querySelector('.methods u').getBoundingClientRect().width") > 10
        assert "Unsure: the interval holds the threshold 0.50." in text and "seen in 100 % of the samples" in text
        assert browser.evaluate("document.querySelector('#coverage').textContent").startswith("1 of 1 judged is scored")
        # Nothing is wider than the screen.
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert browser.evaluate("getComputedStyle(document.body).backgroundColor") != "rgba(0, 0, 0, 0)"

        # A click into the timeline leads the video there, the space bar plays it, line and box follow.
        browser.until("document.querySelector('article video').readyState > 1")
        browser.click("svg.seek")
        browser.until("Math.abs(document.querySelector('article video').currentTime - 1.5) < 0.1")
        browser.until("document.querySelector('.player rect')?.getAttribute('class') === 'fake'")
        browser.evaluate("document.querySelector('svg.seek').focus()")
        browser.key("ArrowLeft")
        browser.until("Math.abs(document.querySelector('article video').currentTime - 0.5) < 0.1")
        browser.until("document.querySelector('.player rect').getAttribute('class') === 'real'")
        before = browser.evaluate("document.querySelector('.now').getAttribute('d')")
        browser.key(" ", "Space")
        browser.until("document.querySelector('article video').currentTime > 0.8")
        assert browser.evaluate("document.querySelector('.now').getAttribute('d')") != before
        browser.evaluate("document.querySelector('article video').pause()")

        browser.click("button.ask")
        browser.until("document.querySelector('.map img')?.naturalWidth === 60")
        assert browser.evaluate("document.querySelector('.ask').getAttribute('aria-expanded')") == "true"

        browser.click(".actions a[href$='predictions.json']")
        end = time.monotonic() + 20
        while not (loaded := list(tmp_path.glob("clip*predictions.json"))) and time.monotonic() < end:
            time.sleep(0.05)
        assert json.loads(loaded[0].read_text()) == {}

        # The history of this tab is there after a reload, in its order; a keyboard alone removes it.
        second = tmp_path / "second.jpg"
        second.write_bytes(jpeg())
        browser.choose_files("#files", [second])
        shown = "[...document.querySelectorAll('article:has(.badge.unsure) h3')].map((name) => name.textContent)"
        browser.until(f"{shown}.join() === 'second.jpg,clip <b>.mp4'")
        for _ in range(2):
            browser.call("Page.reload")
            browser.until(f"{shown}.join() === 'second.jpg,clip <b>.mp4'")
        browser.click("button.remove")
        browser.until(f"{shown}.length === 1")
        browser.evaluate("document.querySelector('#files').focus()")
        browser.key("Tab")
        assert browser.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove clip <b>.mp4"
        browser.key("Enter")
        browser.until("!document.querySelector('article')")
        assert browser.evaluate("document.activeElement.id") == "files"
        assert [one for one in browser.complaints if "Failed to load resource" not in one] == []


def test_many_videos_at_once_leave_connections_for_what_is_clicked(address, looking, tmp_path):
    looking.verdict = still
    looking.go.clear()
    names = [f"{number}.jpg" for number in range(9)]
    for name in names:
        (tmp_path / name).write_bytes(jpeg())
    with Browser(tmp_path, 390, 800) as browser:
        browser.open(f"http://127.0.0.1:{address[1]}/")
        browser.until("document.querySelector('#limits').textContent.includes('200 MB')")
        browser.choose_files("#files", [tmp_path / name for name in names])
        # All are there before the first is judged; what is removed is gone from the server.
        waits = (
            "[...document.querySelectorAll('article')].filter((one) => /WAITING|WORKING/.test(one.innerText)).length"
        )
        open_there = "fetch('metrics').then((said) => said.text()).then((text) => +/videos_open (\\d+)/.exec(text)[1])"
        browser.until(f"{open_there}.then((number) => number === 9)")
        assert browser.evaluate(waits) == 9
        browser.click("button[aria-label='Remove 8.jpg']")
        browser.until(f"{open_there}.then((number) => number === 8)")
        looking.go.set()
        judged = "document.querySelectorAll('article .badge.unsure').length"
        browser.until(f"{judged} === 8")
        coverage = browser.evaluate("document.querySelector('#coverage').textContent")
        assert coverage.startswith("8 of 8 judged are scored")
        assert "samples" not in browser.evaluate("document.querySelector('.face').innerText"), "there is one"
        assert not browser.complaints


def test_a_token_a_server_out_of_reach_and_a_deleted_verdict_are_told(monkeypatch, looking, tmp_path):
    image = tmp_path / "one.jpg"
    image.write_bytes(jpeg())
    looking.go.clear()
    with (
        serving(monkeypatch, looking, token="sesame", keep_minutes=0.04) as (host, port),
        Browser(tmp_path, 390, 800) as browser,
    ):
        kept = "window.EventSource = class extends EventSource { constructor(at) { super(at); window.events = this; } }"
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=kept)
        browser.open(f"http://{host}:{port}/")
        browser.until("!document.querySelector('#token-form').hidden")
        browser.choose_files("#files", [image])
        told = "document.querySelector('article').innerText"
        browser.until(f"{told}.includes('This server needs its token')")
        browser.call("Input.insertText", text="wrong")
        browser.key("Enter")
        browser.until(f"{told}.includes('That is not the token of this server')")
        browser.evaluate("document.querySelector('#token').value = 'sesame'")
        browser.key("Enter")
        browser.until("!!document.querySelector('[data-step=reading][aria-current]')")
        browser.evaluate("events.dispatchEvent(new Event('error'))")  # as when the connection broke
        assert "The server does not answer; it is asked again." in browser.evaluate(told)
        looking.go.set()
        browser.until(f"{told}.includes('Verdict page')")
        browser.until(f"{told}.includes('The server has deleted this verdict')")
        assert browser.evaluate("document.querySelectorAll('article :is(.actions, .ask)').length") == 0
        known = "fetch(`v1/videos/${JSON.parse(sessionStorage.getItem('tfdeepfake-videos'))[0].id}`)"
        browser.until(f"{known}.then((answer) => answer.status === 404)")
        browser.call("Page.reload")
        browser.until("document.querySelector('#gone')?.textContent.startsWith('1 earlier verdict of this tab is del')")
        assert not [one for one in browser.complaints if "Failed to load resource" not in one]


def test_a_person_looks_into_the_webcam(address, tmp_path):
    with Browser(tmp_path, 390, 800, more=CAMERA) as browser:
        browser.open(f"http://127.0.0.1:{address[1]}/")
        browser.evaluate("document.querySelector('#tab-videos').focus()")
        browser.key("ArrowRight")
        assert browser.evaluate("document.activeElement.id") == "tab-webcam"
        browser.click("#webcam-start")
        browser.until("document.querySelector('#webcam-verdict')?.textContent === 'REAL0.20'")
        assert "PREVIEW" in browser.evaluate("document.querySelector('#webcam').innerText")
        assert browser.evaluate("document.querySelectorAll('#webcam-boxes rect.real').length") == 1
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # Whoever stops it by keyboard stands on the button that starts it.
        assert browser.evaluate("document.activeElement.id") == "webcam-stop"
        browser.key("Enter")
        browser.until("document.activeElement.id === 'webcam-start'")
        browser.key("Enter")
        browser.until("document.querySelector('#webcam-verdict')?.textContent === 'REAL0.20'")
        # To leave the tab is to leave the camera.
        browser.click("#tab-videos")
        browser.until("!document.querySelector('#webcam-video').srcObject")
        assert not browser.complaints
