"""Builds on Apache Beam: workers of any runner fill the work cache, and its examples become the data set.

Two passes, because TFDS must know before it writes which splits have examples, and a video's fate goes into the
metadata. Workers have only the storage of the data dir in common.
"""

import contextlib
import dataclasses
import functools
import io
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etils import epath

from tfdeepfake.errors import InputError
from tfdeepfake.workers import WorkerCrashed, run_isolated
from tfds_builders.core import work_cache

# Beam's own name for "this machine" first asks Prism, which is downloaded; this one is part of Beam in Python.
LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
LOCAL_NAMES = ("", "directrunner", "fnapirunner", "switchingdirectrunner", "bundlebaseddirectrunner")
# A graph with a hundred thousand videos in it would be too large for some runners: it names lists of so many.
LIST_LENGTH = 1000


def parse_options(text: str) -> Any:
    """PipelineOptions of "runner=DirectRunner,direct_num_workers=2", as `tfds build --beam_pipeline_options` takes it.

    Raises:
      InputError: Beam is not installed, or does not understand the text.
    """
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise InputError(
            "beam_options", f"needs Apache Beam ({error}).", 'Install it: pip install "tfdeepfake[beam]"'
        ) from None
    flags = [f"--{part.strip()}" for part in text.split(",") if part.strip()]
    said = io.StringIO()
    try:
        # argparse shows hundreds of options before it says what is wrong.
        with contextlib.redirect_stderr(said):
            options = PipelineOptions(flags)
            known = options.get_all_options()
    except SystemExit:
        why = said.getvalue().strip().rpartition("error: ")[2]
        raise InputError("beam_options", f"cannot be understood: {why}.", "Give NAME=VALUE,NAME=VALUE.") from None
    if unknown := sorted(set(options.get_all_options(retain_unknown_options=True)) - set(known)):
        raise InputError("beam_options", f"has no option {unknown[0]!r}.", "The page of the runner lists them.")
    return options


@dataclasses.dataclass(frozen=True)
class Beam:
    """Where Beam runs.

    Args:
      options: PipelineOptions.
      runner: PipelineRunner or its name.
      local: whether that is a runner of Beam in Python on this machine.
      threads: of a process that works on a video.
    """

    options: object
    runner: object
    local: bool
    threads: int


def beam_of(download_config: Any) -> Beam | None:
    """The Beam that a tfds.download.DownloadConfig asks for, or None."""
    if download_config is None or not (download_config.beam_options or download_config.beam_runner):
        return None
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

    options = download_config.beam_options or PipelineOptions([])
    runner = download_config.beam_runner or options.view_as(StandardOptions).runner or ""
    name = runner if isinstance(runner, str) else type(runner).__name__
    local = name.rpartition(".")[2].lower() in LOCAL_NAMES
    if local and name.rpartition(".")[2].lower() != "bundlebaseddirectrunner" and isinstance(runner, str):
        runner = LOCAL_RUNNER
    workers = options.view_as(DirectOptions).direct_num_workers or os.cpu_count()
    return Beam(options, runner, local, max(1, (os.cpu_count() or 1) // workers) if local else 1)


def finish_all(beam: Beam, jobs: Sequence, folder: str | Path) -> None:
    """Finishes all videos that are not finished yet.

    Args:
      beam: Beam.
      jobs: list of work_cache.Job.
      folder: the work folder, an etils path.
    """
    import apache_beam

    lists = _write_lists(folder, "jobs", jobs)
    with apache_beam.Pipeline(runner=beam.runner, options=beam.options) as pipeline:
        _ = (
            pipeline
            | "Lists" >> apache_beam.Create(lists)
            | "Videos" >> apache_beam.FlatMap(_read_list)
            | "Spread" >> apache_beam.Reshuffle()
            | "Finish" >> apache_beam.Map(functools.partial(_finish, threads=beam.threads))
        )


def examples_of(names: Sequence[str], folder: str | Path, split: str) -> Any:
    """A Beam transform that yields the (key, example) of finished videos.

    Args:
      names: of finished videos that have examples.
    """
    import apache_beam

    lists = _write_lists(folder, split, names)
    return (
        apache_beam.Create(lists)
        | "Videos" >> apache_beam.FlatMap(_read_list)
        | "Spread" >> apache_beam.Reshuffle()
        | "Examples" >> apache_beam.FlatMap(functools.partial(_examples, folder=os.fspath(folder)))
    )


def _finish(job, threads):
    # In its own process: a crash of the decoder costs this video, not the Beam worker and with it the whole pipeline.
    outcome = run_isolated(work_cache.finish, job, threads)
    if isinstance(outcome, WorkerCrashed):
        work_cache.write(
            job.folder, job.name or work_cache.name_of(job.video), work_cache.DIED, ("unreadable", str(outcome))
        )


def _examples(name, folder):
    return work_cache.read(folder, name, work_cache.SCORED)[1]


def _write_lists(folder, what, items):
    """Paths of files that hold so many items each."""
    (folder / "lists").mkdir(parents=True, exist_ok=True)
    paths = []
    for first in range(0, len(items), LIST_LENGTH):
        path = folder / "lists" / f"{what}-{first:08d}.pickle"
        path.write_bytes(pickle.dumps(items[first : first + LIST_LENGTH]))
        paths.append(os.fspath(path))
    return paths


def _read_list(path):
    return pickle.loads(epath.Path(path).read_bytes())
