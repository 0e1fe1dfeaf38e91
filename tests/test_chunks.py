"""All frames of a video in chunks: sampled, read in bounded memory, trained on in windows, scored and judged whole."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.prepared import write_prepared
from support.tiny_models import TINY
from test_examples import Detector, moving, write

from tfdeepfake import model_inputs, models
from tfdeepfake.data import examples, runs, video
from tfdeepfake.data.batches import pipeline
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation.run import evaluate_run
from tfdeepfake.layers.initializers import undrawn
from tfdeepfake.model_folder import by_name, load_model, load_recipe
from tfdeepfake.models import networks
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.training.config import TrainConfig
from tfdeepfake.training.train import train
from tfdeepfake.verdict.judging import judge
from tfdeepfake.verdict.settings import JudgeSettings

CHUNKS = DataRecipe(sampling="chunks", num_frames=8, height_px=32, width_px=40)
SHORT = DataRecipe(sampling="consecutive", num_frames=3, num_clips=2, detector="none", height_px=32, width_px=40)


def any_length(input_size=(32, 40), num_frames=4, num_classes=1):
    """[B, T, H, W, 3] -> [B, 1] from how frames differ from the first: a score is one of its very frames."""
    images = keras.Input((num_frames, *input_size, 3), name="frames")
    x = ops.cast(images, "float32") / 64.0 - 2.0
    x = layers.Conv3D(4, (1, 4, 4), strides=(1, 4, 4), name="features")(x)
    x = layers.GlobalAveragePooling3D(name="embedding")(ops.relu(x))
    return keras.Model({"frames": images}, layers.Dense(num_classes, name="logits")(x), name="any_length")


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setitem(models.MODELS, "any_length", any_length)
    monkeypatch.setitem(model_inputs.READS, "any_length", ("clip", False))
    monkeypatch.setattr(models.by_name, "ANY_LENGTH", ("i3d", "any_length"))


@pytest.mark.parametrize(
    ("count", "places", "starts"),
    [
        (24, None, [0, 8, 16]),
        (27, None, [0, 8, 16, 19]),
        (8, None, [0]),
        (60, [[3, 6], [30, 47]], [0, 30, 38, 39]),
    ],
)
def test_all_frames_in_chunks_the_last_of_which_ends_with_the_video(count, places, starts):
    taken = runs.runs("a.mp4", count, CHUNKS, places)
    assert [run.tolist() for run in taken] == [list(range(start, start + 8)) for start in starts]
    if places is None:
        assert set(np.concatenate(taken)) == set(range(count)) and runs.chunk_count(count, CHUNKS) == len(starts)


def test_a_video_too_long_gives_chunks_spaced_over_it_and_one_too_short_none(monkeypatch):
    monkeypatch.setattr(runs, "CHUNKS_BYTES", 3 * 8 * 32 * 40 * 3 + 5)
    assert [run[0] for run in runs.runs("a.mp4", 8000, CHUNKS)] == [1328, 4000, 6664]
    with pytest.raises(runs.TooShort, match="needs 8 frames, has 7"):
        runs.runs("a.mp4", 7, CHUNKS)
    for wrong, problem in (
        ({"num_clips": 2}, "num_clips needs 1"), ({"stride_frames": 2}, "stride_frames needs 1"),
        ({"input_type": "frame"}, "is of input_type 'clip'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=problem):
            dataclasses.replace(CHUNKS, **wrong)


def test_chunks_are_read_in_bounded_memory_with_the_same_face(tmp_path, monkeypatch):
    path = write(tmp_path / "long.mp4", 83, {"red": lambda t: (10 + t % 70, 40, 24)})
    at_once, most = examples.extract(path, CHUNKS, Detector()), []
    read = video.read_frames

    def watched(path, indices, **how):
        taken = read(path, indices, **how)
        most.append(taken.frames.nbytes)
        return taken

    bound = 8 * 96 * 128 * 3
    monkeypatch.setattr(examples, "MEMORY_BYTES", bound)
    monkeypatch.setattr(video, "read_frames", watched)
    parts = examples.extract(path, CHUNKS, Detector())
    assert max(most) <= bound and len(most) > 11 and len(parts) == len(at_once) == 11
    for one, other in zip(parts, at_once, strict=True):
        assert one.face == other.face == 0
        np.testing.assert_array_equal(one.indices, other.indices)
        np.testing.assert_array_equal(one.frames, other.frames)
    # Frames so large that a chunk has no room are read smaller.
    monkeypatch.setattr(examples, "MEMORY_BYTES", bound // 2)
    most.clear()
    smaller = examples.extract(path, CHUNKS, Detector())
    assert max(most) <= bound // 2
    np.testing.assert_allclose(smaller[3].boxes_px, at_once[3].boxes_px, atol=4)


def test_trained_on_windows_a_network_scores_whole_chunks(known, tmp_path, monkeypatch):
    recipe = dataclasses.replace(CHUNKS, num_frames=7, detector="none")
    splits = {"train": (6, 6), "validation": (3, 3), "test": (2, 2)}
    data_dir, _ = write_prepared(tmp_path / "data", recipe, splits)
    config = TrainConfig("any_length", data="tiny", data_dir=data_dir, window_frames=3, epochs=1, batch_size=4)
    run = train(config, tmp_path / "run", progress=False)
    saved = load_recipe(run / "best")
    assert saved.data.num_frames == saved.network_args["num_frames"] == 7 and saved.data.sampling == "chunks"
    model, _ = load_model(run)
    assert model.input["frames"].shape == (None, 7, 32, 40, 3)
    inputs, _ = next(iter(pipeline.scoring_batches(pipeline.open_data("tiny", data_dir), "validation", "clip", 6)))
    scores = read_scores(run / "scores_validation.csv")
    np.testing.assert_allclose(scores["logit"][scores["status"] == "scored"], np.ravel(model(inputs)), rtol=1e-4)
    report = evaluate_run(run, split="test", resamples=10)
    assert report["coverage"]["scored"] == 4 and not any("chunks of" in note for note in report["notes"])
    # A chunk of so many frames that fewer are scored at a time.
    monkeypatch.setattr("tfdeepfake.scoring.score.MOST_FRAMES", 10)
    one_by_one = score_data(model, pipeline.open_data("tiny", data_dir), "validation", 16)
    np.testing.assert_allclose(one_by_one["logit"], scores["logit"], rtol=1e-4)
    # The same command goes on, and a verdict looks at every frame.
    assert train(config, tmp_path / "run", progress=False) == run
    path = write(tmp_path / "walk.mp4", 40, {"red": moving})
    verdict = judge(path, model, dataclasses.replace(saved, data=dataclasses.replace(saved.data, detector="mtcnn")),
                    Detector(), JudgeSettings())  # fmt: skip
    assert (verdict.status, verdict.num_samples) == ("scored", 6)
    assert [point["frame"] for point in verdict.faces[0]["timeline"]] == [0, 7, 14, 21, 28, 33]
    with pytest.raises(InputError, match="num_samples: cannot be chosen: .* all frames, in chunks of 7"):
        judge(path, model, saved, Detector(), JudgeSettings(num_samples=3))


def test_a_network_of_short_clips_is_scored_on_chunks_where_its_layers_allow(known, tmp_path):
    long = dataclasses.replace(SHORT, sampling="chunks", num_frames=7, num_clips=1)
    data_dir, _ = write_prepared(tmp_path / "data", SHORT, {"train": (4, 4), "validation": (3, 3)})
    write_prepared(data_dir, long, {"test": (3, 3)}, name="long")
    config = TrainConfig("any_length", data="tiny", data_dir=data_dir, epochs=1, batch_size=4)
    run = train(config, tmp_path / "run", progress=False)
    report = evaluate_run(run, data="long", resamples=10)
    assert "scored on chunks of 7 frames; trained on 3" in " ".join(report["notes"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.by_name, "ANY_LENGTH", ("i3d", "r3d_18"))
        with pytest.raises(InputError, match="any_length: takes clips of the length.*any length: i3d, r3d_18"):
            evaluate_run(run, data="long", resamples=10)
        with pytest.raises(InputError, match="any_length: takes clips of .* not chunks of 7"):
            train(dataclasses.replace(config, data="long", window_frames=3), tmp_path / "other", progress=False)


def test_the_networks_of_any_length_are_those_whose_weights_do_not_know_it():
    """Of each file of networks one is built, at two lengths; the others there differ by numbers."""
    free, by_file = [], {}
    for name, network in networks.NETWORKS.items():
        if models.reads(name)[0] != "clip":
            continue
        file = getattr(network, "func", network).__module__
        if file not in by_file:
            by_file[file] = _is_free(name)
        free += [name] if by_file[file] else []
    assert sorted(free) == sorted(networks.ANY_LENGTH) and not all(by_file.values())


def _is_free(name):
    shapes = []
    for more in (0, 3):
        try:
            with undrawn():
                model = models.build(name, **TINY[name] | {"num_frames": TINY[name]["num_frames"] + more})
        except ValueError:  # a thumbnail has as many frames as its grid has cells
            return False
        shapes.append({key: tuple(variable.shape) for key, variable in by_name(model).items()})
        keras.backend.clear_session()
    return shapes[0] == shapes[1]
