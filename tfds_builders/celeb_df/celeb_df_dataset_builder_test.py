"""celeb_df: splits, labels and persons of synthetic videos in the set's layout, and a build of it."""

import pytest

from tfdeepfake.errors import InputError
from tfds_builders.celeb_df.listing import CROSSING, LIST, SHARED, list_videos, persons, read_test_list, recording
from tfds_builders.core.manual import NO_FILE
from tfds_builders.core.testing import OFFICIAL, check_build, splits_of, write_file, write_videos

TESTS = """1 YouTube-real/00003.mp4
1 Celeb-real/id7_0001.mp4
0 Celeb-synthesis/id7_id6_0000.mp4
0 Celeb-synthesis/id6_id7_0009.mp4
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Eight persons with two recordings each, all swapped with all of the first recording, and five others."""
    folder = tmp_path_factory.mktemp("Celeb-DF-v2")
    names = [f"Celeb-real/id{a}_000{n}.mp4" for a in range(8) for n in range(2)]
    names += [f"Celeb-synthesis/id{a}_id{b}_0000.mp4" for a in range(8) for b in range(8) if a != b]
    names += [f"YouTube-real/0000{n}.mp4" for n in range(5)]
    write_videos(folder, names)
    write_file(folder, LIST, TESTS)
    return folder


def test_each_file_has_its_split(tree):
    listing = list_videos(tree)
    splits = splits_of(listing.videos)
    assert splits["test"] == {"YouTube-real/00003", "Celeb-real/id7_0001", "Celeb-synthesis/id7_id6_0000"}
    assert listing.left_out[NO_FILE] == ["Celeb-synthesis/id6_id7_0009"]
    held, trained = set(), set()
    for v in listing.videos:
        assert v.label == (v.method == "Celeb-synthesis")
        assert v.source == persons(v.method, v.name)[0]
        if v.split == "validation":
            held.add(v.source)
        elif v.split == "train":
            trained |= set(persons(v.method, v.name))
    assert held and not held & trained
    assert {v.label for v in listing.videos if v.split == "validation"} == {0, 1}
    (person,) = [one for one in held if one.startswith("id")]
    assert set(listing.left_out[CROSSING]) == {
        f"Celeb-synthesis/id{a}_{person}_0000" for a in range(8) if f"id{a}" != person
    } - {"Celeb-synthesis/id7_id6_0000"}
    assert "and recordings with 7 of its videos" in listing.notes[0]


def test_no_recordings_are_told_of_where_none_is_shared(tmp_path):
    for name in ("Celeb-real/id0_0000", "Celeb-real/id1_0000", "Celeb-synthesis/id0_id1_0000", "YouTube-real/00000"):
        write_file(tmp_path, f"{name}.mp4", "")
    write_file(tmp_path, LIST, "1 YouTube-real/00000.mp4\n")
    (note,) = list_videos(tmp_path).notes
    assert "shares persons with its training part: a network" in note


def test_recordings_of_the_test_can_be_left_out(tree):
    listing = list_videos(tree, "unshared")
    tested = {recording(v.method, v.name) for v in listing.videos if v.split == "test"}
    for v in listing.videos:
        assert v.split == "test" or recording(v.method, v.name) not in tested
    # id7_0000 real, its six other fakes; id6_0009 is in no file.
    assert len(listing.left_out[SHARED]) == 7 and not listing.notes
    with pytest.raises(InputError, match="official or unshared"):
        list_videos(tree, "all")


def test_names():
    assert persons("Celeb-synthesis", "id0_id12_0003") == ("id0", "id12")
    assert recording("Celeb-synthesis", "id0_id12_0003") == recording("Celeb-real", "id0_0003") == "id0_0003"
    assert persons("Celeb-real", "id0_id1_0003") is None and persons("Celeb-synthesis", "x") is None


@pytest.mark.parametrize(
    "text", ["", "1 Celeb-synthesis/id0_id1_0000.mp4", "0 YouTube-real/1.mp4", "YouTube-real/1.mp4"]
)
def test_wrong_lists(tmp_path, text):
    (tmp_path / LIST).write_text(text)
    with pytest.raises(InputError, match=LIST):
        read_test_list(tmp_path / LIST)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=f"nothing of the data set.*{LIST}, Celeb-real/.*github.com"):
        list_videos(tmp_path)
    (tmp_path / "YouTube-real").mkdir()
    with pytest.raises(InputError, match=f"{LIST}.*missing.*github.com"):
        list_videos(tmp_path)
    (tmp_path / LIST).write_text(TESTS)
    with pytest.raises(InputError, match="Celeb-real.*missing.*github.com"):
        list_videos(tmp_path)


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="needs the official lists in ../shared/splits")
def test_the_official_list():
    labels = read_test_list(OFFICIAL / "celeb_df_v2" / LIST)
    assert len(labels) == 518 and sum(labels.values()) == 340
    assert sum(name.startswith("YouTube-real") for name in labels) == 70
    assert all(persons(*name.split("/")) for name in labels)


def test_a_build(tmp_path):
    folder = tmp_path / "set"
    write_videos(folder, [f"Celeb-real/id{n}_0000.mp4" for n in range(3)] + ["YouTube-real/00003.mp4"])
    write_videos(folder, ["Celeb-synthesis/id0_id1_0000.mp4", "Celeb-synthesis/id7_id6_0000.mp4"])
    write_file(folder, LIST, TESTS)
    check_build("celeb_df", folder, tmp_path / "data", list_videos(folder).videos)
