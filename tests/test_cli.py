"""The command line: instant help, clear errors, exit codes."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfdeepfake.cli.main import main
from tfdeepfake.model_folder import write_recipe
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.serving.settings import ServeSettings
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.verdict.settings import JudgeSettings


def test_help_loads_no_heavy_module():
    code = (
        "import sys\nfrom tfdeepfake.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'cv2', 'av', 'sklearn', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "predict" in done.stdout


@pytest.mark.parametrize(
    "verb", "predict calibrate prepare train evaluate compare faces explain perturb export serve convert".split()
)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert verb in capsys.readouterr().out


def test_input_errors_end_in_one_line_and_exit_code_2(tmp_path, capsys):
    clip = tmp_path / "clip.mp4"
    # Before the model is looked at: a slip in a name should not cost a download, nor the making of a compiled network.
    assert main(["predict", str(clip), "--model", str(tmp_path / "nowhere")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "clip.mp4: does not exist" in line
    clip.write_bytes(b"")
    assert main(["predict", str(clip), "--model", str(tmp_path / "nowhere")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nowhere" in line and "clip.mp4" not in line


@pytest.mark.parametrize(
    "typed, told",
    [
        (
            ["predict", "clip.mp4", "--out-dir", "here"],
            "tfdeepfake predict: --out-dir is not known here; near it: --out",
        ),
        (["train", "baseline", "--batchsize=3"], "tfdeepfake train: --batchsize is not known here; near it: --batch-"),
        (
            ["export", "model", "other", "--out", "x"],
            "tfdeepfake export: other is not known here. See `tfdeepfake export --help`.",
        ),
        (["faces", "a.jpg", "--num-frames", "x"], "tfdeepfake faces: --num-frames: "),
        (["fases"], "tfdeepfake: VERB: invalid choice: 'fases'"),
    ],
)
def test_unknown_flags_end_in_one_line_with_those_near_it_and_exit_code_2(typed, told, capsys):
    with pytest.raises(SystemExit) as exited:
        main(typed)
    error = capsys.readouterr().err
    assert exited.value.code == 2 and error.startswith(told) and error.count("\n") == 1


def test_train_needs_a_network_or_preset(capsys):
    assert main(["train"]) == 2
    assert "--preset" in capsys.readouterr().err


def test_network_args_must_be_json(capsys):
    assert main(["train", "baseline", "--network-args", "{width: 8"]) == 2
    assert "JSON" in capsys.readouterr().err


def test_unknown_preset_says_what_lists_the_known_ones(capsys):
    assert main(["train", "--preset", "nothing"]) == 2
    assert "`tfdeepfake presets` lists all" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "cls"),
    [("train", TrainConfig), ("prepare", DataRecipe), ("predict", JudgeSettings), ("serve", ServeSettings)],
)
def test_every_field_is_a_flag_of_its_name_and_explained(capsys, verb, cls):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    out = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(cls):
        if (verb, field.name) != ("train", "network"):
            assert re.search(rf"--{field.name.replace('_', '-')}[ \]]", out)
        assert field.metadata["help"], "a flag without an explanation"


def test_maps_in_the_verdict_page_need_a_page_and_keras(tmp_path, capsys):
    (tmp_path / "clip.mp4").write_bytes(b"")
    assert main(["predict", str(tmp_path / "clip.mp4"), "--explain"]) == 2
    assert main(["predict", str(tmp_path / "clip.mp4"), "--explain", "--out", "x", "--runtime", "litert"]) == 2
    out, litert = capsys.readouterr().err.splitlines()
    assert "--out" in out and "LiteRT" in litert


def test_a_second_model_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["predict", "clip.mp4", "--model", "a", "--model", "b"])
    assert stop.value.code == 2 and "--model: takes one value, got a and b" in capsys.readouterr().err


def test_the_age_of_a_process_counts_what_ran_before_it_was_asked():
    code = (
        "import time\nfrom tfdeepfake.cli import process_age\nbefore = process_age.process_age_s()\ntime.sleep(0.2)\n"
        "assert 0.19 < process_age.process_age_s() - before < 60\n"
        "def missing(*args, **options): raise FileNotFoundError\n"
        "process_age.open = missing\n"
        "assert 0.2 <= process_age.process_age_s() < 60"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def prepared_with(monkeypatch, arguments):
    """What `prepare` of the builders is called with."""
    from tfds_builders import prepare as builders

    called = {}
    summary = {
        "path": "/data/set", "version": "set/clip:1.0.0", "already_prepared": True, "splits": {"test": 4, "train": 9},
        "coverage": {"train": {"videos": 11, "scored": 9, "no_face": [{}], "unreadable": [{}]}},
        "left_out": {"audio": 3},
    }  # fmt: skip
    monkeypatch.setattr(builders, "prepare", lambda *names, **rest: called.update(rest) or summary)
    assert main(["prepare", "video_folder", "--dir", str(Path(__file__).parent), *arguments]) == 0
    return called


def test_prepare_like_a_model_takes_its_recipe_and_flags_go_before_it(tmp_path, monkeypatch, capsys):
    data = DataRecipe("flow", margin_frac=0.15, height_px=96, detector="blazeface", flow="dis", runs_fps=25.0)
    write_recipe(tmp_path, Recipe("baseline", data=data))
    plain = prepared_with(monkeypatch, [])
    assert plain["input_type"] == "clip" and "margin_frac" not in plain
    like = prepared_with(monkeypatch, ["--like", str(tmp_path), "--height-px", "128"])
    assert (like["input_type"], like["margin_frac"], like["height_px"]) == ("flow", 0.15, 128)
    assert like["detector"] == "blazeface" and "runs_fps" not in like
    assert prepared_with(monkeypatch, ["--like", str(tmp_path), "--input-type", "clip"])["input_type"] == "clip"
    write_recipe(tmp_path, Recipe("i3d", data=DataRecipe(sampling="consecutive", runs_fps=25.0)))
    assert prepared_with(monkeypatch, ["--like", str(tmp_path)])["runs_fps"] == 25.0
    capsys.readouterr()
    assert main(["prepare", "video_folder", "--like", str(tmp_path / "none")]) == 2
    assert "none: is not a saved model folder" in capsys.readouterr().err


def test_prepare_prints_three_lines_and_json_on_request(monkeypatch, capsys):
    prepared_with(monkeypatch, [])
    assert capsys.readouterr().out.splitlines() == [
        "set/clip:1.0.0: train 9, test 4 examples (was there already)",
        "9 of 11 videos gave examples (no face 1, unreadable 1); 3 more are left out by the set's rules.",
        "In /data/set",
    ]
    prepared_with(monkeypatch, ["--json"])
    assert json.loads(capsys.readouterr().out)["splits"] == {"test": 4, "train": 9}
