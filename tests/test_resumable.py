"""Uploads that go on after a cut connection (tus 1.0.0), with the limits of any other upload."""

import asyncio
import base64
import time
from email.utils import parsedate_to_datetime

import httpx2
from support.pretended import HOSTS, SOURCE, client, wait_for

from tfdeepfake.serving.server import create_app
from tfdeepfake.serving.settings import ServeSettings

TUS = {"tus-resumable": "1.0.0"}


def begun(web, length, name="my clip.mp4", **headers):
    """Address of a new upload."""
    metadata = f"filetype dmlkZW8=,filename {base64.b64encode(name.encode()).decode()}"
    said = web.post("/v1/videos", headers=TUS | {"upload-length": str(length), "upload-metadata": metadata} | headers)
    assert said.status_code == 201
    assert parsedate_to_datetime(said.headers["upload-expires"]).timestamp() > time.time() - 2
    return said.headers["location"]


def patch(web, at, content, offset, **headers):
    more = {"content-type": "application/offset+octet-stream", "upload-offset": str(offset)}
    return web.patch(at, content=content, headers=TUS | more | headers)


def test_parts_become_the_video_that_is_judged(judge):
    judge.go.clear()
    with client() as web:
        at = begun(web, 10)
        assert web.get(at).json()["state"] == "uploading"
        first = patch(web, at, b"01234", 0)
        assert first.status_code == 204 and first.headers["upload-offset"] == "5"
        told = web.head(at, headers=TUS)
        assert (told.headers["upload-offset"], told.headers["upload-length"]) == ("5", "10")
        assert told.headers["tus-resumable"] == "1.0.0" and told.headers["cache-control"] == "no-store"
        last = patch(web, at, b"56789", 5)
        assert last.headers["upload-offset"] == "10" and "upload-expires" not in last.headers
        wait_for(web, {"links": {"self": at}}, "running")
        folder = web.app.state.jobs.find(at.rpartition("/")[2]).folder
        assert (folder / "my clip.mp4").read_bytes() == b"0123456789"
        judge.go.set()
        done = wait_for(web, {"links": {"self": at}})
        assert done["name"] == "my clip.mp4" and done["verdict"]["status"] == "no_face"
        assert web.head(at, headers=TUS).headers["upload-offset"] == "10"
        assert patch(web, at, b"more", 10).status_code == 409


def test_what_the_protocol_refuses(judge):
    with client(max_upload_mb=1, max_queue=2) as web:
        can = web.options("/v1/videos")
        assert can.status_code == 204 and can.headers["tus-extension"] == "creation,expiration,termination"
        assert can.headers["tus-version"] == "1.0.0" and can.headers["tus-max-size"] == str(1 << 20)
        for headers, status in (
            ({"upload-length": "9", "tus-resumable": "0.2.2"}, 412),
            ({}, 400),
            ({"upload-length": "-1"}, 400),
            ({"upload-length": "0"}, 400),
            ({"upload-length": "9", "upload-metadata": "filename ?"}, 400),
            ({"upload-length": str((1 << 20) + 1)}, 413),
        ):
            said = web.post("/v1/videos", headers=TUS | headers)
            assert said.status_code == status and said.headers["tus-resumable"] == "1.0.0" and said.json()["error"]
        assert web.app.state.jobs.num_open == 0
        at = begun(web, 9)
        assert patch(web, at, b"abc", 1).status_code == 409
        assert patch(web, at, b"abc", "x").status_code == 400
        assert patch(web, at, b"abc", 0, **{"content-type": "text/plain"}).status_code == 415
        assert patch(web, at, b"0123456789", 0).status_code == 413
        assert patch(web, at, iter([b"01234567", b"89"]), 0).status_code == 413
        without = {"content-type": "application/offset+octet-stream", "upload-offset": "0"}
        refused = web.patch(at, content=b"abc", headers=without)
        assert refused.status_code == 412 and refused.headers["tus-version"] == "1.0.0"
        assert patch(web, "/v1/videos/unknown", b"abc", 0).status_code == 404
        # Uploads that are not finished count: whoever begins and goes does not fill the disk.
        begun(web, 9)
        assert web.post("/v1/videos", headers=TUS | {"upload-length": "9"}).status_code == 429
        assert patch(web, "/v1/videos/x", b"a", 0, **{"sec-fetch-site": "cross-site"}).status_code == 403


