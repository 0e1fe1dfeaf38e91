"""Whatever a user gives to `predict`: a message that names file and next step, and nothing finished is lost."""

import dataclasses
import errno
import json
import os

import keras
import numpy as np
import pytest
from PIL import Image
from support.media import cut, make_sound, make_video, moving_frames
from support.verdicts import brightness_network, recipe

from tfdeepfake import models
from tfdeepfake.cli.main import main
from tfdeepfake.data import faces, video
from tfdeepfake.data.video.write import write_image
from tfdeepfake.errors import InputError
from tfdeepfake.model_folder import save_model
from tfdeepfake.recipe import DataRecipe, Recipe
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.verdict import judging as judge
from tfdeepfake.verdict.batch import judge_many, line, predict
from tfdeepfake.verdict.settings import JudgeSettings

FRAME = brightness_network()
CLIP = brightness_network(num_frames=4)
CLIPS = recipe(input_type="clip", sampling="consecutive", num_frames=4)


def one_face(frames):
    """One face in the middle third of every frame."""
    height, width = frames[0].shape[:2]
    box = np.float32([[width / 3, height / 3, 2 * width / 3, 2 * height / 3]])
    return [faces.make_detections(box, [0.99], _landmarks(box)) for _ in frames]


def _landmarks(boxes):
    low, side = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None]
    return low + side * np.float32([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


def two_hundred_faces(frames):
    boxes = np.float32([[x, y, x + 7, y + 8] for y in range(0, 90, 9) for x in range(0, 160, 8)])
    return [faces.make_detections(boxes, np.full(200, 0.9), _landmarks(boxes)) for _ in frames]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("media") / "clip.mp4", moving_frames(40))


def judged(path, model=FRAME, used=None, detect=one_face, **settings):
    return judge.judge(path, model, used or (recipe() if model is FRAME else CLIPS), detect, JudgeSettings(**settings))


def refused(verdict, status):
    """A verdict of a file that was not scored says why, and says nothing else."""
    assert verdict.status == status and verdict.reason, verdict
    assert verdict.probability is None and verdict.label is None and verdict.faces == []
    text = line(verdict.to_dict())
    assert os.path.basename(verdict.file) in text and verdict.reason in text
    return verdict


def test_the_good_clip_is_scored_by_both_networks(clip):
    for model in (FRAME, CLIP):
        verdict = judged(clip, model)
        assert verdict.status == "scored" and verdict.video["frame_count"] == 40 and 0 < verdict.probability < 1


def test_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert "empty" in refused(judged(tmp_path / "empty.mp4"), "unreadable").reason


def test_text_renamed_mp4(tmp_path):
    (tmp_path / "text.mp4").write_text("This was never a video.\n" * 50)
    assert refused(judged(tmp_path / "text.mp4"), "unreadable").remedy


def test_a_text_file_given_by_name(tmp_path):
    (tmp_path / "notes.txt").write_text("Notes.\n" * 50)
    refused(judged(tmp_path / "notes.txt"), "unreadable")


def test_a_file_that_is_not_there(tmp_path):
    refused(judged(tmp_path / "nowhere.mp4"), "unreadable")


def test_truncated_mp4(clip, tmp_path):
    refused(judged(cut(clip, tmp_path / "cut.mp4", 0.6)), "unreadable")
    # With the index in front the start can be played: scored or refused, but never silently the whole video.
    options = {"movflags": "faststart"}
    streamed = make_video(tmp_path / "streamed.mp4", moving_frames(40), container_options=options)
    refused(judged(cut(streamed, tmp_path / "start.mp4", 0.25)), "unreadable")
    most = judged(cut(streamed, tmp_path / "most.mp4", 0.9))
    assert most.status == "scored" and most.video["missing"] > 0
    assert most.video["frame_count"] + most.video["missing"] == 40


def test_audio_only(tmp_path):
    assert refused(judged(make_sound(tmp_path / "sound.mp4")), "unreadable").remedy


def test_one_frame(tmp_path):
    path = make_video(tmp_path / "one.mp4", moving_frames(1))
    verdict = judged(path)
    assert (
        verdict.status == "scored" and verdict.interval is None and verdict.interval_reason and verdict.num_samples == 1
    )
    assert "4" in refused(judged(path, CLIP), "error").reason


def test_fewer_frames_than_the_clip(tmp_path):
    path = make_video(tmp_path / "three.mp4", moving_frames(3))
    assert judged(path).status == "scored"
    verdict = refused(judged(path, CLIP), "error")
    assert "4" in verdict.reason and "3" in verdict.reason and verdict.remedy


def test_no_face(clip):
    # The real detector on drifting colours.
    verdict = refused(judged(clip, detect=faces.make_detector("mtcnn")), "no_face")
    assert verdict.remedy and not verdict.interval


def test_two_hundred_faces(tmp_path):
    path = make_video(tmp_path / "crowd.mp4", np.repeat(moving_frames(1, 96, 168), 12, axis=0))
    verdict = judged(path, detect=two_hundred_faces)
    assert verdict.status == "scored" and len(verdict.faces) == 200 and verdict.faces_not_judged == 0
    assert "200 faces" in line(verdict.to_dict()) and "judged" not in line(verdict.to_dict())
    limited = judged(path, detect=two_hundred_faces, max_faces=16)
    assert len(limited.faces) == 16 and limited.faces_not_judged == 184
    assert "only 16 of 200 faces were judged" in line(limited.to_dict())
    assert len(json.dumps(limited.to_dict())) < 200_000


def test_8k_frame(tmp_path):
    # Grey bands: an 8K frame of noise would take a minute to encode.
    frame = np.repeat(np.arange(4320, dtype=np.uint16) // 20 % 200 + 28, 7680).reshape(4320, 7680, 1)
    frame = np.repeat(frame.astype(np.uint8), 3, axis=2)
    path = make_video(tmp_path / "large.mp4", [frame, frame], preset="ultrafast")
    for file in (path, tmp_path / "large.png"):
        if file.suffix == ".png":
            Image.fromarray(frame).save(file, compress_level=1)
        verdict = judged(file)
        assert verdict.status == "scored", verdict.reason
        assert (verdict.video["width"], verdict.video["height"]) == (7680, 4320)
        x0, y0, x1, y1 = verdict.faces[0]["timeline"][0]["box"]
        # Boxes are in px of the full frame, although the frame was shrunk on the way.
        assert (x0, y0, x1, y1) == pytest.approx((2560, 1440, 5120, 2880), rel=0.02)


def test_still_image_on_frame_and_clip_networks(tmp_path):
    Image.fromarray(moving_frames(1)[0]).save(tmp_path / "face.jpg")
    verdict = judged(tmp_path / "face.jpg")
    assert verdict.status == "scored" and verdict.interval is None and verdict.video["is_image"]
    assert "still image" in refused(judged(tmp_path / "face.jpg", CLIP), "error").reason


# --- through the whole of predict ---------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A saved model folder, and a detector that needs no weights."""
    monkeypatch.setattr(models, "build", lambda name, **args: brightness_network())
    # The converter's process would not know this network.
    monkeypatch.setattr("tfdeepfake.compiled.choice.preferred", lambda recipe, num_files: "keras")
    monkeypatch.setattr(faces, "make_detector", lambda name, weights=None: one_face)
    save_model(tmp_path / "model", FRAME, recipe())
    return tmp_path / "model"


def test_a_folder_of_everything_ends_without_a_traceback(clip, tmp_path, model, capsys):
    folder = tmp_path / "videos with ünïcode 视频" / "sub folder"
    folder.mkdir(parents=True)
    good = folder / 'clip ☃ "quoted" & <b>.mp4'
    good.write_bytes(clip.read_bytes())
    (folder / "empty.mp4").touch()
    (folder / "text.mov").write_text("no video")
    cut(clip, folder / "cut.mp4", 0.5)
    make_sound(folder / "sound.mp4")
    out = tmp_path / "out put ü"
    assert main(["predict", str(folder.parent), "--model", str(model), "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert "1 of 5 scored" in said.out and "4 unreadable" in said.out
    result = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    by_name = {v["name"]: v for v in result["verdicts"]}
    assert by_name[f"sub folder/{good.name}"]["status"] == "scored"
    for image in by_name[f"sub folder/{good.name}"]["images"]:
        assert (out / image["file"]).is_file()
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;.mp4" in page and "<b>.mp4" not in page
    assert set(read_scores(out / "scores.csv")["status"]) == {"scored", "unreadable"}


@pytest.mark.skipif(
    os.name != "posix" or os.uname().sysname != "Linux", reason="file names of any bytes are a Linux matter"
)
def test_a_name_that_is_no_text(clip, tmp_path, model):
    folder = os.fsencode(tmp_path / "videos")
    os.mkdir(folder)
    try:
        with open(folder + b"/clip\xff\xfe\n.mp4", "wb") as stream:
            stream.write(clip.read_bytes())
    except OSError:
        pytest.skip("this file system refuses such names")
    result = judge_many([tmp_path / "videos"], model, tmp_path / "out")
    assert result["counts"]["scored"] == 1
    assert "\n" not in result["verdicts"][0]["name"]
    assert (tmp_path / "out" / "index.html").read_text(encoding="utf-8").count("<article") == 1


def test_unreadable_directory(clip, tmp_path, model, monkeypatch, capsys):
    (tmp_path / "videos" / "locked").mkdir(parents=True)
    (tmp_path / "videos" / "clip.mp4").write_bytes(clip.read_bytes())
    scandir = os.scandir

    def locked(path):
        if os.path.basename(path) == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    assert predict([tmp_path / "videos"], model, tmp_path / "out") == 1
    assert "locked: cannot be opened (Permission denied)" in capsys.readouterr().out
    assert "Permission denied" in (tmp_path / "out" / "index.html").read_text()
    assert main(["predict", str(tmp_path / "videos" / "locked"), "--model", str(model)]) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_nothing_to_judge(tmp_path, model, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("x")
    assert main(["predict", str(tmp_path / "empty"), "--model", str(model)]) == 2
    assert "holds no video or image (1 other file" in capsys.readouterr().err


def message(capsys, path, model, *more):
    """What the command prints when it can do nothing."""
    assert main(["predict", str(path), "--model", str(model), *map(str, more)]) == 2
    said = capsys.readouterr().err
    errors = [line for line in said.strip().splitlines() if not line.startswith("compiling ")]
    assert "Traceback" not in said and len(errors) == 1
    return said


def test_recipe_missing(clip, model, capsys):
    (model / "recipe.json").unlink()
    said = message(capsys, clip, model)
    assert str(model) in said and "recipe.json" in said and "tfdeepfake train" in said


@pytest.mark.parametrize("text, what", [
    ("{\"network\": \"meso4\"", "not valid JSON"),
    ("[]", "JSON object"),
    ('{"schema": 1, "network": "meso4", "color": 3}', "color"),
    ('{"schema": 1, "network": "meso4", "positive": "real"}', "fake"),
    ('{"schema": 1, "network": "meso4", "threshold": 7}', "threshold"),
    ('{"schema": 1, "network": "meso4", "data": {"height_px": -1}}', "height_px"),
    ("\0\0\0", "not valid JSON"),
])  # fmt: skip
def test_damaged_recipe(clip, model, capsys, text, what):
    (model / "recipe.json").write_text(text)
    said = message(capsys, clip, model)
    assert what in said and "recipe.json" in said


def test_weights_missing_or_damaged(clip, model, capsys):
    weights = model / "model.weights.h5"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert "checksum" in message(capsys, clip, model)
    weights.unlink()
    assert "missing" in message(capsys, clip, model)


def test_checkpoint_of_another_network(clip, tmp_path, capsys):
    """Weights of one network with the recipe of another, with and without the checksum that gives it away."""
    data = DataRecipe(input_type="frame", height_px=64, width_px=64)
    small = keras.Sequential([keras.layers.Input((64, 64, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
    save_model(tmp_path / "other", small, Recipe("meso4", network_args={"input_size": [64, 64]}, data=data))
    said = message(capsys, clip, tmp_path / "other")
    assert "model.weights.h5" in said and "meso4" in said
    meso = models.build("meso4", input_size=(64, 64))
    save_model(tmp_path / "meso", meso, Recipe("meso4", network_args={"input_size": [64, 64]}, data=data))
    (tmp_path / "meso" / "model.weights.h5").write_bytes((tmp_path / "other" / "model.weights.h5").read_bytes())
    assert "checksum" in message(capsys, clip, tmp_path / "meso")


def test_recipe_that_does_not_fit_the_network(clip, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(models, "build", lambda name, **args: brightness_network())
    # The converter's process would not know this network.
    monkeypatch.setattr("tfdeepfake.compiled.choice.preferred", lambda recipe, num_files: "keras")
    used = recipe()
    wrong = dataclasses.replace(used, data=dataclasses.replace(used.data, height_px=64))
    save_model(tmp_path / "wrong", FRAME, wrong)
    assert "8 x 8 px" in message(capsys, clip, tmp_path / "wrong")


def test_disk_full_keeps_finished_verdicts(clip, tmp_path, model, monkeypatch, capsys):
    folder, out = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    for name in "abcd":
        (folder / f"{name}.mp4").write_bytes(clip.read_bytes())
    written, fsync = [], os.fsync

    def full(handle):
        if os.readlink(f"/proc/self/fd/{handle}") == str(out / "predictions.jsonl"):
            if len(written) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            written.append(handle)
        return fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    said = message(capsys, folder, model, "--out", out)
    assert "disk is full" in said and "predictions.jsonl" in said and "finished work is kept" in said
    kept = [json.loads(text)["name"] for text in (out / "predictions.jsonl").read_text().splitlines()]
    assert kept == ["a.mp4", "b.mp4"], "the line that did not fit was taken back"
    monkeypatch.setattr(os, "fsync", fsync)
    assert main(["predict", str(folder), "--model", str(model), "--out", str(out)]) == 0
    assert "2 verdicts of the stopped run are kept" in capsys.readouterr().out
    assert json.loads((out / "predictions.json").read_text())["counts"]["scored"] == 4


def test_disk_full_while_images_are_written(clip, tmp_path, model, monkeypatch, capsys):
    def full(self, *args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    said = message(capsys, clip, model, "--out", tmp_path / "out")
    assert "disk is full" in said and ".jpg" in said
    assert not list((tmp_path / "out").rglob("*.jpg")) and not (tmp_path / "out" / "predictions.json").exists()


def test_out_that_cannot_be_written(clip, tmp_path, model, capsys):
    (tmp_path / "file").write_text("in the way")
    assert "file" in message(capsys, clip, model, "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_file_that_fails_does_not_end_the_batch(clip, tmp_path, model, monkeypatch, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.mp4").write_bytes(clip.read_bytes())
    probe = video.probe

    def odd(path, *args, **options):
        if path.name == "b.mp4":
            raise MemoryError("too much")
        return probe(path, *args, **options)

    monkeypatch.setattr(video, "probe", odd)
    assert main(["predict", str(folder), "--model", str(model), "--debug"]) == 1
    said = capsys.readouterr().out
    assert "2 of 3 scored" in said and "ERROR" in said and "MemoryError: too much" in said and "Traceback" in said


def test_folders_of_frames_links_and_labels_as_spreadsheets_write_them(clip, tmp_path, model, capsys):
    tree = tmp_path / "tree"
    (tree / "fake").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b").write_bytes(clip.read_bytes())
    (tree / "fake" / "linked").symlink_to(tmp_path / "elsewhere")
    (tree / "fake" / "loop").symlink_to(tree)
    for n, frame in enumerate(moving_frames(20)):
        write_image(tree / "fake" / "001" / f"frame{n}.png", frame)
    rows = ["fake\\linked\\b;FAKE", f"{tree / 'fake' / '001'};real"]
    (tree / "labels.csv").write_bytes("\r\n".join(["\ufeffPath;Label", *rows, ""]).encode())
    result = judge_many(tree, model, labels=tree / "labels.csv", settings=JudgeSettings(frame_rate=10))
    frames, linked = result["verdicts"]
    assert (frames["name"], frames["true_label"]) == ("fake/001", "REAL") and frames["video"]["frame_count"] == 20
    assert frames["video"]["fps"] == pytest.approx(10) and frames["faces"][0]["timeline"][-1]["time_s"] > 1.8
    assert (linked["name"], linked["true_label"]) == ("fake/linked/b", "FAKE")
    assert result["unmatched_labels"] == [] and len(result["folder_notes"]) == 2
    assert main(["predict", str(tree / "fake" / "001"), "--model", str(model), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "1 folder of numbered images is a video of 25 frames/s (--frame-rate says otherwise): 001." in told
    assert "1 of 1 scored" in told


def test_arguments_that_make_no_sense(clip, tmp_path, model, capsys):
    assert "--num-samples: needs" in message(capsys, clip, model, "--num-samples", 0)
    for seconds in (-1, 0):
        assert "--time-limit-s: needs seconds above 0" in message(capsys, clip, model, "--time-limit-s", seconds)
    assert "--frame-rate: needs frames/s above 0" in message(capsys, clip, model, "--frame-rate", 0)
    assert "blazeface" in message(capsys, clip, model, "--detector-weights", tmp_path / "x.tflite")
    assert "cannot be read" in message(capsys, clip, model, "--labels", tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="still|kind|frames|spaced"):
        judge.judge(clip, CLIP, recipe(input_type="clip", num_frames=4), one_face, JudgeSettings(num_samples=3))
