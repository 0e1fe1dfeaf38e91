"""synthetic_faces builds, in a tiny form: four people, a real video and four fakes each."""

from pathlib import Path
from unittest import mock

import pytest
import tensorflow_datasets as tfds

from tfdeepfake.recipe import DataRecipe
from tfds_builders.core.configs import VideoConfig
from tfds_builders.prepare import prepare
from tfds_builders.synthetic_faces import Builder

pytest.importorskip("dill", reason="tfds.testing needs the package dill")

TINY = {"identities": (2, 0, 2), "real_per_identity": 1, "video_frames": 16}


class SyntheticFacesTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = [
        VideoConfig(
            name="tiny",
            recipe=DataRecipe(sampling="consecutive", num_frames=16, height_px=64, width_px=64, flow="dis"),
            options=TINY,
        )
    ]
    SPLITS = {"train": 2 * 5, "test": 2 * 5}
    # Nothing is downloaded or copied: the set is drawn.
    EXAMPLE_DIR = Path(__file__).parent

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Not in processes of their own: TensorFlow is here already.
        cls.enterClassContext(mock.patch.object(Builder, "workers", 0))


def test_masks_of_fakes_are_stored_where_they_are_asked_for(tmp_path):
    options = {"identities": (0, 0, 2), "real_per_identity": 1, "video_frames": 6, "masks": True}
    recipe = {"num_frames": 2, "num_clips": 1, "detector": "none", "height_px": 60, "width_px": 80, "margin_frac": 0.0}
    summary = prepare("synthetic_faces", data_dir=tmp_path, workers=0, flow="none", **recipe, **options)
    builder = tfds.builder_from_directory(summary["path"])
    examples = list(tfds.as_numpy(builder.as_dataset(split="test")))
    assert {example["method"].decode() for example in examples} > {"real", "face_swap"}
    for example in examples:
        assert example["mask"].shape == (2, 60, 80, 1)
        covered = (example["mask"] > 128).mean()
        # A face or a part of it, and in a real video nothing.
        assert 0.002 < covered < 0.5 if example["label"] else example["mask"].max() == 0
