"""What `audit` compares of a data set: videos by split, their persons and recordings, and hashes of some frames."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.errors import InputError
from tfdeepfake.scoring.table import VIDEO
from tfds_builders.audit import hashes as duplicates
from tfds_builders.audit.origins import origins
from tfds_builders.prepare import BUILDERS, _like

if TYPE_CHECKING:
    from tfdeepfake.data.batches.prepared import PreparedData


# Of frames of videos that are not prepared; the hash takes much less.
FRAME_SIDE_PX = 512


@dataclass
class Audited:
    """What is compared of one data set.

    Args:
      name: as it was asked for.
      videos: {(split, data_set, method, video): number}, in order of the numbers.
      identities, recordings: of each video, see `origins`.
      hashes: uint64 [N, WORDS] of frames; `owners` int64 [N] are numbers of videos.
      flat: frames that are not compared because they show one colour.
      listed_only: it is not prepared and its videos are not opened, so there are no frames.
      unreadable: videos of which no frame can be read.
      notes: sentences about the set that its builder has.
    """

    name: str
    videos: dict = field(default_factory=dict)
    identities: list = field(default_factory=list)
    recordings: list = field(default_factory=list)
    hashes: np.ndarray = field(default_factory=lambda: np.zeros((0, duplicates.WORDS), np.uint64))
    owners: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    flat: int = 0
    listed_only: bool = False
    unreadable: int = 0
    notes: list = field(default_factory=list)

    def add(self, split: str, data_set: str, method: str, video: str, source: str, options: dict | None) -> int:
        """Number of a video, which is new or known."""
        key = (split, data_set, method, video)
        if key not in self.videos:
            self.videos[key] = len(self.videos)
            who, what = origins(data_set, method, video, source, options)
            self.identities.append(who)
            self.recordings.append(what)
        return self.videos[key]


def read(name: str, data_dir: str | Path | None = None, num_frames: int = 4, options: dict | None = None) -> Audited:
    """Audited of a prepared set, or of "builder=FOLDER"; for arguments and errors see `compare.audit`."""
    builder, equals, folder = name.partition("=")
    if equals:
        return read_folder(builder, folder, options or {}, num_frames)
    from tfdeepfake.data.batches.prepared import open_data

    return read_prepared(name, open_data(name, data_dir), num_frames)


def read_folder(name: str, folder: str | Path, options: dict | None, num_frames: int = 0) -> Audited:
    """Audited of the set that a builder would make from a folder.

    Published sets are compared by the names of their lists alone; of anyone's own videos (video_folder), whose names
    tell little, frames are compared too, whole ones, where a prepared set has crops.

    Raises:
      InputError: unknown builder, or a folder it cannot use.
    """
    if name not in BUILDERS or name == "synthetic_faces":
        known = ", ".join(one for one in BUILDERS if one != "synthetic_faces")
        raise InputError(name, "is no builder that reads a folder.", f"There are {known}.")
    cls = importlib.import_module(BUILDERS[name]).Builder
    folder = Path(folder).expanduser()
    if not hasattr(cls, "LIST"):
        from tfds_builders.video_folder.listing import list_folder

        listing, chosen = list_folder(folder), {}
    else:
        from tfds_builders.core.manual import need_folder

        chosen = {key: _like(cls.OPTIONS[key], key, value) for key, value in options.items() if key in cls.OPTIONS}
        listing = cls.LIST(need_folder(folder, cls.MANUAL_DOWNLOAD_INSTRUCTIONS), **cls.OPTIONS | chosen)
    audited = Audited(f"{name}={folder}", listed_only=name != "video_folder" or not num_frames, notes=listing.notes)
    for v in listing.videos:
        audited.add(v.split, name, v.method, v.name, v.source, chosen)
    if not audited.listed_only:
        _hash_videos(audited, [v.path for v in listing.videos], num_frames)
    if not audited.videos:
        raise InputError(folder, f"holds no video of {name} that can be used.", cls.MANUAL_DOWNLOAD_INSTRUCTIONS)
    return audited


def _hash_videos(audited, paths, num_frames):
    """Adds hashes of frames that are equally spaced over each video."""
    from tqdm import tqdm

    from tfdeepfake.data import video

    hashes, owners = [], []
    for number, path in enumerate(tqdm(paths, desc=f"{audited.name}: reading", unit="video", disable=None)):
        try:
            indices = video.spaced_indices(video.probe(path).frame_count, num_frames)
            frames = video.read_frames(path, indices, max_side_px=FRAME_SIDE_PX).frames
        except video.VideoError:
            audited.unreadable += 1
            continue
        for frame in frames:
            one = duplicates.image_hash(frame.mean(axis=2).astype(np.uint8))
            if one is None:
                audited.flat += 1
            else:
                hashes.append(one)
                owners.append(number)
    if hashes:
        audited.hashes, audited.owners = np.stack(hashes), np.array(owners, np.int64)


def read_prepared(name: str, prepared: "PreparedData", num_frames: int) -> Audited:
    """The videos of a prepared set, and hashes of some frames of each.

    Of the frames of a video those are taken whose index comes first in an order drawn once for all videos: copies that
    were sampled alike give the same ones. Memory grows with the hashes, not with the images.
    """
    import cv2
    from tqdm import tqdm

    from tfdeepfake.data.batches.prepared import reading

    audited, hashes_by_video, flat = Audited(name), {}, set()
    options = prepared.metadata.get("options") or {}
    splits = [s for s in prepared.builder.info.splits if prepared.builder.info.splits[s].num_examples]
    total = sum(prepared.builder.info.splits[s].num_examples for s in splits)
    with tqdm(total=total, desc=f"{name}: reading", unit="example", disable=None) as bar, reading(prepared, *splits):
        for split in splits:
            for example in _examples(prepared, split, bool(num_frames)):
                facts = [example[key].decode() for key in (*VIDEO, "source")]
                number = audited.add(split, *facts, options)
                bar.update()
                if not num_frames:
                    continue
                images = np.atleast_1d(example["frames"])
                by_frame = hashes_by_video.setdefault(number, {})
                for index, image in zip(example["frame_indices"].tolist(), images, strict=True):
                    key = (_rank(index), int(example["face"]))
                    if key in by_frame or (len(by_frame) >= num_frames and key > max(by_frame)):
                        continue
                    grey = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_GRAYSCALE)
                    one = duplicates.image_hash(grey)
                    if one is None:
                        flat.add((number, key))
                        continue
                    by_frame[key] = one
                    if len(by_frame) > num_frames:
                        del by_frame[max(by_frame)]
    hashes = [one for by_frame in hashes_by_video.values() for one in by_frame.values()]
    if hashes:
        audited.hashes = np.stack(hashes)
        counts = [len(by_frame) for by_frame in hashes_by_video.values()]
        audited.owners = np.repeat(np.fromiter(hashes_by_video, np.int64, len(hashes_by_video)), counts)
    audited.flat = len(flat)
    return audited


def _rank(index):
    """Place of a frame's index in an order that has nothing to do with time."""
    return (index + 1) * 0x9E3779B97F4A7C15 >> 7 & (1 << 40) - 1


def _examples(prepared, split, with_frames):
    """Yields dicts of numpy values of a split, images as they are stored."""
    import tensorflow as tf

    from tfdeepfake.data.batches.prepared import shard_paths

    names = [*VIDEO, "source"] + (["face", "frame_indices", "frames"] if with_frames else [])
    spec = {name: prepared.builder.info.features.tf_example_spec[name] for name in names}
    records = tf.data.TFRecordDataset(shard_paths(prepared, split), num_parallel_reads=4)
    parsed = records.map(lambda record: tf.io.parse_single_example(record, spec), 2).prefetch(64)
    options = tf.data.Options()
    # Its thread would keep an interrupted audit waiting, see `batches.records.PARALLEL`.
    options.autotune.enabled = False
    yield from parsed.with_options(options).as_numpy_iterator()
