"""The server as its users meet it: uploads, jobs, limits, headers, the page; judging is pretended but for one test."""

import asyncio
import contextlib
import gzip
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.testclient import TestClient
from support import media, served
from support.pretended import HOSTS, SOURCE, Judge, client, wait_for

from tfdeepfake.errors import InputError
from tfdeepfake.plain_answers import load_plain, plain_process
from tfdeepfake.serving import jobs, rest
from tfdeepfake.serving.guard import log_line
from tfdeepfake.serving.judged import Source, Task, judge_upload
from tfdeepfake.serving.openapi import describe
from tfdeepfake.serving.pages import SCRIPTS
from tfdeepfake.serving.preview import PreviewTask, judge_preview
from tfdeepfake.serving.server import create_app
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.serving.stray_lines import stray_lines
from tfdeepfake.serving.uploads import safe_name
from tfdeepfake.serving.work_folder import work_folder


@pytest.fixture
def judge(monkeypatch):
    judge = Judge()
    monkeypatch.setattr(jobs, "plain_process", lambda **options: judge)
    monkeypatch.setattr(jobs, "POLL_S", 0.01)
    yield judge
    judge.go.set()


def test_a_video_becomes_a_job_and_a_verdict(judge):
    with client() as web:
        sent = web.post("/v1/videos", content=b"video bytes", headers={"x-file-name": "my%20clip.mp4"})
        job = sent.json()
        assert sent.status_code == 202 and sent.headers["location"] == job["links"]["self"]
        assert job["name"] == "my clip.mp4" and len(job["id"]) >= 32
        done = wait_for(web, job)
        assert done["verdict"]["status"] == "no_face" and 0 < done["expires_in_s"] <= 3600
        page = web.get(done["links"]["page"])
        assert page.text == "<!doctype html>a page" and "sandbox" in page.headers["content-security-policy"]
        assert "script-src" not in page.headers["content-security-policy"]
        assert "attachment" in web.get(f"{done['links']['page']}?download=1").headers["content-disposition"]
        assert "my%20clip-predictions.json" in web.get(done["links"]["json"]).headers["content-disposition"]
        assert web.get(f"{done['links']['images']}a-1/face_1.jpg").content == b"image"
        for path in (
            "a-1/face_1.png",
            "a-1/..%2F..%2Findex.html",
            "..%2Fa-1/face_1.jpg",
            "../face_1.jpg",
            ".x/face_1.jpg",
        ):
            assert web.get(f"{done['links']['images']}{path}").status_code == 404
        folder = judge.tasks[0].folder
        assert not (Path(folder) / "my clip.mp4").exists(), "the video is deleted once it is judged"
        assert web.delete(job["links"]["self"]).status_code == 204
        assert web.get(job["links"]["self"]).status_code == 404
        assert not Path(folder).exists()


