"""The work cache: files of finished videos are whole or absent, and are never taken for another video."""

import dataclasses
import errno
import functools
import os
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.workers import imap_ordered
from tfds_builders.core import work_cache
from tfds_builders.core.features import Video
from tfds_builders.core.testing import WHOLE, video_bytes, write_file, write_videos
from tfds_builders.prepare import prepare


def some_function(*args):
    return args


@pytest.fixture
def folder(tmp_path):
    work_cache.open_folder(epath.Path(tmp_path / ".work-1.0.0"))
    return epath.Path(tmp_path / ".work-1.0.0")


@pytest.fixture
def video(tmp_path):
    write_videos(tmp_path, ["a.mp4"])
    recipe = DataRecipe(flow="none", **WHOLE)
    return Video(str(tmp_path / "a.mp4"), "train", 1, "set", "swap", "a", "person", recipe)


def test_examples_come_back_as_they_were(folder):
    rng = np.random.default_rng(0)
    values = {
        "frames": [rng.bytes(n) for n in (0, 7, 1000)],
        "box": rng.normal(size=4).astype(np.float32),
        "indices": rng.integers(0, 99, (2, 3)),
        "scale": np.float32(rng.normal()),
        "time": float(rng.normal()),
        "name": 'é "7"',
        "face": 3,
        "none": None,
        "groups": {"tone": "iv", "bytes": b"x"},
    }
    work_cache.write(folder, "ab12", work_cache.SCORED, ("scored", [("key/0", values), ("key/1", {})]))
    status, ((key, read_values), second) = work_cache.read(folder, "ab12", work_cache.SCORED)
    assert (status, key, second) == ("scored", "key/0", ("key/1", {})) and read_values.keys() == values.keys()
    for name, value in values.items():
        assert type(read_values[name]) is type(value)
        if isinstance(value, np.ndarray | np.generic):
            assert read_values[name].dtype == value.dtype and read_values[name].shape == value.shape
            assert read_values[name].tobytes() == value.tobytes()
        else:
            assert read_values[name] == value
    work_cache.write(folder, "cd34", work_cache.NONE, ("no_face", "no face was found"))
    assert work_cache.read(folder, "cd34", work_cache.NONE) == ("no_face", "no face was found")
    work_cache.write(folder, "cd34", work_cache.DIED, ("unreadable", "it died"))
    assert work_cache.finished_names(folder) == {"ab12": work_cache.SCORED, "cd34": work_cache.NONE}


def test_a_name_stands_for_all_that_examples_depend_on(video, monkeypatch):
    other = video.path.replace("a.mp4", "b.mp4")
    write_file(Path(other).parent, "b.mp4", video_bytes())
    same = [video, dataclasses.replace(video, split="test", draw=some_function)]
    changes = {"path": other, "label": 0, "data_set": "x", "method": "x", "video": "b", "source": "x"}
    others = [dataclasses.replace(video, **{name: value}) for name, value in changes.items()]
    recipe = dataclasses.replace(video.recipe, margin_frac=0.4)
    others.append(dataclasses.replace(video, recipe=recipe))
    others += [dataclasses.replace(video, unpack=functools.partial(some_function, n)) for n in (1, 2, Path(other))]
    names = [work_cache.name_of(v) for v in [*same, *others]]
    assert len(set(names)) == 1 + len(others)
    # In another process, too, where functions lie elsewhere in memory.
    elsewhere = [name for _, name in imap_ordered(work_cache.name_of, [*same, *others], workers=1)]
    assert elsewhere == names

    os.utime(other, ns=(0, 1))  # the file of others[0], and an argument of others[-1]
    assert [work_cache.name_of(v) == name for v, name in zip([*same, *others], names, strict=True)] == [
        v not in (others[0], others[-1]) for v in [*same, *others]
    ]
    monkeypatch.setattr(work_cache, "code_digest", lambda *module: "other code")
    assert work_cache.name_of(video) not in names


def test_the_code_is_what_makes_examples(monkeypatch):
    """Code of detectors and flow is part of it, that of reading, training and networks is not."""
    read, names = work_cache._imports, set()
    monkeypatch.setattr(work_cache, "_imports", lambda path: names.add(path.name) or list(read(path)))
    work_cache.code_digest.cache_clear()
    assert work_cache.code_digest() != work_cache.code_digest("tfdeepfake.data.flow")
    assert names >= {"features.py", "examples.py", "mtcnn.py", "blazeface.py", "flow.py", "packets.py", "tracks.py"}
    assert not names & {"pipeline.py", "recipe.py", "xception.py", "building.py", "workers.py"}


def test_a_folder_of_frames_is_known_by_its_files(video, tmp_path):
    write_file(tmp_path, "frames/0/1.png", "one")
    frames = dataclasses.replace(video, path=str(tmp_path / "frames"))
    before = work_cache.name_of(frames)
    assert before == work_cache.name_of(frames)
    write_file(tmp_path, "frames/0/1.png", "other")
    assert work_cache.name_of(frames) != before


def test_a_finished_video_is_not_worked_on_again(video, folder, monkeypatch):
    (job,) = work_cache.jobs_of([video], folder)
    assert work_cache.finish(job) == (job.name, work_cache.SCORED)
    whole = work_cache.path_of(folder, job.name, work_cache.SCORED).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(work_cache, "make_examples", None)
        assert work_cache.finish(job) == (job.name, work_cache.SCORED)
    # As after a power cut.
    work_cache.path_of(folder, job.name, work_cache.SCORED).write_bytes(whole[:-10])
    assert work_cache.finish(job) == (job.name, work_cache.SCORED)
    assert work_cache.path_of(folder, job.name, work_cache.SCORED).read_bytes() == whole
    work_cache.path_of(folder, job.name, work_cache.SCORED).write_bytes(whole[:-10] + bytes(10))
    with pytest.raises(InputError, match="is damaged.*Delete it"):
        work_cache.read(folder, job.name, work_cache.SCORED)


def test_a_disk_that_is_full_keeps_what_is_finished(tmp_path, monkeypatch):
    write_videos(tmp_path / "videos", [f"{label}/{n}.mp4" for label in ("real", "fake") for n in range(4)])
    arguments = {"dir": tmp_path / "videos", "data_dir": tmp_path / "data", "workers": 0, "flow": "none", **WHOLE}
    write_bytes, written = epath.Path.write_bytes, []
    cls = type(epath.Path(tmp_path))

    def full(self, data):
        written.append(self)
        if len(written) == 4:
            write_bytes(self, data[:20])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(cls, "write_bytes", full)
        with pytest.raises(InputError, match="the disk is full.*finished work is kept"):
            prepare("video_folder", **arguments)
    left = [p.suffix for p in tmp_path.glob("data/video_folder/*/.work-1.0.0/??/*")]
    assert left == [".scored"] * 3
    worked, make_examples = [], work_cache.make_examples
    monkeypatch.setattr(work_cache, "make_examples", lambda v: worked.append(v) or make_examples(v))
    assert sum(prepare("video_folder", **arguments)["splits"].values()) == 8
    assert len(worked) == 5 and not list(tmp_path.glob("data/video_folder/*/.*-1.0.0"))


def test_half_removed_work_is_removed(folder):
    (folder / "00" / "x.scored").write_text("x")
    folder.rename(folder.with_name(".gone-1.0.0"))
    work_cache.open_folder(folder)
    assert not folder.with_name(".gone-1.0.0").exists() and work_cache.finished_names(folder) == {}
