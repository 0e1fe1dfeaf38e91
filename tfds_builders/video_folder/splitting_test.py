"""Splits of anyone's videos: what was made of one another stays together, by names, folders, lists; and it is said."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tfdeepfake.data.video.write import write_image
from tfds_builders.video_folder.listing import list_folder
from tfds_builders.video_folder.sources import by_name, groups
from tfds_builders.video_folder.splitting import CROSSING


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def frames(folder, names, seed=0, height=16):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in names:
        write_image(folder / name, rng.integers(0, 256, (height, 24, 3), np.uint8))


def splits(listing):
    return {Path(v.name).stem: v.split for v in listing.videos}


def test_fakes_named_as_in_faceforensics_go_with_both_videos(tmp_path):
    pairs = [(f"{2 * n:03d}", f"{2 * n + 1:03d}") for n in range(10)]
    for a, b in pairs:
        touch(tmp_path, f"real/{a}.mp4", f"real/{b}.mp4", f"fake/swap/{a}_{b}.mp4", f"fake/swap/{b}_{a}.mp4")
    listing = list_folder(tmp_path)
    split = splits(listing)
    assert len(split) == 40 and set(split.values()) == {"train", "validation", "test"}
    for a, b in pairs:
        assert split[a] == split[b] == split[f"{a}_{b}"] == split[f"{b}_{a}"]
    assert {v.source for v in listing.videos if Path(v.name).stem in ("002", "002_003")} == {"002"}
    (note,) = listing.notes
    assert note == "20 fakes are named in the manner of FaceForensics++ (TTT_SSS): each is with its sources."


def test_fakes_named_as_in_celeb_df_keep_persons_apart(tmp_path):
    """Everybody is swapped with everybody of the same half: persons are held apart, fakes between them left out."""
    names = [f"real/id{a}_000{n}.mp4" for a in range(40) for n in range(2)]
    names += [f"fake/id{a}_id{(a + b) % 40}_0000.mp4" for a in range(40) for b in (1, 2, 3)]
    listing = list_folder(touch(tmp_path, *names))
    where = {}
    for v in listing.videos:
        for person in by_name(Path(v.name).stem, v.label == 1)[1]:
            where.setdefault(person, set()).add(v.split)
    assert len(where) == 40 and all(len(splits) == 1 for splits in where.values())
    left, kept = len(listing.left_out[CROSSING]), sum(v.label for v in listing.videos)
    assert left + kept == 120 and kept > 60
    assert any("Celeb-DF (idA_idB_NNNN): each is with its sources" in note for note in listing.notes)


def test_where_nearly_all_would_be_left_out_fakes_go_with_their_targets(tmp_path):
    names = [f"real/id{a}_0000.mp4" for a in range(5)]
    names += [f"fake/id{a}_id{b}_0000.mp4" for a in range(5) for b in range(5) if a != b]
    listing = list_folder(touch(tmp_path, *names))
    split = splits(listing)
    assert len(split) == 25 and all(split[f"id{a}_id{(a + 1) % 5}_0000"] == split[f"id{a}_0000"] for a in range(5))
    assert "with its target; the other person may be in another split" in listing.notes[0]


@pytest.mark.parametrize("layout", ["folders", "metadata alone", "parts"])
def test_dfdc_metadata_names_the_originals(tmp_path, layout):
    originals = [f"real{chr(97 + n)}.mp4" for n in range(12)]
    told = {name: {"label": "REAL", "split": "train"} for name in originals}
    told |= {f"x{n}{name}": {"label": "FAKE", "original": name} for name in originals for n in range(2)}
    for number, (name, entry) in enumerate(told.items()):
        below = {"folders": f"{entry['label'].lower()}/", "metadata alone": "", "parts": f"part_{number % 2}/"}[layout]
        touch(tmp_path, f"{below}{name}")
    for part in {"parts": ("part_0", "part_1")}.get(layout, (".",)):
        (tmp_path / part / "metadata.json").write_text(json.dumps(told))
    listing = list_folder(tmp_path)
    split = splits(listing)
    assert len(split) == 36 and set(split.values()) == {"train", "validation", "test"}
    assert all(split[f"x{n}{Path(name).stem}"] == split[Path(name).stem] for name in originals for n in range(2))
    assert sum(v.label for v in listing.videos) == 24
    assert any("24 fakes are named in the manner of DFDC (metadata.json)" in note for note in listing.notes)


def test_metadata_of_something_else_is_passed_over(tmp_path):
    touch(tmp_path, "real/a.mp4", "fake/b.mp4")
    (tmp_path / "metadata.json").write_text('{"a.mp4": 3, "version": [1]}')
    (tmp_path / "real" / "metadata.json").write_text("no JSON")
    assert len(list_folder(tmp_path).videos) == 2


def test_names_that_tell_nothing_are_warned_of(tmp_path):
    touch(tmp_path, *[f"real/anna{n}.mp4" for n in range(4)], *[f"fake/clip{n}.mp4" for n in range(4)])
    touch(tmp_path, "fake/notes.pdf")
    others, warning = list_folder(tmp_path).notes
    assert others == "1 are neither video nor image: notes.pdf."
    assert warning.startswith("warning: the splits of 8 of 8 videos rest on file names alone")
    # Real videos numbered like those of a published set are none of it where no fake is.
    touch(tmp_path / "other", "real/001.mp4", "real/002.mp4", "fake/b.mp4")
    assert "3 of 3 videos rest on file names" in list_folder(tmp_path / "other").notes[0]


def test_frames_of_a_video_stay_together(tmp_path):
    """Case 18: folders of frames, of one size and of many, and frames of many videos in one folder."""
    for label in ("real", "fake"):
        for n in range(4):
            frames(tmp_path / "a" / label / f"00{n}", ["0001.png", "0002.png", "0010.png"], n)
    listing = list_folder(tmp_path / "a")
    assert {v.name: v.path.is_dir() for v in listing.videos} == {
        f"{label}/00{n}": True for label in ("real", "fake") for n in range(4)
    }
    assert all(v.method == v.name.partition("/")[0] for v in listing.videos)
    assert "8 folders of numbered images are videos" in listing.notes[0]
    for label in ("real", "fake"):
        for n in range(4):
            for k in range(3):
                frames(tmp_path / "b" / label / f"00{n}", [f"{k}.png"], 9 * n + k, height=16 + k)
                frames(tmp_path / "c" / label, [f"{label}00{n}_{k}.png"], 9 * n + k)
    for part in ("b", "c"):
        listing = list_folder(tmp_path / part)
        where = {}
        for v in listing.videos:
            where.setdefault(v.source, set()).add(v.split)
        assert len(listing.videos) == 24 and len(where) == (4 if part == "b" else 8)
        assert all(len(splits) == 1 for splits in where.values())
        assert any(note.startswith("24 images are frames of ") for note in listing.notes)


@pytest.mark.parametrize(
    "names",
    [
        [*(f"{10 * n}_0.png" for n in range(9)), "20_1.png"],
        [f"{n}.{'png' if n % 2 else 'jpg'}" for n in range(10)],
        [f"0-00-{n:02d}.{n % 2}00.png" for n in range(10)],
    ],
    ids=["of frame and face", "in two formats", "of a clock"],
)
def test_images_of_one_folder_are_one_video_however_they_are_numbered(tmp_path, names):
    for label in ("real", "fake"):
        for n in range(3):
            for k, name in enumerate(names):
                frames(tmp_path / label / f"{label}_{n}", [name], k, height=16 + k)  # of faces: each of its own size
    listing = list_folder(tmp_path)
    where = {}
    for v in listing.videos:
        where.setdefault(Path(v.name).parent, set()).add(v.split)
    assert len(listing.videos) == 60 and len(where) == 6
    assert all(len(splits) == 1 for splits in where.values())


@pytest.mark.parametrize(
    "real, fake",
    [
        ("{0:03d}_c23.mp4", "{0:03d}_{1:03d}_c23.mp4"),
        ("id{0}_0000_{2}.png", "id{0}_id{1}_0000_{2}.png"),
        ("{0:03d}/{2}.png", "{0:03d}_{1:03d}/{2}.png"),
    ],
    ids=["FaceForensics++ with its compression", "frames of Celeb-DF", "crops of FaceForensics++"],
)
def test_fakes_go_with_their_sources_whatever_stands_behind_their_names(tmp_path, real, fake):
    for n in range(12):
        for k in range(3):
            for label, name in (("real", real), ("fake", fake)):
                path = tmp_path / label / name.format(n, n ^ 1, k)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path.with_suffix(".png"), np.full((16 + k, 16 + n, 3), 9 * n + k, np.uint8))
                path.with_suffix(".png").rename(path)
    listing = list_folder(tmp_path)
    where = {}
    for v in listing.videos:
        for person in re.findall(r"(?<!c)\d{1,3}(?=[_/])", v.name.removeprefix(v.method))[: v.label + 1]:
            where.setdefault(int(person), set()).add(v.split)
    assert len(where) == 12 and all(len(splits) == 1 for splits in where.values()), where
    assert any(" fakes are named in the manner of " in note for note in listing.notes)


def test_one_file_under_several_names_stays_in_one_split(tmp_path):
    for n in range(12):
        for label in ("real", "fake"):
            frames(tmp_path / label, [f"{label}{chr(97 + n)}.png"], 2 * n + (label == "fake"))
        given = tmp_path / "real" / f"real{chr(97 + n)}.png"
        shutil.copy(given, given.with_name(f"copy_{chr(97 + n)}.png"))
        os.link(given, given.with_name(f"hard_{chr(97 + n)}.png"))
        os.symlink(given, given.with_name(f"soft_{chr(97 + n)}.png"))
    shutil.copy(tmp_path / "real" / "reala.png", tmp_path / "fake" / "same.png")
    listing = list_folder(tmp_path)
    where = {}
    for v in listing.videos:
        where.setdefault((v.label, v.name[-5]), set()).add(v.split)
    assert all(len(splits) == 1 for splits in where.values())
    assert "49 files are 12 under several names: each stays in one split." in listing.notes
    assert (
        "warning: real/copy_a.png and fake/same.png are the same file, once called real and once fake." in listing.notes
    )


def test_one_file_that_stands_for_all_is_warned_of(tmp_path):
    for n in range(6):
        for label in ("real", "fake"):
            frames(tmp_path / label, [f"{label}{chr(97 + n)}.png"], int(label == "fake"))
    listing = list_folder(tmp_path)
    assert {v.split for v in listing.videos if v.label} == {"train", "validation", "test"}
    assert "warning: 12 files are 2 under several names, in several splits." in listing.notes


def test_photos_are_no_frames(tmp_path):
    frames(tmp_path / "real", [f"{n:05d}.png" for n in range(5)])
    frames(tmp_path / "fake", ["anna.png", "bert.png", "carl.png"])
    listing = list_folder(tmp_path)
    assert len({v.source for v in listing.videos}) == 8 and not any(v.path.is_dir() for v in listing.videos)


def test_the_column_split_goes_before_names_and_what_it_tears_apart_is_said(tmp_path):
    touch(tmp_path, "000.mp4", "001.mp4", "000_001.mp4", "001_000.mp4", "002.mp4", "002_003.mp4")
    rows = ["000.mp4,real,train", "001.mp4,real,val", "000_001.mp4,fake,train", "001_000.mp4,fake,", "002.mp4,real,"]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,split", *rows, "002_003.mp4,fake,test"]) + "\n")
    listing = list_folder(tmp_path)
    split = splits(listing)
    assert (split["000"], split["001"], split["000_001"]) == ("train", "validation", "train")
    assert split["002"] == split["002_003"] == "test"
    assert listing.left_out == {CROSSING: ["001_000.mp4"]}
    assert listing.notes[0] == "the column split says where 4 of 6 videos belong."
    assert (
        "warning: by their names 1 videos were made of others that the column split puts elsewhere" in listing.notes[-1]
    )


def test_the_column_source_goes_before_names(tmp_path):
    touch(tmp_path, "000.mp4", "000_001.mp4", "b.mp4")
    (tmp_path / "labels.csv").write_text(
        "file,label,source\n000.mp4,real,anna\n000_001.mp4,fake,bert\nb.mp4,fake,anna\n"
    )
    listing = list_folder(tmp_path)
    assert {v.name: v.source for v in listing.videos} == {"000.mp4": "anna", "000_001.mp4": "bert", "b.mp4": "anna"}
    assert listing.notes == ["the splits of 3 videos rest on the column source (2 sources)."]


def test_a_csv_may_name_folders_of_frames(tmp_path):
    frames(tmp_path / "clips" / "v.1", ["1.png", "2.png", "3.png"])
    touch(tmp_path, "a.mp4", "photos/notes.txt")
    (tmp_path / "labels.csv").write_text("path,label\nclips/v.1/,real\na.mp4,fake\n")
    assert {v.name: v.source for v in list_folder(tmp_path).videos} == {"clips/v.1": "v.1", "a.mp4": "a"}
    (tmp_path / "labels.csv").write_text("path,label\nphotos,real\na.mp4,fake\n")
    with pytest.raises(ValueError, match="line 2: there is no file 'photos'"):
        list_folder(tmp_path)


def test_linked_folders_are_read(tmp_path):
    """Case 17."""
    touch(tmp_path, "set/real/044_0.mp4", "set/fake/face_swap/044_001.mp4", "elsewhere/045_002.mp4")
    (tmp_path / "set" / "fake" / "learned").symlink_to(tmp_path / "elsewhere")
    videos = {v.name: v.method for v in list_folder(tmp_path / "set").videos}
    assert videos["fake/learned/045_002.mp4"] == "learned" and len(videos) == 3


def test_names_in_known_manners():
    assert by_name("071_054", True) == ("FaceForensics++ (TTT_SSS)", ("071", "054"))
    assert by_name("009_011_face_swap", True)[1] == ("009", "011") and by_name("000_0", False)[1] == ("000",)
    assert by_name("id3_id12_0005", True)[1] == ("id3", "id12") and by_name("ID3_0005", False)[1] == ("id3",)
    assert by_name("01_02__walking__YVGY8LOK", True)[1] == ("01", "02")
    assert by_name("0711_054", True) is None and by_name("071_054", False) is None and by_name("anna", False) is None


def test_groups():
    assert groups([("a", "b"), ("c",), ("b", "d"), ("e", "c"), ("f",)]) == ["a", "c", "a", "c", "f"]
