"""self_blended: which videos it takes, their splits, and builds of synthetic people."""

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfds_builders import video_folder
from tfds_builders.core.configs import VideoConfig
from tfds_builders.core.testing import sources_of, write_file
from tfds_builders.prepare import prepare
from tfds_builders.self_blended import Builder
from tfds_builders.self_blended.listing import FAKES, list_videos
from tfds_builders.video_folder.listing import list_videos as all_videos

PEOPLE = Path(video_folder.__file__).parent / "dummy_data"
SMALL = {"sampling": "consecutive", "num_frames": 3, "num_clips": 1, "height_px": 48, "width_px": 48}
FIRST, LAST = slice(0, 8), slice(40, 48)


def touch(folder, *names):
    for name in names:
        write_file(folder, name, f"video {name}")


def test_pseudo_fakes_stay_with_their_source(tmp_path):
    touch(tmp_path, *(f"real/{n}.mp4" for n in range(12)), *(f"fake/swap/{n}.mp4" for n in (0, 3, 20, 21)))
    listing = list_videos(tmp_path, fakes_per_real=2)
    assert len(listing.videos) == 36 and len({(v.method, v.name) for v in listing.videos}) == 36
    assert {(v.label, v.method) for v in listing.videos} == {(0, "real"), (1, "self_blended")}
    assert listing.left_out == {FAKES: [f"fake/swap/{n}.mp4" for n in (0, 20, 21, 3)]}
    sources = sources_of(listing.videos)
    assert sum(map(len, sources.values())) == len(set().union(*sources.values())) == 12
    for split in sources:
        labels = [v.label for v in listing.videos if v.split == split]
        assert labels.count(1) == 2 * labels.count(0) > 0
    # A network trained here may be tested on the folder's own fakes: no source has another split there.
    there = {v.source: v.split for v in all_videos(tmp_path)}
    assert all(there[v.source] == v.split for v in listing.videos)


def test_folders_of_real_videos_only(tmp_path):
    touch(tmp_path / "a", *(f"real/{n}.mp4" for n in range(3)))
    touch(tmp_path / "b", *(f"{n}.mp4" for n in range(3)), "other/9.mp4", ".hidden.mp4")
    touch(tmp_path / "c", "0.mp4", "1.mp4")
    write_file(tmp_path / "c", "labels.csv", "file,label,split\n0.mp4,real,train\n1.mp4,real,test\n")
    for name, expected in (("a", 3), ("b", 3), ("c", 2)):
        listing = list_videos(tmp_path / name)
        assert sum(not v.label for v in listing.videos) == expected and not listing.left_out
    assert {v.split for v in list_videos(tmp_path / "b").videos} == {"train", "validation", "test"}
    touch(tmp_path / "d", "fake/0.mp4")
    touch(tmp_path / "e", "fakes/0.mp4")
    write_file(tmp_path / "f", "labels.csv", "file,label\n../c/0.mp4,fake\n")
    for name, problem in (("d", "real: this folder is missing"), ("e", "no subfolders"), ("f", "has no real video")):
        with pytest.raises(InputError, match=problem):
            list_videos(tmp_path / name)
    with pytest.raises(InputError, match="fakes_per_real: needs at least 1"):
        list_videos(tmp_path / "a", fakes_per_real=0)


def people(folder, count=3):
    """A folder with some of the synthetic people of video_folder."""
    for path in sorted((PEOPLE / "real").iterdir())[:count]:
        write_file(folder, path.name, path.read_bytes())
    return folder


def read(path):
    """{key: example} of all splits."""
    builder, examples = tfds.builder_from_directory(path), {}
    for split in builder.info.splits:
        for e in tfds.as_numpy(builder.as_dataset(split=split)):
            examples[split, e["method"].decode(), e["video"].decode(), int(e["frame_indices"][0])] = e
    return examples


@pytest.mark.parametrize("input_type", ["frame", "flow", "clip"])
def test_a_pseudo_fake_is_its_real_but_for_the_face(tmp_path, input_type):
    changes = SMALL | {"fakes_per_real": 2, "masks": True}
    summary = prepare("self_blended", input_type, people(tmp_path / "set"), tmp_path / "data", workers=0, **changes)
    examples, differences = read(summary["path"]), []
    assert len(examples) == 3 * 3 * (1 if input_type == "clip" else 3)
    for (split, method, video, index), e in examples.items():
        assert e["label"] == (method == "self_blended") and e["source"].decode() == Path(video).stem
        if method == "real":
            assert not e["mask"].any()
            continue
        real = examples[split, "real", video.partition("#")[0], index]
        np.testing.assert_array_equal(e["box_px"], real["box_px"])
        change = np.abs(e["frames"].astype(int) - real["frames"]).reshape(-1, 48, 48, 3).mean((0, 3))
        # Nothing is pasted in the corners, which are whole blocks of JPEG.
        assert not any(change[y, x].any() for y in (FIRST, LAST) for x in (FIRST, LAST))
        assert change.max() > 2
        # Where change is greatest, in the middle of blocks of JPEG, something was pasted.
        mask = e["mask"].reshape(-1, 48, 48).max(0)
        assert mask[change > 0.5 * change.max()].min() > 0 and not mask[FIRST].any()
        differences.append(change)
        if input_type != "frame":
            assert (e["flow"] != real["flow"]).any() and "flow_max_px" in e
    assert len({d.tobytes() for d in differences}) == len(differences)
    again = prepare("self_blended", input_type, tmp_path / "set", tmp_path / "data", workers=0, **changes)
    assert again["already_prepared"]


@pytest.mark.slow
def test_processes_and_seeds(tmp_path):
    """Two processes write what one does; another seed changes the fakes and nothing else."""
    folder, changes = people(tmp_path / "set"), SMALL | {"flow": "none"}
    builds = {}
    for name, workers, seed in (("one", 0, 0), ("two", 2, 0), ("other", 0, 1)):
        out = prepare("self_blended", "clip", folder, tmp_path / name, workers=workers, **changes, seed=seed)
        builds[name] = read(out["path"])
    for key, e in builds["one"].items():
        np.testing.assert_array_equal(e["frames"], builds["two"][key]["frames"])
        assert (e["frames"] != builds["other"][key]["frames"]).any() == bool(e["label"])


def test_a_detector_is_needed(tmp_path):
    with pytest.raises(InputError, match="detector: needs mtcnn or blazeface"):
        prepare("self_blended", "clip", people(tmp_path / "set"), tmp_path / "data", workers=0, detector="none")


class SelfBlendedTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = [
        VideoConfig(name="small", recipe=DataRecipe(input_type="clip", flow="none", **SMALL))
    ]
    SPLITS = {"train": 2, "validation": 2, "test": 2}

    @classmethod
    def setUpClass(cls):
        pytest.importorskip("dill", reason="tfds.testing needs the package dill")
        cls.EXAMPLE_DIR = people(Path(cls.enterClassContext(tempfile.TemporaryDirectory())))
        super().setUpClass()
        # Not in processes of their own: TensorFlow is here already.
        cls.enterClassContext(mock.patch.object(Builder, "workers", 0))
