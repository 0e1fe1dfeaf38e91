"""What is stored of an example, and that it is read back so."""

import cv2
import numpy as np
import pytest

from tfdeepfake.data.batches import pipeline
from tfdeepfake.data.batches.prepared import open_data, rebuild_command
from tfdeepfake.data.examples import Example, extract
from tfdeepfake.recipe import DataRecipe
from tfds_builders.core.features import encode, feature_dict
from tfds_builders.core.testing import WHOLE, write_videos
from tfds_builders.prepare import prepare

COLUMNS = {
    "frames", "label", "data_set", "method", "video", "source", "face", "frame_indices", "timestamps_s", "box_px",
    "face_side_px", "confidence",
}  # fmt: skip


def example(frames):
    """An Example of random textures, uint8 [frames, 32, 48, 3]."""
    noise = np.random.default_rng(0).integers(0, 256, (frames, 32, 48, 3), np.uint8)
    count, box = np.arange(frames), np.zeros((frames, 4), np.float32)
    return Example(np.stack([cv2.blur(one, (3, 3)) for one in noise]), None, 0, count, count / 25, box, box, 1.0)


def decoded(images):
    return np.stack([cv2.imdecode(np.frombuffer(p, np.uint8), cv2.IMREAD_COLOR_RGB) for p in images])


def test_formats_of_frames():
    one, recipe = example(2), DataRecipe(num_frames=2)
    stored = {f: encode(one, recipe, f)["frames"] for f in ("png", "jpeg95", "jpeg60")}
    assert encode(one, recipe)["frames"] == stored["jpeg95"]
    np.testing.assert_array_equal(decoded(stored["png"]), one.frames)
    error = {f: np.abs(decoded(stored[f]).astype(int) - one.frames).mean() for f in stored}
    assert 0 == error["png"] < error["jpeg95"] < error["jpeg60"] < 20
    assert sum(map(len, stored["jpeg60"])) < sum(map(len, stored["jpeg95"])) < sum(map(len, stored["png"]))


@pytest.mark.parametrize("input_type", ["frame", "clip"])
def test_columns_come_only_where_they_are_wanted(input_type):
    recipe = DataRecipe(input_type=input_type, num_frames=2, height_px=32, width_px=48)
    usual = feature_dict(recipe)
    assert set(usual) == COLUMNS
    more = feature_dict(recipe, "png", masks=True, subgroups=("gender", "skin_tone"))
    assert set(more) == COLUMNS | {"mask", "gender", "skin_tone"} and more["gender"].dtype == object
    assert more["mask"].shape == ((2, 32, 48, 1) if input_type == "clip" else (32, 48, 1))
    mask = np.random.default_rng(1).integers(0, 256, (2, 32, 48), np.uint8)
    values = encode(example(2), recipe, mask=mask)
    first = values["mask"][0] if input_type == "clip" else values["mask"]
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_UNCHANGED), mask[0])
    assert set(values) | {"label", "data_set", "method", "video", "source"} == COLUMNS | {"mask"}


@pytest.mark.parametrize("image_format", ["png", "jpeg:40"])
def test_a_set_says_its_format_and_is_read_by_it(image_format, tmp_path):
    folder = tmp_path / "set"
    write_videos(folder, ["real/a.mp4", "real/b.mp4", "fake/c.mp4"])
    summary = prepare("video_folder", dir=folder, data_dir=tmp_path / "data", workers=0, flow="none",
                      image_format=image_format, **WHOLE)  # fmt: skip
    data = open_data(f"video_folder/{summary['path'].split('/')[-2]}", tmp_path / "data")
    name = image_format.replace(":", "")
    assert data.metadata["image_format"] == name and f"_{name}" in data.version
    assert f"--image-format {name}" in rebuild_command(data)
    split = next(iter(data.builder.info.splits))
    inputs, _ = next(iter(pipeline.scoring_batches(data, split, "clip", 1)))
    seen, drawn = inputs["frames"].numpy()[0], extract(folder / "real/a.mp4", data.recipe)[0].frames
    assert np.array_equal(seen, drawn) == (image_format == "png")
    assert np.abs(seen.astype(int) - drawn).mean() < 8
    frames, label = next(iter(data.builder.as_dataset(split=split, as_supervised=True)))
    assert frames.shape == (4, 24, 32, 3) and label.dtype == "int64"
