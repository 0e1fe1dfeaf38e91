"""`tfdeepfake calibrate`: a threshold for one's own videos in a copy of the folder, resumed, refused with too few."""

import numpy as np
import pytest
from support.prepared import write_prepared
from support.verdicts import brightness_network, example, no_detector, pretend, recipe

from tfdeepfake.cli.main import main
from tfdeepfake.data import examples, faces, video
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.calibration import LEAST_VIDEOS, calibrate, calibration_intervals
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import load_model, load_recipe, save_model
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.scoring.table import table
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.verdict import calibrate as own
from tfdeepfake.verdict import named
from tfdeepfake.verdict.settings import JudgeSettings

NETWORK = brightness_network()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model, and a folder of labelled videos whose names say how bright their faces are, and what is wrong."""
    monkeypatch.setattr("tfdeepfake.models.build", lambda network, **args: brightness_network())
    # The converter's process would not know this network.
    monkeypatch.setattr("tfdeepfake.compiled.choice.preferred", lambda recipe, num_files: "keras")
    monkeypatch.setattr(faces, "make_detector", lambda name, weights=None: no_detector)
    save_model(tmp_path / "model", NETWORK, Recipe("brightness", data=recipe().data, data_version="x"))
    rng = np.random.default_rng(0)
    for label, middle in (("real", 0.25), ("Fake", 0.42)):
        (tmp_path / "videos" / label).mkdir(parents=True)
        for n in range(14):
            (tmp_path / "videos" / label / f"{n}_{rng.normal(middle, 0.04):.3f}.mp4").write_bytes(b"v")
    (tmp_path / "videos" / "real" / "faceless_0.mp4").write_bytes(b"v")
    (tmp_path / "videos" / "real" / "notes.txt").write_bytes(b"n")
    judged = []

    def made(path):
        judged.append(path.name)
        if path.name.startswith("faceless"):
            raise examples.NoFace(path, "no face was found.", "")
        if path.name.startswith("broken"):
            raise video.VideoError(path, "is broken.", "Mend it.")
        if path.name.startswith("stop") and not (path.parent / "go").exists():
            raise KeyboardInterrupt
        # Something beside the person that says FAKE, for a moment: it decides no verdict, and no threshold.
        return [example(float(path.stem.split("_")[1]), frame=k) for k in range(16)] + [example(1.0, face=1, frame=3)]

    pretend(monkeypatch, made)
    tmp_path.joinpath("judged").write_text("")
    return tmp_path, judged


def test_a_threshold_for_ones_own_videos(folder, capsys):
    tmp_path, judged = folder
    out = tmp_path / "mine"
    command = ["calibrate", str(tmp_path / "model"), "--data", str(tmp_path / "videos"), "--out", str(out)]
    assert main(command) == 0
    told = capsys.readouterr()
    before, after = load_recipe(tmp_path / "model"), load_recipe(out)
    # Fakes of this network are at 0.42 of the brightness and reals at 0.25: the cut lies between.
    between = 1 / (1 + np.exp(-10 * (np.array([0.25, 0.42]) - 0.5) / after.temperature))
    assert before.threshold == 0.5 and between[0] < after.threshold < between[1]
    for fact in ("14 fake and 14 real videos", "1 no face, left out", "95 % intervals over sources", "temperature"):
        assert fact in after.calibration and fact in told.out, fact
    assert "before: temperature 1, threshold 0.5 (not calibrated)" in told.out
    report = read_json(out / "calibration" / "calibration.json")
    low, high = report["intervals"]["threshold"]
    assert low <= after.threshold <= high and report["counts"] == {
        "scored": 28,
        "no_face": 1,
        "unreadable": 0,
        "error": 0,
    }
    assert report["intervals"]["balanced_accuracy"]["mean"] > 0.9 and report["num_samples"] == 16
    rows = read_scores(out / "calibration" / "scores.csv")
    assert set(rows["face"][rows["decides"] == 1]) == {1, -1}, "what does not decide a verdict takes no part"
    assert ((rows["label"] == 1) & (rows["decides"] == 1)).sum() == 14 * 16
    # All else is as it was, and the copy judges by its own threshold.
    assert after.weights_sha256 == before.weights_sha256 and load_model(out)[1].data == before.data
    assert main(["predict", str(next((tmp_path / "videos" / "Fake").iterdir())), "--model", str(out)]) == 0
    assert capsys.readouterr().out.startswith("FAKE")
    assert main(command) == 2 and "is a saved model folder already" in capsys.readouterr().err


def calibrate_into(folder):
    """The command that calibrates the model of a folder on its videos."""
    data, out = str(folder / "videos"), str(folder / "mine")
    return ["calibrate", str(folder / "model"), "--data", data, "--out", out]


def test_files_are_looked_at_by_the_processes_that_are_asked_for(folder, monkeypatch, capsys):
    def lookers(network, settings, isolate, count):
        raise InputError("asked for", f"{count} processes, isolated {isolate}.")

    tmp_path, _ = folder
    monkeypatch.setattr("tfdeepfake.verdict.ahead.lookers", lookers)
    command = calibrate_into(tmp_path)
    assert main([*command, "--workers", "3", "--isolate"]) == 2
    assert "asked for: 3 processes, isolated True." in capsys.readouterr().err


def test_a_stopped_run_goes_on(folder, capsys):
    tmp_path, judged = folder
    (tmp_path / "videos" / "real" / "stop_0.2.mp4").write_bytes(b"v")
    (tmp_path / "videos" / "real" / "broken_0.2.mp4").write_bytes(b"v")
    command = calibrate_into(tmp_path)
    assert main(command) == 130 and not (tmp_path / "mine" / "recipe.json").exists()
    first = list(judged)
    judged.clear()
    (tmp_path / "videos" / "real" / "go").write_bytes(b"")
    assert main(command) == 1, "a broken video is counted, and told of in the exit code"
    told = capsys.readouterr()
    assert "verdicts of the stopped run are kept" in told.err and "UNREADABLE" in told.err and "is broken" in told.err
    assert set(first) & set(judged) == {"stop_0.2.mp4"}
    assert "15 real videos" in told.out and "1 unreadable" in told.out


def test_too_few_videos_are_refused_before_and_after_faces_were_looked_for(folder, capsys, monkeypatch):
    tmp_path, judged = folder
    fakes = sorted((tmp_path / "videos" / "Fake").iterdir())
    (tmp_path / "list.csv").write_text(
        "file;label\n"
        + "".join(
            f"{p.relative_to(tmp_path)};{p.parent.name}\n"
            for p in [*fakes, *fakes[0].parent.parent.glob("real/*_*.mp4")][:20]
        )
    )
    command = ["calibrate", str(tmp_path / "model"), "--out", str(tmp_path / "mine"), "--data"]
    assert main([*command, str(tmp_path / "list.csv")]) == 2 and not judged
    assert "14 fake and 6 real videos labelled; a threshold needs 10 of each" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(named, "locate", lambda *_, **__: pytest.fail("looked for a model that may be 1.2 GB away"))
        assert main(["calibrate", "gend_clip_l14", *command[2:], str(tmp_path / "list.csv")]) == 2
    for path in fakes[:5]:
        path.rename(path.with_name(f"faceless_{path.name}"))
    assert main([*command, str(tmp_path / "videos")]) == 2
    assert "9 fake and 14 real videos scored (6 no face" in capsys.readouterr().err
    assert not (tmp_path / "mine" / "recipe.json").exists()
    for data, said in (
        (tmp_path / "nowhere.csv", "does not exist"),
        (tmp_path / "model", "has no subfolder real/"),
        (tmp_path / "list.csv", "0_missing.mp4: does not exist"),
    ):
        (tmp_path / "list.csv").write_text("file,label\n0_missing.mp4,real\n")
        assert main([*command, str(data)]) == 2 and said in capsys.readouterr().err, said
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").write_text("")
    assert (
        main(
            ["calibrate", str(tmp_path / "model"), "--data", str(tmp_path / "videos"), "--out", str(tmp_path / "full")]
        )
        == 2
    )
    assert "is not empty" in capsys.readouterr().err


def test_a_list_with_sources(folder):
    tmp_path, _ = folder
    paths = sorted((tmp_path / "videos").glob("*/*_*.mp4"))
    lines = [f"{p},{p.parent.name},person{n % 7}" for n, p in enumerate(paths)]
    (tmp_path / "list.csv").write_text("path,label,source\n" + "\n".join(lines) + "\n")
    settings = JudgeSettings(num_samples=12)
    report = own.calibrate_videos(tmp_path / "model", tmp_path / "list.csv", tmp_path / "mine", settings=settings)
    assert load_recipe(tmp_path / "mine").verdict.num_samples == 12, "verdicts are made as it was calibrated"
    assert report["n_fake"] == 14 and set(read_scores(tmp_path / "mine/calibration/scores.csv")["source"]) == {
        f"person{n}" for n in range(7)
    }


def test_a_prepared_data_set(folder, capsys):
    tmp_path, judged = folder
    data = DataRecipe(input_type="frame", num_frames=16, height_px=8, width_px=8)
    write_prepared(tmp_path / "data", data, {"validation": (12, 11)})
    command = ["calibrate", str(tmp_path / "model"), "--data", "tiny", "--data-dir", str(tmp_path / "data")]
    assert main([*command, "--out", str(tmp_path / "mine")]) == 0 and not judged
    assert "11 fake and 12 real videos of tiny/frame:1.0.0 (validation)" in load_recipe(tmp_path / "mine").calibration
    assert main([*command, "--out", str(tmp_path / "other"), "--split", "test"]) == 2


def test_the_intervals_hold_the_truth_and_shrink_with_more_videos():
    """Logits are the true ones times 2.5; the best cut is 0.5."""

    def rows(count, seed):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 2, count)
        labels = rng.uniform(size=count) < 1 / (1 + np.exp(-logits))
        return table(
            [
                {"video": str(n), "face": 0, "frame": 0, "label": int(y), "logit": 2.5 * x}
                for n, (x, y) in enumerate(zip(logits, labels, strict=True))
            ]
        )

    widths, held = [], 0
    for count in (60, 960):
        for seed in range(8):
            chosen = calibration_intervals(rows(count, seed), resamples=100)
            held += chosen["temperature"][0] <= 2.5 <= chosen["temperature"][1]
            assert 0.5 < chosen["balanced_accuracy"]["mean"] < 0.95
        widths.append(np.log(chosen["temperature"][1] / chosen["temperature"][0]))
        fitted = calibrate(rows(count, seed))["temperature"]
        assert chosen["temperature"][0] * 0.9 < fitted < chosen["temperature"][1] * 1.1
    assert widths[1] < widths[0] / 2 and held >= 12
    assert own.LEAST_VIDEOS >= LEAST_VIDEOS
