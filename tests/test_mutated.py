"""Damaged files of every kind through the readers and the verbs: all end in a status, none in a crash."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import torch_files
from support.published_files import write_safetensors

from tfdeepfake.data import synthetic
from tfdeepfake.recipe import Recipe

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
with pytest.MonkeyPatch.context() as patch:  # the process that reads imports it by its name
    patch.syspath_prepend(str(FOLDER))
    mutations = importlib.import_module("mutations")


@pytest.fixture
def mutated(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("mutated")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    specs = synthetic.make_set((2, 0, 0), real_per_identity=1, num_frames=12, width=160, height=120)
    return [synthetic.write_clip(spec, folder) for spec in specs[:2]]


@pytest.mark.parametrize("name", mutations.RULES)
def test_a_rule_changes_the_file_and_only_by_its_seed(name, videos):
    data = Path(videos[0]).read_bytes()
    once, again, other = (mutations.RULES[name](data, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert once == again != data and other != once


def test_shuffled_boxes_are_the_same_boxes(videos):
    data = Path(videos[0]).read_bytes()
    kinds = sorted(kind for _, _, kind in mutations.all_boxes(data))
    assert b"stsz" in kinds and b"mdat" in kinds
    shuffled = mutations.shuffle_boxes(data, np.random.default_rng(3))
    assert len(shuffled) == len(data) and sorted(kind for _, _, kind in mutations.all_boxes(shuffled)) == kinds


def test_json_mostly_stays_json_and_says_something_else():
    data, valid = json.dumps({"schema": 1} | Recipe("meso4").to_dict()).encode(), 0
    contents = [mutations.changed([data], np.random.default_rng(seed), True) for seed in range(100)]
    assert contents[7] == mutations.changed([data], np.random.default_rng(7), True)
    for content in contents:
        try:
            valid += json.loads(content) != json.loads(data)
        except (ValueError, RecursionError):
            continue
    assert valid > 60


@pytest.mark.slow
def test_every_damaged_copy_has_a_status(videos, tmp_path, capsys, mutated):
    count = 2 * len(mutations.MUTATIONS)
    assert importlib.import_module("mutated_verbs").check([Path(v) for v in videos], tmp_path, copies=count) == 0
    assert f"{count} of {count} copies with a status" in capsys.readouterr().out


def test_lists_recipes_and_weights_end_in_data_or_an_error(tmp_path, mutated):
    whole, out = tmp_path / "whole", tmp_path / "out"
    whole.mkdir()
    out.mkdir()
    (whole / "a.csv").write_text("file;label\nreal/a.mp4;real\n")
    (whole / "a.json").write_text(json.dumps({"schema": 1} | Recipe("meso4").to_dict()))
    torch_files.write_zip(whole / "a.pt", torch_files.tensors({"a": np.ones((3, 4), "f4")}))
    write_safetensors(whole / "a.safetensors", {"a": np.ones((3, 4), "f4")})
    run = mutated.Run(sorted(whole.iterdir()), 0, out)
    run.go_on(40)
    assert {outcome for row in run.rows for outcome in row["outcomes"]} <= {"data", "error"}
    assert any(run.kept.iterdir())  # some reached lines that their beginning did not
    # Given again, a run goes on: what it has done, it does not do again.
    again = mutated.Run(sorted(whole.iterdir()), 0, out)
    assert again.rows == run.rows and {k: len(v) for k, v in again.corpora.items()} == {
        k: len(v) for k, v in run.corpora.items()
    }
    again.go_on(60)
    assert len(again.rows) == 6 and again.rows[:4] == run.rows
    assert (
        f"| all | 60 | 0 | 0 | 0 | {sum(row['outcomes'].count('error') for row in again.rows)} |"
        in mutated.table(again.rows)[-1]
    )


def test_foreign_exceptions_crashes_and_hangs_are_faults(tmp_path, mutated):
    def process(function, work, time_limit_s):
        paths, _ = work
        if not paths:
            return [], 0
        if paths[0].suffix == ".json":
            return mutated.WorkerCrashed("it died" if b"x" in paths[0].read_bytes() else "it took longer than 1 s.")
        return [("FOREIGN", "KeyError: 1", 0.1, False) for _ in paths], 10

    for name in ("a.json", "a.csv"):
        (tmp_path / name).write_bytes(b"x" * 2000)
    run = mutated.Run([tmp_path / "a.json", tmp_path / "a.csv"], 0, tmp_path)
    run.process = Process(process)
    run.go_on(20)
    assert run.rows[0]["outcomes"] == ["FOREIGN"] * 10 and set(run.rows[1]["outcomes"]) <= {"CRASH", "HANG"}
    assert all(len(row["faults"]) == 10 for row in run.rows) and any(run.faults_dir.iterdir())


def test_a_verdict_needs_an_image_that_others_decode_too(tmp_path, mutated, videos):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[:60])
    assert mutated.decodes(tmp_path / "a.png") and mutated.decodes(Path(videos[0]))
    assert not mutated.decodes(tmp_path / "b.png")


class Process:
    def __init__(self, call):
        self.call = call

    def __call__(self, *arguments):
        return self.call(*arguments)

    def close(self):
        pass
