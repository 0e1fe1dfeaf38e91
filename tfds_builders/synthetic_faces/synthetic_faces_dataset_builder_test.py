"""synthetic_faces builds, in a tiny form: four people, a real video and four fakes each."""

from pathlib import Path
from unittest import mock

import pytest
import tensorflow_datasets as tfds

from tfdeepfake.recipe import DataRecipe
from tfds_builders.core.configs import VideoConfig
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
