"""Protocols recognition, pseudo_videos, crops and cost: each figure against what it is defined by."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from support import tiny_networks
from support.prepared import write_prepared

from tfdeepfake import models
from tfdeepfake.cli.main import main
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import save_model
from tfdeepfake.profiling.table import machine
from tfdeepfake.protocols.pseudo_videos import order_of
from tfdeepfake.protocols.work import Plot, Series
from tfdeepfake.recipe import DataRecipe, Recipe

DATA = DataRecipe(input_type="frame", num_frames=16, detector="mtcnn", height_px=32, width_px=40)
METHODS = ("swap", "reenact")
GENERATORS = ("LDM", "StyleGAN", "ProGAN")


def markdown_rows(path):
    lines = [line for line in Path(path).read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A detector, a network of three classes; faces by two methods, the same with a wider margin, generated images."""
    root = tmp_path_factory.mktemp("tables")
    tiny_networks.register()

    def named(data_set, methods):
        def facts(number, label):
            return {"data_set": data_set, "method": methods[number % len(methods)] if label else "original"}

        return facts

    splits = {"test": (10, 15)}
    write_prepared(root / "data", DATA, splits, name="faces", facts=named("faces", METHODS), contrast=20)
    wider = dataclasses.replace(DATA, margin_frac=0.6)
    write_prepared(root / "data", wider, splits, name="wider", facts=named("faces", METHODS), contrast=20)
    images = dataclasses.replace(DATA, detector="none", num_frames=200)
    write_prepared(root / "data", images, splits, name="bedrooms", facts=named("bedrooms", GENERATORS), contrast=20)
    keras.utils.set_random_seed(1)
    save_model(root / "detector", models.build("tiny_frame"), Recipe("tiny_frame", {}, DATA, data_version="faces"))
    told = {"num_classes": 3}
    recipe = Recipe("tiny_frame", told, DATA, data_version="faces", classes=["real", *METHODS])
    save_model(root / "classes", models.build("tiny_frame", **told), recipe)
    return root


def run(root, name, model, data, out):
    where = ["--data-dir", str(root / "data"), "--run-dir", str(out), "--resamples", "20"]
    return main(["protocol", name, "--models", str(root / model), "--data", *data, *where])


def test_recognition_has_every_class_with_its_interval(root, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(root, "recognition", "classes", ["faces"], out) == 0
    section = read_json(next((out / "cells").iterdir()) / "metrics.json")["classes"]
    header, *rows = markdown_rows(out / "recognition.md")
    assert header[1:4] == ["precision", "recall", "F1"] and len(rows) == 4
    for row, (name, entry) in zip(rows, section["per_class"].items(), strict=False):
        assert row[0] == f"classes: {name}"
        for cell, metric in zip(row[1:4], ("precision", "recall", "f1"), strict=True):
            value = entry[metric]
            assert cell == "undefined" if value is None else cell.startswith(f"{value:.3f} [")
    assert f"accuracy {section['accuracy']:.3f} [" in rows[3][4]
    (matrix,) = out.glob("confusion_*.md")
    counts = [[int(n) for n in row[1:]] for row in markdown_rows(matrix)[1:]]
    assert counts == section["confusion"] and sum(map(sum, counts)) == 25
    assert "true class" in (out / "index.html").read_text()
    capsys.readouterr()
    assert run(root, "recognition", "detector", ["faces"], tmp_path / "other") == 2
    assert "one logit" in capsys.readouterr().err and not (tmp_path / "other").exists()


def test_images_without_faces_are_scored_by_a_network_of_faces(root, tmp_path):
    out = tmp_path / "run"
    assert run(root, "pseudo_videos", "detector", ["bedrooms"], out) == 0
    header, row = markdown_rows(out / "pseudo_videos.md")
    assert header[1:] == ["ProGAN", "StyleGAN", "LDM", "GANs", "all methods"]  # one diffusion model is its own column
    area = {name: float(cell.split()[0]) for name, cell in zip(header[1:], row[1:], strict=True)}
    # All reals stand against each, and there are as many fakes of each generator.
    assert area["all methods"] == pytest.approx(np.mean([area[name] for name in GENERATORS]), abs=1e-3)
    assert area["GANs"] == pytest.approx(np.mean([area["ProGAN"], area["StyleGAN"]]), abs=1e-3)
    assert "detector: network 'mtcnn', data 'none'" in (out / "pseudo_videos.md").read_text()


def test_generators_stand_in_the_papers_order():
    assert order_of(["zeta", "ldm", "DiffStyleGAN2", "PROGAN"]) == ["PROGAN", "DiffStyleGAN2", "ldm", "zeta"]


def test_margins_beside_each_other(root, tmp_path):
    out = tmp_path / "run"
    assert run(root, "crops", "detector", ["faces", "wider", "bedrooms"], out) == 1  # these differ in more
    header, row = markdown_rows(out / "crops.md")
    assert header[1:] == ["margin 0.3 (faces)", "margin 0.6 (wider)", "bedrooms"] and row[3] == "failed"
    assert "prepared otherwise" in row[2] and "prepared otherwise" not in row[1]
    page = (out / "index.html").read_text()
    assert page.count("<figcaption>margin") == 1 and page.count('class="dot') == 2


def test_cost_beside_detection(root, tmp_path):
    out = tmp_path / "run"
    assert run(root, "cost", "detector", ["faces"], out) == 0
    _, row = markdown_rows(out / "cost.md")
    network = models.build("tiny_frame")
    # 8 x 10 places (strides of 4, valid padding: 8 x 10) of 3 x 3 x 3 x 4, then 4 x 8 and 8 x 1.
    macs = 8 * 10 * 3 * 3 * 3 * 4 + 4 * 8 + 8
    assert row[1] == f"{network.count_params():,}" and float(row[2]) == pytest.approx(macs / 1e9, rel=0.01)
    assert float(row[3]) == pytest.approx(2 * float(row[2]), rel=0.01) and float(row[4]) > 0
    assert machine() in (out / "cost.md").read_text()


def test_a_logarithmic_axis_shows_the_numbers_themselves():
    from tfdeepfake.protocols.page import _panel

    plot = Plot("t", "x", "y", [Series("a", [(0.5, 0.7)])], (-1, 2), is_scatter=True, is_logarithmic=True)
    panel = _panel(plot)
    assert [text for _, text in panel["x_ticks"]] == ["0.1", "1", "10", "100"]
    assert panel["lines"][0]["line"] == "" and len(panel["lines"][0]["dots"]) == 1
