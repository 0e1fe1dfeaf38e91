"""What the page asks for beside videos: the map of a face, and a look at one image of a webcam."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import served
from support.pretended import Judge, client, wait_for

from tfdeepfake.explain.samples import Sample
from tfdeepfake.plain_answers import plain_process
from tfdeepfake.serving import jobs, on_request
from tfdeepfake.serving.explained import ExplainTask, explain_face
from tfdeepfake.serving.judged import Source
from tfdeepfake.serving.kept_samples import SAMPLES, keep_samples, kept_faces, read_sample
from tfdeepfake.workers import WorkerCrashed

JPEG = b"\xff\xd8\xff and so on"


class Process:
    """In the place of a process: notes what it is asked."""

    def __init__(self, **options):
        self.asked, self.go = [], threading.Event()
        self.go.set()

    def close(self):
        pass

    def __call__(self, function, task, time_limit_s):
        self.asked.append(task)
        self.go.wait(20)
        if function is explain_face:
            path = Path(task.folder) / "frames" / "maps" / f"map_{task.face}.jpg"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"a map")
            return {"face": task.face, "time_s": 1.5, "maps": ["frames"], "empty": False}
        content = Path(task.path).read_bytes()
        return WorkerCrashed("it died.") if content == JPEG + b"crash" else {"preview": True, "status": "no_face"}


@pytest.fixture
def process(monkeypatch):
    judge, process = Judge(), Process()
    judge.verdict = lambda name: {"name": name, "status": "scored", "label": "REAL", "page": True, "explainable": [2]}
    monkeypatch.setattr(jobs, "plain_process", lambda **options: judge)
    monkeypatch.setattr(jobs, "POLL_S", 0.01)
    monkeypatch.setattr(on_request, "plain_process", lambda **options: process)
    yield process
    process.go.set()


def test_a_map_is_drawn_once_and_goes_with_its_verdict(process):
    with client() as web:
        job = web.post("/v1/videos", content=b"v").json()
        wait_for(web, job)
        at = f"{job['links']['self']}/faces/2/map"
        said = web.post(at).json()
        assert said["time_s"] == 1.5 and web.get(said["link"]).content == b"a map"
        assert web.post(at).json() == said and len(process.asked) == 1
        for other in ("/faces/1/map", "/faces/x/map"):
            assert web.post(f"{job['links']['self']}{other}").status_code == 404
        assert web.get(at).status_code == 405
        web.delete(job["links"]["self"])
        assert web.post(at).status_code == 404 and web.get(said["link"]).status_code == 404
    with client(token="s3cret") as web:
        assert web.post("/v1/preview", content=JPEG).status_code == 401


def test_a_preview_is_judged_and_forgotten(process):
    with client() as web:
        assert web.post("/v1/preview", content=JPEG).json() == {"preview": True, "status": "no_face"}
        assert not Path(process.asked[0].path).exists()
        assert web.post("/v1/preview", content=b"GIF89a").status_code == 415
        assert web.post("/v1/preview", content=JPEG + bytes(2 << 20)).status_code == 413
        died = web.post("/v1/preview", content=JPEG + b"crash")
        assert died.status_code == 422 and died.json()["error"] == "it died."
        assert "camera=(self)" in web.get("/").headers["permissions-policy"]
        assert "camera=()" in web.get("/v1/server").headers["permissions-policy"]
        process.go.clear()
        codes = []
        asking = [
            threading.Thread(target=lambda: codes.append(web.post("/v1/preview", content=JPEG).status_code))
            for _ in range(on_request.MOST_WAITING + 1)
        ]
        for thread in asking:
            thread.start()
        while not codes:  # the one too many does not wait
            time.sleep(0.01)
        process.go.set()
        for thread in asking:
            thread.join()
        assert sorted(codes) == [200] * on_request.MOST_WAITING + [429]


@pytest.mark.slow
def test_a_map_is_made_confined(tmp_path):
    served.model_folder(tmp_path / "model", num_frames=2)
    source, rng = Source(str(tmp_path / "model"), "net", runtime="keras"), np.random.default_rng(0)
    kept = {
        "logit": 0.5,
        "probability": 0.6,
        "indices": np.array([7]),
        "timestamps_s": np.array([0.28]),
        "frames": rng.integers(0, 256, (1, *served.SIZE, 3), np.uint8),
        "matrices": np.eye(2, 3)[None],
        "face_boxes_px": np.float32([[2, 2, 10, 10]]),
    }
    (tmp_path / SAMPLES).mkdir()
    np.savez(tmp_path / SAMPLES / "face_3.npz", **kept)
    assert kept_faces(tmp_path) == [3] and isinstance(read_sample(tmp_path, 3), Sample)
    process = plain_process()
    said = process(explain_face, ExplainTask(source, str(tmp_path), 3))
    assert (said["face"], said["frame"], said["time_s"], said["maps"]) == (3, 7, 0.28, ["frames"])
    height, width = np.asarray(Image.open(tmp_path / said["file"])).shape[:2]
    assert width > 2 * height, "crop and map of 24 x 16 px side by side"
    process.close()


def test_the_most_suspicious_input_of_each_deciding_face_is_kept(tmp_path, monkeypatch):
    def sample(face, probability):
        frames, box = np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 4), np.float32)
        return Sample(face, 0.0, probability, np.array([1]), np.array([0.1]), frames, None, np.zeros((1, 2, 3)), box)

    monkeypatch.setattr("tfdeepfake.explain.samples.sample_of", lambda one, recipe: one)
    faces = [{"face": n, "brief": n == 2, "weak": False} for n in (1, 2)]
    network = type("Network", (), {"recipe": None})
    shown = [sample(1, 0.2), sample(1, 0.8), sample(2, 0.9), sample(1, 0.5)]
    assert keep_samples(network)("clip.mp4", {"faces": faces}, shown, tmp_path, "frames") == []
    assert kept_faces(tmp_path) == [1] and read_sample(tmp_path, 1).probability == 0.8
