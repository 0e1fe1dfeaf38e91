"""Stored records as a network's examples: which records of a split a host reads, and how they are parsed."""

import os
from dataclasses import dataclass
from functools import partial

import tensorflow as tf

from tfdeepfake.data.batches.prepared import PreparedData, prepare_command, serves, shard_paths
from tfdeepfake.data.batches.window import middle
from tfdeepfake.errors import InputError
from tfdeepfake.vocabulary import INPUT_TYPES

# Not `tf.data.AUTOTUNE`: its thread sleeps for up to a minute, and an interrupted run waited for it (seen: 35 s).
PARALLEL = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
# What names an example in the scores table; and how well its face is seen, of data sets that tell.
KEYS = ("data_set", "method", "video", "source", "face", "frame", "timestamp_s")
LOOKS = ("side_px", "confidence")
# How much of the crops was manipulated, of data sets that store masks.
MASK_FRACTION = "mask_fraction"
# Frames/s at which the frames of a clip follow each other, of data whose clips are runs of consecutive frames.
CLIP_FPS = "clip_fps"
# Stored one per frame of a clip; everything else is one per clip.
PER_FRAME = ("frames", "flow", "flow_max_px", "frame", "timestamp_s", "side_px", "mask")


@dataclass(frozen=True)
class View:
    """A split as a network reads it on one of several hosts. `view_of` checks it.

    Args:
      prepared: PreparedData.
      split: "train", "validation" or "test".
      input_type: "frame", "flow" or "clip": what the network reads. A clip data set feeds all three.
      with_flow: whether the network reads flow.
      hosts, host: number of hosts (or of the input pipelines of a tf.distribute.InputContext) and which this is. Each
        reads files of its own, or, with fewer files than hosts, every hosts-th record of all files.
      classes: names of classes, `real` first, whose numbers are the labels: each fake has the class of its method, -1
        where it is none of them. None for labels 0 and 1.
    """

    prepared: PreparedData
    split: str
    input_type: str
    with_flow: bool
    hosts: int = 1
    host: int = 0
    classes: tuple[str, ...] | None = None

    @property
    def is_bag(self) -> bool:
        """Whether the frames of stored clips are examples of their own (P2 3.1)."""
        return self.prepared.recipe.input_type == "clip" and self.input_type != "clip"

    @property
    def num_frames(self) -> int:
        """Images in an example."""
        return self.prepared.recipe.num_frames if self.input_type == "clip" else 1

    @property
    def count(self) -> int:
        """Examples that the host reads."""
        lengths = _host_lengths(self.prepared, self.split, self.hosts, self.host)
        return sum(lengths) * _per_record(self.prepared, self.input_type)

    @property
    def tells_rate(self) -> bool:
        """Whether its examples have a `CLIP_FPS`."""
        recipe = self.prepared.recipe
        return self.input_type == "clip" and recipe.sampling == "consecutive" and recipe.num_frames > 1

    @property
    def decoded_bytes(self) -> int:
        """Bytes of these examples once they are decoded."""
        recipe = self.prepared.recipe
        image_bytes = recipe.height_px * recipe.width_px * (5 if self.with_flow else 3)
        return self.count * (self.prepared.stored_frames or self.num_frames) * image_bytes


def view_of(
    prepared: PreparedData,
    split: str,
    input_type: str,
    with_flow: bool | None = None,
    hosts: int = 1,
    host: int = 0,
    classes: tuple[str, ...] | None = None,
) -> View:
    """A `View`; `with_flow` None reads what the input type and the data have.

    Raises:
      InputError: the data cannot feed the input type, or the split is empty or has fewer examples than hosts.
    """
    if input_type not in INPUT_TYPES:
        raise ValueError(f"input_type needs one of {INPUT_TYPES}, got {input_type!r}.")
    if not 0 <= host < hosts:
        raise ValueError(f"host needs 0 <= host < hosts, got host {host} of {hosts}.")
    recipe = prepared.recipe
    if with_flow is None:
        with_flow = input_type == "flow" or (input_type == "clip" and recipe.flow != "none")
    if not serves(recipe, input_type, with_flow):
        name = prepared.version.partition("/")[0].partition(":")[0]
        raise InputError(
            prepared.version,
            f"holds input type {recipe.input_type} with flow {recipe.flow}; the network reads input type {input_type}"
            + (" with flow." if with_flow else "."),
            f"Run: {prepare_command(name, None, input_type, with_flow)}",
        )
    if hosts > record_count(prepared, split):
        raise InputError(prepared.version, f"has fewer examples in {split!r} than there are hosts ({hosts}).")
    return View(prepared, split, input_type, with_flow, hosts, host, classes)


def _per_record(prepared, input_type):
    """Examples of an input type in one stored record."""
    return prepared.recipe.num_frames if prepared.recipe.input_type == "clip" and input_type != "clip" else 1


def example_count(prepared: PreparedData, split: str, input_type: str) -> int:
    """Examples of the network's input type in a split."""
    return record_count(prepared, split) * _per_record(prepared, input_type)


def record_count(prepared: PreparedData, split: str) -> int:
    """Stored examples of a split that are read."""
    return sum(_lengths(prepared, split))


def _lengths(prepared, split):
    """Records that are read of each file."""
    stored, selection = prepared.split(split).shard_lengths, prepared.selection
    return selection.lengths.get(split, stored) if selection else stored


def least_count(prepared: PreparedData, split: str, input_type: str, hosts: int) -> int:
    """Examples of the host that reads the fewest."""
    least = min(sum(_host_lengths(prepared, split, hosts, host)) for host in range(hosts))
    return least * _per_record(prepared, input_type)