def test_a_form_takes_its_first_file(judge):
    with client() as web:
        form = {
            "note": (None, "hello"),
            "file": ("../../etc/a:b%d.mp4", b"x" * 3_000_000, "video/mp4"),
            "b": ("b", b"y"),
        }
        job = web.post("/v1/videos", files=form).json()
        assert job["name"] == "a_b_d.mp4"
        wait_for(web, job)
        for body, kind in (
            (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
            (b"", "multipart/form-data"),
            (b"", ""),
        ):
            refused = web.post("/v1/videos", content=body, headers={"content-type": kind})
            assert refused.status_code == 400 and refused.json()["error"]
        assert web.app.state.jobs.num_open == 0


def test_events_tell_each_change_and_end_with_the_verdict(judge):
    judge.go.clear()
    with client() as web:
        job = web.post("/v1/videos", content=b"v").json()
        second = web.post("/v1/videos", content=b"v").json()
        assert wait_for(web, job, "running")["step"] == "reading"
        folder = web.app.state.jobs.find(job["id"]).folder
        (folder / "progress.json").write_text('{"step": "faces", "fraction": 0.25}')
        assert web.get(job["links"]["self"]).json()["step"] == "faces"
        assert web.get(second["links"]["self"]).json()["state"] == "queued"
        threading.Timer(0.2, judge.go.set).start()
        events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", web.get(f"{job['links']['events']}").text)
        assert events[0][0] == "running" and json.loads(events[0][1])["step"] == "faces"
        assert events[-1][0] == "done" and json.loads(events[-1][1])["verdict"]["status"] == "no_face"
        wait_for(web, second)


def test_a_process_that_dies_costs_its_video_alone(judge):
    with client() as web:
        said = {b"crash": "SIGSEGV", b"fault": "unexpected RuntimeError", b"no process": "cannot be judged now."}
        for content, reason in said.items():
            done = wait_for(web, web.post("/v1/videos", content=content).json())
            assert done["verdict"]["status"] == "error" and reason in done["verdict"]["reason"]
            assert "secret" not in json.dumps(done) and "page" not in done["links"]
            assert web.get(f"{done['links']['self']}/index.html").status_code == 404
        assert wait_for(web, web.post("/v1/videos", content=b"v").json())["verdict"]["status"] == "no_face"


def test_what_is_too_large_or_too_much_is_refused(judge):
    judge.go.clear()
    with client(max_upload_mb=1, max_queue=2) as web:
        too_large = b"x" * (1 << 20) + b"y"
        assert web.post("/v1/videos", content=too_large).status_code == 413
        # Without a length that is said before.
        assert web.post("/v1/videos", content=iter([too_large[:500_000]] * 3)).status_code == 413
        assert web.app.state.jobs.num_open == 0
        assert [web.post("/v1/videos", content=b"v").status_code for _ in range(3)] == [202, 202, 429]
        assert web.post("/v1/videos", content=b"v").headers["retry-after"]
        judge.go.set()


def test_a_slow_upload_is_given_up_and_leaves_nothing(judge, tmp_path):
    async def slow():
        yield b"begin"
        await asyncio.sleep(30)

    async def ask(app):
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as web:
                answer = await web.post("/v1/videos", content=slow())
            return answer.status_code, app.state.jobs.num_open

    app = create_app(SOURCE, ServeSettings(**HOSTS, idle_limit_s=0.05), log=None)
    assert asyncio.run(ask(app)) == (408, 0)


def test_verdicts_are_deleted_in_time(judge):
    with client(keep_minutes=0.002) as web:
        job = web.post("/v1/videos", content=b"v").json()
        for _ in range(300):
            if web.get(job["links"]["self"]).status_code == 404:
                break
            time.sleep(0.02)
        else:
            raise AssertionError("it is still there")
        assert not Path(judge.tasks[0].folder).exists()


def test_what_is_deleted_is_worked_on_no_more(judge):
    judge.go.clear()
    events = []
    with client(log=lambda event, **facts: events.append(event)) as web:
        running, waiting, last = (
            web.post("/v1/videos", content=b"v", headers={"x-file-name": "a.mp4"}).json() for _ in range(3)
        )
        wait_for(web, running, "running")
        jobs_there = [web.app.state.jobs.find(job["id"]) for job in (running, waiting)]
        for job in (waiting, running):
            assert web.delete(job["links"]["self"]).status_code == 204
            assert web.get(job["links"]["self"]).status_code == 404
        done = wait_for(web, last)
        assert done["verdict"]["status"] == "no_face" and done["name"] == "a.mp4", "of the same name as the others"
        assert [job.state for job in jobs_there] == ["stopped"] * 2 and not any(
            job.folder.exists() for job in jobs_there
        )
        assert len(judge.tasks) == 2 and events.count("judged") == 1 and events.count("deleted") == 1


def test_the_end_lets_finish_what_runs_and_drops_what_waits(judge):
    judge.go.clear()
    with client() as web:
        running, waiting = (web.post("/v1/videos", content=b"v").json() for _ in range(2))
        wait_for(web, running, "running")
        queue = web.app.state.jobs
        first, second = queue.find(running["id"]), queue.find(waiting["id"])
        threading.Timer(0.2, judge.go.set).start()
        queue.stopping.set()
        assert web.post("/v1/videos", content=b"v").status_code == 429
        assert web.get("/readyz").status_code == 503
        assert "event: stopped" in web.get(f"{waiting['links']['events']}").text
        assert "event: done" in web.get(f"{running['links']['events']}").text
    assert first.verdict["status"] == "no_face" and second.state == "stopped" and len(judge.tasks) == 1
    assert not first.folder.exists() and not second.folder.exists()


def test_a_token_is_asked_for_where_time_is_spent(judge):
    with client(token="s3cret") as web:
        assert web.get("/").status_code == 200 and web.get("/v1/server").json()["needs_token"]
        for headers in (
            {},
            {"authorization": "Bearer other"},
            {"authorization": "Basic s3cret"},
            {"authorization": "Bearer ü"},
        ):
            encoded = {name: value.encode() for name, value in headers.items()}
            refused = web.post("/v1/videos", content=b"v", headers=encoded)
            assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        job = web.post("/v1/videos", content=b"v", headers={"authorization": "Bearer s3cret"}).json()
        assert wait_for(web, job)["verdict"], "an id that nobody guesses is enough to read"


def test_other_sites_and_other_names_are_refused(judge):
    with client() as web:
        for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 202), ("none", 202)):
            sent = web.post("/v1/videos", content=b"v", headers={"sec-fetch-site": site})
            assert sent.status_code == status
            assert "access-control-allow-origin" not in sent.headers
        assert web.get("/", headers={"host": "evil.example"}).status_code == 421
    assert ServeSettings().hosts and not ServeSettings(host="0.0.0.0").hosts


