"""A short run of benchmarks/fuzz.py over the readers of lists, recipes, weights and images."""

import collections
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import torch_files
from support.published_files import write_safetensors

from tfdeepfake.recipe import Recipe

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("fuzz", FOLDER / "fuzz.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fuzz", module)  # the process that reads imports it by this name
    spec.loader.exec_module(module)
    return module


def test_changed_files_end_in_data_or_an_error(tmp_path, fuzz):
    seeds, keep = tmp_path / "seeds", tmp_path / "keep"
    seeds.mkdir()
    keep.mkdir()
    (seeds / "a.csv").write_text("file;label\nreal/a.mp4;real\n")
    (seeds / "a.json").write_text(json.dumps({"schema": 1} | Recipe("meso4").to_dict()))
    torch_files.write_zip(seeds / "a.pt", torch_files.tensors({"a": np.ones((3, 4), "f4")}))
    write_safetensors(seeds / "a.safetensors", {"a": np.ones((3, 4), "f4")})
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)).save(seeds / "a.webp")
    corpora = collections.defaultdict(list)
    for path in seeds.iterdir():
        corpora[path.suffix].append(path.read_bytes())
    counts, faults, peak_mb, _ = fuzz.fuzz(corpora, 100, 0, keep)
    assert not faults and sum(counts.values()) == 100 and peak_mb < 1000
    assert {outcome for _, outcome in counts} <= {"data", "error"}
    assert any(len(files) > 1 for files in corpora.values())  # some reached lines that their seed did not


def test_a_foreign_exception_and_a_crash_are_faults(tmp_path, fuzz):
    def process(function, work, time_limit_s):
        suffix, contents = work
        if suffix == ".json":
            return fuzz.WorkerCrashed("it died")
        return [("FOREIGN", "KeyError: 1", 0.1, False) for _ in contents], 10

    fuzz.OwnProcess = lambda: Process(process)
    counts, faults, _, _ = fuzz.fuzz({".json": [b"{}"], ".csv": [b"a"]}, 20, 0, tmp_path)
    assert counts == {(".csv", "FOREIGN"): 10, (".json", "CRASH"): 10} and len(faults) == 2
    assert len(list(tmp_path.iterdir())) > 2


class Process:
    def __init__(self, call):
        self.call = call

    def __call__(self, *arguments):
        return self.call(*arguments)

    def close(self):
        pass
