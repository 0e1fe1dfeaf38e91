"""Windows of longer runs: drawn anew in each epoch, the middle in validation, the same when a run is resumed."""

import numpy as np
import pytest
from support import tiny_networks
from support.prepared import write_prepared

from tfdeepfake import model_inputs, models
from tfdeepfake.data.batches import pipeline
from tfdeepfake.data.batches.window import windowed
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.run import evaluate_run
from tfdeepfake.model_folder import load_recipe
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train

RUNS = DataRecipe(
    input_type="clip", sampling="consecutive", num_frames=7, num_clips=2, detector="none", height_px=32, width_px=40,
    flow="dis",
)  # fmt: skip


def grey(number, label):
    """Frame t of a clip is t everywhere, and so is the scale of its flow."""
    frames = np.broadcast_to(np.arange(7, dtype=np.uint8)[:, None, None, None] * 30, (7, 32, 40, 3))
    return {"frames": frames, "flow_max_px": np.arange(7, dtype=np.float32) + 1}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    splits = {"train": (8, 8), "validation": (3, 3), "test": (2, 2)}
    root = write_prepared(tmp_path_factory.mktemp("data"), RUNS, splits, facts=grey)[0]
    return write_prepared(root, DataRecipe(num_frames=4, detector="none", height_px=32, width_px=40), name="spaced")[0]


@pytest.fixture(scope="module")
def prepared(data_dir):
    return windowed(pipeline.open_data("tiny", data_dir), 3)


def starts(batches):
    """First frame of every window; fails unless its frames follow one another."""
    found = []
    for inputs, *_ in batches:
        times = np.round(np.asarray(inputs["frames"], float).mean(axis=(2, 3, 4)) / 30)
        np.testing.assert_array_equal(times - times[:, :1], np.tile([0, 1, 2], (len(times), 1)))
        found += times[:, 0].astype(int).tolist()
    return found


@pytest.mark.parametrize("cache_bytes", [0, 1 << 30])
def test_training_draws_a_window_of_each_run_anew_in_each_epoch(prepared, cache_bytes):
    settings = pipeline.BatchSettings(3, cache_bytes=cache_bytes)

    def epoch(number, skip=0):
        return starts(
            pipeline.training_batches(
                prepared, "train", "clip", 4, settings, first_epoch=number, with_flow=True, skip_batches=skip
            )
        )

    first, second = epoch(0), epoch(1)
    assert set(first + second) == {0, 1, 2, 3, 4} and first != second
    assert epoch(1) == second and epoch(1, skip=2) == second[8:]


def test_flow_goes_with_its_frames(prepared):
    inputs, _ = next(iter(pipeline.scoring_batches(prepared, "test", "clip", 4)))
    whole = pipeline.open_data("tiny", str(prepared.builder.data_dir).rpartition("/tiny/")[0])
    expected, _ = next(iter(pipeline.scoring_batches(whole, "test", "clip", 4)))
    np.testing.assert_array_equal(inputs["flow"], expected["flow"][:, 2:5])


def test_scoring_takes_the_middle_and_names_its_first_frame(prepared):
    batches = list(pipeline.scoring_batches(prepared, "test", "clip", 3, with_keys=True))
    assert starts(batches) == [2, 2, 2, 2]
    frames = np.concatenate([keys["frame"] for _, _, keys in batches])
    assert sorted(frames % 1000) == [6, 6, 6, 6]  # stored 3 apart


def test_a_run_trains_on_windows_and_is_evaluated_on_them(data_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(models.MODELS, "tiny_clip", tiny_networks.tiny_clip)
    monkeypatch.setitem(model_inputs.READS, "tiny_clip", ("clip", True))
    config = TrainConfig("tiny_clip", data="tiny", data_dir=data_dir, window_frames=3, epochs=1, batch_size=4)
    run = train(config, tmp_path / "run", progress=False)
    assert load_recipe(run / "best").data.num_frames == 3
    assert (read_scores(run / "scores_validation.csv")["frame"] % 1000 == 6).sum() == 6
    evaluate_run(run, split="test", resamples=10)
    with pytest.raises(InputError, match="window_frames: is 8, but the runs of .* have 7 frames.*--num-frames 8"):
        train(TrainConfig("tiny_clip", data="tiny", data_dir=data_dir, window_frames=8), tmp_path / "other")
    monkeypatch.setitem(models.MODELS, "tiny_frame", tiny_networks.tiny_frame)
    with pytest.raises(InputError, match="window_frames: is of networks that read clips; tiny_frame reads single fr"):
        train(TrainConfig("tiny_frame", data="tiny", data_dir=data_dir, window_frames=3), tmp_path / "other")
    with pytest.raises(InputError, match="needs clips of consecutive frames; spaced/clip.* sampled spaced"):
        windowed(pipeline.open_data("spaced", data_dir), 3)
