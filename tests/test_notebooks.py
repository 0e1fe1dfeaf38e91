"""Notebooks: each .ipynb is its .py, and runs top to bottom on small drawn data."""

import configparser
import csv
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
SOURCES = sorted(path for path in FOLDER.glob("*.py") if path.name != "make.py")

spec = importlib.util.spec_from_file_location("make_notebooks", FOLDER / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_its_source(source):
    text = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert text == make.notebook(source.read_text(encoding="utf-8")), "run python notebooks/make.py"
    notebook = json.loads(text)
    assert notebook["nbformat"] == 4 and {cell["cell_type"] for cell in notebook["cells"]} == {"markdown", "code"}
    assert any("%pip install" in "".join(cell["source"]) for cell in notebook["cells"])
    assert all(not cell.get("outputs") for cell in notebook["cells"])


def installation(source):
    """What pip is told to install by a notebook: its words."""
    cells = [cell["lines"] for cell in make.cells(source.read_text()) if cell["kind"] == "code"]
    before, names = [], {}
    for line in (line for lines in cells for line in lines):
        if line.startswith("%pip"):
            break
        before.append(line)
    exec("\n".join(before), names)  # what is not there is left as it stands by notebooks, and pip cannot read it
    words = shlex.split(re.sub(r"\{(\w+)\}", lambda name: names[name[1]], line))
    assert words[:3] == ["%pip", "install", "-q"]
    return words[3:]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_the_installation_names_is_there_when_it_runs(source, monkeypatch):
    monkeypatch.setenv("TFDEEPFAKE_SOURCE", "a wheel.whl")
    monkeypatch.setattr(os.path, "isdir", lambda path: False)
    assert installation(source) == ["a wheel.whl"]


def test_on_kaggle_the_image_is_left_as_it_is_and_what_it_lacks_is_installed(monkeypatch):
    monkeypatch.setenv("TFDEEPFAKE_SOURCE", "a wheel.whl")
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(os.path, "isdir", lambda path: str(path).startswith("/kaggle"))
    first, *lacking, last = installation(FOLDER / "kaggle_dfdc.py")
    assert (first, last) == ("--no-deps", "a wheel.whl") and os.environ["PIP_NO_INDEX"] == "1"
    config = configparser.ConfigParser()
    config.read(FOLDER.parent / "setup.cfg")
    # LiteRT asks for the other.
    asked = [*config["options"]["install_requires"].split(), "backports.strenum"]
    assert len(lacking) == 5 and set(lacking) <= set(asked)
    said = (FOLDER / "kaggle_dfdc.py").read_text()
    assert all(said.count(requirement) >= 2 for requirement in lacking), "the cell and the lines that fill the folder"


def run_cells(name, folder, **environment):
    """Runs the code of a notebook top to bottom in a process of its own: (folder of its files, what it said)."""
    cells = [cell["lines"] for cell in make.cells((FOLDER / f"{name}.py").read_text()) if cell["kind"] == "code"]
    code = "\n".join(line for lines in cells for line in lines if not line.startswith("%pip"))
    environment = os.environ | {"TFDEEPFAKE_WORK": str(folder / "work")} | environment
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "work", done.stdout


@pytest.mark.slow
def test_the_quickstart_runs_top_to_bottom(tmp_path):
    work, said = run_cells("quickstart", tmp_path, TFDEEPFAKE_SIZE="tiny")
    pages = ("verdicts/index.html", "explained/index.html", "served/quickstart/README.md")
    for path in (*pages, "run/scores_validation.csv"):
        assert (work / path).is_file(), path
    assert "learned_face" in str(sorted((work / "data").rglob("*.mp4"))), "the drawn videos are there to look at"
    assert "scored FAKE" in said or "scored REAL" in said or "scored UNSURE" in said


@pytest.mark.slow
def test_the_challenge_goes_from_its_input_folder_to_a_submission(tmp_path):
    work, said = run_cells("kaggle_dfdc", tmp_path, TFDEEPFAKE_INPUT=str(tmp_path / "absent"))
    config = json.loads((work / "run" / "config.json").read_text())
    assert (config["network"], config["loss"], config["devices"]) == ("efficientnet_b7", "ce", 2)
    assert json.loads((work / "run" / "versions.json").read_text())["examples"] == {"real": 12, "fake": 12}
    assert json.loads((work / "embeddings" / "embeddings.json").read_text())["num_points"] == 24
    assert (work / "embeddings" / "index.html").is_file() and "log loss" in said
    with open(work / "submission.csv", newline="") as file:
        rows = {row["filename"]: float(row["label"]) for row in csv.DictReader(file)}
    asked = (work / "input" / "sample_submission.csv").read_text().split()[1:]
    assert sorted(rows) == sorted(row.split(",")[0] for row in asked) and len(rows) == 7
    assert rows["zempty.mp4"] == 0.5 and "  zempty.mp4 (no_face)" in said, "no face: the fraction of fakes in training"
    assert "not reached: 0" in said
    metrics = json.loads((work / "run" / "evaluation" / "test" / "metrics.json").read_text())
    assert "log_loss" in json.dumps(metrics)
