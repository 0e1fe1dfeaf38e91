"""Outputs that cannot be written, and numbers that mean nothing: one line, exit code 2, nothing half written."""

import errno
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tfdeepfake.cli import main as cli
from tfdeepfake.cli.main import main
from tfdeepfake.data.video.write import image_name, write_image
from tfdeepfake.errors import InputError
from tfdeepfake.files import atomic_path, check_output_file, check_output_folder
from tfdeepfake.model_folder import write_recipe
from tfdeepfake.recipe import Recipe

# {out} is where something is to be written.
FOLDERS = {
    "predict": "predict {image} --model {model} --out {out}",
    "prepare": "prepare synthetic_faces --data-dir {out}",
    "train": "train meso4 --run-dir {out}",
    "train --save-model": "train meso4 --run-dir {new} --save-model {out}",
    "grid": "grid baseline {out}",
    "evaluate": "evaluate {model} --data synthetic_faces --out {out}",
    "perturb a folder": "perturb {folder} {out} --name contrast --severity 1",
    "convert": "convert meso4_df {image} --out {out}",
    "export": "export {model} --out {out}",
    "calibrate": "calibrate {model} --data synthetic_faces --out {out}",
    "compare": "compare {model} {model} --out {out}",
    "ensemble": "ensemble {model} {model} --out {out}",
    "explain": "explain {image} --model {model} --out {out}",
    "embed": "embed {model} --data synthetic_faces --out {out}",
    "correlate": "correlate {model} --data synthetic_faces --out {out}",
    "protocol": "protocol cross_data --models {model} --data synthetic_faces --run-dir {out}",
    "protocol that trains": "protocol networks --presets demo --data synthetic_faces --run-dir {out}",
}
FILES = {
    "faces": "faces {image} --out {out}.png",
    "perturb": "perturb {image} {out}.png --name contrast --severity 1",
    "audit": "audit synthetic_faces --out {out}.json",
    "audit --exclude-out": "audit synthetic_faces --exclude-out {out}.csv",
    "models": "models meso4 --no-latency --out {out}.csv",
    "submission": "submission {model} --videos {folder} --out {out}.csv",
}


