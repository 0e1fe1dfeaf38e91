"""Some videos of a prepared set: methods, sources, counts; what is trained and scored is these and no others."""

import numpy as np
import pytest
from support import tiny_networks
from support.prepared import write_prepared

from tfdeepfake import models
from tfdeepfake.data.batches import pipeline
from tfdeepfake.data.batches.selection import select
from tfdeepfake.errors import InputError
from tfdeepfake.files import read_json
from tfdeepfake.model_folder import load_model
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table_file import read_scores, write_scores
from tfdeepfake.training import run_folder, run_setup
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train

FRAMES = DataRecipe(input_type="frame", num_frames=1, detector="none", height_px=16, width_px=16)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Of each split videos of "real" and of three methods, two frames of each; sources by the video's number."""

    def facts(number, label):
        return {
            "method": f"method{number % 3}" if label else "real",
            "video": f"v{number // 2:03d}",
            "source": f"person{number // 2 % 5}",
            "frame_indices": np.array([number]),
        }

    root = tmp_path_factory.mktemp("data")
    write_prepared(root, FRAMES, {"train": (12, 36), "validation": (6, 12)}, shards=3, facts=facts)
    return pipeline.open_data("tiny", str(root))


def names(prepared, split="train", batch_size=5):
    """{(method, video): number of examples} that scoring reads."""
    read = {}
    for _, _, keys in pipeline.scoring_batches(prepared, split, "frame", batch_size, with_keys=True):
        for key in zip(keys["method"].numpy().tolist(), keys["video"].numpy().tolist(), strict=True):
            read[key] = read.get(key, 0) + 1
    return {(m.decode(), v.decode()): count for (m, v), count in read.items()}


def test_methods_are_read_beside_all_real_videos(prepared):
    whole, some = names(prepared), names(select(prepared, methods=["method[02]"]))
    assert some == {key: count for key, count in whole.items() if key[0] in ("real", "method0", "method2")}
    selected = select(prepared, methods=["method0", "method2"])
    assert pipeline.example_count(selected, "train", "frame") == sum(some.values())
    real = sum(count for (method, _), count in some.items() if method == "real")
    assert pipeline.label_counts(selected, "train", "frame") == (real, sum(some.values()) - real)
    assert pipeline.example_count(prepared, "train", "frame") == 48, "the whole set stays as it is"


def test_training_sees_these_videos_and_no_others(prepared):
    some = select(prepared, methods=["method1"], splits=("train",))
    steps = pipeline.steps_per_epoch(some, "train", "frame", 4)
    for cache_bytes in (0, 1 << 30):
        settings = pipeline.BatchSettings(1, cache_bytes=cache_bytes)
        batches = list(pipeline.training_batches(some, "train", "frame", 4, settings, epochs=2))
        assert len(batches) == 2 * steps == 2 * (pipeline.example_count(some, "train", "frame") // 4)
        fakes = sum(float(label.numpy().sum()) for _, label in batches[:steps])
        assert abs(fakes - pipeline.label_counts(some, "train", "frame")[1]) < 4
    assert names(some, "validation") == names(prepared, "validation"), "a split that is not selected from stays whole"


def test_counts_of_each_method_are_the_same_videos_every_time(prepared):
    some = select(prepared, most_per_method={"train": 2})
    assert {method: sum(m == method for m, _ in names(some)) for method in ("real", "method0", "method1")} == {
        "real": 2, "method0": 2, "method1": 2,
    }  # fmt: skip
    assert names(some) == names(select(prepared, most_per_method={"train": 2}))
    assert some.selection.counts["train"]["real"] == {"videos": 2, "of": 6, "examples": 4}
    assert some.selection.lines()[0].startswith("train: method0 2 of ")


def test_sources_are_chosen_by_pattern(prepared):
    some = select(prepared, sources=["person[01]"], splits=("train",))
    assert {int(video[1:]) % 5 for _, video in names(some)} == {0, 1}


def test_several_hosts_read_their_parts_of_it(prepared):
    some = select(prepared, methods=["method0"])
    parts = [
        pipeline.scoring_batches(some, "train", "frame", 4, with_keys=True, hosts=3, host=host) for host in range(3)
    ]
    counts = [sum(len(label) for _, label, _ in part) for part in parts]
    assert sum(counts) == pipeline.example_count(some, "train", "frame") and min(counts) > 0


def test_what_the_data_lack_is_named_with_what_there_is(prepared):
    with pytest.raises(InputError, match="'Deepfakes' matches none of tiny/frame.* It has method0, method1, .*, real"):
        select(prepared, methods=["method1", "Deepfakes"])
    with pytest.raises(InputError, match="sources: 'nobody' matches none"):
        select(prepared, sources=["nobody"])


def test_a_run_keeps_to_its_videos_when_it_is_resumed(prepared, tmp_path, monkeypatch):
    monkeypatch.setitem(models.MODELS, "tiny_frame", tiny_networks.tiny_frame)
    data_dir = str(prepared.builder.data_dir).rpartition("/tiny/")[0]
    config = TrainConfig(
        "tiny_frame", data="tiny", data_dir=data_dir, epochs=2, batch_size=4, methods=["method0"],
        sources=["person[0-3]"], max_videos_per_method=["4", "2"],
    )  # fmt: skip
    whole = train(config, tmp_path / "whole", progress=False)
    monkeypatch.setattr(run_folder, "write_curves", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(config, tmp_path / "run", progress=False)
    monkeypatch.undo()
    monkeypatch.setitem(models.MODELS, "tiny_frame", tiny_networks.tiny_frame)
    monkeypatch.setattr(run_setup, "select", lambda *args: 1 / 0)
    train(config, tmp_path / "run", progress=False)
    for a, b in zip(*(load_model(run / "last")[0].weights for run in (tmp_path / "run", whole)), strict=True):
        np.testing.assert_array_equal(a, b)
    counts = read_json(whole / "versions.json")["selection"]
    assert counts["train"]["real"]["videos"] == 4 and counts["validation"]["method0"]["videos"] == 2
    scores = read_scores(whole / "scores_validation.csv")
    assert set(scores["method"][scores["status"] == "scored"]) == {"real", "method0"}


@pytest.mark.parametrize("value", [["0"], ["1", "2", "3"], ["many"]])
def test_numbers_of_videos_that_mean_nothing_are_refused(value):
    with pytest.raises(InputError, match="max_videos_per_method: needs one whole number above 0, or two"):
        TrainConfig(max_videos_per_method=value)


def test_subgroups_come_from_the_records_into_the_scores(tmp_path):
    def facts(number, label):
        return {"gender": ("female", "male", "")[number % 3], "race": "" if label else "of the data's own"}

    write_prepared(tmp_path, FRAMES, {"test": (4, 4)}, facts=facts, subgroups=("gender", "race"))
    whole = pipeline.open_data("tiny", str(tmp_path))
    lost = {"method": "real", "video": "v9", "source": "person9", "label": 0, "gender": "female", "reason": "no face"}
    whole.metadata["coverage"]["test"]["no_face"] = [lost]
    rows = score_data(tiny_networks.tiny_frame(input_size=(16, 16)), whole, "test", 3)
    write_scores(tmp_path / "scores.csv", rows)
    scores = read_scores(tmp_path / "scores.csv")
    by_video = dict(zip(scores["video"], zip(scores["gender"], scores["race"], strict=True), strict=True))
    assert by_video == {
        f"v{n:04d}": (("female", "male", "")[n % 3], "" if n >= 4 else "of the data's own") for n in range(8)
    } | {"v9": ("female", "")}  # fmt: skip
