"""Work in processes that may die, hang or fail."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tfdeepfake.errors import InputError
from tfdeepfake.memory import give_back_memory
from tfdeepfake.workers import OwnProcess, WorkerCrashed, imap_ordered


def square(n):
    time.sleep(0.05 * (n % 3 == 0))
    return n * n, os.getpid()


def sometimes_dies(n):
    if n == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if n == 5:
        time.sleep(60)
    return n


class Odd(Exception):
    """Cannot cross to another process."""

    def __init__(self, a, b):
        super().__init__(a)
        self.it = lambda: b


def fails(n):
    if n == 2:
        raise InputError("disk", "is full.", "Free some.")
    if n == 4:
        raise Odd("odd", 1)
    return n


def test_results_come_in_order_from_several_processes():
    outcomes = list(imap_ordered(square, list(range(12)), workers=2))
    assert [(n, r[0]) for n, r in outcomes] == [(n, n * n) for n in range(12)]
    pids = {r[1] for _, r in outcomes}
    assert len(pids) == 2 and os.getpid() not in pids
    assert [r for _, (r, _) in imap_ordered(square, [3, 2], workers=0)] == [9, 4]
    assert list(imap_ordered(square, [], workers=2)) == []


def test_a_process_that_dies_or_hangs_costs_one_item():
    outcomes = dict(imap_ordered(sometimes_dies, list(range(8)), workers=2, time_limit_s=2))
    assert isinstance(outcomes[3], WorkerCrashed) and "SIGSEGV" in str(outcomes[3])
    assert isinstance(outcomes[5], WorkerCrashed) and "longer than 2 s" in str(outcomes[5])
    assert [outcomes[n] for n in (0, 1, 2, 4, 6, 7)] == [0, 1, 2, 4, 6, 7]


def test_a_call_that_is_interrupted_ends_and_the_next_is_answered():
    process = OwnProcess()
    try:
        assert process(square, 2)[0] == 4
        threading.Timer(0.2, process.interrupt).start()
        ended = process(sometimes_dies, 5)
        assert isinstance(ended, WorkerCrashed) and "SIGKILL" in str(ended)
        assert process(square, 3)[0] == 9
        process.interrupt()
        assert process(square, 4)[0] == 16, "between two calls it costs neither"
    finally:
        process.close()


def test_an_answer_that_waited_is_not_late():
    """TFDS writes a finished split for minutes while the next results wait."""
    outcomes = imap_ordered(square, list(range(6)), workers=1, time_limit_s=2)
    taken = [next(outcomes)]
    time.sleep(2.5)
    assert [r[0] for _, r in taken + list(outcomes)] == [n * n for n in range(6)]


def test_an_exception_ends_the_work():
    with pytest.raises(InputError, match="disk: is full. Free some."):
        list(imap_ordered(fails, [1, 2, 3], workers=1))
    with pytest.raises(RuntimeError, match="Odd: odd"):
        list(imap_ordered(fails, [4], workers=1))


def test_a_script_without_main_guard_is_told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from tfdeepfake.workers import imap_ordered\n"
        "from tfdeepfake.files import InputError\n"
        "try: list(imap_ordered(abs, [1, 2], workers=1))\n"
        "except InputError as error: print('told:', error)\n"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=60
    )
    assert "told: workers" in done.stdout and "__main__" in done.stdout


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems keep no such heap")
def test_freed_memory_goes_back_between_blocks_that_are_used():
    blocks = [b"x" * 60_000 for _ in range(4000)]
    full, kept = resident_mb(), blocks[-1]
    del blocks
    give_back_memory()
    assert len(kept) == 60_000 and resident_mb() < full - 150


def hang(pid_file):
    Path(pid_file).write_text(str(os.getpid()))
    time.sleep(600)


def gone(pid):
    try:
        # Where nobody reaps an orphan, it stays as a zombie.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def wait_for(happened):
    for _ in range(600):
        if happened():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_process_ends_with_its_parent_whatever_it_does(tmp_path):
    pid_file = tmp_path / "pid"
    script = "from test_workers import hang\nfrom tfdeepfake.workers import OwnProcess\n"
    script += f"OwnProcess()(hang, {str(pid_file)!r})\n"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment)
    assert wait_for(lambda: pid_file.exists() and pid_file.read_text())
    parent.kill()
    parent.wait()
    assert wait_for(lambda: gone(int(pid_file.read_text())))


def test_a_call_that_waits_is_ended_from_outside(tmp_path):
    process, before, answers = OwnProcess(), dict(os.environ), []
    call = threading.Thread(target=lambda: answers.append(process(hang, str(tmp_path / "pid"))))
    call.start()
    assert wait_for((tmp_path / "pid").exists)
    process.kill()
    call.join(30)
    assert not call.is_alive() and "SIGKILL" in str(answers[0])
    assert isinstance(process(hang, "not begun"), WorkerCrashed) and dict(os.environ) == before
