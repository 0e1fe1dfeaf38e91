"""Preparing data sets: names of configs, splits, label files, worker processes, and whole builds that go wrong."""

import dataclasses
import fcntl
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tfdeepfake.data import video
from tfdeepfake.files import InputError
from tfdeepfake.recipe import DataRecipe
from tfds_builders.prepare import prepare
from tfds_builders.splits import SPLITS, assign_splits
from tfds_builders.video_folder.listing import list_videos, read_table
from tfds_builders.workers import Died, ordered

# Whole frames: no face is needed, so that random pictures will do and no worker loads TensorFlow.
WHOLE = {"detector": "none", "frames": 4, "clips": 2, "height_px": 24, "width_px": 32}


def write_video(path, count=12, seed=0):
    rng = np.random.default_rng(seed)
    ground = np.kron(rng.integers(0, 255, (3, 4, 3)), np.ones((24, 24, 1))).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    video.write_video(path, (np.roll(ground, 2 * t, axis=1) for t in range(count)), 25, crf=20)
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Five real, five fake videos and three that cannot be used."""
    folder = tmp_path_factory.mktemp("my videos é")
    for n in range(5):
        write_video(folder / "real" / f"r{n}.mp4", seed=n)
        write_video(folder / "fake" / "swap" / f"f{n}.mp4", seed=10 + n)
    (folder / "real" / "text.mp4").write_text("not a video at all")
    (folder / "fake" / "empty.mp4").touch()
    write_video(folder / "fake" / "short.mp4", count=2)
    (folder / "fake" / "notes.txt").write_text("no video, and not named like one")
    return folder


def records(path):
    return {p.name: p.read_bytes() for p in sorted(Path(path).glob("*.tfrecord*"))}


# Config names


def test_two_recipes_never_share_a_name():
    from tfds_builders.configs import find_config
    from tfds_builders.synthetic_faces import Builder

    rng = random.Random(0)
    values = {
        "sampling": ["spaced", "consecutive"],
        "frames": [1, 11, 16],
        "clips": [1, 6],
        "stride_frames": [1, 3],
        "detector": ["mtcnn", "blazeface", "none"],
        "select": ["largest", "most_confident", "all"],
        "margin_frac": [0, 0.3, 0.30000001],
        "height_px": [64, 6],
        "width_px": [64, 46],
        "steady": ["clip", "smooth", "frame"],
        "flow": ["dis", "farneback", "none"],
    }
    names = {}
    for _ in range(3000):
        kind = rng.choice(["frame", "flow", "clip"])
        recipe = {name: rng.choice(choices) for name, choices in values.items()}
        frames = (None, None) if kind == "clip" else (rng.choice([None, 4, 40]), rng.choice([None, 4, 40]))
        options = {"seed": 1} if rng.random() < 0.3 else {}
        try:
            config = find_config(Builder.BUILDER_CONFIGS, kind, recipe, *frames, options)
        except InputError:  # clips of spaced frames, or kind flow without flow
            continue
        import tensorflow_datasets as tfds

        assert tfds.core.naming.is_valid_dataset_name(f"x/{config.name}:1.0.0")
        content = config.recipe, *frames, json.dumps(options)
        assert names.setdefault(config.name, content) == content
    assert len(names) > 500


def test_a_config_is_the_builders_own_when_nothing_differs():
    from tfds_builders.configs import find_config
    from tfds_builders.synthetic_faces import Builder

    assert find_config(Builder.BUILDER_CONFIGS, "clip", {"frames": 16}) is Builder.BUILDER_CONFIGS[0]
    config = find_config(Builder.BUILDER_CONFIGS, "clip", {"frames": 8, "margin_frac": 0.15})
    assert config.name == "clip_8x2_mtcnn_m0.15_64x64_dis"
    assert find_config(Builder.BUILDER_CONFIGS, "clip", {"flow": "none"}).recipe.flow == "none"


# Splits


def test_splits_are_80_10_10_and_stable():
    sources = {f"person{n}": {n % 2} for n in range(1000)}
    splits = assign_splits(sources)
    counts = [list(splits.values()).count(s) for s in SPLITS]
    assert counts == [800, 100, 100]
    shuffled = dict(random.Random(1).sample(sorted(sources.items()), 1000))
    assert assign_splits(shuffled) == splits


def test_small_sets_have_every_split():
    for real, fake, both in itertools.product(range(8), range(8), range(4)):
        sources = {f"r{n}": {0} for n in range(real)} | {f"f{n}": {1} for n in range(fake)}
        sources |= {f"b{n}": {0, 1} for n in range(both)}
        splits = assign_splits(sources)
        assert set(splits) == set(sources)
        assert len(set(splits.values())) == min(3, len(sources))
        if both == 0 and min(real, fake) >= 3:  # both classes in each
            assert all({next(iter(sources[n])) for n in splits if splits[n] == s} == {0, 1} for s in SPLITS)


def test_given_splits_stay():
    sources = {f"s{n}": {n % 2} for n in range(10)}
    given = {f"s{n}": "test" for n in range(8)}
    splits = assign_splits(sources, given)
    assert given.items() <= splits.items() and set(splits.values()) == set(SPLITS)


# What a folder holds


def table(folder, text, encoding="utf-8"):
    for n in range(4):
        (folder / f"{n}.mp4").touch()
    path = folder / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


GOOD = "file,label\n0.mp4,real\n1.mp4,1\n2.mp4, FAKE \n3.mp4,0\n"


def test_a_label_file(tmp_path):
    for encoding in ("utf-8", "utf-8-sig"):
        found = list_videos(table(tmp_path, GOOD.replace("\n", "\r\n"), encoding).parent)
        assert [(v.name, v.label, v.method, v.source) for v in found] == [
            ("0.mp4", 0, "real", "0"),
            ("1.mp4", 1, "fake", "1"),
            ("2.mp4", 1, "fake", "2"),
            ("3.mp4", 0, "real", "3"),
        ]
    text = "label,file,source,method,split,note\nreal,0.mp4,a,,,x\nfake,1.mp4,a,swap,,\n"
    text += "real,2.mp4,b,,test,\nfake,3.mp4,c,,,\n"
    found = {v.name: v for v in list_videos(table(tmp_path, text))}
    assert found["0.mp4"].split == found["1.mp4"].split and found["2.mp4"].split == "test"
    assert found["1.mp4"].method == "swap"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("file,label\n", "no lines"),
        ("file;label\n0.mp4;real\n", "line 1: the column file and label is missing"),
        ("file,kind\n0.mp4,real\n", "line 1: the column label is missing"),
        ("file,label,label\n0.mp4,real,fake\n", "line 1: the column label is there twice"),
        (GOOD + "0.mp4,real\n", "line 6: '0.mp4' is already in line 2"),
        (GOOD + "./0.mp4,real\n", "line 6: './0.mp4' is already in line 2|line 6: '0.mp4' is already in line 2"),
        (GOOD.replace("FAKE", "forged"), "line 4: label 'forged' is unknown.*real or fake"),
        (GOOD.replace("1.mp4,1", "1.mp4,"), "line 3: label '' is unknown"),
        (GOOD.replace("1.mp4", "9.mp4"), "line 3: there is no file '9.mp4'"),
        (GOOD.replace("1.mp4", ""), "line 3: names no file"),
        (GOOD.replace("1.mp4,1", "1.mp4,1,extra"), "line 3: has more columns"),
        ("file,label\n0.mp4,real\n3.mp4,real\n", "has no fake video"),
        ("file,label,split\n0.mp4,real,dev\n1.mp4,fake,test\n", "line 2: split 'dev' is unknown"),
        (
            "file,label,source,split\n0.mp4,real,a,train\n1.mp4,fake,b,test\n2.mp4,fake,a,test\n",
            "line 4: source 'a' is in test, but in train in line 2",
        ),
    ],
)
def test_what_is_wrong_in_a_label_file(tmp_path, text, problem):
    path = table(tmp_path, text)
    with pytest.raises(InputError, match=problem) as caught:
        list_videos(path)
    assert caught.value.subject == str(path) and caught.value.todo


def test_a_label_file_that_is_not_utf8(tmp_path):
    with pytest.raises(InputError, match="is not UTF-8"):
        read_table(table(tmp_path, GOOD + "é.mp4,real\n", "latin-1"))


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        list_videos(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no subfolders real/ and fake/ and no CSV"):
        list_videos(tmp_path)
    (tmp_path / "real").mkdir()
    with pytest.raises(InputError, match="fake: this folder is missing"):
        list_videos(tmp_path)
    (tmp_path / "fake").mkdir()
    (tmp_path / "real" / "a.mp4").touch()
    (tmp_path / "fake" / "._a.mp4").touch()
    with pytest.raises(InputError, match="fake: holds no videos"):
        list_videos(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="holds 2 CSV files.*labels.csv"):
        list_videos(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "fake").mkdir(mode=0)
    with pytest.raises(InputError, match="cannot be read"):
        list_videos(tmp_path)


def test_subfolders(videos):
    found = {v.name: v for v in list_videos(videos)}
    assert len(found) == 13 and "fake/notes.txt" not in found
    assert found["fake/swap/f0.mp4"].method == "swap" and found["fake/short.mp4"].method == "fake"
    assert found["real/r0.mp4"].label == 0 and found["real/r0.mp4"].source == "r0"


# Processes


def square(n):
    time.sleep(0.05 * (n % 3 == 0))
    return n * n, os.getpid()


def sometimes_dies(n):
    if n == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if n == 5:
        time.sleep(60)
    return n


class Odd(Exception):
    """Cannot cross to another process."""

    def __init__(self, a, b):
        super().__init__(a)
        self.it = lambda: b


def fails(n):
    if n == 2:
        raise InputError("disk", "is full.", "Free some.")
    if n == 4:
        raise Odd("odd", 1)
    return n


def test_results_come_in_order_from_several_processes():
    results = list(ordered(square, list(range(12)), workers=2))
    assert [(n, r[0]) for n, r in results] == [(n, n * n) for n in range(12)]
    pids = {r[1] for _, r in results}
    assert len(pids) == 2 and os.getpid() not in pids
    assert [r for _, (r, _) in ordered(square, [3, 2], workers=0)] == [9, 4]
    assert list(ordered(square, [], workers=2)) == []


def test_a_process_that_dies_or_hangs_costs_one_item():
    results = dict(ordered(sometimes_dies, list(range(8)), workers=2, time_limit_s=2))
    assert isinstance(results[3], Died) and "SIGSEGV" in str(results[3])
    assert isinstance(results[5], Died) and "longer than 2 s" in str(results[5])
    assert [results[n] for n in (0, 1, 2, 4, 6, 7)] == [0, 1, 2, 4, 6, 7]


def test_an_answer_that_waited_is_not_late():
    """TFDS writes a finished split for minutes while the next results wait."""
    results = ordered(square, list(range(6)), workers=1, time_limit_s=0.5)
    taken = [next(results)]
    time.sleep(1)
    assert [r[0] for _, r in taken + list(results)] == [n * n for n in range(6)]


def test_an_exception_ends_the_work():
    with pytest.raises(InputError, match="disk: is full. Free some."):
        list(ordered(fails, [1, 2, 3], workers=1))
    with pytest.raises(RuntimeError, match="Odd: odd"):
        list(ordered(fails, [4], workers=1))


def test_a_script_without_main_guard_is_told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from tfds_builders.workers import ordered\n"
        "from tfdeepfake.files import InputError\n"
        "try: list(ordered(abs, [1, 2], workers=1))\n"
        "except InputError as error: print('told:', error)\n"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=60
    )
    assert "told: workers" in done.stdout and "__main__" in done.stdout


# Whole builds


def test_a_folder_of_videos_some_bad(videos, tmp_path, capsys):
    summary = prepare("video_folder", dir=videos, data_dir=tmp_path / "two", workers=2, **WHOLE)
    assert not summary["already_prepared"]
    assert summary["version"] == "video_folder/clip_4x2_wholeframe_m0.3_24x32_dis:1.0.0"
    coverage = summary["coverage"]
    assert sum(c["videos"] for c in coverage.values()) == 13 and sum(c["scored"] for c in coverage.values()) == 10
    bad = {e["video"]: why for c in coverage.values() for why in ("no_face", "unreadable", "too_short") for e in c[why]}
    assert bad == {"real/text.mp4": "unreadable", "fake/empty.mp4": "unreadable", "fake/short.mp4": "too_short"}
    assert sum(summary["splits"].values()) == 20
    told = capsys.readouterr().err
    assert "3 of 13 videos gave no examples" in told and "fake/short.mp4: too short: needs 4 frames, has 2." in told

    # The same bytes whatever the number of processes.
    again = prepare("video_folder", dir=videos, data_dir=tmp_path / "one", workers=0, **WHOLE)
    assert records(summary["path"]) == records(again["path"]) != {}

    # What training and scoring read.
    from tfdeepfake.data import pipeline
    from tfdeepfake.scoring import unscored_rows

    prepared = pipeline.open_data("video_folder", tmp_path / "two")
    assert prepared.version == summary["version"] and prepared.recipe.detector == "none"
    assert prepared.metadata["coverage"] == coverage
    rows = [row for split in coverage for row in unscored_rows(prepared, split)]
    assert {(r["method"], r["video"], r["status"]) for r in rows} == {
        ("real", "real/text.mp4", "unreadable"),
        ("fake", "fake/empty.mp4", "unreadable"),
        ("fake", "fake/short.mp4", "error"),
    }
    inputs, _, keys = next(iter(pipeline.batches(prepared, "train", "clip", 2, training=False, with_keys=True)))
    assert inputs["frames"].shape == (2, 4, 24, 32, 3) and inputs["flow"].shape == (2, 4, 24, 32, 2)
    assert {v.decode() for v in keys["data_set"].numpy()} == {"video_folder"}


def test_pictures_and_flow_survive_storage(videos, tmp_path):
    """JPEG at quality 95 and 8-bit flow stay within their error of what prediction sees."""
    import tensorflow_datasets as tfds

    from tfdeepfake.data.examples import extract
    from tfdeepfake.data.flow import unpack_flow

    summary = prepare("video_folder", dir=videos, data_dir=tmp_path, workers=0, **WHOLE)
    builder = tfds.builder_from_directory(summary["path"])
    recipe = DataRecipe.from_dict(builder.info.metadata["recipe"])
    for stored in tfds.as_numpy(builder.as_dataset(split="train").take(4)):
        found = extract(videos / stored["video"].decode(), recipe)
        (e,) = [e for e in found if e.indices[0] == stored["frame_indices"][0]]
        assert stored["label"] == stored["video"].startswith(b"fake")
        assert np.abs(stored["frames"].astype(int) - e.frames).mean() < 2.5
        error = np.abs(unpack_flow(stored["flow"], stored["flow_max_px"]) - e.flow)
        assert (error <= stored["flow_max_px"][:, None, None, None] / 254 + 1e-5).all()
        np.testing.assert_array_equal(stored["box_px"], e.boxes_px[2])
        np.testing.assert_allclose(stored["timestamps_s"], e.timestamps_s, rtol=1e-6)


def test_frames_by_class(videos, tmp_path):
    recipe = {name: value for name, value in WHOLE.items() if name not in ("clips", "frames")}
    summary = prepare(
        "video_folder", kind="frame", dir=videos, data_dir=tmp_path, workers=0, frames_real=10, frames_fake=2, **recipe
    )
    assert summary["version"].startswith("video_folder/frame_16spaced_wholeframe_m0.3_24x32_real10_fake2:")
    assert sum(summary["splits"].values()) == 5 * 10 + 6 * 2  # the short video has two frames
    flow = recipe | {"sampling": "consecutive", "frames": 3, "clips": 2}
    summary = prepare("video_folder", kind="flow", dir=videos, data_dir=tmp_path, workers=0, **flow)
    assert sum(summary["splits"].values()) == 11 * 6 - 4  # two frames of the short video are one run of two


def test_a_prepared_set_is_left_as_it_is(videos, tmp_path):
    import shutil

    folder = tmp_path / "videos"
    shutil.copytree(videos, folder)
    arguments = {"dir": folder, "data_dir": tmp_path / "data", "workers": 0, **WHOLE}
    first = prepare("video_folder", **arguments)
    before = records(first["path"])
    stamp = Path(first["path"], "dataset_info.json").stat().st_mtime_ns
    second = prepare("video_folder", **arguments)
    assert second == first | {"already_prepared": True}
    assert Path(first["path"], "dataset_info.json").stat().st_mtime_ns == stamp

    write_video(folder / "real" / "new.mp4", seed=99)
    with pytest.raises(InputError, match="already prepared, from other videos.*--overwrite"):
        prepare("video_folder", **arguments)
    third = prepare("video_folder", overwrite=True, **arguments)
    assert not third["already_prepared"] and records(third["path"]) != before
    assert sum(third["splits"].values()) == sum(first["splits"].values()) + 2


def test_a_full_disk_keeps_the_old_set(videos, tmp_path, monkeypatch):
    from tensorflow_datasets.core import writer

    arguments = {"dir": videos, "data_dir": tmp_path, "workers": 0, **WHOLE}
    path = Path(prepare("video_folder", **arguments)["path"])
    before = records(path)

    def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer.Writer, "finalize", full)
    with pytest.raises(InputError, match="the disk is full"):
        prepare("video_folder", overwrite=True, **arguments)
    assert records(path) == before
    assert [p.name for p in path.parent.iterdir() if p.name != ".lock"] == ["1.0.0"]


def test_what_a_killed_build_left_is_cleared(videos, tmp_path):
    arguments = {"dir": videos, "data_dir": tmp_path, "workers": 0, **WHOLE}
    path = Path(prepare("video_folder", **arguments)["path"])
    before = records(path)
    # Killed while it built again: half a new set, the old one put aside.
    path.rename(path.with_name(".old-1.0.0"))
    half = path.with_name("incomplete.AB12CD_1.0.0")
    half.mkdir()
    (half / "bucket.tmp").write_text("half")
    assert prepare("video_folder", **arguments)["already_prepared"]
    assert records(path) == before and not half.exists()


def test_two_at_a_time(videos, tmp_path):
    arguments = {"dir": videos, "data_dir": tmp_path, "workers": 0, **WHOLE}
    path = Path(prepare("video_folder", **arguments)["path"])
    with open(path.parent / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="being prepared by another process"):
            prepare("video_folder", **arguments)


def test_nothing_usable(tmp_path):
    for label in ("real", "fake"):
        (tmp_path / "videos" / label).mkdir(parents=True)
        (tmp_path / "videos" / label / f"{label}.mp4").write_text("no video")
    with pytest.raises(InputError, match="none of 2 videos could be used.*real.mp4"):
        prepare("video_folder", dir=tmp_path / "videos", data_dir=tmp_path / "data", workers=0, **WHOLE)
    assert not list((tmp_path / "data" / "video_folder").glob("*/*.*.*"))


def test_a_split_without_a_usable_video_is_left_out(tmp_path):
    rows = ["file,label,split"]
    for n, split in enumerate(("train", "train", "validation", "test", "test")):
        rows.append(f"{n}.mp4,{('real', 'fake')[n % 2]},{split}")
        write_video(tmp_path / "v" / f"{n}.mp4", seed=n)
    (tmp_path / "v" / "2.mp4").write_text("no video")
    (tmp_path / "v" / "set.csv").write_text("\n".join(rows))
    summary = prepare("video_folder", dir=tmp_path / "v" / "set.csv", data_dir=tmp_path / "d", workers=0, **WHOLE)
    assert summary["splits"] == {"test": 4, "train": 4}
    assert summary["coverage"]["validation"]["unreadable"][0]["video"] == "2.mp4"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"name": "synthetic_face"}, "is no builder. Did you mean synthetic_faces"),
        ({"name": "video_folder"}, "needs the folder of the videos"),
        ({"name": "synthetic_faces", "dir": "x"}, "dir: is not used"),
        ({"name": "synthetic_faces", "frames_real": 4}, "frames_real: is for kinds frame and flow"),
        ({"name": "synthetic_faces", "kind": "frame", "frames_fake": 0}, "frames_fake: needs at least 1"),
        ({"name": "synthetic_faces", "identity": 4}, "has no choice 'identity'"),
        ({"name": "synthetic_faces", "height_px": 0}, "recipe: height_px needs a positive integer"),
        ({"name": "synthetic_faces", "identities": (1, 1, 1)}, "identities needs three counts"),
        ({"name": "synthetic_faces", "workers": -1}, "workers: needs"),
    ],
)
def test_arguments_that_make_no_sense(tmp_path, arguments, problem):
    with pytest.raises(InputError, match=problem):
        prepare(**{"data_dir": tmp_path, "workers": 0} | arguments)


TINY = {"identities": (2, 0, 2), "real_per_identity": 1, "video_frames": 6, "frames": 4, "clips": 1, "detector": "none"}


def test_drawn_videos_are_kept_and_drawn_again_when_the_drawing_changes(tmp_path, monkeypatch):
    from tfds_builders.synthetic_faces import synthetic_faces_dataset_builder as module

    first = prepare("synthetic_faces", data_dir=tmp_path, workers=2, **TINY)
    folder = Path(first["videos"])
    files = sorted(folder.glob("*/*/*.mp4"))
    assert len(files) == 20 and {f.parent.parent.name for f in files} == {"train", "test"}
    listed = list_videos(folder)
    assert {v.path for v in listed} == set(files) and {v.split for v in listed} == {"train", "test"}
    people = [{v.source for v in listed if v.split == split} for split in ("train", "test")]
    assert not people[0] & people[1]

    before, drawn = records(first["path"]), files[0].stat().st_mtime_ns
    files[1].unlink()  # as if stopped before it was drawn
    again = prepare("synthetic_faces", data_dir=tmp_path, workers=0, overwrite=True, **TINY)
    assert records(again["path"]) == before
    assert files[0].stat().st_mtime_ns == drawn and files[1].exists()
    monkeypatch.setattr(module, "_drawing", lambda: "another")
    prepare("synthetic_faces", data_dir=tmp_path, workers=0, overwrite=True, **TINY)
    assert files[0].stat().st_mtime_ns != drawn


CHILD = """
import json, sys
from tfds_builders.prepare import prepare
if __name__ == "__main__":
    prepare("synthetic_faces", data_dir=sys.argv[1], workers=2, **json.loads(sys.argv[2]))
