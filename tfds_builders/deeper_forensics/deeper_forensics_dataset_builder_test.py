"""deeper_forensics: splits, labels and actors of synthetic videos in the set's layout, and a build of it."""

import json

import pytest

from tfdeepfake.errors import InputError
from tfds_builders.core.manual import NO_FILE, NOT_LISTED
from tfds_builders.core.testing import (
    OFFICIAL,
    check_build,
    sources_of,
    splits_of,
    subgroup_of,
    write_file,
    write_videos,
)
from tfds_builders.deeper_forensics.listing import (
    OVERLAP,
    list_videos,
    overlap,
    read_distortions,
    read_list,
    read_splits,
)  # fmt: skip

NAMES = {"train": ["000_M101", "002_M101", "003_W102"], "val": ["059_M118"], "test": ["001_W101", "005_W101"]}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("DeeperForensics-1.0")
    for split, names in NAMES.items():
        write_file(folder, f"lists/splits/{split}.txt", "".join(f"{name}.mp4\n" for name in names))
    everyone = sum(NAMES.values(), [])
    actors = {name[4:] for name in everyone}
    names = [f"manipulated_videos/{v}/{n}.mp4" for v in ("end_to_end", "end_to_end_level_5") for n in everyone]
    names += [f"source_videos/{actor}/camera_front/angry.mp4" for actor in actors]
    names += [f"original_sequences/youtube/c23/videos/{name[:3]}.mp4" for name in everyone]
    write_videos(folder, names)
    write_file(folder, "train.json", json.dumps([["001", "870"]]))
    return folder


def test_each_file_has_its_official_split(tree):
    listing = list_videos(tree)
    splits = splits_of(listing.videos)
    real = "source_videos/{}/camera_front/angry".format
    assert splits == {
        "train": {*(f"end_to_end/{n}" for n in NAMES["train"]), real("M101"), real("W102")},
        "validation": {"end_to_end/059_M118", real("M118")},
        "test": {"end_to_end/001_W101", "end_to_end/005_W101", real("W101")},
    }
    assert all(v.label == (v.method == "end_to_end") for v in listing.videos) and not listing.left_out
    assert sources_of(listing.videos) == {"train": {"M101", "W102"}, "validation": {"M118"}, "test": {"W101"}}


def test_variants_targets_and_the_overlap(tree):
    listing = list_videos(tree, ("end_to_end", "end_to_end_level_5"), ("targets",))
    assert {v.method for v in listing.videos} == {"end_to_end", "end_to_end_level_5", "targets"}
    assert all(v.label == (v.method != "targets") for v in listing.videos) and len(listing.videos) == 18
    less = list_videos(tree, ("end_to_end",), ("targets",), drop_overlap=True)
    assert less.left_out == {OVERLAP: ["end_to_end/001_W101", "targets/001"]}
    for wrong in ({"variants": ()}, {"real": ("both",)}, {"variants": ("end",)}):
        with pytest.raises(InputError):
            list_videos(tree, **wrong)


def test_files_that_are_missing_or_in_no_list(tree, tmp_path):
    for split, names in NAMES.items():
        write_file(tmp_path, f"{split}.txt", "\n".join(f"{name}.mp4" for name in names))
    for name in ("manipulated_videos/end_to_end/000_M101", "manipulated_videos/end_to_end/777_M101"):
        write_file(tmp_path, f"{name}.mp4", "")
    write_file(tmp_path, "source_videos/M999/x.mp4", "")
    listing = list_videos(tmp_path)
    assert listing.left_out[NOT_LISTED] == ["end_to_end/777_M101", "source_videos/M999/x"]
    assert len(listing.left_out[NO_FILE]) == 5 and len(listing.videos) == 1


def test_what_is_missing_or_wrong_is_named(tmp_path):
    with pytest.raises(InputError, match="train.txt.*missing.*DeeperForensics"):
        list_videos(tmp_path)
    for text in ("", "000_M101", "000_X101.mp4"):
        write_file(tmp_path, "train.txt", text)
        with pytest.raises(InputError, match="train.txt"):
            read_list(tmp_path / "train.txt")
    write_file(tmp_path, "train.txt", "000_M101.mp4")
    write_file(tmp_path, "val.txt", "001_M101.mp4")
    with pytest.raises(InputError, match="val.txt.*M101.*train already"):
        read_splits(tmp_path)
    write_file(
        tmp_path, "meta.txt", "manipulated_videos/x/000_M101.mp4 VC:4\n\nmanipulated_videos/x/000_M101.mp4 VC:6\n"
    )
    with pytest.raises(InputError, match="meta.txt.*line 3"):
        read_distortions(tmp_path / "meta.txt")


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="needs the official lists in ../shared/splits")
def test_the_official_lists():
    from tfds_builders.face_forensics.listing import read_pairs

    folder = OFFICIAL / "deeperforensics"
    table = read_splits(folder)
    assert [list(table.values()).count(split) for split in ("train", "validation", "test")] == [703, 96, 201]
    trained = {one for pair in read_pairs(OFFICIAL / "faceforensics" / "train.json") for one in pair}
    assert sum(table[name] == "test" for name in overlap(table, trained)) == 138
    distortions = read_distortions(folder / "manipulated_videos_end_to_end_mix_3_distortions_meta.txt")
    assert len(distortions) == 1000 and {len(levels) for levels in distortions.values()} == {3}
    assert distortions["end_to_end_mix_3_distortions/000_M101"] == {"VC": 4, "BW": 5, "CC": 1}


def test_distortions_are_a_subgroup(tree, tmp_path):
    variants = ("end_to_end", "end_to_end_level_5")
    lines = [f"manipulated_videos/end_to_end_level_5/{name}.mp4 VC:5 BW:1\n" for name in NAMES["train"]]
    listed = tree / "lists/manipulated_videos_distortions_meta/end_to_end_level_5_meta.txt"
    write_file(tree, listed.relative_to(tree), "".join(lines))
    videos = list_videos(tree, variants, ("source_videos", "targets")).videos
    for v in videos:
        told = "VC:5 BW:1" if v.split == "train" else ""
        assert v.subgroups == {"distortions": told if v.method == "end_to_end_level_5" else "none"}
    chosen = list_videos(tree, ("end_to_end_level_5",)).videos
    summary = check_build("deeper_forensics", tree, tmp_path, chosen, variants="end_to_end_level_5")
    assert subgroup_of(summary, "distortions") == {f"{v.method}/{v.name}": v.subgroups["distortions"] for v in chosen}
    listed.unlink()


def test_a_build(tree, tmp_path):
    check_build("deeper_forensics", tree, tmp_path, list_videos(tree).videos)
