"""Perturbations of frames, clips, files and folders."""

import json

import cv2
import numpy as np
import pytest
from support.media import frame_number, moving_frames

from tfdeepfake.cli.main import main
from tfdeepfake.data import synthetic, video
from tfdeepfake.data.perturb import PERTURBATIONS, SEVERITIES, is_noop, perturb, value_of
from tfdeepfake.data.perturb.files import LOG, perturb_files, write_perturbed
from tfdeepfake.data.video.write import write_image
from tfdeepfake.errors import InputError


@pytest.fixture(scope="module")
def texture():
    """A clip of smoothed noise that drifts, uint8 [4, 270, 288, 3]."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (270, 288, 3)), (0, 0), 2)
    frame = np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)
    return np.stack([np.roll(frame, 2 * t, axis=1) for t in range(4)])


@pytest.fixture(scope="module")
def face():
    """A synthetic talking head, uint8 [4, 256, 320, 3]."""
    frames = synthetic.draw_video(synthetic.identity(0, 1), synthetic.scene(0, 1), synthetic.motion(0, 4), 320, 256)
    return np.stack(list(frames))


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2))


@pytest.mark.parametrize("clip", ["texture", "face"])
@pytest.mark.parametrize("name", PERTURBATIONS)
def test_each_severity_is_worse_than_the_one_before(name, clip, request):
    clip = request.getfixturevalue(clip)
    psnr_db = []
    for severity in SEVERITIES:
        perturbed, changed = perturb(clip, name, severity)
        assert changed and perturbed.shape == clip.shape and perturbed.dtype == np.uint8
        psnr_db.append(psnr(perturbed, clip))
    assert all(a - b > 0.1 for a, b in zip(psnr_db, psnr_db[1:], strict=False)), psnr_db
    assert psnr_db[0] < 50


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_the_seed_alone_decides(name, texture):
    first, again, other = (perturb(texture[:2], name, 3, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    random = name in ("block_wise", "gaussian_noise")
    assert np.array_equal(first, other) != random
    if random:  # and no two frames alike
        still = perturb(np.repeat(texture[:1], 2, axis=0), name, 3)[0]
        assert not np.array_equal(still[0], still[1])
    if name != "compression":
        np.testing.assert_array_equal(perturb(texture[0], name, 3, 1)[0], first[0])


def test_what_the_values_mean(texture):
    frame = texture[0]
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(int)
    none = perturb(frame, "saturation", 5)[0].astype(int)
    assert np.abs(none - grey[..., None]).max() <= 1  # no colour left
    ycc = [cv2.cvtColor(f, cv2.COLOR_RGB2YCrCb).astype(int) for f in (frame, perturb(frame, "saturation", 1)[0])]
    assert np.abs(ycc[1][..., 0] - ycc[0][..., 0]).max() <= 2
    assert np.abs((ycc[1] - 128)[..., 1:] - 0.4 * (ycc[0] - 128)[..., 1:]).max() <= 2
    np.testing.assert_array_equal(perturb(frame, "contrast", 3)[0], (frame.astype(np.float64) * 0.6 + 1e-3).astype(int))
    blocks = perturb(np.zeros((600, 530, 3), np.uint8), "block_wise", 1)[0]
    assert set(np.unique(blocks)) == {0, 128}
    assert 28 * 64 < (blocks[..., 0] == 128).sum() <= 2 * 16 * 64  # a few overlap
    ground = np.full((400, 400, 3), 128, np.uint8)
    noise = perturb(ground, "gaussian_noise", 1)[0].astype(np.float64)
    luma = noise @ (0.299, 0.587, 0.114)
    assert luma.std() == pytest.approx(0.001**0.5 * 255 * 255 / 219, rel=0.02) and abs(luma.mean() - 127.5) < 0.2
    small = perturb(frame, "pixelation", 5)[0]
    assert np.abs(np.diff(small.astype(int), axis=0)).mean() < np.abs(np.diff(frame.astype(int), axis=0)).mean() / 2
    line = np.zeros((41, 41, 3), np.uint8)
    line[20, 20] = 255
    assert (perturb(line, "gaussian_blur", 1)[0][..., 0] > 0).sum() <= 7 * 7


def test_what_does_nothing_is_said(face):
    for severity in SEVERITIES:
        small = face[:, :255]
        unchanged, changed = perturb(small, "block_wise", severity)
        assert not changed and np.array_equal(unchanged, small)
    assert is_noop("block_wise", 255, 900) and is_noop("block_wise", 900, 255)
    assert not is_noop("block_wise", 256, 256) and not is_noop("contrast", 8, 8)
    grey = np.repeat(face[..., :1], 3, axis=-1)
    unchanged, changed = perturb(grey, "saturation", 5)
    assert not changed and np.array_equal(unchanged, grey)
    assert perturb(grey, "gaussian_noise", 1)[1] and perturb(grey, "compression", 1)[1]


def test_wrong_arguments(face):
    for severity in (0, 6, 2.5, True, "3", None):
        with pytest.raises(InputError, match="severity: needs a whole number from 1 to 5"):
            perturb(face, "contrast", severity)
    with pytest.raises(InputError, match="name: needs one of saturation.*got 'JPEG'"):
        value_of("JPEG", 1)
    for wrong in (face[..., 0], face[0, ..., :1], face.astype(np.float32), face[:0]):
        with pytest.raises(ValueError, match="uint8 .H, W, 3. or .T, H, W, 3."):
            perturb(wrong, "contrast", 1)


@pytest.mark.parametrize("name", ["gaussian_noise", "compression"])
def test_a_file_is_perturbed_as_its_frames_are(name, tmp_path):
    video.write_video(tmp_path / "a.mp4", moving_frames(40), 25, crf=10)
    done = write_perturbed(tmp_path / "a.mp4", tmp_path / "b.mp4", name, 5, seed=3)
    assert done == {"frames": 40, "missing": 0, "changed": True}
    before = video.read_frames(tmp_path / "a.mp4", np.arange(40)).frames
    after = video.read_frames(tmp_path / "b.mp4", np.arange(40)).frames
    np.testing.assert_array_equal(after, perturb(before, name, 5, seed=3)[0])
    assert video.probe(tmp_path / "b.mp4").fps == pytest.approx(25)


def test_odd_sizes_and_smaller_files(tmp_path):
    frames = moving_frames(3)[:, :-1, :-1]
    assert perturb(frames, "compression", 1)[0].shape == frames.shape
    video.write_video(tmp_path / "a.mp4", frames, 25, "libx264rgb", crf=0, pix_fmt="rgb24")
    sizes = {}
    for crf in (0, 12):
        write_perturbed(tmp_path / "a.mp4", tmp_path / "b.mkv", "contrast", 1, crf=crf)
        got = video.read_frames(tmp_path / "b.mkv", np.arange(3)).frames
        wanted = perturb(frames, "contrast", 1)[0]
        assert psnr(got, wanted) > 35 if crf else np.array_equal(got, wanted)
        sizes[crf] = (tmp_path / "b.mkv").stat().st_size
    assert sizes[12] < sizes[0]
    write_perturbed(tmp_path / "a.mp4", tmp_path / "c.mp4", "compression", 1)
    assert (video.probe(tmp_path / "c.mp4").height, video.probe(tmp_path / "c.mp4").width) == (96, 128)


def test_frames_keep_their_numbers_when_some_cannot_be_decoded(tmp_path, monkeypatch):
    video.write_video(tmp_path / "a.mp4", moving_frames(20), 25, crf=10)
    iter_chunks = video.iter_chunks

    def with_holes(*args, **kwargs):
        for chunk in iter_chunks(*args, **kwargs):
            readable = ~np.isin(chunk.indices, (0, 7, 8, 19))
            yield video.Frames(chunk.frames[readable], chunk.indices[readable], chunk.timestamps_s[readable])

    monkeypatch.setattr(video, "iter_chunks", with_holes)
    done = write_perturbed(tmp_path / "a.mp4", tmp_path / "b.mp4", "contrast", 1)
    assert done == {"frames": 20, "missing": 4, "changed": True}
    got = video.read_frames(tmp_path / "b.mp4", np.arange(20)).frames
    assert [frame_number(frame) for frame in got] == [1, *range(1, 7), 6, 6, *range(9, 19), 18]


@pytest.fixture
def folder(tmp_path):
    """Two videos and an image, one file that is none, and a list."""
    for name in ("real/a.mp4", "fake/a.avi"):
        video.write_video(tmp_path / "set" / name, moving_frames(3), 25, crf=10)
    (tmp_path / "set/real/broken.mp4").write_text("nothing")
    cv2.imwrite(str(tmp_path / "set/real/image.jpg"), moving_frames(1)[0])
    (tmp_path / "set/labels.csv").write_text("file,label\n")
    return tmp_path / "set"


def test_a_folder_is_resumed_after_a_bad_file_and_after_an_interruption(folder, tmp_path):
    out = tmp_path / "out"
    first = perturb_files(folder, out, "gaussian_noise", 2)
    assert (first["files"], first["written"], first["kept"]) == (4, 3, 0) and set(first["failed"]) == {
        "real/broken.mp4"
    }
    written = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert written == ["fake/a.avi.mp4", "labels.csv", LOG, "real/a.mp4", "real/image.jpg.png"]
    noise = [video.read_frames(out / name, [0]).frames.astype(int) for name in ("real/a.mp4", "fake/a.avi.mp4")]
    clean = [video.read_frames(folder / name, [0]).frames for name in ("real/a.mp4", "fake/a.avi")]
    assert not np.array_equal(noise[0] - clean[0], noise[1] - clean[1])  # each file has its own
    before = (out / "real/a.mp4").read_bytes()
    (out / "real/a.mp4").unlink()
    with open(out / LOG, "a") as log:
        log.write('{"file": "fa')  # killed while it wrote
    again = perturb_files(folder, out, "gaussian_noise", 2)
    assert (again["written"], again["kept"]) == (1, 2) and (out / "real/a.mp4").read_bytes() == before
    assert json.loads((out / LOG).read_text().splitlines()[0])["value"] == 0.002
    assert perturb_files(folder, out, "gaussian_noise", 2)["kept"] == 3, "the line behind the one cut off is whole"
    with pytest.raises(InputError, match="holds another perturbation .gaussian_noise 2, seed 0"):
        perturb_files(folder, out, "gaussian_noise", 3)


def test_animations_are_written_as_videos(tmp_path):
    from PIL import Image

    (tmp_path / "in").mkdir()
    first, *others = (Image.fromarray(frame) for frame in moving_frames(5, 64, 96))
    for suffix in ("png", "webp"):
        first.save(tmp_path / "in" / f"moving.{suffix}", save_all=True, append_images=others, duration=40)
        first.save(tmp_path / "in" / f"still.{suffix}")
    perturb_files(tmp_path / "in", tmp_path / "out", "compression", 1)
    written = sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix in (".png", ".mp4"))
    assert written == ["moving.png.mp4", "moving.webp.mp4", "still.png", "still.webp.png"]
    assert video.probe(tmp_path / "out" / "moving.png.mp4").frame_count == 5


def test_folders_that_cannot_be_used(folder, tmp_path):
    with pytest.raises(InputError, match="beside"):
        perturb_files(folder, folder / "out", "contrast", 1)
    with pytest.raises(InputError, match="no perturbed copies"):
        perturb_files(folder / "real", folder / "fake", "contrast", 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no videos"):
        perturb_files(tmp_path / "empty", tmp_path / "out", "contrast", 1)
    for out, match in ((folder / "real/a.mp4", "the file that is read"), (tmp_path / "a.avi", "suffix .mp4")):
        with pytest.raises(InputError, match=match):
            write_perturbed(folder / "real/a.mp4", out, "contrast", 1)


@pytest.mark.parametrize("name", ["contrast", "gaussian_noise", "compression"])
def test_a_folder_of_frames_stays_one_and_is_perturbed_as_the_video_is(name, tmp_path):
    frames = moving_frames(6)
    for label in ("real", "fake"):
        for n, frame in enumerate(frames):
            write_image(tmp_path / "set" / label / "clip" / f"f{n}.jpg", frame)
    (tmp_path / "set" / "labels.csv").write_text("file,label\nreal/clip,real\nfake/clip,fake\n")
    summary = perturb_files(tmp_path / "set", tmp_path / "out", name, 5)
    assert summary["files"] == summary["written"] == 2 and not summary["unchanged"]
    assert "2 folders of numbered images are videos" in summary["notes"][0]
    assert (tmp_path / "out" / "labels.csv").is_file()
    before = np.concatenate([chunk.frames for chunk in video.iter_chunks(tmp_path / "set" / "real" / "clip")])
    after = np.concatenate([chunk.frames for chunk in video.iter_chunks(tmp_path / "out" / "real" / "clip")])
    if name == "compression":
        video.write_video(tmp_path / "a.mp4", before, 25, crf=value_of(name, 5), preset=None)
        expected = next(video.iter_chunks(tmp_path / "a.mp4")).frames
    elif name == "contrast":
        expected = perturb(before, name, 5)[0]
    else:
        assert after.shape == before.shape and 5 < psnr(after, before) < 20
        return
    np.testing.assert_array_equal(after, expected)
    again = perturb_files(tmp_path / "set", tmp_path / "out", name, 5)
    assert again["kept"] == 2 and again["written"] == 0


def test_linked_folders_and_files_without_suffix(tmp_path):
    video.write_video(tmp_path / "set" / "a.mp4", moving_frames(3), 25)
    video.write_video(tmp_path / "elsewhere" / "b.mp4", moving_frames(3), 25)
    (tmp_path / "elsewhere" / "b.mp4").rename(tmp_path / "elsewhere" / "b")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    summary = perturb_files(tmp_path / "set", tmp_path / "out", "contrast", 1)
    assert summary["written"] == 2 and (tmp_path / "out" / "linked" / "b.mp4").is_file()
    assert len(summary["notes"]) == 1 and "loop" in summary["notes"][0]


def test_the_verb(folder, tmp_path, capsys):
    arguments = ["perturb", str(folder), str(tmp_path / "out"), "--name", "block_wise", "--severity", "5"]
    assert main(arguments) == 1
    told = capsys.readouterr().out
    assert "3 of 4 files written" in told and "3 of 4 are as they were: block_wise" in told and "256 px" in told
    assert "1 of 4 cannot be read: real/broken.mp4" in told
    one = str(folder / "real/a.mp4"), str(tmp_path / "a.mp4")
    assert main(["perturb", *one, "--name", "contrast", "--severity", "1"]) == 0
    assert main(["perturb", *one, "--name", "contrast", "--severity", "6"]) == 2
    assert "severity: needs a whole number from 1 to 5, got 6" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["perturb", "--help"])
    told = capsys.readouterr().out
    assert all(name in told for name in PERTURBATIONS)


def test_what_is_not_copied_is_named(tmp_path, capsys):
    video.write_video(tmp_path / "set" / "a.mp4", moving_frames(3), 25)
    for name in ("photo.jxl", ".hidden", "labels.csv"):
        (tmp_path / "set" / name).write_text("file,label\na.mp4,real\n")
    assert main(["perturb", str(tmp_path / "set"), str(tmp_path / "out"), "--name", "contrast", "--severity", "1"]) == 0
    assert "2 are neither video nor image and were not copied: .hidden, photo.jxl" in capsys.readouterr().out
