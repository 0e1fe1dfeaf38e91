"""Builds on Apache Beam give what the own processes give."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest
from etils import epath

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfds_builders.core import beam as on_beam
from tfds_builders.core import work_cache
from tfds_builders.core.features import Video
from tfds_builders.core.testing import WHOLE, write_file, write_videos
from tfds_builders.prepare import prepare

beam = pytest.importorskip("apache_beam", reason="the extra [beam] is not installed")

HERE = "runner=DirectRunner"
TWO = "runner=DirectRunner,direct_running_mode=multi_processing,direct_num_workers=2"
RECIPE = {"flow": "none", **WHOLE}


def crash(folder):
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos é")
    write_videos(folder, [f"{label}/{n}.mp4" for label in ("real", "fake") for n in range(5)])
    write_file(folder, "real/bad.mp4", "no video")
    return folder


@pytest.fixture(scope="module")
def usual(videos, tmp_path_factory):
    """What the own processes make of the videos."""
    return prepare("video_folder", dir=videos, data_dir=tmp_path_factory.mktemp("usual"), workers=0, **RECIPE)


def examples(summary):
    """{split: set of serialised examples}."""
    import tensorflow as tf

    by_split = {}
    for path in sorted(Path(summary["path"]).glob("*.tfrecord*")):
        split = path.name.partition("-")[2].partition(".")[0]
        by_split.setdefault(split, set()).update(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    return by_split


def same(summary, usual):
    assert examples(summary) == examples(usual) and sum(map(len, examples(usual).values())) == 10
    assert summary["splits"] == usual["splits"] and summary["coverage"] == usual["coverage"]
    return True


@pytest.mark.slow
def test_several_processes(videos, usual, tmp_path):
    summary = prepare("video_folder", dir=videos, data_dir=tmp_path, beam_options=TWO, **RECIPE)
    assert same(summary, usual)
    (bad,) = [entry for counted in summary["coverage"].values() for entry in counted["unreadable"]]
    assert bad["video"] == "real/bad.mp4" and "not a video" in bad["reason"]
    assert not list(tmp_path.glob("video_folder/*/.work-*"))


def test_beam_writes_where_the_runner_is_not_of_this_machine(videos, usual, tmp_path, monkeypatch):
    """A build on Beam resumes what the own processes finished before they were killed."""
    arguments = {"dir": videos, "data_dir": tmp_path, **RECIPE}
    done, finish = [], work_cache.finish

    def stops(job):
        done.append(finish(job))
        if len(done) == 4:
            raise KeyboardInterrupt
        return done[-1]

    with monkeypatch.context() as patch:
        patch.setattr(work_cache, "finish", stops)
        with pytest.raises(KeyboardInterrupt):
            prepare("video_folder", workers=0, **arguments)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("video_folder/*/.work-1.0.0/??/*")}
    assert len(files) == 4
    monkeypatch.setattr(on_beam, "LOCAL_NAMES", ())
    remove, seen = work_cache.remove, {}

    def look(folder, **begun):
        if not begun:
            seen.update({Path(p): Path(p).stat().st_mtime_ns for p in Path(folder).glob("??/*")})
        remove(folder, **begun)

    monkeypatch.setattr(work_cache, "remove", look)
    options = f"runner={on_beam.LOCAL_RUNNER}"
    assert same(prepare("video_folder", beam_options=options, **arguments), usual)
    assert len(seen) == 11 and files.items() <= seen.items()


def test_a_decoder_that_crashes_costs_one_video(tmp_path):
    write_videos(tmp_path, ["a.mp4", "b.mp4"])
    recipe = DataRecipe(**RECIPE)
    a, b = (Video(str(tmp_path / f"{n}.mp4"), "train", 0, "set", "real", n, n, recipe) for n in "ab")
    bad = dataclasses.replace(a, unpack=crash)
    folder = epath.Path(tmp_path / ".work-1.0.0")
    work_cache.open_folder(folder)
    jobs = work_cache.jobs_of([a, bad, b], folder)
    where = on_beam.Beam(on_beam.parse_options(HERE), on_beam.LOCAL_RUNNER, True, 1)
    on_beam.finish_all(where, jobs, folder)
    names = work_cache.finished_names(folder)
    assert [names[job.name] for job in jobs] == [work_cache.SCORED, work_cache.DIED, work_cache.SCORED]
    assert "SIGSEGV" in work_cache.read(folder, jobs[1].name, work_cache.DIED)[1]


def test_many_videos_are_no_large_graph(tmp_path):
    recipe = DataRecipe(**RECIPE)
    jobs = [
        work_cache.Job(
            Video(f"/videos/{n}.mp4", "train", 0, "set", "real", str(n), str(n), recipe), "work", f"{n:064x}"
        )
        for n in range(10_000)
    ]
    lists = on_beam._write_lists(epath.Path(tmp_path), "jobs", jobs)
    assert len(lists) == 10 and sum(map(len, lists)) < 2_000
    assert [job for path in lists for job in on_beam._read_list(path)] == jobs


def test_nothing_usable(tmp_path):
    for label in ("real", "fake"):
        write_file(tmp_path, f"videos/{label}/{label}.mp4", "no video")
    with pytest.raises(InputError, match="none of 2 videos could be used.*real.mp4"):
        prepare("video_folder", dir=tmp_path / "videos", data_dir=tmp_path / "data", beam_options=HERE, **RECIPE)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"beam_options": "runer=DirectRunner"}, "beam_options: has no option 'runer'"),
        ({"beam_options": "direct_num_workers=many"}, "beam_options: cannot be understood"),
        ({"beam_options": HERE, "workers": 2}, "workers: is not used with Beam"),
    ],
)
def test_options_that_make_no_sense(videos, tmp_path, arguments, problem):
    with pytest.raises(InputError, match=problem):
        prepare("video_folder", dir=videos, data_dir=tmp_path, **arguments)


def test_without_beam(videos, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "apache_beam.options.pipeline_options", None)
    with pytest.raises(InputError, match="beam_options: needs Apache Beam"):
        prepare("video_folder", dir=videos, data_dir=tmp_path, beam_options=HERE)


def test_the_name_of_this_machine_asks_no_network():
    import tensorflow_datasets as tfds

    for text in (HERE, TWO, "direct_num_workers=1"):
        where = on_beam.beam_of(tfds.download.DownloadConfig(beam_options=on_beam.parse_options(text)))
        assert where.local and where.runner == on_beam.LOCAL_RUNNER
    flink = tfds.download.DownloadConfig(beam_options=on_beam.parse_options("runner=FlinkRunner"))
    assert not on_beam.beam_of(flink).local and on_beam.beam_of(flink).runner == "FlinkRunner"
    assert on_beam.beam_of(tfds.download.DownloadConfig()) is None
