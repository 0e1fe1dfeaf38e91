"""`prepare`: builds a data set below a data dir, or says that it is there already."""

import contextlib
import errno
import importlib
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tfdeepfake.data import builder_names
from tfdeepfake.data.builder_names import need_builder
from tfdeepfake.errors import InputError
from tfdeepfake.files import exclusive_lock, raise_if_full
from tfdeepfake.quiet import hide_prints, hide_tfds
from tfdeepfake.recipe import DataRecipe
from tfds_builders.core.beam import parse_options

# Builder: module of its class. Those of published sets have a `LIST` that reads the folder, see `manual`.
BUILDERS = {name: f"tfds_builders.{name}" for name in builder_names.BUILDERS}


def prepare(
    name: str,
    input_type: str = "clip",
    dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    workers: int | None = None,
    beam_options: str | None = None,
    overwrite: bool = False,
    num_frames_real: int | None = None,
    num_frames_fake: int | None = None,
    image_format: str = "jpeg95",
    num_clips_real: int | None = None,
    num_clips_fake: int | None = None,
    **changes: Any,
) -> dict:
    """Videos to TFRecords. A set that is there already stays as it is; an interrupted build is resumed (`work_cache`).

    Args:
      name: one of `BUILDERS`.
      input_type: "frame", "flow" or "clip".
      dir: folder of the videos as the data set is distributed; for video_folder any folder, or a CSV file.
      data_dir: root of prepared data; TFDS's own default when None.
      workers: number of processes; None: one per core; 0: this process alone.
      beam_options: work on Apache Beam instead: "runner=DirectRunner,direct_running_mode=multi_processing,
        direct_num_workers=2", or the options of another runner, see docs/scale.md.
      overwrite: build again; the old set is there until the new one is done.
      num_frames_real, num_frames_fake: frames per video of a class (input types frame and flow).
      num_clips_real, num_clips_fake: runs per video of a class (sampling consecutive).
      image_format: of the stored frames, "png" or "jpeg" and a quality, such as "jpeg95".
      **changes: fields of DataRecipe that differ from the builder's config of that input type; and, for
        synthetic_faces, identities (three numbers), real_per_identity, fakes_per_method, seed, video_frames. Other
        builders have the choices of their `OPTIONS`, such as compression and methods of face_forensics.
    Returns:
      {"path": folder, "version": "name/config:1.0.0", "already_prepared": bool, "splits": {split: examples},
      "coverage": see `building.split_generators`}; for synthetic_faces also "videos": folder of the .mp4 files, for
      published sets "left_out": {reason: number of videos that are not used}.
    Raises:
      InputError: unknown builder or choice, nothing usable, a full disk, another process prepares the same set.
    """
    need_builder(name, dir)
    if name == "synthetic_faces" and dir is not None:
        raise InputError(
            "dir", f"is not used by {name}, which draws its videos.", "Leave it out, or prepare video_folder."
        )
    if workers is not None and workers < 0:
        raise InputError("workers", f"needs a number of processes, got {workers}.")
    if workers is not None and beam_options is not None:
        raise InputError("workers", "is not used with Beam.", "Its runner has options for that.")
    beam = None if beam_options is None else parse_options(beam_options)
    numbers = {"num_frames_real": num_frames_real, "num_frames_fake": num_frames_fake}
    numbers |= {"num_clips_real": num_clips_real, "num_clips_fake": num_clips_fake}
    cls, config, data_dir = _choose(name, input_type, data_dir, numbers, image_format, changes)
    folder = None if dir is None else Path(dir).expanduser().absolute()
    from tfdeepfake.data.batches.prepared import check_metadata

    with hide_tfds():
        path = Path(cls(config=config, data_dir=data_dir).data_dir)
    with _hold(path), hide_tfds():
        _restore(path)
        there = path.exists()
        if there and overwrite:
            path.rename(_old(path))
        # Only now: a builder that has seen the old set would keep its metadata.
        builder = cls(config=config, data_dir=data_dir)
        builder.workers, builder.folder = workers, folder
        if there and not overwrite:
            check_metadata(builder.info.metadata, name, config.name, path)
            _check_same_videos(builder, folder)
        else:
            _build(builder, path, beam)
    summary = {
        "path": str(path),
        "version": f"{builder.info.full_name.rpartition('/')[0]}:{builder.version}",
        "already_prepared": there and not overwrite,
        "splits": {split: info.num_examples for split, info in sorted(builder.info.splits.items())},
        "coverage": dict(builder.info.metadata)["coverage"],
    }
    if name == "synthetic_faces":
        from tfds_builders.synthetic_faces.synthetic_faces_dataset_builder import videos_folder

        summary["videos"] = str(videos_folder(builder.data_dir_root, builder.builder_config.options))
    if left_out := builder.info.metadata.get("left_out"):
        summary["left_out"] = {reason: entry["videos"] for reason, entry in left_out.items()}
    return summary


