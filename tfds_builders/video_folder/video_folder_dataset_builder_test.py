"""video_folder builds from the synthetic videos of dummy_data/, for each input type."""

from unittest import mock

import pytest
import tensorflow_datasets as tfds

from tfds_builders.video_folder import Builder

pytest.importorskip("dill", reason="tfds.testing needs the package dill")


class InThisProcess:
    DATASET_CLASS = Builder

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Not in processes of their own: TensorFlow is here already.
        cls.enterClassContext(mock.patch.object(Builder, "workers", 0))


class ClipTest(InThisProcess, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["clip"]
    # Six real and six fake videos of 24 frames; four runs of 16 in each.
    SPLITS = {"train": 8 * 4, "validation": 2 * 4, "test": 2 * 4}


class FrameTest(InThisProcess, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["frame"]
    SPLITS = {"train": 8 * 16, "validation": 2 * 16, "test": 2 * 16}


class FlowTest(InThisProcess, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["flow"]
    SPLITS = {"train": 8 * 16, "validation": 2 * 16, "test": 2 * 16}
