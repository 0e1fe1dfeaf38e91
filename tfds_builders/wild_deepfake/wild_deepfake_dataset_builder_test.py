"""wild_deepfake: splits and labels of synthetic archives in the set's layout, frames out of them, and a build."""

import io
import tarfile

import numpy as np
import pytest

from tfdeepfake.data import video
from tfdeepfake.errors import InputError
from tfds_builders.core.testing import check_build, sources_of, write_file
from tfds_builders.wild_deepfake.listing import OTHER, list_videos, sequence_of, unpack


def images(seed, count=6, size=32):
    """uint8 RGB [count, size, size, 3], and the PNG file of each."""
    import cv2

    frames = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)
    return frames, [cv2.imencode(".png", frame[..., ::-1])[1].tobytes() for frame in frames]


def write_archive(folder, name, files, mode="w"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for inside, data in files.items():
            member = tarfile.TarInfo(inside)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write_set(folder, shards=4, sequences=2):
    """Archives of numbered frames, which are not stored in their order."""
    for part in ("real_train", "real_test", "fake_train", "fake_test"):
        for shard in range(shards):
            files = {}
            for sequence in range(sequences):
                pngs = images(100 * shard + sequence)[1]
                for number in (10, 2, 9, 1, 8, 30):
                    place = sorted((10, 2, 9, 1, 8, 30)).index(number)
                    files[f"{shard}/{part[:4]}/{sequence}/{number}.png"] = pngs[place]
            write_archive(folder, f"{part}/{shard}.tar.gz", files)


@pytest.mark.parametrize("inside", ["", "deepfake_in_the_wild"])
def test_each_sequence_has_its_split(tmp_path, inside):
    write_set(tmp_path / inside)
    listing = list_videos(tmp_path)
    assert len(listing.videos) == 4 * 4 * 2 and not listing.left_out
    sources = sources_of(listing.videos)
    assert {s: len(names) for s, names in sources.items()} == {"train": 6, "validation": 2, "test": 8}
    assert len(set().union(*sources.values())) == 16
    for v in listing.videos:
        assert v.label == (v.method == "fake") and v.source.startswith(v.method)
        assert (v.split == "test") == v.name.startswith("test/") == ("_test" in v.source)


def test_a_sequence_is_unpacked_without_loss(tmp_path):
    write_set(tmp_path, shards=1)
    with tarfile.open(tmp_path / "real_test" / "0.tar.gz") as archive:  # some unpack the archives beside each other
        archive.extractall(tmp_path / "real_test" / "0", filter="data")
    (tmp_path / "real_test" / "0.tar.gz").unlink()
    for method in ("real", "fake"):
        (listed,) = [v for v in list_videos(tmp_path).videos if v.method == method and v.name == "test/0/1"]
        (tmp_path / method).mkdir()
        path = unpack(listed, tmp_path / method)
        assert video.probe(path).frame_count == 6
        np.testing.assert_array_equal(video.read_frames(path, np.arange(6)).frames, images(1)[0])


def test_archives_that_are_damaged_or_hold_other_files(tmp_path):
    write_set(tmp_path, shards=1)
    write_archive(tmp_path, "real_test/1.tar", {"1/fake/0/0.png": b"", "1/real/0/x.png": b"", "readme.txt": b"x"})
    write_archive(tmp_path, "real_test/2.tar.gz", {"2/real/0/0.png": b"no image"}, "w:gz")
    listing = list_videos(tmp_path)
    assert listing.left_out == {OTHER: ["real_test/1.tar/1/fake/0/0.png", "real_test/1.tar/1/real/0/x.png"]}
    (bad,) = [v for v in listing.videos if v.name == "test/2/0"]
    with pytest.raises(video.VideoError, match="no PNG"):
        unpack(bad, tmp_path)
    write_file(tmp_path, "fake_test/1.tar.gz", "not an archive")
    with pytest.raises(InputError, match="fake_test.1.tar.gz.*Download it again"):
        list_videos(tmp_path)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="real_train.*missing.*wild-deepfake"):
        list_videos(tmp_path)
    (tmp_path / "real_train").mkdir()
    with pytest.raises(InputError, match="real_train.*no archives.*wild-deepfake"):
        list_videos(tmp_path)


def test_names():
    assert sequence_of("12/real/3/140.png", 0) == ("12", "3", 140)
    assert sequence_of("unpacked/12/fake/3/0.png", 1) == ("12", "3", 0)
    assert sequence_of("12/real/3/140.png", 1) is None and sequence_of("12/real/3/140.jpg", 0) is None


def test_a_build(tmp_path):
    write_set(tmp_path / "set", shards=1, sequences=1)
    check_build("wild_deepfake", tmp_path / "set", tmp_path / "data", list_videos(tmp_path / "set").videos)
