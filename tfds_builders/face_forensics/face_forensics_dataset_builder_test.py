"""face_forensics: splits, labels and sources of synthetic videos in the set's layout, and a build of it."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdeepfake.data.video import write_video
from tfdeepfake.errors import InputError
from tfds_builders.core.manual import NO_FILE, NOT_LISTED
from tfds_builders.core.testing import OFFICIAL, check_build, sources_of, splits_of, write_file, write_videos
from tfds_builders.face_forensics.listing import (
    ACTOR_SPLITS,
    ALL_METHODS,
    CROSSING,
    LISTS,
    METHODS,
    NO_MASK,
    list_videos,
    read_pairs,
    read_splits,
)

PAIRS = {"train": [["071", "054"], ["087", "081"]], "val": [["720", "672"]], "test": [["953", "974"]]}


def youtube(pairs, compression="c23"):
    return [f"original_sequences/youtube/{compression}/videos/{one}.mp4" for pair in pairs for one in pair]


def fakes(method, pairs, compression="c23"):
    both = [name for a, b in pairs for name in (f"{a}_{b}", f"{b}_{a}")]
    return [f"manipulated_sequences/{method}/{compression}/videos/{name}.mp4" for name in both]


def write_lists(folder, pairs=None, below=""):
    for split, rows in (pairs or PAIRS).items():
        write_file(folder, f"{below}{split}.json", json.dumps(rows))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Four pairs in c23 and all methods, one pair in c40, and four videos of actors."""
    folder = tmp_path_factory.mktemp("FaceForensics++ é")
    write_lists(folder, below="dataset/splits/")
    pairs = sum(PAIRS.values(), [])
    names = youtube(pairs) + [name for method in ALL_METHODS[:-1] for name in fakes(method, pairs)]
    names += youtube(PAIRS["test"], "c40") + fakes("Deepfakes", PAIRS["test"], "c40")
    write_videos(folder, names)
    return folder


def test_each_file_has_its_official_split(tree):
    listing = list_videos(tree)
    assert splits_of(listing.videos)["validation"] == {"youtube/720", "youtube/672"} | {
        f"{method}/{name}" for method in METHODS for name in ("720_672", "672_720")
    }
    assert len(listing.videos) == 8 * 5 and not listing.left_out
    for v in listing.videos:
        assert v.label == (v.method != "youtube")
        key = {"train": "train", "validation": "val", "test": "test"}[v.split]
        assert v.source.split("_") in PAIRS[key] and v.name[:3] in v.source
    sources = list(sources_of(listing.videos).values())
    assert len(set().union(*sources)) == sum(map(len, sources)) == 4


def test_methods_and_compression_are_chosen(tree):
    listing = list_videos(tree, "c40", ("Deepfakes",))
    assert splits_of(listing.videos) == {
        "test": {"youtube/953", "youtube/974", "Deepfakes/953_974", "Deepfakes/974_953"}
    }
    assert len(listing.left_out[NO_FILE]) == 2 * 6 and "Deepfakes/054_071" in listing.left_out[NO_FILE]
    assert {v.method for v in list_videos(tree, methods=("FaceShifter",)).videos} == {"youtube", "FaceShifter"}
    for options in ({"compression": "c29"}, {"methods": ("deepfakes",)}, {"methods": ()}):
        with pytest.raises(InputError, match="needs"):
            list_videos(tree, **options)


def test_fakes_of_no_listed_pair_are_left_out(tmp_path):
    write_lists(tmp_path)
    names = youtube(PAIRS["train"]) + fakes("FaceSwap", PAIRS["train"])
    names += fakes("FaceSwap", [["071", "953"]])[:1] + youtube([["999"]])
    for name in names:
        write_file(tmp_path, name, "")
    listing = list_videos(tmp_path, methods=("FaceSwap",))
    assert listing.left_out[NOT_LISTED] == ["youtube/999", "FaceSwap/071_953"] and len(listing.videos) == 8


def test_actors_are_held_out(tmp_path):
    real = [f"original_sequences/actors/raw/videos/{a}__kitchen_pan.mp4" for a in ACTOR_SPLITS]
    fake = [(a, b) for a in ACTOR_SPLITS for b in ACTOR_SPLITS if a != b]
    names = [f"manipulated_sequences/DeepFakeDetection/raw/videos/{a}_{b}__kitchen_pan__AB12CD34.mp4" for a, b in fake]
    names.append("manipulated_sequences/DeepFakeDetection/raw/videos/01_99__kitchen_pan__AB12CD34.mp4")
    for name in real + names:
        write_file(tmp_path, name, "")
    listing = list_videos(tmp_path, "raw", ("DeepFakeDetection",))  # no lists are needed
    actors_per_split = [list(ACTOR_SPLITS.values()).count(s) for s in ("train", "validation", "test")]
    assert actors_per_split == [18, 4, 6]
    for split, n in zip(("train", "validation", "test"), actors_per_split, strict=True):
        here = [v for v in listing.videos if v.split == split]
        assert sum(v.label == 0 for v in here) == n and sum(v.label for v in here) == n * (n - 1)
        assert all({ACTOR_SPLITS[a] for a in v.name.split("__")[0].split("_")} == {split} for v in here)
        assert all(v.source == f"actor{v.name[:2]}" for v in here)
    same_split = sum(n * (n - 1) for n in actors_per_split)
    assert len(listing.left_out[CROSSING]) == 28 * 27 - same_split and len(listing.left_out[NOT_LISTED]) == 1


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"train\.json.*missing.*github.com/ondyari"):
        list_videos(tmp_path)
    write_lists(tmp_path)
    with pytest.raises(InputError, match=r"youtube.c23.videos.*missing.*github.com/ondyari"):
        list_videos(tmp_path)
    write_videos(tmp_path, youtube(PAIRS["train"]))
    with pytest.raises(InputError, match=r"Deepfakes.c23.videos"):
        list_videos(tmp_path)


