"""`tfdeepfake protocol` that trains: runs resumed, overrides told, failed rows named, figures with intervals."""

import csv
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from support.prepared import write_prepared

from tfdeepfake.cli.main import main
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json
from tfdeepfake.protocols import runs, training_time
from tfdeepfake.protocols.ablations import paper_tables
from tfdeepfake.protocols.cells import members_of
from tfdeepfake.protocols.rows import Row, changed, overrides_of
from tfdeepfake.protocols.votes import saved_scores
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train

SPLITS = {"train": (6, 8), "validation": (4, 4), "test": (8, 12)}
SMALL = [
    "epochs=1", "batch_size=4", 'p2_*:network_args={"backbone": "small", "width": 2, "weights": null}',
    'demo:network_args={"width": 2, "flow_widths": [2], "units": 4, "frame_units": 4}', "schedule=constant",
    "warmup_epochs=0",
]  # fmt: skip


def lines_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A toy set of clips of two methods."""

    def facts(number, label):
        return {"data_set": "toy", "method": ("swap", "lips")[number % 2] if label else "original"}

    return write_prepared(tmp_path_factory.mktemp("data"), splits=SPLITS, name="toy", facts=facts)[0]


@pytest.fixture
def here(monkeypatch):
    """Runs are trained in this process, where TensorFlow is loaded; returns the folders of those that were trained."""
    trained = []

    def train_here(config, run_dir, threads=None):
        trained.append(run_dir.name)
        try:
            train(config, run_dir, progress=False)
        except InputError as error:
            return str(error)
        return ""

    monkeypatch.setattr(runs, "train_apart", train_here)
    return trained


def command(data_dir, name, out, *more, presets=("p2_baseline", "demo"), changes=SMALL):
    given = ["protocol", name, "--presets", *presets, "--data", "toy", "--data-dir", data_dir, "--run-dir", str(out)]
    return [*given, "--allow", "any", "--resamples", "20", "--set", *changes, *more]


def test_networks_are_trained_scored_and_kept(data_dir, tmp_path, capsys, here, monkeypatch):
    out = tmp_path / "run"
    wanted = command(data_dir, "networks", out)
    asked = []
    monkeypatch.setattr(
        training_time,
        "measure_apart",
        lambda config: asked.append(config) or {"begin_s": 9, "step_s": 2, "forward_s": 1},
    )
    assert main([*wanted, "--plan"]) == 0
    planned = capsys.readouterr().out
    # 3 steps of 4 clips; 56 frames make 14 steps. Validation and test split are 8 and 20 clips of 4 frames.
    assert "train  demo: 1 epochs of 3 steps, then scored; about 24 s (2.00 s a step, measured" in planned
    assert "train  p2_baseline: 1 epochs of 14 steps" in planned and "2 of 2 runs are to be trained" in planned
    assert len(asked) == 2 and not out.exists()

    assert main(wanted) == 0
    lines = {(line["model"], line["metric"]): line for line in lines_of(out / "networks_cells.csv")}
    assert {model for model, _ in lines} == {"p2_baseline", "demo"}
    for metric in ("auc", "accuracy_at_half", "balanced_accuracy"):
        line = lines["demo", metric]
        assert float(line["low"]) <= float(line["value"]) <= float(line["high"])
        assert (line["fake"], line["real"], line["scored"], line["videos"]) == ("12", "8", "20", "21")
    gap = lines["demo", "difference of auc"]
    aucs = [float(lines[name, "auc"]["value"]) for name in ("demo", "p2_baseline")]
    assert float(gap["value"]) == pytest.approx(aucs[0] - aucs[1], abs=1e-5)
    text = (out / "networks.md").read_text()
    assert "toy/clip:1.0.0 (test); not the presets' own: epochs, batch_size, network_args" in text.splitlines()[0]
    assert "not the presets' own: epochs=1; batch_size=4" in text and "data_set toy (preset video_folder)" in text
    assert "1 of 1 epochs" in text and "20 of 21 scored" in text
    capsys.readouterr()

    assert main([*wanted, "--plan"]) == 0
    assert capsys.readouterr().out.count("done ") == 2
    assert main(wanted) == 0
    assert here == ["p2_baseline", "demo"] and capsys.readouterr().err.count("kept ") == 4
    assert main(command(data_dir, "networks", out, changes=[*SMALL, "seed=1"])) == 2
    assert "holds a run of other settings: seed (0 there, 1 now)" in capsys.readouterr().err
    assert (out / "networks.md").read_text() == text


def test_members_vote_by_their_saved_scores(data_dir, tmp_path, capsys, here):
    trained, out = tmp_path / "run", tmp_path / "votes"
    assert main(command(data_dir, "ablations", trained)) == 0
    assert here == ["p2_baseline", "demo"] and "from p2_baseline" in (trained / "ablations.md").read_text()
    folders = [f"{name}={trained / 'runs' / run}" for name, run in (("2d", "p2_baseline"), ("3d", "demo"))]
    wanted = ["protocol", "ensemble", "--models", *folders, "--data", "toy", "--data-dir", data_dir]
    wanted += ["--groups", "3d+2d", "--run-dir", str(out), "--resamples", "20"]
    assert main(wanted) == 0
    lines = {(line["model"], line["on"]): line for line in lines_of(out / "votes_cells.csv")}
    assert {on for _, on in lines} >= {"alone", "soft", "hard", "adaptive"}
    for on in ("soft", "hard", "adaptive"):
        assert float(lines["3d+2d", on]["low"]) <= float(lines["3d+2d", on]["value"])
    gap = next(line for line in lines_of(out / "votes_differences_cells.csv") if line["on"] == "soft")
    best = max(float(lines[name, "alone"]["value"]) for name in ("2d", "3d"))
    assert float(gap["value"]) == pytest.approx(float(lines["3d+2d", "soft"]["value"]) - best, abs=1e-5)
    text = (out / "votes.md").read_text()
    assert "weights of the adaptive vote" in text and "its best member here" in text
    # What is said of AUCs stands under them alone, and what is said of all tables once on the page.
    other, page = (out / "votes_log_loss.md").read_text(), (out / "index.html").read_text()
    assert "weights of the adaptive vote" in other and "its best member here" not in other
    assert page.count("weights of the adaptive vote") == 1
    assert "<h2>Accuracy</h2>" in page and "<h2>Log loss</h2>" in page  # not the page's whole title again
    bars = [part.count('class="bar"') for part in page.split("<h2>")]
    assert sum(bars) == 2 * len([line for line in lines if line[1]])  # of AUC and accuracy, not of log loss
    # They are those that the runs were scored with before.
    (cell,) = out.glob("cells/2d-*/metrics.json")
    before = next(trained.glob("cells/p2_baseline-*/scores.csv"))
    assert read_json(cell)["scores"] == str(before) and cell.with_name("scores.csv").read_text() == before.read_text()
    # Other videos under the same name and version are scored, and no scores of those before stand for them.
    elsewhere = write_prepared(tmp_path / "other", splits={"test": (3, 5)}, name="toy", seed=7)[0]
    member = members_of(folders[:1])[0]
    assert saved_scores(member, "toy", data_dir, "test") == before
    assert saved_scores(member, "toy", elsewhere, "test") is None
    assert main([*wanted[:-4], "--groups", "3d+4d", "--run-dir", str(tmp_path / "x")]) == 2
    assert "no model is named 4d" in capsys.readouterr().err


def test_each_method_alone_and_left_out(data_dir, tmp_path, here):
    out, one = tmp_path / "single", ["--presets", "p2_baseline"]
    changes = [change for change in SMALL if not change.startswith("demo")]
    assert main(command(data_dir, "single", out, presets=one[1:], changes=changes)) == 0
    assert here == ["p2_baseline_on_lips", "p2_baseline_on_swap"]
    selected = read_json(out / "runs" / here[0] / "selection.json")["counts"]["train"]
    assert set(selected) == {"lips", "original"}
    lines = lines_of(out / "single_cells.csv")
    assert [(line["model"], line["on"], line["fake"]) for line in lines] == [
        ("p2_baseline", "lips", "6"),
        ("p2_baseline", "swap", "6"),
    ]
    every = {(line["model"], line["on"]): line["value"] for line in lines_of(out / "single_transfer_cells.csv")}
    assert len(every) == 4 and every["p2_baseline on lips", "lips"] == lines[0]["value"]

    left_out = tmp_path / "left_out"
    for folder, run in (("p2_baseline_without_swap", here[0]), ("p2_baseline_without_lips", here[1])):
        # Of two methods, all but one is the other: the runs are the same.
        shutil.copytree(out / "runs" / run, left_out / "runs" / folder)
    (left_out / "protocol.json").write_text('{"protocol": "cross_manipulation"}')
    assert main(command(data_dir, "cross_manipulation", left_out, presets=one[1:], changes=changes)) == 0
    assert len(here) == 2
    crossed = {line["on"]: line["value"] for line in lines_of(left_out / "cross_manipulation_cells.csv")}
    assert crossed == {"lips": every["p2_baseline on swap", "lips"], "swap": every["p2_baseline on lips", "swap"]}


@pytest.mark.slow
def test_a_killed_protocol_ends_as_one_left_alone(data_dir, tmp_path, here):
    """The run's process ends with the one that began it, and the same command goes on with it."""
    changes = [*[c for c in SMALL if not c.startswith("demo")], "p2_baseline:epochs=3", "checkpoint_minutes=0"]
    wanted = [
        command(data_dir, "networks", tmp_path / name, presets=["p2_baseline"], changes=changes)
        for name in ("alone", "killed")
    ]
    states = [tmp_path / name / "runs" / "p2_baseline" / "checkpoint" / "state.npz" for name in ("alone", "killed")]
    with subprocess.Popen([sys.executable, "-m", "tfdeepfake.cli", *wanted[1]], stderr=subprocess.DEVNULL) as process:
        while not states[1].exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    assert not (states[1].parent.parent / "result.json").exists()
    for words in wanted:
        assert main(words) == 0
    with np.load(states[0]) as alone, np.load(states[1]) as killed:
        weights = [key for key in alone.files if alone[key].dtype.kind == "f"]
        assert set(alone.files) == set(killed.files) and len(weights) > 5
        for key in weights:
            np.testing.assert_array_equal(alone[key], killed[key])


