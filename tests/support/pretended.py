"""For tests of the server: judging is pretended, so that uploads, jobs and answers can be tried without a network."""

import errno
import threading
import time
from pathlib import Path

from starlette.testclient import TestClient

from tfdeepfake.errors import InputError
from tfdeepfake.serving.judged import Source
from tfdeepfake.serving.server import create_app
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.workers import WorkerCrashed

SOURCE = Source("nowhere", "a <b>network</b>")
HOSTS = {"allowed_hosts": ["testserver"]}


class Judge:
    """In the place of the process: writes what it would, waits until it is told to go on."""

    def __init__(self):
        self.go, self.tasks, self.image, self.killed = threading.Event(), [], b"image", False
        self.verdict = lambda name: {"name": name, "status": "no_face", "label": None, "page": True, "images": []}
        self.go.set()

    def close(self):
        pass

    def interrupt(self):
        self.killed = True
        self.go.set()

    def __call__(self, function, task, time_limit_s=0.0):
        if task.name is None:
            return {"limits": ["memory"]}
        self.tasks.append(task)
        self.go.wait(20)
        if self.killed:
            self.killed = False
            return WorkerCrashed("the process that read it died (SIGKILL).")
        folder = Path(task.folder)
        content = (folder / task.name).read_bytes()
        if content == b"crash":
            return WorkerCrashed("the process that read it died (SIGSEGV).")
        if content == b"no process":
            raise InputError("/secret/place", "is gone.")
        if content == b"full":
            raise OSError(errno.ENOSPC, "No space left on device")
        if content == b"fault":
            raise RuntimeError("secret details")
        (folder / "index.html").write_text("<!doctype html>a page")
        (folder / "predictions.json").write_text("{}")
        (folder / "frames" / "a-1").mkdir(parents=True)
        (folder / "frames" / "a-1" / "face_1.jpg").write_bytes(self.image)
        return self.verdict(task.name)


def client(judge=None, log=None, **settings):
    app = create_app(SOURCE, ServeSettings(**HOSTS | settings), log=log)
    return TestClient(app, raise_server_exceptions=False)


def wait_for(web, job, state="done"):
    for _ in range(3000):
        said = web.get(job["links"]["self"]).json()
        if said.get("state") == state:
            return said
        time.sleep(0.01)
    raise AssertionError(said)
