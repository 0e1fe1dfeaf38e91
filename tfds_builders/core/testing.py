"""For tests of builders: folders of synthetic videos in the layout of a data set, and tiny builds of them."""

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Official lists to try with, where this checkout has them; never part of the project.
OFFICIAL = Path(__file__).resolve().parents[3] / "shared" / "splits"
# Whole frames: no detector is loaded.
WHOLE = {
    "sampling": "consecutive",
    "num_frames": 4,
    "num_clips": 1,
    "detector": "none",
    "height_px": 24,
    "width_px": 32,
}


@functools.cache
def video_bytes(frames: int = 6) -> bytes:
    """A synthetic video of a talking head, .mp4, 96 x 64 px."""
    from tfdeepfake.data import synthetic

    spec = synthetic.make_set((2, 0, 0), real_per_identity=1, num_frames=frames, width=96, height=64)[0]
    with tempfile.TemporaryDirectory() as folder:
        return synthetic.write_clip(spec, Path(folder)).read_bytes()


def write_videos(folder: str | Path, names: Iterable[str]) -> None:
    """Puts a video at each name below a folder."""
    for name in names:
        write_file(folder, name, video_bytes())


def write_file(folder: str | Path, name: str, content: str | bytes) -> None:
    """Writes text or bytes below a folder, making the folders between."""
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def splits_of(videos: Iterable) -> dict:
    """{split: names of videos, as method/name}."""
    names_by_split = {}
    for v in videos:
        names_by_split.setdefault(v.split, set()).add(f"{v.method}/{v.name}")
    return names_by_split


def sources_of(videos: Iterable) -> dict:
    """{split: sources}."""
    sources_by_split = {}
    for v in videos:
        sources_by_split.setdefault(v.split, set()).add(v.source)
    return sources_by_split


def subgroup_of(summary: dict, column: str) -> dict:
    """{method/name: text} of a column of a prepared set, whose summary `prepare` returned."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(summary["path"])
    assert column in builder.info.metadata["subgroups"]
    examples = [e for split in builder.info.splits for e in tfds.as_numpy(builder.as_dataset(split=split))]
    return {f"{e['method'].decode()}/{e['video'].decode()}": e[column].decode() for e in examples}


def check_build(name: str, folder: str | Path, data_dir: str | Path, expected: dict, **options: Any) -> dict:
    """Prepares a tree with the builder and reads it back.

    Args:
      expected: list of `video_folder.listing.VideoRecord`.
    Returns:
      What `prepare` returns.
    """
    import tensorflow_datasets as tfds

    from tfds_builders.prepare import prepare

    summary = prepare(name, dir=folder, data_dir=data_dir, workers=0, flow="none", **WHOLE, **options)
    builder = tfds.builder_from_directory(summary["path"])
    read = set()
    for split in builder.info.splits:
        for example in tfds.as_numpy(builder.as_dataset(split=split)):
            assert example["frames"].shape == (4, 24, 32, 3) and example["data_set"].decode() == name
            facts = [example[field].decode() for field in ("method", "video", "source")]
            read.add((split, int(example["label"]), *facts))
    assert read == {(v.split, v.label, v.method, v.name, v.source) for v in expected}
    again = prepare(name, dir=folder, data_dir=data_dir, workers=0, flow="none", **WHOLE, **options)
    assert again["already_prepared"]
    return summary
