"""Errors and atomic writes."""

import errno
import pickle

import pytest

from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path, read_json, write_json, write_text


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
