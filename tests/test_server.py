"""The server as its users meet it: jobs, verdicts, the log; judging is pretended but for one test."""

import json
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import media, served
from support.pretended import SOURCE, client, wait_for

from tfdeepfake.errors import InputError
from tfdeepfake.plain_answers import load_plain, plain_process
from tfdeepfake.serving.guard import log_line
from tfdeepfake.serving.judged import Source, Task, judge_upload
from tfdeepfake.serving.openapi import describe
from tfdeepfake.serving.preview import PreviewTask, judge_preview
from tfdeepfake.serving.server import create_app
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.serving.stray_lines import stray_lines
from tfdeepfake.serving.work_folder import work_folder


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
        said[b"full"] = "the server's disk is full."
        for content, reason in said.items():
            done = wait_for(web, web.post("/v1/videos", content=content).json())
            assert done["verdict"]["status"] == "error" and reason in done["verdict"]["reason"]
            assert "secret" not in json.dumps(done) and "page" not in done["links"]
            assert web.get(f"{done['links']['self']}/index.html").status_code == 404
        assert wait_for(web, web.post("/v1/videos", content=b"v").json())["verdict"]["status"] == "no_face"


def test_whatever_keeps_the_network_away_is_told_and_the_server_ends(judge, monkeypatch):
    def fail(self, function, task, time_limit_s=0.0):
        raise ModuleNotFoundError("No module named 'something'")

    monkeypatch.setattr(type(judge), "__call__", fail)
    with client() as web:
        for _ in range(300):
            said = web.get("/readyz")
            if "reason" in said.json():
                break
            time.sleep(0.01)
        assert said.status_code == 503 and "No module named 'something'" in said.json()["reason"]


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


def test_logs_hold_no_whole_id_no_name_and_metrics_count_verdicts(judge):
    lines = []
    with client(log=lambda event, **facts: lines.append((event, facts))) as web:
        job = web.post("/v1/videos", content=b"v").json()
        wait_for(web, job)
        assert web.get(f"{job['links']['self']}/frames/somebody-1/face_1.jpg").status_code == 404
        metrics = web.get("/metrics").text
        assert 'tfdeepfake_verdicts_total{verdict="no_face"} 1' in metrics and "tfdeepfake_ready 1" in metrics
        assert 'route="/v1/videos/{id}"' in metrics and job["id"] not in metrics
    assert job["id"][:6] in str(lines) and job["id"] not in str(lines)
    assert ".../frames/.../face_1.jpg" in str(lines) and "somebody" not in str(lines)
    assert {"request", "judged"} <= {event for event, _ in lines}


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
    said = process(judge_preview, PreviewTask(source, str(tmp_path / "look.jpg"), max_pixels=3000))
    assert (said["status"], said["faces"]) == ("error", []) and "shows 64 x 48 px" in said["reason"]
    process.close()


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
