"""dfdc_preview: splits, labels and persons of synthetic videos in the set's layout, and a build of it."""

import json

import pytest

from tfdeepfake.errors import InputError
from tfds_builders.core.manual import NO_FILE
from tfds_builders.core.testing import check_build, sources_of, splits_of, write_file, write_videos
from tfds_builders.dfdc_preview.listing import CROSSING, list_videos, read_dataset


def table(train=20, test=3):
    """{name: entry}: each person has a real video, and is swapped with the next two."""
    entries = {}
    for part, people in (("train", range(train)), ("test", range(train, train + test))):
        for k, a in enumerate(people):
            entries[f"original_videos/{1000 + a}/{1000 + a}_A_001.mp4"] = {"label": "real", "set": part}
            for step, method in ((1, "method_A"), (2, "method_B")):
                b = people[(k + step) % len(people)]
                name = f"{method}/{1000 + a}/{1000 + b}/{1000 + a}_{1000 + b}_A_001.mp4"
                entries[name] = {"label": "fake", "set": part}
    return entries


def test_each_file_has_its_split(tmp_path):
    entries = table()
    write_videos(tmp_path, entries)
    write_file(tmp_path, "dataset.json", json.dumps(entries | {"method_A/9999/8888/gone.mp4": entries[min(entries)]}))
    listing = list_videos(tmp_path)
    splits, sources = splits_of(listing.videos), sources_of(listing.videos)
    tests = {f"{1000 + n}" for n in range(20, 23)}
    assert sources["test"] == tests and len(splits["test"]) == 9 and len(sources["validation"]) == 2
    assert listing.left_out[NO_FILE] == ["method_A/9999/8888/gone.mp4"] and not listing.notes
    assert len(listing.videos) + len(listing.left_out[CROSSING]) == len(entries)
    people = {split: set() for split in splits}
    for v in listing.videos:
        assert v.label == (v.method != "original_videos") and v.name.startswith(v.source)
        people[v.split] |= {part for part in v.name.split("/")[-1].split("_") if len(part) == 4}
    assert not people["train"] & people["validation"] and not people["train"] & people["test"]


def test_persons_are_of_the_entry_where_it_has_them(tmp_path):
    entry = {"label": "fake", "set": "train", "target_id": 12, "swapped_id": "34"}
    write_file(tmp_path, "dataset.json", json.dumps({"method_A/x/12345.mp4": entry}))
    assert read_dataset(tmp_path / "dataset.json") == {"method_A/x/12345.mp4": (1, "train", ("12", "34"))}


def test_persons_of_both_sets_are_noted(tmp_path):
    entries = {f"original_videos/1000/{n}.mp4": {"label": "real", "set": ("train", "test")[n % 2]} for n in range(4)}
    write_file(tmp_path, "dataset.json", json.dumps(entries))
    for name in entries:
        write_file(tmp_path, name, "")
    assert list_videos(tmp_path).notes[0].startswith("2 training videos")


def test_what_is_missing_or_wrong_is_named(tmp_path):
    with pytest.raises(InputError, match="dataset.json.*missing.*dfdc"):
        list_videos(tmp_path)
    good = {"label": "real", "set": "train"}
    wrong = [good | {"label": "x"}, good | {"set": "x"}, good, 3]
    for text in ("", "{}", "[]", *(json.dumps({"original_videos/a.mp4": entry}) for entry in wrong)):
        write_file(tmp_path, "dataset.json", text)
        with pytest.raises(InputError, match="dataset.json"):
            list_videos(tmp_path)


def test_a_build(tmp_path):
    entries = table(train=3, test=2)
    write_videos(tmp_path / "set", entries)
    write_file(tmp_path / "set", "dataset.json", json.dumps(entries))
    check_build("dfdc_preview", tmp_path / "set", tmp_path / "data", list_videos(tmp_path / "set").videos)
