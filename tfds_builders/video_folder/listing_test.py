"""What a folder or a CSV file says about its videos, and what can be wrong with it."""

import os

import numpy as np
import pytest

from tfdeepfake.data.video.write import write_image
from tfdeepfake.errors import InputError
from tfds_builders.video_folder.listing import landscape_only, list_folder, list_videos, read_table


def table(folder, text, encoding="utf-8"):
    for n in range(4):
        (folder / f"{n}.mp4").touch()
    path = folder / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


GOOD = "file,label\n0.mp4,real\n1.mp4,1\n2.mp4, FAKE \n3.mp4,0\n"


def test_a_label_file(tmp_path):
    for encoding in ("utf-8", "utf-8-sig"):
        listing = list_videos(table(tmp_path, GOOD.replace("\n", "\r\n"), encoding).parent)
        assert [(v.name, v.label, v.method, v.source) for v in listing] == [
            ("0.mp4", 0, "real", "0"),
            ("1.mp4", 1, "fake", "1"),
            ("2.mp4", 1, "fake", "2"),
            ("3.mp4", 0, "real", "3"),
        ]
    text = "label,file,source,method,split,note\nreal,0.mp4,a,,,x\nfake,1.mp4,a,swap,,\n"
    text += "real,2.mp4,b,,test,\nfake,3.mp4,c,,,\n"
    listing = {v.name: v for v in list_videos(table(tmp_path, text))}
    assert listing["0.mp4"].split == listing["1.mp4"].split and listing["2.mp4"].split == "test"
    assert listing["1.mp4"].method == "swap"


def test_a_label_file_of_a_spreadsheet(tmp_path):
    text = f"Path;Label;Split\r\n{tmp_path / '0.mp4'};REAL;val\r\n1.mp4;Fake;Test\r\n.\\2.mp4;real;train\r\n"
    videos = list_videos(table(tmp_path, text, "utf-8-sig"))
    assert {(v.path.name, v.label, v.split) for v in videos} == {
        ("0.mp4", 0, "validation"),
        ("1.mp4", 1, "test"),
        ("2.mp4", 0, "train"),
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("file,label\n", "no lines"),
        ("file:label\n0.mp4:real\n", "line 1: the columns file and label are missing; there is file:label"),
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
    assert caught.value.subject == str(path) and caught.value.remedy


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
    (tmp_path / "fake" / "b.mp4").touch()
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("some,other\nlist,1\n")
    assert [v.name for v in list_videos(tmp_path)] == ["fake/b.mp4", "real/a.mp4"]
    (tmp_path / "real").rename(tmp_path / "genuine")
    with pytest.raises(InputError, match="holds 2 CSV files.*labels.csv"):
        list_videos(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "fake").mkdir(mode=0)
    with pytest.raises(InputError, match="cannot be read"):
        list_videos(tmp_path)


def test_subfolders(tmp_path):
    for name in ("real/r0.mp4", "fake/swap/f0.avi", "fake/f1.MOV", "fake/notes.txt", "fake/.hidden/h.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listing = {v.name: (v.label, v.method, v.source) for v in list_videos(tmp_path)}
    assert listing == {
        "real/r0.mp4": (0, "real", "r0"),
        "fake/swap/f0.avi": (1, "swap", "f0"),
        "fake/f1.MOV": (1, "fake", "f1"),
    }


def test_only_landscape_videos_are_kept_and_the_others_named(tmp_path):
    for name in ("real", "fake"):
        (tmp_path / name).mkdir()
        for kind, size in (("wide", (30, 40)), ("high", (40, 30)), ("square", (30, 30))):
            write_image(tmp_path / name / f"{name}_{kind}.png", np.zeros((*size, 3), np.uint8))
    (tmp_path / "fake" / "broken.mp4").write_bytes(b"no video")
    listing = landscape_only(list_folder(tmp_path))
    assert [v.name for v in listing.videos] == ["fake/broken.mp4", "fake/fake_wide.png", "real/real_wide.png"]
    left_out = ["fake/fake_high.png", "fake/fake_square.png", "real/real_high.png", "real/real_square.png"]
    assert listing.left_out == {"not landscape": left_out}
    for name in ("real/real_wide.png", "fake/fake_wide.png", "fake/broken.mp4"):
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match="landscape: leaves none of the 4 videos"):
        landscape_only(list_folder(tmp_path))