def test_an_upload_is_ended_by_its_sender_or_by_time(judge):
    with client(resume_limit_s=0.05) as web:
        at = begun(web, 9)
        folder = web.app.state.jobs.find(at.rpartition("/")[2]).folder
        assert web.delete(at, headers=TUS).status_code == 204 and not folder.exists()
        assert web.head(at, headers=TUS).status_code == 404
        at = begun(web, 9)
        folder = web.app.state.jobs.find(at.rpartition("/")[2]).folder
        for _ in range(300):
            if web.head(at, headers=TUS).status_code == 404:
                break
            time.sleep(0.02)
        assert not folder.exists() and web.app.state.jobs.num_open == 0
        # Of those who can send no PATCH.
        at = begun(web, 3)
        kind = {"content-type": "application/offset+octet-stream", "upload-offset": "0"}
        sent = web.post(at, content=b"abc", headers=TUS | kind | {"x-http-method-override": "PATCH"})
        assert sent.status_code == 204 and wait_for(web, {"links": {"self": at}})["verdict"]


def test_a_token_is_asked_for_where_an_upload_begins(judge):
    with client(token="s3cret") as web:
        assert web.post("/v1/videos", headers=TUS | {"upload-length": "9"}).status_code == 401
        begun(web, 9, authorization="Bearer s3cret")


def test_what_came_before_a_cut_is_kept_and_a_lost_connection_is_not_waited_for(judge):
    async def hanging(sent):
        yield b"x" * (1 << 20) + b"0123"
        sent.set()
        await asyncio.sleep(30)

    async def ask(app):
        kind = {"content-type": "application/offset+octet-stream"}
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as web:
                begun = await web.post("/v1/videos", headers=TUS | {"upload-length": str((1 << 20) + 8)})
                at, sent, said = begun.headers["location"], asyncio.Event(), []
                lost = asyncio.ensure_future(
                    web.patch(at, content=hanging(sent), headers=TUS | kind | {"upload-offset": "0"})
                )
                await sent.wait()
                told = await web.head(at, headers=TUS)
                said += [told.headers["upload-offset"], (await lost).status_code]
                # Too slow: what came is kept all the same.
                app.state.jobs._settings.__dict__["idle_limit_s"] = 0.05
                slow = hanging(asyncio.Event())
                offset = {"upload-offset": told.headers["upload-offset"]}
                first = asyncio.ensure_future(anext(slow))
                await first
                said.append((await web.patch(at, content=slow, headers=TUS | kind | offset)).status_code)
                rest = await web.patch(at, content=b"4567", headers=TUS | kind | offset)
                said += [rest.status_code, app.state.jobs.find(at.rpartition("/")[2]).name]
        return said

    app = create_app(SOURCE, ServeSettings(**HOSTS, max_upload_mb=2), log=None)
    assert asyncio.run(ask(app)) == [str((1 << 20) + 4), 409, 408, 204, "video"]


def test_a_full_disk_ends_the_upload_and_leaves_nothing(judge, monkeypatch):
    with client() as web:
        at = begun(web, 9)
        folder = web.app.state.jobs.find(at.rpartition("/")[2]).folder
        monkeypatch.setattr("builtins.open", full_disk(open))
        refused = patch(web, at, b"abc", 0)
        monkeypatch.undo()
        assert refused.status_code == 507 and "No space left" in refused.json()["error"]
        assert not folder.exists() and web.app.state.jobs.num_open == 0


def full_disk(real):
    def opened(path, mode="r", *more, **options):
        if mode == "ab":
            raise OSError(28, "No space left on device")
        return real(path, mode, *more, **options)

    return opened
