"""Which videos of a prepared data set are read: of some methods, of some sources, so many of each method.

One prepared set then serves several experiments, for example all protocols of P3 Sec. 5 and the classes of P4 4.6.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import tensorflow as tf

from tfdeepfake.data.batches.prepared import PreparedData, reading, shard_paths
from tfdeepfake.errors import InputError

_KEY = ("data_set", "method", "video")
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Selection:
    """What is read of each split that was selected from; other splits are read whole.

    Args:
      videos: {split: [[data_set, method, video], ...]}.
      lengths: {split: [stored records of these videos in each file]}.
      counts: {split: {method: {"videos": taken, "of": there, "examples": stored records that are taken}}}.
      limited: splits of which not all videos that fit were taken.
    """

    videos: dict = field(default_factory=dict)
    lengths: dict = field(default_factory=dict)
    counts: dict = field(default_factory=dict)
    limited: list = field(default_factory=list)

    def keep(self, split: str, records: tf.data.Dataset) -> tf.data.Dataset:
        """The stored records of a split that are read."""
        if split not in self.videos:
            return records
        keys = tf.constant([_SEPARATOR.join(video) for video in self.videos[split]])
        taken = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, tf.ones(tf.shape(keys), tf.int64)), 0
        )
        spec = {name: tf.io.FixedLenFeature((), tf.string) for name in _KEY}

        def is_taken(record):
            names = tf.io.parse_single_example(record, spec)
            return taken.lookup(tf.strings.join([names[name] for name in _KEY], _SEPARATOR)) > 0

        return records.filter(is_taken)

    def covers(self, split: str, method: str) -> bool:
        """Whether videos of a method that could not be used count beside those that are read."""
        return split not in self.videos or (method in self.counts[split] and split not in self.limited)

    def lines(self) -> list[str]:
        """What is read of each split, in words."""
        shown = {
            split: ", ".join(f"{method} {facts['videos']} of {facts['of']} videos" for method, facts in of.items())
            for split, of in self.counts.items()
        }
        return [f"{split}: {text}." for split, text in shown.items()]

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)


def select(
    prepared: PreparedData,
    methods: Sequence[str] = (),
    sources: Sequence[str] = (),
    most_per_method: Mapping[str, int] | None = None,
    splits: Sequence[str] = ("train", "validation"),
) -> PreparedData:
    """The data set of which only some videos are read. Reads the names of all records once.

    Args:
      prepared: PreparedData.
      methods: patterns (`fnmatch`) of methods; all when there are none. Where none of them names a method of real
        videos, all of those are read.
      sources: patterns of sources (persons or original videos); all when there are none.
      most_per_method: {split: videos of each method that are read at most}: always the same ones, whatever the seed of
        a run is.
      splits: that are selected from; those that the data set lacks are passed over.
    Returns:
      PreparedData with a `Selection`.
    Raises:
      InputError: a pattern matches nothing; names what there is. Or nothing is left of a split.
    """
    splits = [split for split in splits if split in prepared.builder.info.splits]
    there = {split: _videos(prepared, split) for split in splits}
    known = {key[1] for videos in there.values() for key in videos}
    real = {key[1] for videos in there.values() for key, facts in videos.items() if facts["label"] == 0}
    _check_matched(prepared, "methods", methods, known)
    _check_matched(prepared, "sources", sources, {f["source"] for videos in there.values() for f in videos.values()})
    allowed = {method for method in known if _fits(method, methods)}
    allowed |= set() if allowed & real else real
    taken = {"videos": {}, "lengths": {}, "counts": {}, "limited": []}
    for split, videos in there.items():
        fitting = [key for key, f in videos.items() if key[1] in allowed and _fits(f["source"], sources)]
        most = (most_per_method or {}).get(split)
        chosen = fitting if most is None else _first(fitting, most)
        if not chosen:
            raise InputError(prepared.version, f"has no videos in {split!r} of these methods and sources.")
        if len(chosen) < len(fitting):
            taken["limited"].append(split)
        taken["videos"][split] = [list(key) for key in chosen]
        files = len(prepared.split(split).shard_lengths)
        taken["lengths"][split] = [sum(videos[key]["records"][file] for key in chosen) for file in range(files)]
        taken["counts"][split] = {
            method: {
                "videos": sum(key[1] == method for key in chosen),
                "of": sum(key[1] == method for key in videos),
                "examples": sum(sum(videos[key]["records"]) for key in chosen if key[1] == method),
            }
            for method in sorted(allowed)
        }
    return dataclasses.replace(prepared, selection=Selection(**taken))


def _videos(prepared, split):
    """{(data set, method, video): {"label", "source", "records": [of each file]}} in the order of the names."""
    known = prepared.builder.info.features.tf_example_spec
    spec = {name: known[name] for name in (*_KEY, "source", "label")}
    paths, videos = shard_paths(prepared, split), {}
    with reading(prepared, split):
        for number, path in enumerate(paths):
            batches = tf.data.TFRecordDataset(path).batch(256).map(lambda records: tf.io.parse_example(records, spec))
            for batch in batches.as_numpy_iterator():
                columns = [[text.decode() for text in batch[name].tolist()] for name in (*_KEY, "source")]
                for *key, source, label in zip(*columns, batch["label"].tolist(), strict=True):
                    fresh = {"label": label, "source": source, "records": [0] * len(paths)}
                    videos.setdefault(tuple(key), fresh)["records"][number] += 1
    return dict(sorted(videos.items()))


def _fits(name, patterns):
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_matched(prepared, field_name, patterns, known):
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            names = sorted(known)
            more = f" and {len(names) - 20} more" if len(names) > 20 else ""
            raise InputError(
                field_name,
                f"{pattern!r} matches none of {prepared.version}.",
                f"It has {', '.join(names[:20])}{more}.",
            )


def _first(keys, most):
    """So many of each method, drawn by a digest of their names; in the order of `keys`."""
    order = sorted(keys, key=lambda key: hashlib.sha256(_SEPARATOR.join(key).encode()).digest())
    left, chosen = {}, set()
    for key in order:
        left[key[1]] = left.get(key[1], 0) + 1
        if left[key[1]] <= most:
            chosen.add(key)
    return [key for key in keys if key in chosen]
