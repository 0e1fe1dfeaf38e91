"""Names of configs."""

import dataclasses
import json
import random
import tempfile

import pytest
import tensorflow_datasets as tfds

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfds_builders.core.configs import find_config, recipe_name
from tfds_builders.synthetic_faces import Builder


def test_two_recipes_never_share_a_name():
    rng = random.Random(0)
    values = {
        "sampling": ["spaced", "consecutive", "chunks"],
        "num_frames": [1, 11, 16],
        "num_clips": [1, 6],
        "stride_frames": [1, 3],
        "detector": ["mtcnn", "blazeface", "none"],
        "select": ["largest", "most_confident", "all"],
        "margin_frac": [0, 0.3, 0.30000001],
        "height_px": [64, 6],
        "width_px": [64, 46],
        "box_smoothing": ["clip", "smooth", "frame"],
        "alignment": ["none", "gend", "deepfakebench"],
        "crop": ["square", "square", "fit"],
        "runs_fps": [None, 25, 23.976, 23.98],
        "flow": ["dis", "farneback", "none"],
    }
    names = {}
    for _ in range(3000):
        input_type = rng.choice(["frame", "flow", "clip"])
        recipe = {name: rng.choice(choices) for name, choices in values.items()}
        frames = (None, None) if input_type == "clip" else (rng.choice([None, 4, 40]), rng.choice([None, 4, 40]))
        options = {"seed": 1} if rng.random() < 0.3 else {}
        try:
            config = find_config(Builder.BUILDER_CONFIGS, input_type, recipe, *frames, options)
        except InputError:  # clips of spaced frames, input type flow without flow, or alignment without mtcnn
            continue
        assert tfds.core.naming.is_valid_dataset_name(f"x/{config.name}:1.0.0")
        content = config.recipe, *frames, json.dumps(options)
        assert names.setdefault(config.name, content) == content
    assert len(names) > 500


def test_a_config_is_the_builders_own_when_nothing_differs():
    assert find_config(Builder.BUILDER_CONFIGS, "clip", {"num_frames": 16}) is Builder.BUILDER_CONFIGS[0]
    config = find_config(Builder.BUILDER_CONFIGS, "clip", {"num_frames": 8, "margin_frac": 0.15})
    assert config.name == "clip_8x2_mtcnn_m0.15_64x64_dis"
    assert find_config(Builder.BUILDER_CONFIGS, "clip", {"flow": "none"}).recipe.flow == "none"


def test_clips_of_a_class_are_counted_apart():
    config = find_config(Builder.BUILDER_CONFIGS, "clip", num_clips_real=8, num_clips_fake=3)
    assert [config.recipe_of(label).num_clips for label in (0, 1)] == [8, 3] and config.recipe.num_clips == 2
    assert config.name.endswith("_clipsreal8_clipsfake3")
    spaced = {"sampling": "spaced"}
    with pytest.raises(InputError, match="num_clips_real: needs at least 1, and sampling consecutive; got 8, spaced"):
        find_config(Builder.BUILDER_CONFIGS, "clip", spaced, num_clips_real=8)
    with pytest.raises(InputError, match="For more clips of one class: --num-clips-real"):
        find_config(Builder.BUILDER_CONFIGS, "clip", num_frames_real=8)


def test_image_formats():
    chosen = [find_config(Builder.BUILDER_CONFIGS, "clip", image_format=f) for f in ("jpeg:80", "jpeg80", "PNG")]
    assert [config.image_format for config in chosen] == ["jpeg80", "jpeg80", "png"]
    assert [config.name.rpartition("_")[2] for config in chosen] == ["jpeg80", "jpeg80", "png"]
    assert find_config(Builder.BUILDER_CONFIGS, "clip", image_format="jpeg:95") is Builder.BUILDER_CONFIGS[0]
    for wrong in ("jpg", "jpeg", "jpeg0", "jpeg101", "webp", "", None):
        with pytest.raises(InputError, match="image_format: needs png, or jpeg and a quality"):
            find_config(Builder.BUILDER_CONFIGS, "clip", image_format=wrong)


def test_every_field_of_the_recipe_can_be_changed():
    """A field that a config name left out would let two recipes share a folder."""
    base = DataRecipe(input_type="flow", sampling="consecutive", flow="dis")
    other = {
        "input_type": "clip", "sampling": "spaced", "num_frames": 3, "num_clips": 2, "stride_frames": 2,
        "detector": "none", "select": "all", "margin_frac": 0.1, "height_px": 1, "width_px": 1,
        "box_smoothing": "frame", "alignment": "gend", "crop": "fit", "runs_fps": 25.0,
        "flow": "farneback",
    }  # fmt: skip
    assert set(other) == {f.name for f in dataclasses.fields(DataRecipe)}
    names = {recipe_name(dataclasses.replace(base, **{name: value})) for name, value in other.items()}
    assert len(names | {recipe_name(base)}) == len(other) + 1


def test_a_builder_leaves_no_temporary_folder_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Builder(data_dir=tmp_path / "data", config=Builder.BUILDER_CONFIGS[0])
    assert not list(tmp_path.glob("tmp*"))
