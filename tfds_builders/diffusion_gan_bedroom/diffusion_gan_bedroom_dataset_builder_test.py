"""diffusion_gan_bedroom: splits, labels and pseudo-videos of synthetic images in the set's layout, and builds."""

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfds_builders.core.configs import VideoConfig
from tfds_builders.core.testing import write_file
from tfds_builders.diffusion_gan_bedroom import Builder, listing
from tfds_builders.diffusion_gan_bedroom.listing import OTHER, list_videos, split_of
from tfds_builders.prepare import prepare


def image(seed, size=24):
    """uint8 [size, size, 3] RGB of one random colour to a quarter, and its PNG."""
    import cv2

    colours = np.random.default_rng(seed).integers(20, 236, (2, 2, 3), np.uint8)
    rgb = np.repeat(np.repeat(colours, size // 2, 0), size // 2, 1)
    return rgb, cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def write_set(folder, train=5, val=2, test=3, generators=("ADM", "ProGAN")):
    """The layout of the distributed set."""
    for part, count in (("train", train), ("val", val)):
        for number, name in enumerate(f"{g}/{c}" for g in generators for c in ("0_real", "1_fake")):
            for n in range(count):
                write_file(folder, f"{part}/{name}/{n:08d}.png", image(100 * number + n)[1])
    for number, name in enumerate(("Real", *generators)):
        for n in range(test):
            write_file(folder, f"test/{name}/{n:08d}.png", image(1000 * number + n)[1])


@pytest.fixture
def threes(monkeypatch):
    """Pseudo-videos of three images."""
    monkeypatch.setattr(listing, "GROUP", 3)


@pytest.mark.parametrize("inside", ["", listing.INNER])
def test_pseudo_videos(tmp_path, threes, inside):
    write_set(tmp_path / inside)
    groups = list_videos(tmp_path).videos
    videos = {v.name: (v.split, v.label, v.method, len(v.images)) for v in groups}
    assert len(videos) == len(groups) and all(v.source == v.name for v in groups)
    expected = {"real/test/0000": ("test", 0, "real", 3)}
    for g in ("ADM", "ProGAN"):
        for name, label, method in ((g, 1, g), (f"real-{g}", 0, "real")):
            expected[f"{name}/train/0000"] = ("train", label, method, 3)
            expected[f"{name}/train/0001"] = ("train", label, method, 2)
            expected[f"{name}/validation/0000"] = ("validation", label, method, 2)
        expected[f"{g}/test/0000"] = ("test", 1, g, 3)
    assert videos == expected
    images = [image for v in groups for image in v.images]
    assert len(set(images)) == len(images) == 4 * 7 + 9
    assert [p.stem for p in next(v for v in groups if v.name == "ADM/train/0001").images] == ["00000003", "00000004"]
    assert list_videos(tmp_path).videos == groups


def test_only_some_generators(tmp_path, threes):
    write_set(tmp_path)
    groups = list_videos(tmp_path, generators=("ADM",)).videos
    assert {v.name.partition("/")[0] for v in groups} == {"ADM", "real-ADM", "real"}
    with pytest.raises(InputError, match="generators: has no 'StyleGAN'.*There are ADM, ProGAN"):
        list_videos(tmp_path, generators=("StyleGAN",))


def test_splits_by_hash(tmp_path):
    for name in ("Real", "LDM"):
        for n in range(300):
            write_file(tmp_path, f"{name}/{n}.png", "x")
    write_file(tmp_path, "LDM/notes.txt", "x")
    listing = list_videos(tmp_path)
    assert listing.left_out == {OTHER: [f"{(tmp_path / 'LDM/notes.txt').as_posix()}"]}
    splits = {image: v.split for v in listing.videos for image in v.images}
    fraction = {s: list(splits.values()).count(s) / 600 for s in ("train", "validation", "test")}
    assert fraction["train"] == pytest.approx(0.78, abs=0.06) and fraction["test"] == pytest.approx(0.2, abs=0.06)
    assert 0 < fraction["validation"] < 0.05
    assert all(
        split == split_of(f"{'real' if p.parts[-2] == 'Real' else 'LDM'}/{p.name}") for p, split in splits.items()
    )
    for n in range(300, 400):
        write_file(tmp_path, f"LDM/{n}.png", "x")
    more = {image: v.split for v in list_videos(tmp_path).videos for image in v.images}
    assert {image: more[image] for image in splits} == splits


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="no folder of generated images.*zenodo"):
        list_videos(tmp_path)
    write_file(tmp_path, "test/Real/0.png", "x")
    with pytest.raises(InputError, match="no folder of generated images"):
        list_videos(tmp_path)


def build(folder, data, **changes):
    changes = {"input_type": "frame", "workers": 0, "height_px": 24, "width_px": 24} | changes
    return prepare("diffusion_gan_bedroom", dir=folder, data_dir=data, **changes)


def read(path):
    """{(video, place): example}."""
    builder = tfds.builder_from_directory(path)
    examples = [e for s in builder.info.splits for e in tfds.as_numpy(builder.as_dataset(split=s))]
    return {(e["video"].decode(), int(e["frame_indices"][0])): e for e in examples}, builder.info.metadata


def test_a_build_with_bad_images(tmp_path, capfd):
    write_set(tmp_path / "set")
    damaged = image(7)[1]
    write_file(tmp_path / "set", "train/ADM/1_fake/00000001.png", damaged[: len(damaged) // 2])
    write_file(tmp_path / "set", "train/ADM/1_fake/00000003.png", "no image")
    for n in range(2):
        write_file(tmp_path / "set", f"val/ProGAN/1_fake/{n:08d}.png", b"")
    examples, metadata = read(build(tmp_path / "set", tmp_path / "data")["path"])
    assert len(examples) == 4 * 7 + 9 - 4
    assert [place for video, place in sorted(examples) if video == "ADM/train/0000"] == [0, 2, 4]
    for (video, _), e in examples.items():
        assert (
            e["label"] == (not video.startswith("real")) and e["method"].decode() == video.split("/")[0].split("-")[0]
        )
        assert (
            e["source"].decode() == video and e["data_set"] == b"diffusion_gan_bedroom" and np.isnan(e["timestamps_s"])
        )
    # Places are those of the names: the image that is stored is the one meant.
    np.testing.assert_allclose(examples["ADM/train/0000", 2]["frames"], image(102)[0], atol=12)
    coverage = metadata["coverage"]
    bad = {Path(one["image"]).name: one for one in coverage["train"]["bad_images"]}
    assert set(bad) == {"00000001.png", "00000003.png"} and all(
        one["video"] == "ADM/train/0000" for one in bad.values()
    )
    assert "damaged" in bad["00000001.png"]["reason"]
    assert coverage["validation"]["scored"] == 3
    (lost,) = coverage["validation"]["unreadable"]
    assert lost["video"] == "ProGAN/validation/0000" and "none of 2 images can be read" in lost["reason"]
    said = capfd.readouterr().err
    assert "2 images could not be read" in said and "00000001.png" in said and "ProGAN/validation/0000" in said


def test_fewer_images_of_a_pseudo_video(tmp_path):
    write_set(tmp_path / "set")
    examples, _ = read(build(tmp_path / "set", tmp_path / "data", num_frames_real=2, num_frames_fake=1)["path"])
    assert sorted(place for video, place in examples if video == "real-ADM/train/0000") == [1, 3]
    assert [place for video, place in examples if video == "ADM/train/0000"] == [2]


def test_a_clip_is_one_image_over_and_over(tmp_path):
    write_set(tmp_path / "set")
    examples, metadata = read(build(tmp_path / "set", tmp_path / "data", input_type="clip", num_clips=2)["path"])
    assert metadata["recipe"]["num_frames"] == 4
    assert sorted(place for video, place in examples if video == "real-ADM/train/0000") == [1, 3]
    for example in examples.values():
        assert example["frames"].shape == (4, 24, 24, 3) and len(set(example["frame_indices"])) == 1
        assert (example["frames"] == example["frames"][:1]).all()


def test_what_images_do_not_have_is_refused(tmp_path):
    write_set(tmp_path / "set")
    with pytest.raises(InputError, match="an image that is repeated does not move"):
        build(tmp_path / "set", tmp_path / "data", input_type="clip", flow="dis")
    with pytest.raises(InputError, match="do not follow each other"):
        build(tmp_path / "set", tmp_path / "data", sampling="consecutive")


@pytest.mark.slow
def test_processes_write_the_same(tmp_path):
    write_set(tmp_path / "set")
    one, two = (read(build(tmp_path / "set", tmp_path / f"{n}", workers=n)["path"])[0] for n in (0, 2))
    assert one.keys() == two.keys()
    for key, e in one.items():
        np.testing.assert_array_equal(e["frames"], two[key]["frames"])


class DiffusionGanBedroomTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    RECIPE = DataRecipe(input_type="frame", num_frames=200, detector="none", height_px=24, width_px=24)
    BUILDER_CONFIG_NAMES_TO_TEST = [VideoConfig(name="small", recipe=RECIPE)]
    SPLITS = {"train": 20, "validation": 8, "test": 9}

    @classmethod
    def setUpClass(cls):
        pytest.importorskip("dill", reason="tfds.testing needs the package dill")
        cls.EXAMPLE_DIR = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        write_set(cls.EXAMPLE_DIR)
        super().setUpClass()
        # Not in processes of their own: TensorFlow is here already.
        cls.enterClassContext(mock.patch.object(Builder, "workers", 0))