@pytest.fixture
def given(tmp_path):
    """What the commands name; files of the folder, to compare."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "model").mkdir()
    write_image(tmp_path / "folder" / "a.png", np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    (tmp_path / "a.file").write_text("as it was")
    (tmp_path / "written").mkdir()
    write_recipe(tmp_path / "written", Recipe("meso4"))
    return {
        "recipe": tmp_path / "written",
        "image": tmp_path / "folder" / "a.png",
        "folder": tmp_path / "folder",
        "model": tmp_path / "model",
        "new": tmp_path / "new",
    }


def refused(command, capsys, **given):
    """The one line that a command ends with; it must end with code 2."""
    try:
        code = main(command.format(**given).split())
    except SystemExit as end:
        code = end.code
    lines = capsys.readouterr().err.splitlines()
    assert code == 2 and len(lines) == 1 and lines[0].startswith("tfdeepfake"), (code, lines)
    return lines[0]


def below(folder):
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("command", [*FOLDERS.values(), *FILES.values()], ids=[*FOLDERS, *FILES])
def test_a_place_that_cannot_be_written_to(given, tmp_path, capsys, command):
    before = below(tmp_path)
    # Root may write in every folder, but not below a file, and makes no file in /proc.
    for out in (tmp_path / "a.file" / "deep" / "out", "/proc/nothing/out"):
        line = refused(command, capsys, out=out, **given)
        assert str(out) in line and "cannot be written" in line
    assert below(tmp_path) == before and (tmp_path / "a.file").read_text() == "as it was"


@pytest.mark.parametrize("command", FOLDERS.values(), ids=FOLDERS)
def test_a_file_where_a_folder_is_to_be_written(given, tmp_path, capsys, command):
    assert "a.file: is a file; a folder" in refused(command, capsys, out=tmp_path / "a.file", **given)
    assert (tmp_path / "a.file").read_text() == "as it was"


@pytest.mark.parametrize("command", FILES.values(), ids=FILES)
def test_a_folder_where_a_file_is_to_be_written(given, tmp_path, capsys, command):
    for suffix in (".png", ".json", ".csv"):
        (tmp_path / f"out{suffix}").mkdir()
    before = below(tmp_path)
    assert "is a folder; a file" in refused(command, capsys, out=tmp_path / "out", **given)
    assert below(tmp_path) == before


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("faces {image} --num-frames 0", "--num-frames"),
        ("faces {image} --num-frames -1", "--num-frames"),
        ("perturb {image} {new} --name contrast --severity 6", "severity"),
        ("perturb {image} {new} --name contrast --severity 1 --seed -1", "--seed"),
        ("perturb {image} {new} --name contrast --severity 1 --crf 52", "--crf"),
        ("perturb {image} {new} --name contrast --severity 1 --time-limit-s 0", "--time-limit-s"),
        ("perturb {image} {new} --name contrast --severity 1 --time-limit-s nan", "--time-limit-s"),
        ("audit synthetic_faces --num-frames -1", "--num-frames"),
        ("audit synthetic_faces --distance 65", "--distance"),
        ("evaluate {model} --batch-size 0", "--batch-size"),
        ("export {model} --out {new} --version 0", "--version"),
        ("models --batch-size 0", "--batch-size"),
        ("grid baseline {new} --batch-sizes 4 0", "--batch-sizes"),
        ("grid baseline {new} --learning-rates 0", "--learning-rates"),
        ("grid baseline {new} --epochs 0", "--epochs"),
        ("prepare synthetic_faces --workers -1", "--workers"),
        ("prepare synthetic_faces --num-frames-real 0", "--num-frames-real"),
        ("train meso4 --batch-size 0", "--batch-size: "),
        ("train meso4 --epochs -1", "epochs"),
        ("train meso4 --seed -1", "seed"),
        ("train meso4 --learning-rate inf", "--learning-rate: "),
        ("train meso4 --warmup-epochs -1", "--warmup-epochs: "),
        ("predict {image} --model {model} --num-samples 99999999999999999999999", "--num-samples: "),
        ("predict {image} --model {model} --workers 99999999", "workers"),
        ("predict {image} --model {model} --memory-mb 99999999999999999999999", "--memory-mb: "),
        ("predict {image} --model {model} --time-limit-s 1e308", "time"),
        ("predict {image} --model {model} --time-limit-s nan", "time"),
        ("train meso4 --seed 99999999999999999999999", "seed"),
        ("predict {image} --model {model} --time-limit-s 0", "time"),
        ("predict {image} --model {model} --time-limit-s -3", "time"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_by_name(given, tmp_path, capsys, command, flag):
    line = refused(command, capsys, **given)
    assert flag in line and " needs " in line
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("prepare video_folder --dir nowhere", "nowhere: is no folder"),
        ("prepare video_folders", "video_folders: is no builder. Did you mean video_folder?"),
        ("prepare celeb_df", "celeb_df: needs the folder of the videos. Give --dir"),
        ("audit video_folder=nowhere", "nowhere: is no folder"),
        ("evaluate nowhere", "nowhere: is not a run folder"),
        ("evaluate {recipe}", "is a saved model folder and names no data set. Add --data"),
        ("export nowhere --out {new}", "nowhere: is not a saved model folder"),
        ("convert nonsense {image} --out {new}", "nonsense: is no known checkpoint"),
        ("convert meso4_df nowhere --out {new}", "nowhere: does not exist"),
        ("predict https://example.com/v.mp4 --model {model}", "v.mp4: does not exist. It is an address: download the"),
        ("train meso5 --run-dir {new}", "no network is called 'meso5'. Did you mean meso4"),
        ("explain {new} --model {model} --out {new}", "new: does not exist"),
        ("explain {folder} --model {model} --out {new}", ": is a folder: give one file"),
    ],
)
def test_what_is_not_there_is_said_before_tensorflow_is_loaded(given, tmp_path, capsys, monkeypatch, command, problem):
    for verb in ("prepare", "audit", "evaluate", "export", "convert", "train"):
        monkeypatch.setattr(f"tfdeepfake.cli.{verb}.load_tensorflow", lambda: pytest.fail("loaded"))
    monkeypatch.setattr("tfdeepfake.quiet.load_backend", lambda: pytest.fail("loaded"))
    assert problem in refused(command, capsys, **given)


def test_the_suffix_decides_the_format_of_an_image(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    heads = {".jpg": b"\xff\xd8\xff", ".PNG": b"\x89PNG", ".webp": b"RIFF", ".bmp": b"BM", ".tiff": b"II*\0"}
    for suffix, head in heads.items():
        path = image_name(tmp_path / f"a{suffix}")
        write_image(path, image)
        assert path.read_bytes().startswith(head)
        if suffix not in (".jpg", ".webp"):
            np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], image)
    assert image_name(tmp_path / "crowd") == tmp_path / "crowd.png"
    with pytest.raises(InputError, match="needs the suffix .png or .jpg"):
        image_name(tmp_path / "a.mp4")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        image_name(tmp_path / "folder")


def test_a_device_is_not_replaced():
    with pytest.raises(InputError, match="is a device"):
        check_output_file("/dev/null")
    with pytest.raises(InputError, match="is a device"), atomic_path("/dev/null"):
        pass
    with pytest.raises(InputError, match="full: is a device"):  # without a suffix, too
        image_name("/dev/full")


def test_training_that_never_began_leaves_no_folder(tmp_path, capsys):
    assert "b" in refused(
        "train meso4 --data no_such_set --data-dir {folder} --run-dir {new}",
        capsys,
        folder=tmp_path,
        new=tmp_path / "run",
    )
    assert not (tmp_path / "run").exists()


def test_outputs_that_can_be_written(tmp_path):
    check_output_folder(tmp_path / "a" / "b")
    check_output_folder(tmp_path)
    check_output_file(tmp_path / "a" / "b.csv", (".csv",))
    assert not list(tmp_path.iterdir())


def test_a_place_that_stops_taking_files_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="out.csv: cannot be written: .*file is no folder"):
        with atomic_path(tmp_path / "file" / "out.csv"):
            pass
    with pytest.raises(InputError, match="out.csv: cannot be written .Permission denied"):
        with atomic_path(tmp_path / "out.csv") as temporary:
            raise PermissionError(errno.EACCES, "Permission denied", str(temporary))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_no_verb_foresaw_is_one_line_too(monkeypatch, capsys, tmp_path):
    def fail(args):
        raise OSError(errno.EROFS, "Read-only file system", "/mnt/a.csv")

    monkeypatch.setattr(cli.models, "run", fail)
    assert refused("models", capsys) == "tfdeepfake: /mnt/a.csv: the system refuses it (Read-only file system)."
    monkeypatch.setattr(cli.models, "run", lambda args: open(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError):  # a fault of the program, whose traceback is wanted
        main(["models"])


def test_a_reader_that_stops_early_is_no_error():
    code = "import sys\nfrom tfdeepfake.cli import main\n"
    code += "main.models.run = lambda args: [print('x' * 100) for _ in range(10_000)] and 0\n"
    code += "sys.exit(main.main(['models']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 0


def test_a_name_of_two_lines_is_told_in_one(given, tmp_path, capsys):
    (tmp_path / "two\nlines").mkdir()
    with pytest.raises(InputError):
        check_output_file(tmp_path / "two\nlines")
    assert main(["faces", str(given["image"]), "--out", str(tmp_path / "two\nlines")]) == 2
    assert "two lines: is a folder" in capsys.readouterr().err.splitlines()[0]
