"""Damaged copies of synthetic videos through the two verbs that read videos: all end in a status, none in a crash."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tfdeepfake.data import synthetic

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "mutated.py"
spec = importlib.util.spec_from_file_location("mutated", FILE)
mutated = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mutated)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    specs = synthetic.make_set((2, 0, 0), real_per_identity=1, num_frames=12, width=160, height=120)
    return [synthetic.write_clip(spec, folder) for spec in specs[:2]]


@pytest.mark.parametrize("name", mutated.MUTATIONS)
def test_a_mutation_changes_the_file_and_only_by_its_seed(name, videos):
    data = Path(videos[0]).read_bytes()
    once, again, other = (mutated.MUTATIONS[name](data, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert once == again != data and other != once


def test_shuffled_boxes_are_the_same_boxes(videos):
    data = Path(videos[0]).read_bytes()
    kinds = sorted(kind for _, _, kind in mutated.all_boxes(data))
    assert b"stsz" in kinds and b"mdat" in kinds
    shuffled = mutated.shuffle_boxes(data, np.random.default_rng(3))
    assert len(shuffled) == len(data) and sorted(kind for _, _, kind in mutated.all_boxes(shuffled)) == kinds


@pytest.mark.slow
def test_every_damaged_copy_has_a_status(videos, tmp_path, capsys):
    assert mutated.check([Path(v) for v in videos], tmp_path, copies=2 * len(mutated.MUTATIONS)) == 0
    assert (
        f"{2 * len(mutated.MUTATIONS)} of {2 * len(mutated.MUTATIONS)} copies with a status" in capsys.readouterr().out
    )
