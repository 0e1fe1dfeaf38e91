"""Errors, atomic writes, lists that a stopped run resumes, and the lock."""

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
from tfdeepfake.files import (
    append_json_line,
    atomic_path,
    begin_json_lines,
    exclusive_lock,
    read_json,
    read_json_lines,
    write_json,
    write_text,
)


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


def test_json_lines_are_read_in_any_order_and_one_at_a_time(tmp_path):
    path = tmp_path / "a.jsonl"
    for number in range(3):
        append_json_line(path, {"number": number, "name": "ü\n"})
    assert [v["number"] for v in read_json_lines(path)] == [0, 1, 2]
    assert [v["number"] for v in read_json_lines(path, [2, 0])] == [2, 0]
    begin_json_lines(path, [{"number": 7}])
    append_json_line(path, {"number": 8})
    assert path.read_text() == '{"number": 7}\n{"number": 8}\n'
    with pytest.raises(ValueError):
        append_json_line(path, float("nan"))
    assert [v["number"] for v in read_json_lines(path)] == [7, 8]


def test_a_line_that_was_cut_off_is_left_out_and_replaced_by_the_next(tmp_path):
    path = tmp_path / "a.jsonl"
    whole = ["x" * 70_000, "b"]
    begin_json_lines(path, whole)
    for torn in ('{"half', '"' + "y" * 200_000):
        with open(path, "a") as stream:
            stream.write(torn)
        assert list(read_json_lines(path)) == whole
    append_json_line(path, "c")
    assert list(read_json_lines(path)) == [*whole, "c"]
    path.write_text('"a"\n{"b\n"c"\n')
    with pytest.raises(InputError, match=r"a\.jsonl: line 2 is not valid JSON"):
        list(read_json_lines(path))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_json_lines(tmp_path / "nowhere.jsonl"))


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    append_json_line(path, "first")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="disk is full"):
        append_json_line(path, "second")
    with pytest.raises(InputError, match="disk is full"):
        begin_json_lines(path, [])
    assert path.read_text() == '"first"\n'


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