def test_every_answer_has_the_headers_and_the_page_runs_nothing_inline(judge):
    with client() as web:
        for path in ("/", "/static/app.js", "/static/app.css", "/nowhere", "/v1/server", "/v1/models/x", "/healthz"):
            headers = web.get(path).headers
            assert (
                headers["x-content-type-options"] == "nosniff"
                and "default-src 'none'" in headers["content-security-policy"]
            )
            assert headers["x-frame-options"] == "DENY" and headers["cache-control"] == "no-store"
        page = web.get("/").text
        assert "unsafe" not in web.get("/").headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*src=)|<style|style=|\son\w+=|javascript:", page)
        script = "".join(web.get(f"/static/{name}").text for name in SCRIPTS)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
        used = set(re.findall(r'byId\("([\w-]+)"\)', script))
        assert used and used <= set(re.findall(r'id="([\w-]+)"', page))
        # Nothing comes from elsewhere; the name of SVG's namespace is no address that is fetched.
        addresses = re.findall(r"(?:https?:)?//[\w.]+", page + web.get("/static/app.css").text)
        addresses += [one for one in re.findall(r"https?://[\w./]+", script) if one != "http://www.w3.org/2000/svg"]
        assert not addresses
        assert web.get("/static/../server.py").status_code == web.get("/static/page.html").status_code == 404


def test_openapi_describes_every_route_and_no_other():
    app = create_app(SOURCE, log=None)
    described = describe(ServeSettings())["paths"]
    routes = {
        (route.path.replace(":int}", "}"), method.lower())
        for route in app.routes
        for method in route.methods - {"HEAD"}
        if route.path not in ("/", "/static/{name}", "/v1/models{rest:path}") and route.methods != {"HEAD"}
    }
    assert routes == {
        (path, method)
        for path, operations in described.items()
        for method in operations
        if "/v1/models" not in path and method != "head"
    }
    assert len([path for path in described if path.startswith("/v1/models")]) == 9
    for path, operations in described.items():
        for operation in operations.values():
            named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path)), path


def test_tensor_requests_are_counted_limited_and_refused_without_a_model(judge):
    with client() as web:
        assert web.post("/v1/models/x:predict", content=b"{}").status_code == 404

    class Slow:
        name, coming = "x", contextlib.nullcontext

        def find(self, *which):
            time.sleep(0.3)
            raise RuntimeError("a fault")

    app = create_app(SOURCE, ServeSettings(**HOSTS, max_calls=1, max_body_mb=1), Slow(), log=None)

    async def ask():
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as web:
            calls = [web.post("/v1/models/x:predict", content=b'{"inputs": 1}') for _ in range(2)]
            both = sorted(answer.status_code for answer in await asyncio.gather(*calls))
            large = await web.post("/v1/models/x:predict", content=b"x" * ((1 << 20) + 1))
            return both, large.status_code, (await web.get("/metrics")).text

    both, large, metrics = asyncio.run(ask())
    assert both == [429, 500] and large == 413
    assert 'requests_total{route="/v1/models{rest:path}",method="POST",status="429"} 1' in metrics
    assert 'request_seconds_count{route="/v1/models{rest:path}"} 3' in metrics


def test_tensors_may_come_as_gzip(judge, monkeypatch):
    monkeypatch.setattr(rest, "answer", lambda servable, method, path, body: (200, body))
    app = create_app(SOURCE, ServeSettings(**HOSTS, max_body_mb=1), object(), log=None)
    whole = gzip.compress(b'{"inputs": 1}')
    with TestClient(app) as web:
        for body, status, text in (
            (whole, 200, '{"inputs": 1}'),
            (whole[:-9], 400, "breaks off before its end"),
            (b"plain", 400, "is no gzip"),
            (gzip.compress(bytes(1 << 20)), 200, ""),
            (gzip.compress(bytes((1 << 20) + 1)), 413, "larger than the 1 MB"),
        ):
            answer = web.post("/v1/models/x:predict", content=body, headers={"content-encoding": "gzip"})
            assert answer.status_code == status and text in answer.text


