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
    # Six real and six fake videos of 24 frames, fakes beside both persons they were made of; four runs of 16 in each.
    SPLITS = {"train": 4 * 4, "validation": 3 * 4, "test": 5 * 4}


class FrameTest(InThisProcess, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["frame"]
    SPLITS = {"train": 4 * 16, "validation": 3 * 16, "test": 5 * 16}


class FlowTest(InThisProcess, tfds.testing.DatasetBuilderTestCase):
    BUILDER_CONFIG_NAMES_TO_TEST = ["flow"]
    SPLITS = {"train": 4 * 16, "validation": 3 * 16, "test": 5 * 16}
