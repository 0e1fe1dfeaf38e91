"""df40: domains, labels and splits of synthetic images in the set's layout, and a build of it."""

import json

import cv2
import numpy as np
import pytest

from tfdeepfake.errors import InputError
from tfds_builders.core.testing import check_build, write_file
from tfds_builders.df40.listing import CROSSING, NO_ID, NO_LISTS, ids_of, list_videos, origins

PAIRS = {"train": [["000", "001"], ["002", "003"]], "val": [["004", "005"]], "test": [["006", "007"]]}


def png(seed, height=24, width=32):
    """PNG of a random colour to a quarter."""
    colours = np.random.default_rng(seed).integers(20, 236, (2, 2, 3), np.uint8)
    return cv2.imencode(".png", np.repeat(np.repeat(colours, height // 2, 0), width // 2, 1))[1].tobytes()


def write_frames(folder, name, count=4):
    for n in range(count):
        write_file(folder, f"{name}/{n:03d}.png", png(n))


def write_set(folder, lists=True):
    for a, b in sum(PAIRS.values(), []):
        for target, source in ((a, b), (b, a)):
            write_frames(folder, f"simswap/ff/frames/{target}_{source}")
            write_frames(folder, f"FaceForensics++/original_sequences/youtube/c23/frames/{target}")
    write_frames(folder, "simswap/ff/frames/000_007")
    write_frames(folder, "simswap/cdf/frames/id0_id1_0000")
    write_frames(folder, "Celeb-DF-v2/Celeb-real/frames/id0_0000")
    write_frames(folder, "Celeb-DF-v2/Celeb-synthesis/frames/id0_id1_0000")
    for n, name in enumerate(("DiT/ff/unnamed", "stargan/fake/ab", "stargan/fake/cde", "stargan/real/ab")):
        write_file(folder, f"{name}.png", png(n))
    if lists:
        for name, pairs in PAIRS.items():
            write_file(folder, f"{name}.json", json.dumps(pairs))


def test_domains_labels_and_splits(tmp_path):
    write_set(tmp_path)
    listing = list_videos(tmp_path)
    videos = {v.name: (v.method, v.label, v.split) for v in listing.videos}
    assert videos["simswap/ff/frames/004_005"] == ("simswap", 1, "validation")
    assert videos["simswap/ff/frames/007_006"] == ("simswap", 1, "test")
    assert videos["FaceForensics++/original_sequences/youtube/c23/frames/001"] == ("real", 0, "train")
    assert videos["simswap/cdf/frames/id0_id1_0000"] == ("simswap", 1, "test")
    assert videos["Celeb-DF-v2/Celeb-real/frames/id0_0000"] == ("real", 0, "test")
    assert videos["stargan/fake/ab"] == ("stargan", 1, "test") and videos["stargan/real/ab"] == ("real", 0, "test")
    assert not any("Celeb-synthesis" in name for name in videos), "fakes of Celeb-DF itself are none of DF40's"
    assert listing.left_out == {CROSSING: ["simswap/ff/frames/000_007"], NO_ID: ["DiT/ff/unnamed"]}
    assert len(videos) == 8 + 8 + 2 + 3 and not listing.notes
    only = list_videos(tmp_path, methods=("stargan",)).videos
    assert {v.name.partition("/")[0] for v in only} == {"stargan"}
    assert {v.split for v in list_videos(tmp_path, domains=("cdf",)).videos} == {"test"}


def test_without_lists_no_pair_is_torn_and_it_is_said(tmp_path):
    write_set(tmp_path, lists=False)
    listing = list_videos(tmp_path, domains=("ff",))
    assert listing.notes == [NO_LISTS]
    splits = {}
    for v in listing.videos:
        splits.setdefault(v.source, set()).add(v.split)
    assert all(len(at) == 1 for at in splits.values()) and len(set.union(*splits.values())) == 3


def test_training_and_test_downloads_beside_each_other(tmp_path):
    for part, ids in (("train", range(0, 40, 2)), ("test", range(50, 54, 2))):
        for n in ids:
            write_frames(tmp_path, f"{part}/fomm/ff/frames/{n:03d}_{n + 1:03d}", count=3)
    listing = list_videos(tmp_path)
    counts = {s: sum(v.split == s for v in listing.videos) for s in ("train", "validation", "test")}
    assert counts == {"train": 18, "validation": 2, "test": 2}


def test_names():
    assert ids_of("ff", "071_054") == ("071", "054") and ids_of("ff", "071") == ("071",) and ids_of("ff", "0715") == ()
    assert ids_of("cdf", "id0_id12_0003") == ("id0", "id12") and ids_of("unknown", "071") == ()
    assert origins("simswap", "simswap/ff/frames/071_054", "071")[0] == {"ff++:071", "ff++:054"}
    assert origins("simswap", "simswap/cdf/frames/id0_id1_0000", "id0")[0] == {"celeb_df:id0", "celeb_df:id1"}
    assert origins("real", "FaceForensics++/original_sequences/youtube/c23/frames/071", "071")[0] == {"ff++:071"}


def test_what_is_wrong_is_named(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(InputError, match="holds no folder METHOD/ff"):
        list_videos(tmp_path)
    write_set(tmp_path)
    with pytest.raises(InputError, match="methods: has no 'fomm'.*There are DiT, simswap, stargan"):
        list_videos(tmp_path, methods=("fomm",))
    with pytest.raises(InputError, match="domains: has no 'web'"):
        list_videos(tmp_path, domains=("web",))
    (tmp_path / "val.json").write_text("[]")
    with pytest.raises(InputError, match="val.json"):
        list_videos(tmp_path)


def test_a_build(tmp_path):
    write_set(tmp_path / "set")
    expected = list_videos(tmp_path / "set", domains=("ff",)).videos
    check_build("df40", tmp_path / "set", tmp_path / "data", expected, input_type="clip", domains=("ff",))
