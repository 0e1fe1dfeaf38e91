"""What the server refuses and what it limits: sizes, times, names, forms, tokens, sites; judging is pretended."""

import asyncio
import contextlib
import gzip
import re
import socket
import threading
import time

import httpx2
import pytest
import uvicorn
from starlette.testclient import TestClient
from support.pretended import HOSTS, SOURCE, client, wait_for

from tfdeepfake.serving import connections, rest
from tfdeepfake.serving.pages import SCRIPTS
from tfdeepfake.serving.server import create_app
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.serving.uploads import safe_name


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
            other = await web.put("/v1/models/x")
            return both, large.status_code, other, (await web.get("/metrics")).text

    both, large, other, metrics = asyncio.run(ask())
    assert (other.status_code, other.json()) == (400, {"error": "Malformed request: PUT /v1/models/x"})
    assert both == [429, 500] and large == 413
    assert 'requests_total{route="/v1/models{rest:path}",method="POST",status="429"} 1' in metrics
    assert 'request_seconds_count{route="/v1/models{rest:path}"} 4' in metrics


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


def test_a_refusal_is_read_by_a_client_that_is_still_sending_and_ends_the_connection(judge):
    """A connection that is closed over unread bytes is reset: the client would see that, and no reason."""
    app = create_app(SOURCE, ServeSettings(max_upload_mb=1), log=None)
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    where = server.servers[0].sockets[0].getsockname()
    with socket.create_connection(where, 20) as web:  # a second request behind one of two lengths is not answered
        lengths = b"content-length: 5\r\ntransfer-encoding: chunked\r\n"
        web.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n" + lengths + b"\r\n0\r\n\r\n")
        web.sendall(b"GET /v1/server HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        said = b""
        with contextlib.suppress(ConnectionError):
            while part := web.recv(1 << 16):
                said += part
    assert said.startswith(b"HTTP/1.1 400 ") and said.count(b"HTTP/1.1") == 1
    with socket.create_connection(where, 20) as web:
        web.sendall(b"POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-length: 20000000\r\n\r\n")
        for _ in range(20):
            web.sendall(bytes(1_000_000))
        said = b""
        while part := web.recv(1 << 16):
            said += part
    assert said.startswith(b"HTTP/1.1 413 ") and b"is larger than the 1 MB" in said
    server.should_exit = True
    thread.join()


def test_a_connection_whose_head_does_not_come_is_given_up(judge, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_LIMIT_S", 0.2)
    app = create_app(SOURCE, ServeSettings(), log=None)
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_config=None, http=connections.Connection))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    where, head = server.servers[0].sockets[0].getsockname(), b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"
    with socket.create_connection(where, 20) as silent, socket.create_connection(where, 20) as slow:
        slow.sendall(head)
        assert silent.recv(1) == slow.recv(1) == b""
    with socket.create_connection(where, 20) as web:  # the second of one connection, too
        web.sendall(head + b"\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += web.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 200 ")
        web.sendall(head)
        assert web.recv(1) == b""
    with socket.create_connection(where, 20) as web:  # a body has limits of its own
        web.sendall(b"POST /v1/videos HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1\r\n\r\n")
        time.sleep(0.4)
        web.sendall(b"x")
        assert web.recv(1 << 16).startswith(b"HTTP/1.1 202 ")
    server.should_exit = True
    thread.join()


def sent(name=b'filename="a.mp4"', end=b"\r\n--x--\r\n"):
    return b'--x\r\nContent-Disposition: form-data; name="f"; ' + name + b"\r\n\r\nabc" + end


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
            assert web.get("/v1/server", headers={"host": host}).status_code == status
            assert web.get("/metrics", headers={"host": host}).status_code == status
            # A cluster asks for these by the machine's address.
            assert {web.get(path, headers={"host": host}).status_code for path in ("/healthz", "/readyz")} == {200}
        for given, status in (("bearer secret", 202), ("Bearer secre", 401), ("Basic secret", 401), ("secret", 401)):
            asked = {"host": "example.org", "authorization": given}
            assert web.post("/v1/videos", content=b"x", headers=asked).status_code == status


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
