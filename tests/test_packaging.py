"""The wheel, installed away from the checkout, is a working tfdeepfake with builders and presets inside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.loopback import isolate

from tfdeepfake import build
from tfdeepfake.model_folder import save_model
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent

CHECK = """
import pathlib, sys
import tfdeepfake, tfds_builders, train_scripts
for module in (tfdeepfake, tfds_builders, train_scripts):
    assert pathlib.Path(module.__file__).is_relative_to(sys.argv[1]), module.__file__
from tfdeepfake.cli.main import main
assert main(["prepare", "no_such_builder"]) == 2
assert main(["train", "--preset", "demos"]) == 2
from tfdeepfake.cli.presets import load_preset
print(load_preset("demo").config.network)
from tfdeepfake.report.html import environment
templates = ("page.html", "verdicts.html", "card.html", "page.css", "verdicts.css")
assert all(environment().get_template(name) for name in templates)
import importlib.resources
served = importlib.resources.files("tfdeepfake.serving") / "templates"
names = {"page.html", "app.js", "app.css", "icon.svg", "client.py", "export_readme.md"}
assert {one.name for one in served.iterdir()} >= names
verdict = tfdeepfake.Detector(sys.argv[2], runtime="keras", log=lambda line: None)(sys.argv[3])
print(verdict.status, verdict.label, len(verdict.faces[0]["timeline"]))
assert "<svg" in verdict._repr_html_()
"""
CLIP = ROOT / "tfds_builders/video_folder/dummy_data/real/000_0.mp4"


@pytest.mark.slow
def test_wheel_works_away_from_the_checkout(tmp_path, monkeypatch):
    """In an environment that sees the installed dependencies and not the checkout, and without a network."""
    isolate(monkeypatch, tmp_path / "home")
    save_model(tmp_path / "model", build("meso4"), Recipe("meso4", data=SOURCES["meso4_df"].data))
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    # The build writes into the source tree: give it a copy of what git tracks and what is new.
    source = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("tfdeepfake-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    assert (site / "bin" / "tfdeepfake").exists()
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(site), str(tmp_path / "model"), str(CLIP)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "two_stream_video" in done.stdout and "scored" in done.stdout
    entry = [sys.executable, str(site / "bin" / "tfdeepfake")]
    told = subprocess.run([*entry, "detectors", "list", "meso4_df"], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(site)}, check=True)  # fmt: skip
    assert "Apache-2.0" in told.stdout
    assert "video_folder" in done.stderr and "Did you mean demo" in done.stderr