@pytest.mark.parametrize("text", ["", "[", "{}", "[]", '["071"]', '[["071"]]', '[["71", "054"]]', "[[71, 54]]"])
def test_wrong_lists(tmp_path, text):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(InputError, match="train.json"):
        read_pairs(tmp_path / "train.json")


def test_an_id_in_two_lists_is_an_error(tmp_path):
    write_lists(tmp_path, PAIRS | {"val": [["720", "071"]]})
    with pytest.raises(InputError, match="071.*train already"):
        read_splits(tmp_path)


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="needs the official lists in ../shared/splits")
def test_the_official_lists():
    table = read_splits(OFFICIAL / "faceforensics")
    counts = {split: sum(at == split for at, _ in table.values()) for split in ("train", "validation", "test")}
    assert counts == {"train": 720, "validation": 140, "test": 140} and len(set(table)) == 1000


@pytest.mark.skipif(not (OFFICIAL.parent / "real").is_dir(), reason="needs the videos in ../shared/real")
def test_videos_of_the_set_get_their_official_splits(tmp_path):
    for name in LISTS.values():
        write_file(tmp_path, f"splits/{name}", (OFFICIAL / "faceforensics" / name).read_text())
    names = {
        "original_sequences/youtube/c23/videos/004.mp4": "real/ffpp_c23_004.mp4",
        "original_sequences/youtube/c23/videos/519.mp4": "real/ffpp_c23_519.mp4",
        "manipulated_sequences/Deepfakes/c23/videos/519_515.mp4": "fake/ffpp_c23_DF_519_515.mp4",
        "manipulated_sequences/NeuralTextures/c23/videos/004_982.mp4": "fake/ffpp_c23_NT_004_982.mp4",
    }
    for name, file in names.items():
        write_file(tmp_path, name, "")
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to(OFFICIAL.parent / "real" / file)
    listing = list_videos(tmp_path, methods=("Deepfakes", "NeuralTextures"))
    assert splits_of(listing.videos) == {
        "train": {"youtube/519", "Deepfakes/519_515"},
        "validation": {"youtube/004", "NeuralTextures/004_982"},
    }
    assert len(listing.left_out[NO_FILE]) == 3 * 1000 - 4


def test_masks(tmp_path):
    """One fake has a mask, one a damaged one, two have none; the mask is white on the left."""
    pairs, folder = PAIRS["test"], tmp_path / "set"
    write_lists(folder)
    write_videos(folder, youtube(pairs, "c40") + fakes("Deepfakes", pairs, "c40") + fakes("FaceShifter", pairs, "c40"))
    white = np.zeros((6, 64, 96, 3), np.uint8)
    white[:, :, :48] = 255
    masks = "manipulated_sequences/Deepfakes/masks/videos/"
    write_video(folder / masks / "953_974.mp4", white, 25, crf=10)
    write_file(folder, masks + "974_953.mp4", "damaged")
    options = {"compression": "c40", "methods": ("Deepfakes", "FaceShifter"), "masks": True}
    listing = list_videos(folder, **options)
    assert sorted(listing.left_out[NO_MASK]) == ["FaceShifter/953_974", "FaceShifter/974_953"]
    assert {v.name: v.mask and v.mask.name for v in listing.videos} == {
        "953": "", "974": "", "953_974": "953_974.mp4", "974_953": "974_953.mp4",
    }  # fmt: skip
    expected = [v for v in listing.videos if v.name != "974_953"]
    summary = check_build("face_forensics", folder, tmp_path / "data", expected, **options)
    assert "masksTrue" in summary["version"] and summary["left_out"][NO_MASK] == 2
    (lost,) = summary["coverage"]["test"]["unreadable"]
    assert lost["video"] == "974_953" and "its mask" in lost["reason"] and masks + "974_953.mp4" in lost["reason"]
    builder = tfds.builder_from_directory(summary["path"])
    for example in tfds.as_numpy(builder.as_dataset(split="test")):
        mask = example["mask"]
        assert mask.shape == (4, 24, 32, 1) and mask.dtype == np.uint8
        if example["label"]:
            assert mask[:, :, :14].min() > 240 and mask[:, :, 18:].max() < 15
        else:
            assert not mask.any()


def test_a_build(tree, tmp_path):
    expected = list_videos(tree, "c40", ("Deepfakes",)).videos
    summary = check_build("face_forensics", tree, tmp_path, expected, compression="c40", methods="Deepfakes")
    assert summary["splits"] == {"test": 4} and summary["left_out"] == {NO_FILE: 12}
    assert "compressionc40_methodsDeepfakes" in summary["version"]
