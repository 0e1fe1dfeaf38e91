"""Errors, atomic writes and the lock."""

import errno
import fcntl
import os
import pickle
import signal
import subprocess
import sys
import threading

import pytest

from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path, exclusive_lock, read_json, write_json, write_text


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "scores.csv"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stopped")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["scores.csv"]


def test_full_disk_names_the_file_and_the_next_step(tmp_path):
    with pytest.raises(InputError, match=r"a\.json: the disk is full.*run the same command again"):
        with atomic_path(tmp_path / "a.json"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_other_os_errors_pass(tmp_path):
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a.json"):
        raise PermissionError(errno.EACCES, "no")


def test_json_round_trip_in_a_folder_that_did_not_exist(tmp_path):
    path = tmp_path / "ünï côde" / "a.json"
    write_json(path, {"name": "é", "value": 1})
    assert read_json(path) == {"name": "é", "value": 1}
    with pytest.raises(ValueError):
        write_json(path, {"value": float("nan")})
    assert read_json(path)["value"] == 1


@pytest.mark.parametrize("text, problem", [("{", "not valid JSON"), ("[1]", "JSON object"), (None, "missing")])
def test_damaged_json_names_the_file(tmp_path, text, problem):
    path = tmp_path / "recipe.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=f"recipe.json.*{problem}"):
        read_json(path)


def test_input_error_survives_a_process_boundary():
    error = pickle.loads(pickle.dumps(InputError("a.mp4", "is empty.", "Give another.")))
    assert str(error) == "a.mp4: is empty. Give another." and error.problem == "is empty."


HOLDER = """
import sys
from tfdeepfake.files import exclusive_lock
with exclusive_lock(sys.argv[1]) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "new" / "a.lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def test_the_lock_of_another_process_is_told_or_waited_for(tmp_path, holder):
    path, lines, waiting = tmp_path / "new" / "a.lock", [], threading.Event()

    def log(line):
        lines.append(line)
        waiting.set()

    with (
        pytest.raises(InputError, match="another process trains"),
        exclusive_lock(path, busy=InputError(tmp_path, "another process trains in this folder.")),
    ):
        raise AssertionError("two at once")
    ended = []

    def end_it():
        assert waiting.wait(20)
        ended.append(holder.poll())
        holder.send_signal(signal.SIGKILL)

    helper = threading.Thread(target=end_it)
    helper.start()
    with exclusive_lock(path, log=log) as held:
        assert held and holder.wait(20) == -signal.SIGKILL
    helper.join()
    assert ended == [None] and lines == [f"{path}: another process holds this lock; waiting until it is done."]


def test_the_lock_ends_with_its_block_though_a_forked_child_has_it_too(tmp_path):
    path, busy = tmp_path / "a.lock", RuntimeError("held")
    opened = []
    real = os.open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", lambda *args: opened.append(real(*args)) or opened[-1])
        with exclusive_lock(path, busy):
            # What a fork does to the handle.
            copy = os.dup(opened[0])
            with pytest.raises(RuntimeError, match="held"), exclusive_lock(path, busy):
                pass
    with exclusive_lock(path, busy) as held:
        assert held
    os.close(copy)


def test_a_file_system_without_locks_is_told(monkeypatch, tmp_path):
    def without_locks(handle, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without_locks)
    lines = []
    with exclusive_lock(tmp_path / "a.lock", RuntimeError("held"), lines.append) as held:
        assert not held
    assert lines == [f"{tmp_path / 'a.lock'}: this file system has no locks; do not run this twice at once."]