"""


def alive(group):
    """Processes of a process group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(member) == group and state != "Z":
            found.append(stat.parent.name)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for left processes in /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped(tmp_path, sent):
    """Ctrl-C reaches the whole group, SIGKILL only the parent; no process stays, and the next build is whole."""
    script = tmp_path / "script.py"
    script.write_text(CHILD)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(script), str(tmp_path / "data"), json.dumps(TINY | {"video_frames": 40})]
    child = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 120
        while (
            len(list(tmp_path.glob("data/synthetic_faces_videos_other/*/*/*/*.mp4"))) < 3 and time.monotonic() < until
        ):
            time.sleep(0.02)
        os.killpg(child.pid, sent) if sent == signal.SIGINT else child.kill()
        child.communicate(timeout=60)
        assert child.returncode != 0
        until = time.monotonic() + 30
        while alive(child.pid) and time.monotonic() < until:
            time.sleep(0.1)
        assert alive(child.pid) == []
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
    tiny = TINY | {"video_frames": 40}
    resumed = prepare("synthetic_faces", data_dir=tmp_path / "data", workers=0, **tiny)
    assert not resumed["already_prepared"]
    assert not list(Path(resumed["path"]).parent.glob("incomplete*")) and not list(tmp_path.glob("data/**/.tmp-*"))
    whole = prepare("synthetic_faces", data_dir=tmp_path / "other", workers=2, **tiny)
    assert records(resumed["path"]) == records(whole["path"]) != {}


def test_every_field_of_the_recipe_can_be_changed():
    """A field that a config name left out would let two recipes share a folder."""
    from tfds_builders.configs import recipe_name

    base = DataRecipe(kind="flow", sampling="consecutive", flow="dis")
    other = {
        "kind": "clip", "sampling": "spaced", "frames": 3, "clips": 2, "stride_frames": 2, "detector": "none",
        "select": "all", "margin_frac": 0.1, "height_px": 1, "width_px": 1, "steady": "frame", "flow": "farneback",
    }  # fmt: skip
    assert set(other) == {f.name for f in dataclasses.fields(DataRecipe)}
    names = {recipe_name(dataclasses.replace(base, **{name: value})) for name, value in other.items()}
    assert len(names | {recipe_name(base)}) == len(other) + 1