def test_a_client_that_has_gone_is_not_waited_on(judge):
    class Slow:
        name, calls, coming = "x", 0, contextlib.nullcontext

        def find(self, *which):
            self.calls += 1
            time.sleep(0.3)
            raise RuntimeError("a fault")

    servable = Slow()
    app = create_app(SOURCE, ServeSettings(**HOSTS), servable, log=None)

    async def call(receive):
        scope = {"type": "http", "method": "POST", "path": "/v1/models/x:predict", "raw_path": b"/v1/models/x:predict"}
        scope |= {"headers": [(b"host", b"testserver")], "query_string": b"", "root_path": "", "http_version": "1.1"}
        sent = []

        async def send(message):
            sent.append(message)

        with contextlib.suppress(RuntimeError):
            await app(scope, receive, send)
        return sent[0]["status"]

    def client(gone):
        messages = [{"type": "http.request", "body": b'{"inputs": 1}', "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            if not gone:
                await asyncio.sleep(30)
            return {"type": "http.disconnect"}

        return receive

    async def ask():
        return await asyncio.gather(*[call(client(gone)) for gone in (False, False, True, True)])

    assert asyncio.run(ask()) == [500, 500, 499, 499] and servable.calls == 2


def test_logs_hold_no_whole_id_and_metrics_count_verdicts(judge):
    lines = []
    with client(log=lambda event, **facts: lines.append((event, facts))) as web:
        job = web.post("/v1/videos", content=b"v").json()
        wait_for(web, job)
        metrics = web.get("/metrics").text
        assert 'tfdeepfake_verdicts_total{verdict="no_face"} 1' in metrics and "tfdeepfake_ready 1" in metrics
        assert 'route="/v1/videos/{id}"' in metrics and job["id"] not in metrics
    assert job["id"][:6] in str(lines) and job["id"] not in str(lines)
    assert {"request", "judged"} <= {event for event, _ in lines}


def test_names_are_files_of_the_job_alone():
    taken = {
        "clip.mp4": "clip.mp4",
        "../../etc/passwd": "passwd",
        "C:\\videos\\a.mov": "a.mov",
        "http://x/y?z.mp4": "y_z.mp4",
        "concat:a|b.ts": "concat_a_b.ts",
        "%03d.png": "_03d.png",
        "-i.mp4": "i.mp4",
        "..": "video",
        "": "video",
        "index.html": "video_index.html",
        "Progress.JSON": "video_Progress.JSON",
        "<script>.mp4": "_script_.mp4",
        "видео.mp4": "видео.mp4",
        "a\u202egnp.mp4": "a_gnp.mp4",
    }
    assert {name: safe_name(name) for name in taken} == taken
    assert len(safe_name("ü" * 500 + ".mp4").encode()) <= 120 and safe_name("ü" * 500 + ".mp4").endswith("ü.mp4")


def test_what_a_killed_server_left_is_swept_and_what_another_uses_is_not(tmp_path):
    with work_folder(tmp_path) as used:
        left = tmp_path / "tfdeepfake-serve-left"
        left.mkdir()
        (left / "lock").touch()
        (left / "verdict").touch()
        (tmp_path / "tfdeepfake-serve-no-lock").mkdir()
        with work_folder(tmp_path) as second:
            assert used.is_dir() and second != used and not left.exists()
            assert used.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["tfdeepfake-serve-no-lock"]


def test_what_a_process_answers_is_plain_or_refused():
    def answered(value):
        return load_plain(pickle.dumps((True, value)))[1]

    verdict = {"status": "scored", "faces": [{"probability": 0.5, "timeline": []}], "label": None}
    assert answered(verdict) == verdict
    assert str(answered(InputError("model", "is gone."))) == "model: is gone."
    assert answered(OSError(28, "No space left on device")).errno == 28
    for value in (os.system, np.float64(1), Path("x"), eval):
        with pytest.raises(pickle.UnpicklingError, match="it names"):
            answered(value)


@pytest.mark.slow
def test_the_process_judges_a_video_confined(tmp_path):
    served.model_folder(tmp_path / "model", num_frames=2)
    source, frames = Source(str(tmp_path / "model"), "net", runtime="keras"), [np.full((48, 64, 3), 90, np.uint8)] * 6
    process = plain_process()
    limits = process(judge_upload, Task(source))["limits"]
    assert limits == ["files", "memory", "network"]
    folder = tmp_path / "job"
    folder.mkdir()
    media.make_video(folder / "grey.mp4", frames)
    verdict = process(judge_upload, Task(source, str(folder), "grey.mp4"))
    assert (verdict["status"], verdict["name"], verdict["page"]) == ("no_face", "grey.mp4", True)
    assert str(tmp_path) not in (folder / "index.html").read_text() + (folder / "predictions.json").read_text()
    for limit, reason in (({"max_pixels": 3000}, "shows 64 x 48 px"), ({"max_duration_s": 0.01}, "lasts 0 s")):
        verdict = process(judge_upload, Task(source, str(folder), "grey.mp4", **limit))
        assert verdict["status"] == "error" and reason in verdict["reason"] and not verdict["page"]
    Image.fromarray(frames[0]).save(tmp_path / "look.jpg")
    said = process(judge_preview, PreviewTask(source, str(tmp_path / "look.jpg")))
    assert (said["status"], said["width"], said["height"], said["faces"]) == ("no_face", 64, 48, [])
    process.close()


def test_a_refusal_is_read_by_a_client_that_is_still_sending(judge):
    """A connection that is closed over unread bytes is reset: the client would see that, and no reason."""
    app = create_app(SOURCE, ServeSettings(max_upload_mb=1), log=None)
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with socket.create_connection(server.servers[0].sockets[0].getsockname(), 20) as web:
        web.sendall(b"POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-length: 20000000\r\n\r\n")
        for _ in range(20):
            web.sendall(bytes(1_000_000))
        said = b""
        while part := web.recv(1 << 16):
            said += part
    assert said.startswith(b"HTTP/1.1 413 ") and b"is larger than the 1 MB" in said
    server.should_exit = True
    thread.join()


def sent(name=b'filename="a.mp4"', end=b"\r\n--x--\r\n"):
    return b'--x\r\nContent-Disposition: form-data; name="f"; ' + name + b"\r\n\r\nabc" + end


@pytest.mark.parametrize(
    ("boundary", "body", "status", "text"),
    [
        ("x", sent(), 202, "a.mp4"),
        ("x", sent(end=b""), 400, "breaks off before its end"),
        ("x", sent(end=b"\r\n--x"), 400, "breaks off before its end"),
        ("x", b"", 400, "breaks off before its end"),
        ("x", sent(b"a=b"), 400, "holds no video"),
        ("x", b"garbage", 400, "cannot be read"),
        ("x", b"--x\r\n" + b"A" * 100_000 + b": b\r\n\r\nabc\r\n--x--\r\n", 400, "cannot be read"),
        ("", sent(), 400, "needs its boundary"),
        ("x" * 300, sent(), 400, "boundary is longer"),
    ],
)
def test_forms_that_are_none_are_told_so(judge, boundary, body, status, text):
    with client() as web:
        kind = f"multipart/form-data; boundary={boundary}"
        answer = web.post("/v1/videos", content=body, headers={"content-type": kind})
        assert answer.status_code == status and text in answer.text, answer.text


def test_a_request_that_is_not_allowed_is_told_all_that_are(judge):
    with client() as web:
        job = web.post("/v1/videos", content=b"x").json()
        for path, methods in ((job["links"]["self"], "DELETE, GET, HEAD, PATCH"), ("/v1/videos", "OPTIONS, POST")):
            answer = web.put(path)
            assert answer.status_code == 405 and answer.headers["allow"] == methods
        for face in ("9" * 5000, "9" * 20, "-1", "x"):
            assert web.post(f"{job['links']['self']}/faces/{face}/map").status_code == 404


def test_names_of_hosts_and_schemes_are_read_in_any_case(judge):
    with client(allowed_hosts=["Example.org"], token="secret") as web:
        for host, status in (("EXAMPLE.org:80", 200), ("example.org:", 200), ("example.com", 421), ("", 421)):
            assert web.get("/healthz", headers={"host": host}).status_code == status
        for given, status in (("bearer secret", 202), ("Bearer secre", 401), ("Basic secret", 401), ("secret", 401)):
            asked = {"host": "example.org", "authorization": given}
            assert web.post("/v1/videos", content=b"x", headers=asked).status_code == status


def test_a_server_without_tensors_loads_no_tensorflow():
    code = (
        "import sys, tfdeepfake.serving.run, tfdeepfake.serving.judged; print({'keras', 'tensorflow'} & {*sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


def test_what_libraries_write_is_a_line_of_the_log(capfd):
    lines = []
    with stray_lines(lambda event, **facts: lines.append((event, facts))):
        os.write(2, b"Corrupt JPEG data: premature end\n\n\xff half a line")
        print("a line of Python", file=sys.stderr)
        log_line("request", path="/healthz")
    os.write(2, b"after it\n")
    assert lines == [
        ("library", {"line": "Corrupt JPEG data: premature end"}),
        ("library", {"line": "\\xff half a line"}),
    ]
    said = capfd.readouterr().err.splitlines()
    assert said[0] == "a line of Python" and json.loads(said[1])["path"] == "/healthz" and said[2:] == ["after it"]
