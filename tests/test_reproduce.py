"""`tfdeepfake protocol reproduce`: printed figures beside measured ones, and what differs between them."""

import dataclasses

import keras
import pytest
from support import tiny_networks
from support.prepared import write_prepared

from tfdeepfake import models
from tfdeepfake.cli.main import main
from tfdeepfake.model_folder import save_model
from tfdeepfake.protocols.figures import Figure
from tfdeepfake.protocols.reproduce import verdict
from tfdeepfake.published.printed import PRINTED
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.recipe import Recipe

SOURCE = "deepfakebench_xception"


def test_printed_figures_are_those_of_the_entries():
    for source, printed in PRINTED.items():
        for one in printed:
            assert f"{one.auc:.3f}".strip("0") in SOURCES[source].accuracy or f"{one.auc:g}"[1:] in (
                SOURCES[source].accuracy
            ), (source, one)
            assert one.by in SOURCES[source].accuracy or one.by.split(" (")[0] in SOURCES[source].accuracy


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny network that says it is a published one, and a data set that is called Celeb-DF."""
    root = tmp_path_factory.mktemp("reproduce")
    tiny_networks.register()
    data = dataclasses.replace(SOURCES[SOURCE].data, height_px=32, width_px=40, num_frames=8)
    write_prepared(root / "data", data, {"test": (10, 14)}, name="celeb_df", contrast=20)
    write_prepared(root / "data", data, {"test": (5, 5)}, name="unheard_of")
    keras.utils.set_random_seed(0)
    for name, parent in (("mine", f"{SOURCE} (somewhere) sha256:0"), ("own", None)):
        network = models.build("tiny_frame")
        save_model(root / name, network, Recipe("tiny_frame", {}, data, data_version="FaceForensics++", parent=parent))
    return root


def command(root, out, *models_given, data=("celeb_df", "unheard_of")):
    where = ["--data", *data, "--data-dir", str(root / "data"), "--run-dir", str(out), "--resamples", "20"]
    return ["protocol", "reproduce", "--models", *map(str, models_given), *where]


def test_printed_beside_measured(root, tmp_path):
    out = tmp_path / "run"
    assert main(command(root, out, root / "mine")) == 0
    rows = [line.split("|") for line in (out / "reproduce.md").read_text().splitlines() if line.startswith("| mine")]
    name, printed, measured, where, told = (cell.strip() for cell in rows[0][1:6])
    assert name == "mine on celeb_df, Celeb-DF v2" and printed == "0.737 over frames (its authors' page)"
    # Of the frames that were scored, not of their videos; 24 of 25 videos have a score.
    assert "[" in measured and measured.endswith("over frames")
    assert where in ("inside the interval", "above the interval", "below the interval")
    assert "num_frames: the authors 32, here 8" in told and "dlib" in told and "1 of 25 have no score here" in told
    assert rows[1][2].strip() == "none of this data set" and rows[1][4].strip() == ""
    text = (out / "reproduce.md").read_text()
    assert "printed of other data: FaceForensics++ 0.964" in text and "DFDC 0.708" in text
    page = (out / "index.html").read_text()
    assert "0.737 over frames" in page and "settings that differ" in page


def test_a_network_of_ones_own_has_nothing_printed(root, tmp_path, capsys):
    assert main(command(root, tmp_path / "run", root / "own")) == 2
    assert "not converted from a published detector" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("printed", "said"), [(0.7, "inside the interval"), (0.9, "above the interval"), (0.5, "below the interval")]
)
def test_where_a_printed_figure_lies(printed, said):
    assert verdict(printed, Figure("a", "b", 0.68, [0.6, 0.74])) == said
    assert verdict(printed, Figure("a", "b", 0.68, None)) == "not comparable"
