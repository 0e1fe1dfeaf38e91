"""fake_av_celeb: labels, persons, subgroups and splits of synthetic videos in the set's layout, and a build of it."""

import pytest

from tfdeepfake.errors import InputError
from tfds_builders.core.manual import NO_FILE
from tfds_builders.core.testing import check_build, subgroup_of, write_file, write_videos
from tfds_builders.fake_av_celeb.listing import CROSSING, LIST, NO_ROW, TYPES, list_videos, origins, read_metadata

HEAD = "source,target1,target2,method,category,type,race,gender,path,\n"


def entries(persons=20):
    """(path below the folder, CSV line) of a video of each type for each person."""
    for n in range(persons):
        who, other = f"id{n:05d}", f"id{(n + 1) % persons:05d}"
        race, gender = ("African", "men") if n % 2 else ("Asian (East)", "women")
        for kind in TYPES:
            name = "00001.mp4" if kind == "RealVideo-RealAudio" else f"00001_{other}_x.mp4"
            method = "real" if kind == "RealVideo-RealAudio" else "rtvc" if kind.startswith("Real") else "faceswap"
            target = "-" if kind.startswith("Real") else other
            line = f"{who},{target},-,{method},A,{kind},{race},{gender},{name},FakeAVCeleb/{kind}/{race}/{gender}/{who}"
            yield f"{kind}/{race}/{gender}/{who}/{name}", line


def write_set(folder, write, persons=20):
    rows = list(entries(persons))
    write_file(folder, LIST, HEAD + "\n".join(line for _, line in rows) + "\n")
    write(folder, [path for path, _ in rows])


def empty(folder, names):
    for name in names:
        write_file(folder, name, "")


@pytest.mark.parametrize("inside", ["", "FakeAVCeleb_v1.2"])
def test_labels_methods_and_splits(tmp_path, inside):
    write_set(tmp_path / inside, empty)
    listing = list_videos(tmp_path)
    assert len(listing.videos) == 80 and not listing.left_out
    for v in listing.videos:
        assert v.label == v.name.startswith("FakeVideo") and v.name.split("/")[3] == v.source
        expected = "fake audio" if "RealVideo-FakeAudio" in v.name else "faceswap" if v.label else "real"
        assert v.method == expected and v.subgroups["race"] in ("African", "Asian (East)")
    splits = {}
    for v in listing.videos:
        splits.setdefault(v.source, set()).add(v.split)
    assert all(len(at) == 1 for at in splits.values()) and set.union(*splits.values()) == {
        "train",
        "validation",
        "test",
    }
    assert "20 videos with faked sound alone have an untouched face: label 0" in listing.notes[0]
    crossing = [
        v for v in listing.videos if v.label and splits[v.source] != splits[f"id{(int(v.source[2:]) + 1) % 20:05d}"]
    ]
    assert listing.notes[1].startswith(f"{len(crossing)} fakes") and crossing
    both = list_videos(tmp_path, "both")
    assert len(both.left_out[CROSSING]) == len(crossing) == 80 - len(both.videos) and len(both.notes) == 1


def test_what_is_missing_is_named(tmp_path):
    write_set(tmp_path, empty, persons=4)
    path = next(p for p in tmp_path.rglob("*.mp4") if "FakeVideo-FakeAudio" in str(p))
    path.rename(path.with_name("other.mp4"))
    left_out = list_videos(tmp_path).left_out
    assert len(left_out[NO_ROW]) == len(left_out[NO_FILE]) == 1 and "other" in left_out[NO_ROW][0]
    with pytest.raises(InputError, match="persons: needs shown or both"):
        list_videos(tmp_path, "all")
    (tmp_path / LIST).unlink()
    with pytest.raises(InputError, match=LIST):
        list_videos(tmp_path)


@pytest.mark.parametrize(
    "line, said",
    [
        ("", "names no video"),
        ("id00001,-,-,real,A,Real,African,men,1.mp4,\n", "no type is called 'Real'"),
        ("x,-,-,real,A,RealVideo-RealAudio,African,men,1.mp4,\n", "line 2: source is 'x'"),
    ],
)
def test_wrong_lists(tmp_path, line, said):
    write_file(tmp_path, LIST, HEAD + line)
    with pytest.raises(InputError, match=said):
        read_metadata(tmp_path / LIST)


def test_a_path_tells_both_persons():
    who, recordings = origins("faceswap", "FakeVideo-RealAudio/African/men/id00076/00109_id00166.mp4", "id00076")
    assert who == {"fake_av_celeb:id00076", "fake_av_celeb:id00166"} and recordings == {"fake_av_celeb:id00076"}


def test_a_build(tmp_path):
    write_set(tmp_path / "set", write_videos, persons=3)
    summary = check_build("fake_av_celeb", tmp_path / "set", tmp_path / "data", list_videos(tmp_path / "set").videos)
    assert set(subgroup_of(summary, "gender").values()) == {"men", "women"}
