"""The builders of published sets pass the builder tests of tensorflow_datasets, on folders of synthetic videos."""

import collections
import json
import tempfile
from pathlib import Path
from unittest import mock

import pytest
import tensorflow_datasets as tfds

import tfds_builders
from tfdeepfake.recipe import DataRecipe
from tfds_builders.celeb_df.listing import LIST
from tfds_builders.celeb_df_pp.celeb_df_pp_dataset_builder_test import SWAP
from tfds_builders.core.configs import VideoConfig
from tfds_builders.core.testing import WHOLE, video_bytes, write_file, write_videos
from tfds_builders.deepfake_eval_2024.deepfake_eval_2024_dataset_builder_test import VIDEOS, write_list
from tfds_builders.df40.df40_dataset_builder_test import write_frames
from tfds_builders.dfdc.dfdc_dataset_builder_test import parts, write_part
from tfds_builders.dfdc_preview.dfdc_preview_dataset_builder_test import table
from tfds_builders.face_forensics.face_forensics_dataset_builder_test import PAIRS, fakes, write_lists, youtube
from tfds_builders.fake_av_celeb.fake_av_celeb_dataset_builder_test import write_set as write_fake_av_celeb
from tfds_builders.kodf.kodf_dataset_builder_test import write_set as write_kodf
from tfds_builders.wild_deepfake.wild_deepfake_dataset_builder_test import write_set as write_wild_deepfake

pytest.importorskip("dill", reason="tfds.testing needs the package dill")


class Drawn:
    """A folder of synthetic videos as the dummy data; each video gives one clip."""

    BUILDER_CONFIG_NAMES_TO_TEST = [VideoConfig(name="tiny", recipe=DataRecipe(flow="none", **WHOLE))]

    @classmethod
    def setUpClass(cls):
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.draw(folder)
        cls.EXAMPLE_DIR = folder
        options = cls.DATASET_CLASS.OPTIONS | cls.BUILDER_CONFIG_NAMES_TO_TEST[0].options
        cls.SPLITS = dict(collections.Counter(v.split for v in cls.DATASET_CLASS.LIST(folder, **options).videos))
        super().setUpClass()
        # Not in processes of their own: TensorFlow is here already.
        cls.enterClassContext(mock.patch.object(cls.DATASET_CLASS, "workers", 0))


class FaceForensicsTest(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.FaceForensics
    BUILDER_CONFIG_NAMES_TO_TEST = [
        VideoConfig(name="one", recipe=DataRecipe(flow="none", **WHOLE), options={"methods": ("FaceShifter",)})
    ]

    @staticmethod
    def draw(folder):
        write_lists(folder)
        pairs = sum(PAIRS.values(), [])
        write_videos(folder, youtube(pairs) + fakes("FaceShifter", pairs))


class CelebDfTest(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.CelebDf

    @staticmethod
    def draw(folder):
        names = [f"Celeb-real/id{n}_0000.mp4" for n in range(3)] + ["YouTube-real/00003.mp4"]
        write_videos(folder, [*names, "Celeb-synthesis/id0_id1_0000.mp4"])
        write_file(folder, LIST, "1 YouTube-real/00003.mp4\n")


class DfdcTest(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.Dfdc

    @staticmethod
    def draw(folder):
        write_part(folder, "dfdc_train_part_0", parts(1, each=3)["dfdc_train_part_0"], video_bytes())


class DfdcPreviewTest(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.DfdcPreview

    @staticmethod
    def draw(folder):
        entries = table(train=3, test=2)
        write_videos(folder, entries)
        write_file(folder, "dataset.json", json.dumps(entries))


class DeeperForensicsTest(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.DeeperForensics

    @staticmethod
    def draw(folder):
        for split, name in (("train", "000_M101"), ("val", "059_M118"), ("test", "001_W101")):
            write_file(folder, f"lists/splits/{split}.txt", f"{name}.mp4\n")
            write_videos(folder, [f"manipulated_videos/end_to_end/{name}.mp4", f"source_videos/{name[4:]}/front.mp4"])


class KodfTest(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.Kodf

    @staticmethod
    def draw(folder):
        write_kodf(folder, [0, 1, 2], [20, 21])


class WildDeepfakeTest(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.WildDeepfake

    @staticmethod
    def draw(folder):
        write_wild_deepfake(folder, shards=1, sequences=1)


class CelebDfPpTest(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.CelebDfPp

    @staticmethod
    def draw(folder):
        names = [f"Celeb-real/id{n}_0000.mp4" for n in range(3)] + ["YouTube-real/00003.mp4"]
        write_videos(folder, [*names, f"{SWAP}/id0_id1_0000.mp4"])
        write_file(folder, LIST, "1 YouTube-real/00003.mp4\n")


class Df40Test(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.Df40

    @staticmethod
    def draw(folder):
        for n in range(0, 6, 2):
            write_frames(folder, f"fomm/ff/frames/{n:03d}_{n + 1:03d}")


class FakeAvCelebTest(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.FakeAvCeleb

    @staticmethod
    def draw(folder):
        write_fake_av_celeb(folder, write_videos, persons=3)


class DeepfakeEval2024Test(Drawn, tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = tfds_builders.DeepfakeEval2024

    @staticmethod
    def draw(folder):
        rows = [(f"{n}.mp4", ("Real", "Fake")[n % 2], ("Train", "Test")[n > 3]) for n in range(5)]
        write_list(folder, rows)
        write_videos(folder, [f"{VIDEOS}/{name}" for name, _, _ in rows])