def config_name(name: str, input_type: str = "clip", **flags: Any) -> str:
    """Name of the config that `prepare` writes by these arguments.

    Args:
      name: one of `BUILDERS`.
      input_type, **flags: as `prepare` takes them.
    """
    by_class = ("num_frames_real", "num_frames_fake", "num_clips_real", "num_clips_fake")
    numbers = {key: flags.pop(key, None) for key in by_class}
    image_format = flags.pop("image_format", "jpeg95")
    return _choose(name, input_type, None, numbers, image_format, flags)[1].name


def default_options(name: str) -> dict:
    """{option: value} of a builder of `BUILDERS` where `prepare` is not told otherwise."""
    return dict(importlib.import_module(BUILDERS[name]).Builder.OPTIONS)


def _choose(name, input_type, data_dir, numbers, image_format, changes):
    """Builder class, config and data dir that the arguments ask for."""
    from tfds_builders.core.configs import find_config

    cls = importlib.import_module(BUILDERS[name]).Builder
    fields = set(DataRecipe.__dataclass_fields__) - {"input_type"}
    recipe = {key: value for key, value in changes.items() if key in fields}
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in changes.items() if key not in fields}
    if unknown := sorted(set(options) - set(cls.OPTIONS)):
        raise InputError(
            name, f"has no choice {unknown[0]!r}.", f"It has {', '.join(sorted(fields | set(cls.OPTIONS)))}."
        )
    options = {key: _like(cls.OPTIONS[key], key, value) for key, value in options.items()}
    options = {key: value for key, value in options.items() if value != cls.OPTIONS[key]}
    config = find_config(cls.BUILDER_CONFIGS, input_type, recipe, options=options, image_format=image_format, **numbers)
    return cls, config, None if data_dir is None else str(Path(data_dir).expanduser().absolute())


def _like(default, name, value):
    """The value of an option; text from a command line gets the type of the default: "a,b" a tuple, "3" a number."""
    if not isinstance(value, str) or isinstance(default, str):
        return value
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[value.lower()]
        if isinstance(default, tuple):
            kind = type(default[0]) if default else str
            return tuple(kind(part) for part in value.split(","))
        return type(default)(value)
    except (KeyError, ValueError):
        raise InputError(name, f"needs a value like {default!r}, got {value!r}.") from None


def _old(path):
    """Where the old set stays while it is built again."""
    return path.with_name(f".old-{path.name}")


def _restore(path):
    """Cleans up after a killed build: removes a half built set, puts a whole old one back."""
    for half in path.parent.glob(f"incomplete.*_{path.name}"):
        shutil.rmtree(half)
    if _old(path).exists():
        if path.exists():
            shutil.rmtree(_old(path))
        else:
            _old(path).rename(path)


def _build(builder, path, beam):
    """Builds the set; when that fails the old one is put back."""
    import tensorflow_datasets as tfds

    from tfds_builders.core.building import lost_lines
    from tfds_builders.core.manual import left_out_lines

    try:
        with hide_prints():
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(try_download_gcs=False, beam_options=beam)
            )
    except InputError:
        raise
    except Exception as error:
        _raise_if_full(error, path)
        raise
    finally:
        if builder.outcomes is not None:
            builder.outcomes.close()
        _restore(path)
    for line in [*left_out_lines(builder.info.metadata), *lost_lines(builder.info.metadata["coverage"])]:
        print(line, file=sys.stderr)


# What TFDS and TensorFlow say, in exceptions of their own; and what we do, in one of Beam's.
FULL = ("no space left", "quota exceeded", "the disk is full")


def _raise_if_full(error, path):
    """Names the full disk that an exception of TFDS, TensorFlow or Beam is about."""
    cause = error
    while cause is not None:
        known = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
        if known or any(text in str(cause).lower() for text in FULL):
            raise_if_full(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path)
        cause = cause.__cause__ or cause.__context__


def _check_same_videos(builder, folder):
    """A prepared set must be of the folder that is asked for."""
    if folder is None:
        return
    from tfds_builders.core.listing import fingerprint
    from tfds_builders.core.manual import listing_of
    from tfds_builders.video_folder.listing import list_videos

    videos = listing_of(builder, folder).videos if hasattr(builder, "LIST") else list_videos(folder)
    if builder.info.metadata["videos"] != fingerprint(videos):
        raise InputError(
            builder.data_dir,
            f"is already prepared, from other videos than {folder} holds now.",
            "Add --overwrite to build it again, or choose another --data-dir to keep both.",
        )


@contextlib.contextmanager
def _hold(path):
    """Keeps a second process from preparing the same set."""
    busy = InputError(path, "is being prepared by another process.", "Wait until it is done.")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(path.parent / ".lock", busy, log=partial(print, file=sys.stderr)))
        except OSError as error:
            raise InputError(
                path.parent, f"cannot be written to ({error.strerror}).", "Choose another --data-dir."
            ) from error
        yield
