"""Prepared data sets on disk: opening them, what they can feed, and which of their files is damaged."""

import contextlib
import dataclasses
import difflib
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
import tensorflow_datasets as tfds

from tfdeepfake.data.builder_names import BUILDERS
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe

# Of a prepared data set's features and metadata. It goes up when an older version would read one wrongly, or this one
# an older data set.
SCHEMA = 1


@dataclass(frozen=True)
class PreparedData:
    """A data set on disk: `builder` (tfds), `recipe` (DataRecipe), `version` "name/config:1.0.0", `metadata`.

    `selection`: the videos of it that are read (`selection.Selection`); None for all. `stored_frames`: frames of its
    clips, where fewer are read of each (`window.windowed`), whose number is that of `recipe`.
    """

    builder: object
    recipe: DataRecipe
    version: str
    metadata: dict
    selection: object = None
    stored_frames: int | None = None

    def split(self, name: str) -> tfds.core.SplitInfo:
        """tfds SplitInfo.

        Raises:
          InputError: the data set has no such split.
        """
        splits = self.builder.info.splits
        if name not in splits or not splits[name].num_examples:
            known = sorted(n for n in splits if splits[n].num_examples)
            raise InputError(self.version, f"has no examples in a split {name!r}; it has {known}.")
        return splits[name]


def prepare_command(
    name: str, data_dir: str | Path | None = None, input_type: str | None = None, flow: bool = False
) -> str:
    """The command line that builds data set `name` such that a network of `input_type` can read it."""
    words = ["tfdeepfake", "prepare", name]
    words += ["--dir", "FOLDER"] if name == "video_folder" else []
    words += ["--input-type", input_type] if input_type else []
    words += ["--flow", "dis"] if flow else []
    words += ["--data-dir", str(data_dir)] if data_dir else []
    return shlex.join(words)


def rebuild_command(prepared: PreparedData) -> str:
    """The command line that builds the same data set again."""
    name, _, config = prepared.version.partition(":")[0].partition("/")
    return _command_again(name, config, Path(prepared.builder.data_dir), prepared.metadata)


def like_command(prepared: PreparedData, model: str | Path) -> str:
    """The command line that prepares the same videos by the recipe of a saved model or run folder."""
    name, _, config = prepared.version.partition(":")[0].partition("/")
    words = ["tfdeepfake", "prepare", name]
    words += [] if name == "synthetic_faces" else ["--dir", "FOLDER"]
    words += ["--like", str(model), "--data-dir", str(Path(prepared.builder.data_dir).parents[1 + bool(config)])]
    for option, value in (prepared.metadata.get("options") or {}).items():
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        words += ["--option", f"{option}={text}"]
    return shlex.join(words)


def _command_again(name, config, folder, metadata):
    """The command line that builds the data set in `folder` again, from its metadata."""
    recipe = metadata["recipe"]
    words = [prepare_command(name, folder.parents[1 + bool(config)], recipe["input_type"])]
    if config != recipe["input_type"]:  # a config of that name is the builder's own; any other has changes
        changes = {n: v for n, v in recipe.items() if n != "input_type"}
        by_class = ("num_frames_real", "num_frames_fake", "num_clips_real", "num_clips_fake")
        changes |= {n: metadata.get(n) for n in (*by_class, "image_format")}
        words += [f"--{n.replace('_', '-')} {v}" for n, v in changes.items() if v is not None]
        for option, value in (metadata.get("options") or {}).items():
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
            words.append(shlex.join(["--option", f"{option}={text}"]))
    return " ".join([*words, "--overwrite"])


def check_metadata(metadata: dict, name: str, config: str, folder: Path) -> None:
    """Refuses a data set that this version cannot read.

    Args:
      metadata: of the data set `name`, `config` ("" for none) in `folder`.
    Raises:
      InputError: it has no recipe, or is of another schema; names the command that prepares it again.
    """
    if "recipe" not in metadata:
        raise InputError(
            folder,
            "was not written by one of this project's builders: its metadata has no recipe.",
            f"Run: {prepare_command(name)}",
        )
    schema = metadata.get("schema")
    if schema == SCHEMA:
        return
    if isinstance(schema, int) and schema > SCHEMA:
        remedy = "Update tfdeepfake: a newer version prepared it."
    else:
        remedy = f"Prepare it again: {_command_again(name, config, folder, metadata)}"
    named = "names no schema" if schema is None else f"is of schema {schema}"
    raise InputError(folder, f"{named}; this version reads schema {SCHEMA}.", remedy)


def serves(recipe: DataRecipe, input_type: str, flow: bool = False) -> bool:
    """Whether data of `recipe` can feed a network of `input_type`: clips may be read as a bag of frames (P2 3.1)."""
    if flow or input_type == "flow":
        return recipe.input_type in ("clip", input_type) and recipe.flow != "none"
    return recipe.input_type == "clip" or input_type == "frame"


def _prepared_below(root, name):
    """{config: [(version numbers, folder)]} of what is prepared below root/name."""
    configs = {}
    for info in [*root.glob(f"{name}/*/dataset_info.json"), *root.glob(f"{name}/*/*/dataset_info.json")]:
        parts = info.parent.name.split(".")
        if len(parts) == 3 and all(p.isdigit() for p in parts):
            config = "/".join(info.parent.parent.relative_to(root / name).parts)
            configs.setdefault(config, []).append((tuple(map(int, parts)), info.parent))
    return configs


