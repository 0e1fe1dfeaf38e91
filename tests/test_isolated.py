"""Files looked at in processes with limits: a crash, a hang, too much memory or a false answer cost one file."""

import dataclasses
import os
import pickle
import signal
import socket
import sys
import time

import numpy as np
import pytest
from support.media import make_video, moving_frames
from support.verdicts import brightness_network, recipe

from tfdeepfake.data import synthetic
from tfdeepfake.plain_answers import load_plain
from tfdeepfake.verdict import ahead, isolated
from tfdeepfake.verdict.batch import Network, judge_many
from tfdeepfake.verdict.isolated import lookers as lookers_of
from tfdeepfake.verdict.judging import judge
from tfdeepfake.verdict.looking import LookPlan
from tfdeepfake.verdict.settings import JudgeSettings

PLAN = LookPlan(recipe(num_frames=2).data, "frame", "brightness", time_limit_s=0.5)
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits that only Linux has")


def crash(job):
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(job):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        time.sleep(1)


def eat(job):
    isolated._begin(job)
    return np.ones(1 << 30, np.uint8).sum()


class Evil:
    def __reduce__(self):
        return os.mkdir, (os.environ["EVIL"],)


def lie(job):
    return Evil()


def reach_out(job):
    """What a process within limits cannot do, each by the name of its error."""
    isolated._begin(job)
    errors = {}
    for name, act in {
        "socket": lambda: socket.socket(),
        "write": lambda: write(job.path),
        "memory": lambda: np.ones(1 << 30, np.uint8),
        "read": lambda: open(job.path, "rb").close(),
    }.items():
        try:
            act()
        except (OSError, MemoryError) as error:
            errors[name] = next(t.__name__ for t in type(error).__mro__ if not t.__name__.startswith("_"))
    return errors


def write(path):
    with open(path + ".new", "wb") as stream:
        stream.write(b"x")


@pytest.fixture
def lookers():
    made = isolated.Lookers(PLAN, "mtcnn", memory_mb=128)
    yield made
    made.close()


@pytest.mark.parametrize("what, said, grace_s", [(crash, "SIGSEGV", 60.0), (hang, "took longer than 0.9 s", 0.4)])
def test_a_process_that_dies_costs_one_file(tmp_path, monkeypatch, lookers, what, said, grace_s):
    path = make_video(tmp_path / "a.mp4", moving_frames(5))
    monkeypatch.setattr(isolated, "GRACE_S", grace_s)
    with monkeypatch.context() as patch:
        patch.setattr(isolated, "_look", what)
        failure = lookers.look(path).failure
    assert failure.status == "error" and "128 MB of memory" in failure.reason
    assert said in failure.reason
    monkeypatch.setattr(isolated, "GRACE_S", 60.0)
    looked = isolated.Lookers(dataclasses.replace(PLAN, time_limit_s=60.0), "mtcnn").look(path)
    assert looked.failure.status == "no_face" and looked.facts["frame_count"] == 5


@linux
def test_within_limits_nothing_is_written_sent_or_filled(tmp_path, monkeypatch, lookers):
    path = make_video(tmp_path / "a.mp4", moving_frames(5))
    monkeypatch.setattr(isolated, "GRACE_S", 60.0)
    monkeypatch.setattr(isolated, "_look", reach_out)
    answer = lookers._ask(lookers._all[0], reach_out, lookers._of(path))
    assert answer == {"socket": "PermissionError", "write": "OSError", "memory": "MemoryError"}
    assert not list(tmp_path.glob("*.new")) or (tmp_path / "a.mp4.new").stat().st_size == 0


@linux
def test_memory_beyond_the_limit_is_named(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", np.zeros((3, 2160, 3840, 3), np.uint8), crf=40)
    plan = dataclasses.replace(PLAN, time_limit_s=60.0)
    with_little = isolated.Lookers(plan, "mtcnn", memory_mb=100)
    failure = with_little.look(path).failure
    with_little.close()
    assert failure.status in ("error", "unreadable") and "limit of 100 MB" in failure.reason


def test_an_answer_that_is_a_program_is_not_run(tmp_path, monkeypatch, lookers):
    monkeypatch.setenv("EVIL", str(tmp_path / "evil"))
    monkeypatch.setattr(isolated, "_look", lie)
    monkeypatch.setattr(isolated, "GRACE_S", 60.0)
    failure = lookers.look(tmp_path / "a.mp4").failure
    assert "gave no plain answer (it names posix.mkdir)" in failure.reason and not (tmp_path / "evil").exists()
    for lied in ((True, print), True, (False, "no error"), ([], 1), (True, 1, 2)):
        with pytest.raises(pickle.UnpicklingError):
            load_plain(pickle.dumps(lied))
    for cut in (b"", b"\x80\x04", b"garbage", pickle.dumps((True, 1))[:-3]):
        with pytest.raises(pickle.UnpicklingError):
            load_plain(cut)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    spec = synthetic.make_set((2, 0, 0), real_per_identity=1, num_frames=6)[0]
    return synthetic.write_clip(spec, tmp_path_factory.mktemp("clips"))


def test_verdicts_are_those_of_one_process(tmp_path, monkeypatch, clip):
    from tfdeepfake.data import faces

    monkeypatch.setattr(ahead, "WORTH_S", 0.0)
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)
    monkeypatch.setattr(ahead, "free_bytes", lambda: 64 << 30)

    folder = tmp_path / "videos"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.mp4").write_bytes(clip.read_bytes())
    (folder / "c.mp4").write_bytes(clip.read_bytes()[:2000])
    make_video(folder / "d.mp4", moving_frames(5))
    used, model = recipe(num_frames=2), brightness_network()
    network = Network(tmp_path, model, used, faces.make_detector("mtcnn"), "mtcnn", "mtcnn")
    settings = JudgeSettings(isolate=True, memory_mb=2048)
    kept = {}
    here = JudgeSettings(workers=0)
    for name, chosen in {"here": here, "ahead": JudgeSettings(), "isolated": settings}.items():
        began = []
        monkeypatch.setattr(ahead, "lookers", lambda *arguments, began=began: began.append(1) or lookers_of(*arguments))
        judged = judge_many(folder, network, tmp_path / name, settings=chosen, guarded=True)
        assert bool(began) == (name != "here")
        facts = [{k: v for k, v in one.items() if k not in ("timings", "run", "stamp")} for one in judged["verdicts"]]
        images = {p.name: p.read_bytes() for p in sorted((tmp_path / name).rglob("*.jpg"))}
        kept[name] = facts, images
    assert kept["here"] == kept["ahead"] == kept["isolated"] and len(kept["here"][1]) > 3
    assert [v["status"] for v in kept["here"][0]] == ["scored", "scored", "unreadable", "no_face"]
    one = isolated.judge_isolated(clip, network, settings)
    isolated.release()
    assert one.probability == judge(clip, model, used).probability
