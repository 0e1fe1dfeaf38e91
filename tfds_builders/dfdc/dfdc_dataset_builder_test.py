"""dfdc: splits, labels and originals of synthetic videos in the set's layout, and a build of it."""

import json

import pytest

from tfdeepfake.errors import InputError
from tfds_builders.core.manual import NO_FILE
from tfds_builders.core.testing import OFFICIAL, check_build, sources_of, splits_of, video_bytes, write_file
from tfds_builders.dfdc.listing import CROSSING, list_videos, read_labels, read_metadata


def write_part(folder, name, table, content=b"", files=None):
    write_file(folder, f"{name}/metadata.json", json.dumps(table))
    for video in table if files is None else files:
        write_file(folder, f"{name}/{video}", content)


def real():
    return {"label": "REAL", "split": "train", "original": None}


def fake(original):
    return {"label": "FAKE", "split": "train", "original": f"{original}.mp4"}


def parts(count, each=2):
    """{part: table}: `each` originals and two fakes of each."""
    tables = {}
    for n in range(count):
        table = {}
        for k in range(each):
            table |= {f"r{n}x{k}.mp4": real()} | {f"f{n}x{k}{c}.mp4": fake(f"r{n}x{k}") for c in "ab"}
        tables[f"dfdc_train_part_{n}"] = table
    return tables


def test_parts_are_held_apart(tmp_path):
    for name, table in parts(20).items():
        write_part(tmp_path, name, table)
    listing = list_videos(tmp_path)
    assert len(listing.videos) == 20 * 6 and not listing.left_out
    split_of = {v.name.split("/")[0]: v.split for v in listing.videos}
    assert sorted(split_of.values()).count("test") == sorted(split_of.values()).count("validation") == 2
    for v in listing.videos:
        stem = v.name.split("/")[1]
        assert v.split == split_of[v.name.split("/")[0]]
        assert v.label == (stem[0] == "f") and v.method == ("real", "fake")[v.label]
        assert v.source == ("r" + stem[1:-1] if v.label else stem)


def test_few_parts_are_split_by_original(tmp_path):
    for name, table in parts(2, each=10).items():
        write_part(tmp_path, name, table)
    sources = list(sources_of(list_videos(tmp_path).videos).values())
    assert [len(s) for s in sorted(sources, key=len)] == [2, 2, 16] and len(set().union(*sources)) == 20
    one_part = list_videos(tmp_path / "dfdc_train_part_1").videos
    assert {v.name.split("/")[0] for v in one_part} == {"dfdc_train_part_1"} and len(one_part) == 30


def test_test_and_validation_folders(tmp_path):
    for name, table in parts(12).items():
        write_part(tmp_path, f"train/{name}", table)
    write_part(tmp_path, "test", {"t1.mp4": {"is_fake": 1}}, files=["t1.mp4", "t2.mp4", "t3.mp4"])
    write_file(tmp_path, "test/labels.csv", "filename,label\nt1.mp4,1\nt2.mp4,0\nt4.mp4,0\n")
    listing = list_videos(tmp_path)
    splits = splits_of(listing.videos)
    assert splits["test"] == {"fake/test/t1", "real/test/t2"} and listing.left_out == {NO_FILE: ["test/t4"]}
    assert len(splits["validation"]) == 6 and len(splits["train"]) == 11 * 6
    write_part(tmp_path, "validation", {"v.mp4": {"is_fake": 0}})
    splits = splits_of(list_videos(tmp_path).videos)
    assert splits["validation"] == {"real/validation/v"} and len(splits["train"]) == 12 * 6


def test_a_fake_is_never_without_its_original(tmp_path):
    tables = parts(12)
    for n in range(
        12
    ):  # each part has fakes of an original of every other part, and one of an original that is missing
        more = {f"x{n}x{k}.mp4": fake(f"r{k}x0") for k in range(12) if k != n} | {f"y{n}.mp4": fake("gone")}
        write_part(tmp_path, f"dfdc_train_part_{n}", tables[f"dfdc_train_part_{n}"] | more)
    listing = list_videos(tmp_path)
    sources = sources_of(listing.videos).values()
    assert len(set().union(*sources)) == sum(map(len, sources)) == 25
    assert len(listing.left_out[CROSSING]) >= 2 * 10 + 2 * 10
    assert len(listing.videos) + len(listing.left_out[CROSSING]) == 12 * (6 + 11 + 1)


def test_what_is_missing_or_wrong_is_named(tmp_path):
    with pytest.raises(InputError, match="metadata.json.*missing.*dfdc"):
        list_videos(tmp_path)
    write_file(tmp_path, "dfdc_train_part_3/a.mp4", "")
    with pytest.raises(InputError, match="part_3.metadata.json.*missing"):
        list_videos(tmp_path)
    for text in (
        "",
        "[]",
        "{}",
        '{"a.mp4": 1}',
        '{"a.mp4": {"label": "MAYBE"}}',
        '{"a.mp4": {"label": "FAKE", "original": 3}}',
    ):
        write_file(tmp_path, "m.json", text)
        with pytest.raises(InputError, match="m.json"):
            read_metadata(tmp_path / "m.json")
    for text in ("", "name,label\na,1\n", "filename,label\na.mp4,2\n", "filename,label\na.mp4\n"):
        write_file(tmp_path, "labels.csv", text)
        with pytest.raises(InputError, match="labels.csv"):
            read_labels(tmp_path / "labels.csv")


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="needs the official lists in ../shared/splits")
def test_the_sample_of_kaggle(tmp_path):
    table = read_metadata(OFFICIAL / "dfdc" / "train_sample_videos_metadata.json")
    assert len(table) == 400 and sum(label for label, _ in table.values()) == 323
    text = (OFFICIAL / "dfdc" / "train_sample_videos_metadata.json").read_text()
    write_part(tmp_path, "train_sample_videos", json.loads(text))
    listing = list_videos(tmp_path)
    sources = sources_of(listing.videos)
    assert len(listing.videos) == 400 and len(set().union(*sources.values())) == sum(map(len, sources.values()))
    assert {v.label for v in listing.videos if v.split == "test"} == {0, 1}


def test_a_build(tmp_path):
    write_part(tmp_path / "set", "dfdc_train_part_7", parts(1, each=3)["dfdc_train_part_0"], video_bytes())
    check_build("dfdc", tmp_path / "set", tmp_path / "data", list_videos(tmp_path / "set").videos)