def _open_folder(folder, name, config):
    builder = tfds.builder_from_directory(folder)
    metadata = dict(builder.info.metadata or {})
    check_metadata(metadata, name, config, folder)
    if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
        raise InputError(
            folder,
            f"is stored as {builder.info.file_format.value}, as TFDS was asked; only tfrecord is read.",
            f"Prepare it again: {_command_again(name, config, folder, metadata)}",
        )
    recipe = DataRecipe.from_dict(metadata["recipe"], folder)
    if recipe.sampling == "consecutive" and recipe.input_type != "frame" and recipe.runs_fps is None:
        # What a network learns here is motion at the rate of these videos.
        recipe = dataclasses.replace(recipe, runs_fps=metadata.get("frame_rate"))
    full = f"{name}/{config}" if config else name
    return PreparedData(builder, recipe, f"{full}:{builder.info.version}", metadata)


def open_data(
    data: str, data_dir: str | Path | None = None, input_type: str | None = None, flow: bool = False
) -> PreparedData:
    """Opens a prepared data set.

    Args:
      data: `name`, `name/config` or `name/config:version`; the highest version when none is given, and the
        only config that serves `input_type` when no config is given.
      data_dir: root of prepared data; TFDS's own default when None.
      input_type: "frame", "flow" or "clip": what the network reads; None when any will do.
      flow: whether the network wants flow.
    Returns:
      PreparedData.
    Raises:
      InputError: not prepared, or several configs fit; names the command that prepares it.
    """
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR).expanduser()
    rest, _, version = data.partition(":")
    name, _, config = rest.partition("/")
    run = f"Run: {prepare_command(name, data_dir, input_type, flow)}"
    every = configs = _prepared_below(root, name)
    if config:
        configs = {c: folders for c, folders in configs.items() if c == config}
    if version:
        configs = {c: [f for f in folders if f[1].name == version] for c, folders in configs.items()}
    opened = [_open_folder(max(folders)[1], name, c) for c, folders in sorted(configs.items()) if folders]
    if not opened:
        there = ", ".join(sorted(f"{name}/{c}" if c else name for c in every))
        remedy = run if every or name in BUILDERS else _near(name, root)
        raise InputError(data, f"is not prepared below {root}" + (f"; there is {there}." if there else "."), remedy)
    fitting = [p for p in opened if input_type is None or serves(p.recipe, input_type, flow)]
    if not fitting:
        have = ", ".join(f"{p.version} (input type {p.recipe.input_type}, flow {p.recipe.flow})" for p in opened)
        need = f"a network of input type {input_type}" + (" that wants flow" if flow else "")
        raise InputError(data, f"cannot feed {need}: there is {have}.", run)
    exact = [p for p in fitting if p.recipe.input_type == input_type] or fitting
    if len(exact) > 1:
        names = ", ".join(p.version.partition(":")[0] for p in exact)
        raise InputError(data, f"is prepared in several ways: {names}.", "Name the one that is meant.")
    return exact[0]


def _near(name, root):
    """What a name may have meant that no builder has: nothing can be prepared under it."""
    folders = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    there = [folder for folder in folders if _prepared_below(root, folder)]
    near = difflib.get_close_matches(name, dict.fromkeys([*there, *BUILDERS]), 1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return f"{hint}Prepared there: {', '.join(there) or 'nothing'}. No builder has that name."


def shard_paths(prepared: PreparedData, split: str) -> list[str]:
    """Shard paths; InputError when one is missing or the split is shorter than it was written."""
    info = prepared.split(split)
    paths = [str(p) for p in info.filepaths]
    missing = next((p for p in paths if not os.path.exists(p)), None)
    if missing or sum(map(os.path.getsize, paths)) < info.num_bytes:
        raise InputError(*_damage(prepared, split))
    return paths


def _damage(prepared, split):
    """Finds the damaged shard: (path, what is wrong, command). Reads the split up to there."""
    info = prepared.split(split)
    command = rebuild_command(prepared)
    for path, expected in zip(map(str, info.filepaths), info.shard_lengths, strict=True):
        if not os.path.exists(path):
            return path, "this file of the prepared data set is missing.", f"Build it again: {command}"
        count = 0
        try:
            for _ in tf.data.TFRecordDataset(path):
                count += 1
        except tf.errors.OpError as error:
            reason = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message).strip()
            return path, f"is damaged after record {count} of {expected} ({reason}).", f"Build it again: {command}"
        if count != expected:
            return (
                path,
                f"is another file than was written: it holds {count} of {expected} records.",
                f"Build it again: {command}",
            )
    return prepared.version, f"could not be read in split {split!r}.", f"Build it again: {command}"


@contextlib.contextmanager
def reading(prepared: PreparedData, *splits: str) -> Iterator[None]:
    """Turns a read error of the block into an InputError that names the damaged file and what rebuilds it."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.FailedPreconditionError) as error:
        for split in splits:
            damage = _damage(prepared, split)
            if damage[0] != prepared.version:
                raise InputError(*damage) from error
        raise
