"""Notebooks: each .ipynb is its .py, and runs top to bottom on small drawn data."""

import importlib.util
import json
import os
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


@pytest.mark.slow
def test_the_quickstart_runs_top_to_bottom(tmp_path):
    cells = [cell["lines"] for cell in make.cells((FOLDER / "quickstart.py").read_text()) if cell["kind"] == "code"]
    code = "\n".join(line for lines in cells for line in lines if not line.startswith("%pip"))
    environment = os.environ | {"TFDEEPFAKE_WORK": str(tmp_path / "work"), "TFDEEPFAKE_SIZE": "small"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    work = tmp_path / "work"
    pages = ("verdicts/index.html", "explained/index.html", "served/quickstart/README.md")
    for path in (*pages, "run/scores_validation.csv"):
        assert (work / path).is_file(), path
    assert "learned_face" in str(sorted((work / "data").rglob("*.mp4"))), "the drawn videos are there to look at"
    assert "scored FAKE" in done.stdout or "scored REAL" in done.stdout or "scored UNSURE" in done.stdout
