"""kodf: splits, labels and persons of synthetic videos in the layout that public loaders read, and a build of it."""

import unicodedata
import uuid

import pytest

from tfdeepfake.errors import InputError
from tfds_builders.core.manual import NO_FILE
from tfds_builders.core.testing import check_build, sources_of, subgroup_of, write_file, write_videos
from tfds_builders.kodf.listing import CROSSING, IN_TEST, LISTS, list_videos, read_metadata

PEOPLE = [str(uuid.UUID(int=n * 2**100 + n)) for n in range(24)]


def write_set(folder, train, test, uuids=True):
    """A real video of each person and a fake of it by the next one, in 원천데이터/; the lists in 라벨링데이터/."""
    real = {n: f"r{n:02d}" for n in range(len(PEOPLE))}
    for part, people in (("train", train), ("test", test)):
        rows = ["\ufeff영상ID,인물성별", *(f"{real[n]}.mp4,{'FM'[n % 2]}" for n in people)]
        write_file(folder, f"라벨링데이터/{LISTS[part, 0]}", "\r\n".join(rows))
        rows = ["영상ID,변조모델,타겟영상,소스UUID,타겟UUID"]
        for n, source in zip(people, [*people[1:], people[0]], strict=True):
            fake = f"{real[n]}_{real[source]}_2_0001"
            rows.append(f"{fake}.mp4,{'dffs' if n % 2 else ''},{real[n]}.mp4,{PEOPLE[source]},{PEOPLE[n]}")
            write_videos(folder, [f"원천데이터/{part}_변조/{fake}.mp4"])
            write_videos(folder, [f"원천데이터/{part}_원본/{PEOPLE[n] if uuids else 'x'}/{real[n]}.mp4"])
        write_file(folder, f"라벨링데이터/{LISTS[part, 1]}", "\n".join(rows))


@pytest.mark.parametrize("uuids", [True, False])
def test_each_file_has_its_split(tmp_path, uuids):
    write_set(tmp_path, list(range(20)), [20, 21, 22, 23], uuids)
    listing = list_videos(tmp_path)
    sources = sources_of(listing.videos)
    assert len(set().union(*sources.values())) == sum(map(len, sources.values()))
    assert sources["test"] == {PEOPLE[n].replace("-", "") for n in range(20, 24)} and len(sources["validation"]) == 2
    for v in listing.videos:
        assert v.label == (len(v.name) > 3) and v.method == ("dffs" if v.label else "real")
        assert v.source == PEOPLE[int(v.name[1:3])].replace("-", "")
    assert {v.label for v in listing.videos if v.split == "train"} == {0, 1}
    assert len(listing.videos) + len(listing.left_out[CROSSING]) == 48


def test_persons_of_the_test_and_missing_files_are_left_out(tmp_path):
    write_set(tmp_path, list(range(20)), [19, 20, 21])
    (gone,) = tmp_path.rglob("r03.mp4")
    gone.unlink()
    for path in list(tmp_path.rglob("*.csv")):
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    listing = list_videos(tmp_path)
    assert {"r19", "r18_r19_2_0001"} <= set(listing.left_out[IN_TEST]) and listing.left_out[NO_FILE] == ["r03"]


def test_what_is_missing_or_wrong_is_named(tmp_path):
    with pytest.raises(InputError, match="training.*missing.*aihub"):
        list_videos(tmp_path)
    for label, text in ((0, ""), (0, "영상ID\n"), (0, "name\na.mp4\n"), (1, "영상ID\na.mp4\n"), (0, "영상ID,x\n,1\n")):
        write_file(tmp_path, "m.csv", text)
        with pytest.raises(InputError, match="m.csv"):
            read_metadata(tmp_path / "m.csv", label)


def test_a_build(tmp_path):
    write_set(tmp_path / "set", [0, 1, 2], [20, 21])
    videos = list_videos(tmp_path / "set").videos
    # A fake's row has no gender here: it is that of its target.
    assert {v.subgroups["gender"] for v in videos} == {"F", "M"}
    assert all(v.subgroups["gender"] == "FM"[int(v.name[1:3]) % 2] for v in videos)
    summary = check_build("kodf", tmp_path / "set", tmp_path / "data", videos)
    assert subgroup_of(summary, "gender") == {f"{v.method}/{v.name}": v.subgroups["gender"] for v in videos}
