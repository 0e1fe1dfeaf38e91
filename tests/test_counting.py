"""A line on the terminal that counts seconds while something is silent."""

import io
import os
import pty
import sys
import time

import pytest
from tqdm import tqdm

from tfdeepfake import counting
from tfdeepfake.quiet import hide_stderr


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_sees_the_seconds_and_nothing_stays(monkeypatch):
    monkeypatch.setattr(counting, "EVERY_S", 0.01)
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    with pytest.raises(KeyError), counting.counting("compiling"):
        while shown.getvalue().count("compiling: 00:00") < 3:
            time.sleep(0.01)
        raise KeyError
    assert shown.getvalue().split("\r")[-2].strip() == "" and shown.getvalue().endswith("\r")


def test_a_bar_goes_on_counting_while_a_step_takes_long(monkeypatch):
    monkeypatch.setattr(counting, "EVERY_S", 0.01)
    shown = Terminal()
    with tqdm(total=2, desc="scoring", file=shown) as bar, counting.moving(bar):
        while shown.getvalue().count("0/2") < 4:
            time.sleep(0.01)
    shown.truncate(0)
    with tqdm(total=2, file=shown, disable=True) as bar, counting.moving(bar):
        time.sleep(0.05)
    assert shown.getvalue() == ""


def test_a_notebook_shows_bars_though_it_is_no_terminal(monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert counting.bar_hidden() is None
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    assert counting.bar_hidden() is False


def test_a_file_gets_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    with counting.counting("compiling"):
        pass
    assert shown.getvalue() == ""


def test_it_is_seen_while_standard_error_is_put_aside(monkeypatch):
    ours, theirs = pty.openpty()
    monkeypatch.setattr(counting, "EVERY_S", 0.01)
    saved = os.dup(2)
    os.dup2(theirs, 2)
    try:
        with open(2, "w", closefd=False) as stderr, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stderr)
            with counting.counting("loading"), hide_stderr():
                os.write(2, b"noise")
                time.sleep(0.1)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert shown.count(b"loading: 00:00") > 2 and b"noise" not in shown