def _by_file(prepared, split, hosts):
    """Whether hosts read different files; with fewer files than hosts they read different records of all."""
    return hosts <= len(prepared.split(split).shard_lengths)


def _host_lengths(prepared, split, hosts, host):
    """Records that a host takes of each file it reads."""
    lengths = _lengths(prepared, split)
    if _by_file(prepared, split, hosts):
        return lengths[host::hosts]
    return [len(range(sum(lengths))[host::hosts])]


def host_paths(view: View) -> list[str]:
    """Files that the host reads.

    Raises:
      InputError: a file is missing or cut short.
    """
    paths = shard_paths(view.prepared, view.split)
    return paths[view.host :: view.hosts] if _by_file(view.prepared, view.split, view.hosts) else paths


def serialized(prepared: PreparedData, split: str, paths: tf.Tensor, hosts: int = 1, host: int = 0) -> tf.data.Dataset:
    """Records of a host as they are stored, in the order that its files `paths` (string tensor [N]) are given in."""
    records = tf.data.Dataset.from_tensor_slices(paths).interleave(
        tf.data.TFRecordDataset, cycle_length=8, block_length=4, num_parallel_calls=2, deterministic=True
    )
    by_file, lengths = _by_file(prepared, split, hosts), prepared.split(split).shard_lengths
    # A file that was cut between two records is an error, not a shorter epoch.
    stored = sum(lengths[host::hosts] if by_file else lengths)
    records = records.apply(tf.data.experimental.assert_cardinality(stored))
    if prepared.selection:
        records = prepared.selection.keep(split, records)
        taken = sum(_host_lengths(prepared, split, hosts, host)) if by_file else record_count(prepared, split)
        records = records.apply(tf.data.experimental.assert_cardinality(taken))
    return records if by_file else records.shard(hosts, host)


def encoded_examples(
    view: View, paths: tf.Tensor, with_keys: bool = False, whole_clips: bool = False
) -> tf.data.Dataset:
    """Examples of a view with images still encoded, in the order of its files `paths` (string tensor [N]).

    Of clips of which fewer frames are read the middle ones, or with `whole_clips` all.
    """
    cut = middle(view.prepared) if view.prepared.stored_frames and not whole_clips else None
    names = ["frames", "label"]
    names += ["flow", "flow_max_px"] if view.with_flow else []
    names += ["method"] if view.classes else []
    names += ["data_set", "method", "video", "source", "face", "frame_indices", "timestamps_s"] if with_keys else []
    names += subgroups_of(view.prepared) if with_keys else []
    names += ["face_side_px", "confidence"] if with_keys and looks_of(view.prepared) else []
    names += ["mask"] if with_keys and stores_masks(view.prepared) else []
    known = view.prepared.builder.info.features.tf_example_spec
    spec = {name: known[name] for name in names}

    def parse(record):
        example = tf.io.parse_single_example(record, spec)
        example = cut(example) if cut else example
        if view.classes:
            example = _with_class(example, view.classes, keep_method=with_keys)
        return _with_keys(example, view) if with_keys else example

    records = serialized(view.prepared, view.split, paths, view.hosts, view.host)
    examples = records.map(parse, num_parallel_calls=PARALLEL)
    return examples.flat_map(partial(_frames_of, view.prepared.recipe.num_frames)) if view.is_bag else examples


def subgroups_of(prepared: PreparedData) -> list[str]:
    """Names of the subgroup columns that a data set stores, such as "gender"."""
    return list(prepared.metadata.get("subgroups") or [])


def looks_of(prepared: PreparedData) -> tuple[str, ...]:
    """`LOOKS`, of a data set that stores how well its faces are seen and had them looked for; else nothing."""
    stored = {"face_side_px", "confidence"} <= set(prepared.builder.info.features)
    return LOOKS if stored and prepared.recipe.detector != "none" else ()


def stores_masks(prepared: PreparedData) -> bool:
    """Whether each frame comes with the mask of what was manipulated."""
    return "mask" in prepared.builder.info.features


def _with_class(example, classes, keep_method):
    """The stored example with the number of its class as label."""
    matches = tf.equal(example["method"], tf.constant(classes[1:]))
    none = tf.constant(-1, tf.int64)
    number = tf.where(tf.reduce_any(matches), tf.argmax(tf.cast(matches, tf.int64)) + 1, none)
    label = tf.where(tf.equal(example["label"], 0), tf.zeros((), tf.int64), number)
    return {n: x for n, x in example.items() if keep_method or n != "method"} | {"label": label}


def _with_keys(example, view):
    """The stored example with `KEYS`; a clip is named by its first frame."""
    example, is_bag = dict(example), view.is_bag
    frames, times = example.pop("frame_indices"), example.pop("timestamps_s")
    example["frame"] = frames if is_bag else frames[0]
    example["timestamp_s"] = times if is_bag else times[0]
    if view.tells_rate:
        # Frames that have no times of their own give 0.
        example[CLIP_FPS] = tf.math.divide_no_nan(1.0, _median(times[1:] - times[:-1]))
    example["face"] = tf.cast(example["face"], tf.int32)
    if "face_side_px" in example:
        sides = example.pop("face_side_px")
        example["side_px"] = sides if is_bag else _median(sides)
    return example


def _median(values):
    return tf.reduce_mean(tf.sort(values)[(len(values) - 1) // 2 : len(values) // 2 + 1])


def _frames_of(num_frames, clip):
    """The frames of a clip as a dataset of examples."""
    return tf.data.Dataset.from_tensor_slices(
        {n: v if n in PER_FRAME else tf.repeat(v[None], num_frames, axis=0) for n, v in clip.items()}
    )
