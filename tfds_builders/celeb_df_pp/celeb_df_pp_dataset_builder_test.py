"""celeb_df_pp: splits, labels, scenarios and persons of synthetic videos in the set's layout, and a build of it."""

import pytest

from tfdeepfake.errors import InputError
from tfds_builders.celeb_df_pp.listing import (
    CROSSING,
    LIST,
    NO_PERSON,
    SCENARIOS,
    UNKNOWN,
    list_videos,
    origins,
    persons,
    read_test_list,
)
from tfds_builders.core.manual import NO_FILE
from tfds_builders.core.testing import check_build, splits_of, subgroup_of, write_file, write_videos

SWAP, FACE, TALK = (f"Celeb-synthesis/{at}" for at in ("FaceSwap/GHOST", "FaceReenact/LIA", "TalkingFace/FLOAT"))
TESTS = f"""1 YouTube-real/00003.mp4
0 {SWAP}/id7_id6_0000.mp4
0 {TALK}/id7_0001_speech.mp4
0 {FACE}/id6_id7_0009.mp4
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Eight persons, all swapped and reenacted with all, one video of speech each, and five others."""
    folder = tmp_path_factory.mktemp("Celeb-DF++")
    names = [f"Celeb-real/id{a}_0000" for a in range(8)] + [f"YouTube-real/0000{n}" for n in range(5)]
    names += [f"{at}/id{a}_id{b}_0000" for at in (SWAP, FACE) for a in range(8) for b in range(8) if a != b]
    names += [f"{TALK}/id{a}_0001_speech" for a in range(8)]
    names += [f"{TALK}/unnamed", "Celeb-synthesis/FaceSwap/LIA/id0_id1_0000", "Celeb-synthesis/id0_id1_0000"]
    for name in names:
        write_file(folder, f"{name}.mp4", "")
    write_file(folder, LIST, TESTS)
    return folder


def test_each_file_has_its_split(tree):
    listing = list_videos(tree)
    by_split = splits_of(listing.videos)
    expected = {"YouTube-real/00003", "GHOST/FaceSwap/GHOST/id7_id6_0000", "FLOAT/TalkingFace/FLOAT/id7_0001_speech"}
    assert by_split["test"] == expected
    assert listing.left_out[NO_FILE] == [f"{FACE}/id6_id7_0009"]
    assert listing.left_out[NO_PERSON] == [f"{TALK}/unnamed"]
    assert len(listing.left_out[UNKNOWN]) == 2
    held = {v.source for v in listing.videos if v.split == "validation"}
    trained = {p for v in listing.videos if v.split == "train" for p in persons(v.method, v.name.rpartition("/")[2])}
    assert held and not held & trained
    assert {v.label for v in listing.videos if v.split == "validation"} == {0, 1}
    assert all(CROSSING not in v.name for v in listing.videos) and listing.left_out[CROSSING]
    scenarios = {v.method: v.subgroups["scenario"] for v in listing.videos}
    assert scenarios == {
        "Celeb-real": "real", "YouTube-real": "real", "GHOST": "FaceSwap", "LIA": "FaceReenact", "FLOAT": "TalkingFace"
    }  # fmt: skip


def test_methods_and_scenarios(tree):
    assert {v.method for v in list_videos(tree, ("GHOST",)).videos if v.label} == {"GHOST"}
    assert {v.method for v in list_videos(tree, ("FaceReenact", "FLOAT")).videos if v.label} == {"LIA", "FLOAT"}
    with pytest.raises(InputError, match="methods: has no 'Ghost'.*There are FaceSwap"):
        list_videos(tree, ("Ghost",))
    assert sum(map(len, SCENARIOS.values())) == 22


def test_persons_and_recordings_are_those_of_celeb_df():
    assert persons("SadTalker", "id0_id12_0003") == ("id0", "id12")
    assert origins("Celeb-real", "id0_0003", "id0") == ({"celeb_df:id0"}, {"celeb_df:id0_0003"})
    who, recordings = origins("GHOST", "FaceSwap/GHOST/id0_id1_0003", "id0")
    assert who == {"celeb_df:id0", "celeb_df:id1"} and recordings == {"celeb_df:id0_0003"}
    assert origins("YouTube-real", "00003", "youtube_00003")[0] == {"celeb_df:youtube_00003"}


@pytest.mark.parametrize("text", ["", "1 Celeb-synthesis/FaceSwap/GHOST/id0_id1_0000.mp4", "0 other/1.mp4", "x"])
def test_wrong_lists(tmp_path, text):
    (tmp_path / LIST).write_text(text)
    with pytest.raises(InputError, match=LIST):
        read_test_list(tmp_path / LIST)


def test_a_build(tmp_path):
    folder = tmp_path / "set"
    names = [f"Celeb-real/id{n}_0000.mp4" for n in range(3)] + ["YouTube-real/00003.mp4", f"{SWAP}/id0_id1_0000.mp4"]
    write_videos(folder, [*names, f"{SWAP}/id7_id6_0000.mp4"])
    write_file(folder, LIST, TESTS)
    summary = check_build("celeb_df_pp", folder, tmp_path / "data", list_videos(folder).videos)
    assert subgroup_of(summary, "scenario")["GHOST/FaceSwap/GHOST/id7_id6_0000"] == "FaceSwap"
