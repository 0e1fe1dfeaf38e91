"""deepfake_eval_2024: splits and labels of synthetic videos in the set's layout, and a build of it."""

import pytest

from tfdeepfake.errors import InputError
from tfds_builders.core.manual import NO_FILE
from tfds_builders.core.testing import check_build, write_file, write_videos
from tfds_builders.deepfake_eval_2024.listing import LIST, NO_ROW, UNKNOWN, VIDEOS, list_videos, read_metadata

HEAD = "Filename,Media Type,Video Ground Truth,Finetuning Set\n"


def write_list(folder, rows):
    write_file(folder, LIST, HEAD + "".join(f"{name},video,{truth},{part}\n" for name, truth, part in rows))


ROWS = [(f"t{n}.mp4", "Fake" if n % 2 else "Real", "Train") for n in range(20)]
ROWS += [
    ("a.mp4", "Real", "Test"),
    ("b.mp4", "Fake", "Test"),
    ("c.mp4", "Unknown", "Test"),
    ("gone.mp4", "Fake", "Test"),
]


def test_each_file_has_its_split(tmp_path):
    write_list(tmp_path, ROWS)
    for name, _, _ in ROWS[:-1]:
        write_file(tmp_path, f"{VIDEOS}/{name}", "")
    write_file(tmp_path, f"{VIDEOS}/extra.mp4", "")
    listing = list_videos(tmp_path)
    assert listing.left_out == {NO_ROW: ["extra.mp4"], UNKNOWN: ["c.mp4"], NO_FILE: ["gone.mp4"]}
    assert {(v.name, v.label) for v in listing.videos if v.split == "test"} == {("a", 0), ("b", 1)}
    counts = {split: sum(v.split == split for v in listing.videos) for split in ("train", "validation")}
    assert counts == {"train": 18, "validation": 2} and "persons" in listing.notes[0]
    assert all(v.method == ("real", "fake")[v.label] and v.source == v.name for v in listing.videos)


@pytest.mark.parametrize(
    "text, said",
    [
        (HEAD, "names no video"),
        (HEAD + "a.mp4,video,maybe,Train\n", "line 2.*'maybe'"),
        (HEAD + "a.mp4,video,Real,Both\n", "line 2.*'Both'"),
        (HEAD + "a.mp4,video,Real,Train\n" * 2, "line 3: a.mp4 is named twice"),
        ("Filename,Finetuning Set\na.mp4,Train\n", "video ground truth"),
    ],
)
def test_wrong_lists(tmp_path, text, said):
    write_file(tmp_path, LIST, text)
    with pytest.raises(InputError, match=said):
        read_metadata(tmp_path / LIST)


def test_a_build(tmp_path):
    rows = [(f"t{n}.mp4", "Fake" if n % 2 else "Real", "Train") for n in range(4)] + ROWS[20:22]
    write_list(tmp_path / "set", rows)
    write_videos(tmp_path / "set", [f"{VIDEOS}/{name}" for name, _, _ in rows])
    check_build("deepfake_eval_2024", tmp_path / "set", tmp_path / "data", list_videos(tmp_path / "set").videos)