def test_a_run_that_fails_is_named_and_the_others_go_on(data_dir, tmp_path, here):
    out = tmp_path / "run"
    assert main(command(data_dir, "networks", out, changes=[*SMALL, "demo:batch_size=2000"])) == 1
    text = (out / "networks.md").read_text()
    assert "Failed: demo on AUC: training: batch_size" in text and "p2_baseline" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("epoch=3", "FIELD=VALUE"),
        ("epochs=three", "needs int in 'epochs'"),
        ("p9_*:epochs=3", "none of the presets"),
        ("data=other", "FIELD=VALUE"),
    ],
)
def test_settings_that_do_not_fit_are_refused(data_dir, tmp_path, capsys, change, said):
    assert main(command(data_dir, "networks", tmp_path / "run", changes=[change])) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_split_that_is_not_there_is_told_before_anything_is_trained(data_dir, tmp_path, capsys, here):
    assert main(command(data_dir, "networks", tmp_path / "run", "--split", "tset")) == 2
    assert "no examples in a split 'tset'" in capsys.readouterr().err
    assert not here and not (tmp_path / "run").exists()


def test_data_prepared_otherwise_need_to_be_allowed(data_dir, tmp_path, capsys):
    wanted = [arg for arg in command(data_dir, "networks", tmp_path / "run") if arg not in ("--allow", "any")]
    assert main(wanted) == 2
    told = capsys.readouterr().err
    assert "height_px 32 (preset 108)" in told and "tfdeepfake prepare video_folder" in told


def test_rows_of_ablations_stand_in_the_tables_that_the_paper_has_of_them():
    config, labels = (
        TrainConfig(),
        {"tall": ("P4 Table 1: TALL", "P4 Table 7: 3"), "both": ("P4 Table 1: x", "P4 Table 7: 7")},
    )
    rows = [Row(name, name, config, labels=text) for name, text in labels.items()]
    assert paper_tables(rows) == {"P4 Table 7": {"tall": "3 (tall)", "both": "7 (both)"}}


def test_settings_are_laid_over_those_of_the_preset():
    config = TrainConfig(network="baseline", network_args={"weights": "imagenet", "dropout": 0.1})
    overrides = overrides_of(['network_args={"weights": null, "width": 4}', "p3_*:epochs=2", "methods=a,b"])
    assert changed("p2_baseline", config, overrides).network_args == {"dropout": 0.1, "width": 4}
    assert changed("p2_baseline", config, overrides).epochs == 10 and changed("p3_i3d", config, overrides).epochs == 2
    assert changed("p2_baseline", config, overrides).methods == ["a", "b"]
