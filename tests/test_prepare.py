"""Whole builds of data sets, also such that go wrong."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow_datasets as tfds
from support.media import moving_frames

from tfdeepfake.data import video
from tfdeepfake.data.batches.prepared import open_data
from tfdeepfake.data.batches.window import windowed
from tfdeepfake.data.video.write import write_image
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table_file import read_scores, write_scores
from tfds_builders.core import work_cache
from tfds_builders.prepare import prepare
from tfds_builders.video_folder.listing import list_videos

# Whole frames: no face is needed, so that random images will do and no worker loads TensorFlow.
WHOLE = {"detector": "none", "num_frames": 4, "num_clips": 2, "height_px": 24, "width_px": 32}


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
    from tfdeepfake.data.batches import pipeline
    from tfdeepfake.scoring.score import unscored_rows

    prepared = pipeline.open_data("video_folder", tmp_path / "two")
    assert prepared.version == summary["version"] and prepared.recipe.detector == "none"
    # Runs in order have the rate of the videos; the set's own metadata tell what was measured and what was asked for.
    assert prepared.metadata["frame_rate"] == prepared.recipe.runs_fps == 25.0
    assert prepared.metadata["recipe"]["runs_fps"] is None
    assert prepared.metadata["coverage"] == coverage
    rows = [row for split in coverage for row in unscored_rows(prepared, split)]
    assert {(r["method"], r["video"], r["status"]) for r in rows} == {
        ("real", "real/text.mp4", "unreadable"),
        ("fake", "fake/empty.mp4", "unreadable"),
        ("fake", "fake/short.mp4", "error"),
    }
    inputs, _, keys = next(iter(pipeline.scoring_batches(prepared, "train", "clip", 2, with_keys=True)))
    assert inputs["frames"].shape == (2, 4, 24, 32, 3) and inputs["flow"].shape == (2, 4, 24, 32, 2)
    assert {v.decode() for v in keys["data_set"].numpy()} == {"video_folder"}


def test_images_and_flow_survive_storage(videos, tmp_path):
    """JPEG at quality 95 and 8-bit flow stay within their error of what prediction sees."""
    import tensorflow_datasets as tfds

    from tfdeepfake.data.examples import extract
    from tfdeepfake.data.flow import unpack_flow

    summary = prepare("video_folder", dir=videos, data_dir=tmp_path, workers=0, **WHOLE)

    builder = tfds.builder_from_directory(summary["path"])
    recipe = DataRecipe.from_dict(builder.info.metadata["recipe"])
    for stored in tfds.as_numpy(builder.as_dataset(split="train").take(4)):
        examples = extract(videos / stored["video"].decode(), recipe)
        (e,) = [e for e in examples if e.indices[0] == stored["frame_indices"][0]]
        assert stored["label"] == stored["video"].startswith(b"fake")
        assert np.abs(stored["frames"].astype(int) - e.frames).mean() < 2.5
        error = np.abs(unpack_flow(stored["flow"], stored["flow_max_px"]) - e.flow)
        assert (error <= stored["flow_max_px"][:, None, None, None] / 254 + 1e-5).all()
        np.testing.assert_array_equal(stored["box_px"], e.boxes_px[2])
        np.testing.assert_allclose(stored["timestamps_s"], e.timestamps_s, rtol=1e-6)


def test_frames_by_class(videos, tmp_path):
    recipe = {name: value for name, value in WHOLE.items() if name not in ("num_clips", "num_frames")}
    summary = prepare(
        "video_folder",
        input_type="frame",
        dir=videos,
        data_dir=tmp_path,
        workers=0,
        num_frames_real=10,
        num_frames_fake=2,
        **recipe,
    )
    assert summary["version"].startswith("video_folder/frame_16spaced_wholeframe_m0.3_24x32_real10_fake2:")
    assert sum(summary["splits"].values()) == 5 * 10 + 6 * 2  # the short video has two frames
    flow = recipe | {"sampling": "consecutive", "num_frames": 3, "num_clips": 2}
    summary = prepare("video_folder", input_type="flow", dir=videos, data_dir=tmp_path, workers=0, **flow)
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


def test_a_set_of_another_schema_is_not_taken_for_a_prepared_one(videos, tmp_path):
    arguments = {"input_type": "clip", "dir": videos, "data_dir": tmp_path, "workers": 0}
    summary = prepare("video_folder", **arguments, **WHOLE)
    path = Path(summary["path"]) / "metadata.json"
    assert json.loads(path.read_text())["schema"] == 1
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 0}))
    with pytest.raises(InputError, match="is of schema 0.* Prepare it again: tfdeepfake prepare video_folder .*--over"):
        prepare("video_folder", **arguments, **WHOLE)


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
    assert sorted(p.name for p in path.parent.iterdir()) == [".lock", ".work-1.0.0", "1.0.0"]
    monkeypatch.undo()
    finished = len(list(path.with_name(".work-1.0.0").glob("??/*")))
    worked, make_examples = [], work_cache.make_examples
    monkeypatch.setattr(work_cache, "make_examples", lambda video: worked.append(video) or make_examples(video))
    assert not prepare("video_folder", overwrite=True, **arguments)["already_prepared"]
    assert len(worked) == 13 - finished < 13
    assert records(path) == before and not path.with_name(".work-1.0.0").exists()


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
    assert not list((tmp_path / "data" / "video_folder").glob("*/[0-9]*"))


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
        ({"name": "synthetic_faces", "num_frames_real": 4}, "num_frames_real: is for input types frame and flow"),
        ({"name": "synthetic_faces", "input_type": "frame", "num_frames_fake": 0}, "num_frames_fake: needs at least 1"),
        ({"name": "synthetic_faces", "identity": 4}, "has no choice 'identity'"),
        ({"name": "synthetic_faces", "height_px": 0}, "recipe: height_px needs a whole number of 1 to"),
        ({"name": "synthetic_faces", "identities": (1, 1, 1)}, "identities needs three counts"),
        ({"name": "synthetic_faces", "workers": -1}, "workers: needs"),
    ],
)
def test_arguments_that_make_no_sense(tmp_path, arguments, problem):
    with pytest.raises(InputError, match=problem):
        prepare(**{"data_dir": tmp_path, "workers": 0} | arguments)


TINY = {
    "identities": (2, 0, 2),
    "real_per_identity": 1,
    "video_frames": 6,
    "num_frames": 4,
    "num_clips": 1,
    "detector": "none",
}


def test_synthetic_videos_are_kept_and_drawn_again_when_the_drawing_changes(tmp_path, monkeypatch):
    from tfds_builders.synthetic_faces import synthetic_faces_dataset_builder as module

    first = prepare("synthetic_faces", data_dir=tmp_path, workers=2, **TINY)
    folder = Path(first["videos"])
    files = sorted(folder.glob("*/*/*.mp4"))
    assert len(files) == 20 and {f.parent.parent.name for f in files} == {"train", "test"}
    listed = list_videos(folder)
    assert {v.path for v in listed} == set(files) and {v.split for v in listed} == {"train", "test"}
    people = [{v.source for v in listed if v.split == split} for split in ("train", "test")]
    assert not people[0] & people[1]

    before, written = records(first["path"]), files[0].stat().st_mtime_ns
    files[1].unlink()  # as if stopped before it was drawn
    again = prepare("synthetic_faces", data_dir=tmp_path, workers=0, overwrite=True, **TINY)
    assert records(again["path"]) == before
    assert files[0].stat().st_mtime_ns == written and files[1].exists()
    monkeypatch.setattr(module, "_drawing", lambda: "another")
    prepare("synthetic_faces", data_dir=tmp_path, workers=0, overwrite=True, **TINY)
    assert files[0].stat().st_mtime_ns != written


# A shell that starts jobs in the background has them ignore SIGINT, and children inherit that.
CHILD = """
import json, signal, sys
from tfds_builders.prepare import prepare
signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    prepare("synthetic_faces", data_dir=sys.argv[1], workers=2, **json.loads(sys.argv[2]))
"""


def alive(group):
    """Processes of a process group that have not ended."""
    names = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(member) == group and state != "Z":
            names.append(stat.parent.name)
    return names


FINISHED = "data/synthetic_faces/*/.work-1.0.0/??/*.scored"
LONGER = {"video_frames": 40}


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    """Summary of a set that was built in one go."""
    return prepare("synthetic_faces", data_dir=tmp_path_factory.mktemp("other"), workers=2, **TINY | LONGER)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for left processes in /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped(never_stopped, tmp_path, monkeypatch, sent):
    """Ctrl-C reaches the whole group, SIGKILL only the parent; no process stays, and the next build does the rest."""
    script = tmp_path / "script.py"
    script.write_text(CHILD)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(script), str(tmp_path / "data"), json.dumps(TINY | LONGER)]
    child = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 120
        while len(list(tmp_path.glob(FINISHED))) < 3 and time.monotonic() < until:
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
    finished = list(tmp_path.glob(FINISHED))
    assert 3 <= len(finished) < 20
    worked, make_examples = [], work_cache.make_examples
    monkeypatch.setattr(work_cache, "make_examples", lambda video: worked.append(video) or make_examples(video))
    resumed = prepare("synthetic_faces", data_dir=tmp_path / "data", workers=0, **TINY | LONGER)
    assert not resumed["already_prepared"] and len(worked) == 20 - len(finished)
    assert not list(tmp_path.glob("data/**/.work-*"))
    assert not list(Path(resumed["path"]).parent.glob("incomplete*")) and not list(tmp_path.glob("data/**/.tmp-*"))
    assert records(resumed["path"]) == records(never_stopped["path"]) != {}


def test_folders_of_frames_are_prepared_at_their_rate(tmp_path):
    for label in ("real", "fake"):
        for n in range(3):
            for k, frame in enumerate(moving_frames(6, seed=n)):
                write_image(tmp_path / "set" / label / f"{label}{n}" / f"{k}.png", frame)
    summary = prepare(
        "video_folder", "frame", tmp_path / "set", tmp_path / "data",
        workers=0, detector="none", num_frames=3, height_px=24, width_px=32, frame_rate=10.0,
    )  # fmt: skip
    assert summary["splits"] == {"test": 6, "train": 6, "validation": 6}
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(summary["path"])
    notes = list(builder.info.metadata["notes"])
    assert notes[0].startswith("6 folders of numbered images are videos of 10 frames/s: real0, real1, real2 and 3 more")
    assert "rest on file names alone" in notes[1]
    times = sorted({float(t) for e in tfds.as_numpy(builder.as_dataset("train")) for t in e["timestamps_s"]})
    np.testing.assert_allclose(times, [0.1, 0.3, 0.5], atol=1e-6)
    with pytest.raises(InputError, match="has no choice 'frame_rate'"):
        prepare("celeb_df", "frame", tmp_path / "set", tmp_path / "data", frame_rate=10.0)


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

    # The scores of clips, of shorter windows and of single frames tell how much of their crops was manipulated.
    prepared = open_data(summary["version"], tmp_path)
    expected = {example["video"].decode(): example["mask"].mean(axis=(1, 2, 3)) / 255 for example in examples}
    frames = keras.Input((60, 80, 3), name="frames")
    of_frames = keras.Model({"frames": frames}, keras.layers.Flatten()(frames)[:, :1])
    clips = keras.Input((None, 60, 80, 3), name="frames")
    of_clips = keras.Model({"frames": clips}, keras.layers.GlobalAveragePooling3D()(clips)[:, :1])
    for model, data, pick in (
        (of_clips, prepared, np.mean), (of_frames, prepared, None), (of_clips, windowed(prepared, 1), lambda m: m[0])
    ):  # fmt: skip
        write_scores(tmp_path / "scores.csv", score_data(model, data, "test"))
        rows = read_scores(tmp_path / "scores.csv")
        for name, of_video in expected.items():
            wanted = of_video if pick is None else [pick(of_video)]
            np.testing.assert_allclose(rows["mask_fraction"][rows["video"] == name], wanted, rtol=1e-4, atol=1e-7)
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    at = lines[0].split(",").index("mask_fraction")
    (tmp_path / "scores.csv").write_text("\n".join([lines[0], ",".join([*lines[1].split(",")[:at], "1.5"])]) + "\n")
    with pytest.raises(InputError, match="line 2: mask_fraction needs 0 to 1 or nothing, got 1.5"):
        read_scores(tmp_path / "scores.csv")
