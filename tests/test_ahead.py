"""Files looked at ahead of the network where it pays, and only there; what a machine has left for it."""

import multiprocessing
import sys
import time
import types

import pytest

from tfdeepfake import machine
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.verdict import ahead, isolated
from tfdeepfake.verdict.looking import Failure, Looked, LookPlan
from tfdeepfake.verdict.settings import JudgeSettings

PLAN = LookPlan(DataRecipe(), "frame", "brightness")
GB = 1 << 30


@pytest.fixture
def begun(monkeypatch):
    """Files at 1 s each by a clock of our own, four cores, much memory; the numbers of processes that were begun."""
    counts, now = [], [0.0]

    def look(path, plan, detect):
        now[0] += 1.0
        return Looked(failure=Failure("no_face", f"here {path}", ""))

    class Processes:
        def __init__(self, network, settings, isolate, count):
            counts.append(count)

        def ahead(self, paths):
            for path in paths:
                yield path, Looked(failure=Failure("no_face", f"ahead {path}", ""))

    monkeypatch.setattr(ahead, "look", look)
    monkeypatch.setattr(ahead, "lookers", Processes)
    monkeypatch.setattr(ahead, "look_plan", lambda *_: PLAN)
    monkeypatch.setattr(ahead.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(ahead, "usable_cores", lambda: 4)
    monkeypatch.setattr(ahead, "free_bytes", lambda: 64 * GB)
    return counts


def looked(num_files, guarded=True, **settings):
    """Where each file was looked at."""
    network = types.SimpleNamespace(model=None, recipe=Recipe("brightness"), detect=None)
    pairs = list(ahead.Ahead(network, JudgeSettings(**settings), guarded).looked(list(range(num_files))))
    assert [path for path, _ in pairs] == list(range(num_files))
    assert [one.failure.reason.split()[1] for _, one in pairs] == list(map(str, range(num_files)))
    return [one.failure.reason.split()[0] for _, one in pairs]


def test_processes_are_begun_where_they_pay(begun, monkeypatch):
    assert looked(1) == ["here"] and looked(10) == ["here"] * 10 and not begun
    # The first file tells the pace: 11 more take longer than the start of processes is worth.
    assert looked(12) == ["here"] + ["ahead"] * 11 and begun.pop() == 4
    monkeypatch.setattr(ahead, "free_bytes", lambda: 7 * GB)
    assert looked(12)[1:] == ["ahead"] * 11 and begun.pop() == 3
    for name, value in (("free_bytes", 2.5 * GB), ("free_bytes", None), ("usable_cores", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(ahead, name, lambda value=value: value)
            assert looked(12) == ["here"] * 12 and not begun
    assert looked(12, workers=0) == ["here"] * 12 and not begun
    assert looked(2, workers=1) == ["ahead"] * 2 and begun.pop() == 1
    assert looked(3, isolate=True) == ["ahead"] * 3 and begun.pop() == 1
    assert looked(12, isolate=True) == ["ahead"] * 12 and begun.pop() == 3


def test_a_script_is_not_run_again_unless_it_is_guarded(begun, monkeypatch):
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)  # a notebook
    assert not ahead.runs_script_again() and looked(12, guarded=False)[1:] == ["ahead"] * 11
    module.__file__ = "script.py"
    assert ahead.runs_script_again() and looked(12, guarded=False) == ["here"] * 12
    assert looked(12, guarded=False, workers=2) == ["ahead"] * 12
    for name, again in (("tfdeepfake.cli.__main__", False), ("my.script", True)):
        module.__spec__ = types.SimpleNamespace(name=name)
        assert ahead.runs_script_again() == again
    monkeypatch.setattr(multiprocessing.current_process(), "_config", {"daemon": True})
    assert ahead.runs_script_again()


def test_where_no_process_can_be_begun_this_one_goes_on(begun, monkeypatch):
    def none(*_):
        raise InputError("workers", "no further process can be started.")

    monkeypatch.setattr(ahead, "lookers", none)
    assert looked(12) == ["here"] * 12
    with pytest.raises(InputError, match="no further process"):
        looked(12, workers=2)


def sleep(job):
    time.sleep(600)


def test_what_nobody_waits_for_any_more_is_ended(monkeypatch):
    monkeypatch.setattr(isolated, "_look", sleep)
    looking = isolated.Lookers(PLAN, "mtcnn", processes=2)
    monkeypatch.setattr(looking, "look", lambda path, look=looking.look: look(path) if path else Looked())
    files = looking.ahead([0, *range(1, 9)])
    assert next(files)[0] == 0
    processes = [one for one in looking._all]
    files.close()
    assert all(one._worker is None for one in processes)


@pytest.mark.parametrize("version", [1, 2])
def test_limits_of_a_container_hold(tmp_path, monkeypatch, version):
    own, root = tmp_path / "own", tmp_path / "groups"
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:   8388608 kB\n")
    folder = {1: root / "memory" / "job", 2: root / "job"}[version]
    cpu = {1: root / "cpu,cpuacct" / "job", 2: root / "job"}[version]
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_OWN_GROUPS", own)
    monkeypatch.setattr(machine, "_CONTROL_GROUPS", root)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: range(16), raising=False)
    assert (machine.usable_cores(), machine.free_bytes()) == (16, 8 * GB)
    folder.mkdir(parents=True)
    cpu.mkdir(parents=True, exist_ok=True)
    own.write_text({1: "3:memory:/job\n2:cpu,cpuacct:/job\n", 2: "0::/job\n"}[version])
    limits = {
        1: {"memory.limit_in_bytes": 3 * GB, "memory.usage_in_bytes": 2 * GB, "cpu.cfs_quota_us": 250000},
        2: {"memory.max": 3 * GB, "memory.current": 2 * GB, "cpu.max": "250000 100000"},
    }[version]
    for name, value in limits.items():
        ((cpu if name.startswith("cpu") else folder) / name).write_text(f"{value}\n")
    (cpu / "cpu.cfs_period_us").write_text("100000\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {GB}\n")
    assert (machine.usable_cores(), machine.free_bytes()) == (2, 2 * GB)
    (folder / "memory.max").write_text("max\n")
    (folder / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (cpu / "cpu.max").write_text("max 100000\n")
    (cpu / "cpu.cfs_quota_us").write_text("-1\n")
    assert (machine.usable_cores(), machine.free_bytes()) == (16, 8 * GB)
    (tmp_path / "meminfo").unlink()
    assert machine.free_bytes() is None
