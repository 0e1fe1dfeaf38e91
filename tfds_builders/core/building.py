"""What all builders do with their list of videos: TFDS split generators and metadata."""

import dataclasses
import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tqdm.auto import tqdm

from tfdeepfake.counting import bar_hidden, moving
from tfdeepfake.data.batches.prepared import SCHEMA
from tfdeepfake.errors import InputError
from tfdeepfake.vocabulary import SPLITS
from tfdeepfake.workers import WorkerCrashed, imap_ordered
from tfds_builders.core import beam as on_beam
from tfds_builders.core import work_cache
from tfds_builders.core.configs import VideoConfig
from tfds_builders.core.features import Video, feature_dict

REASONS = ("no_face", "unreadable", "too_short")


class VideoBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What all builders have. A class, because TFDS says only by calling these methods whether Beam is asked for, and
    when a set is complete."""

    builder_config_cls = VideoConfig
    # Processes, or None for one per core; and a folder or CSV file instead of the manual dir. `prepare` sets both.
    workers = None
    folder = None
    outcomes = None
    beam = None
    # Names of the columns that `VideoRecord.subgroups` fills.
    SUBGROUPS = ()
    # Of the set's authors.
    HOMEPAGE = None

    def _info(self):
        return dataset_info(self)

    def download_and_prepare(self, *, download_config: Any = None, **kwargs: Any) -> None:
        """As that of TFDS; with `beam_options` or `beam_runner` in the config, Beam makes the examples."""
        self.beam = on_beam.beam_of(download_config)
        if self.beam is not None:
            download_config = dataclasses.replace(
                download_config, beam_options=self.beam.options, beam_runner=self.beam.runner
            )
        super().download_and_prepare(download_config=download_config, **kwargs)

    def _generate_examples(self, outcomes, counted):
        yield from examples_of(outcomes, counted)

    def _post_download_and_prepare_hook(self):
        work_cache.remove(work_cache.work_folder(self))


def dataset_info(builder: VideoBuilder, **facts: Any) -> tfds.core.DatasetInfo:
    """DatasetInfo with the recipe in its metadata; coverage is added while examples are made."""
    config = builder.builder_config
    facts |= {"schema": SCHEMA, "recipe": config.recipe.to_dict(), "options": config.options, "coverage": {}}
    by_class = ("num_frames_real", "num_frames_fake", "num_clips_real", "num_clips_fake")
    facts |= {name: getattr(config, name) for name in (*by_class, "image_format")}
    facts |= {"subgroups": list(builder.SUBGROUPS)} if builder.SUBGROUPS else {}
    masks = bool(config.options.get("masks", False))
    info = builder.dataset_info_from_configs(
        features=feature_dict(config.recipe, config.image_format, masks, builder.SUBGROUPS),
        supervised_keys=("frames", "label"),
        homepage=builder.HOMEPAGE,
        metadata=tfds.core.MetadataDict(facts),
    )
    # TFDS would look for facts of a set that is not prepared yet in a bucket of its own sets, and leave a temporary
    # folder behind each time.
    info.initialize_from_bucket = _nothing
    return info


def _nothing():
    pass


def make_video(config: VideoConfig, **facts: Any) -> Video:
    """A `Video` with the recipe that the config has for its label."""
    return Video(recipe=config.recipe_of(facts["label"]), image_format=config.image_format, **facts)


def split_generators(builder: VideoBuilder, videos: Iterable, source: str = "") -> dict:
    """What `_split_generators` of a builder returns.

    Fills the builder's `info.metadata["coverage"]`: {split: {"videos": N, "scored": n, "no_face": [...],
    "unreadable": [...], "too_short": [...]}}; each video without examples is a dict of data_set, method, video, source,
    label, its subgroups and reason. Videos finished by an earlier build that was interrupted are not worked on again.

    Args:
      builder: its `workers` is the number of processes, see `workers.imap_ordered`; its `outcomes` becomes the
        generator of all outcomes, which ends the processes when it is closed. With a `beam` the work is done there.
      videos: list of `Video`.
      source: what to name in the error when no video can be used.
    Returns:
      {split: iterator of (key, example)}, or Beam transforms in the place of the iterators.
    Raises (with the own processes when its items are taken):
      InputError: no video gave an example.
    """
    videos = sorted(videos, key=lambda v: SPLITS.index(v.split))
    coverage = {}
    for video in videos:
        coverage.setdefault(video.split, {"videos": 0, "scored": 0} | {reason: [] for reason in REASONS})
        coverage[video.split]["videos"] += 1
    builder.info.metadata["coverage"] = coverage
    rates = _FrameRates(builder.info.metadata)
    folder = work_cache.work_folder(builder)
    work_cache.open_folder(folder)
    jobs, before = work_cache.jobs_of(videos, folder), work_cache.finished_names(folder)
    if done := sum(before.get(job.name) in (work_cache.SCORED, work_cache.NONE) for job in jobs):
        print(f"{builder.name}: {done} of {len(jobs)} videos are finished from an earlier build.", file=sys.stderr)
    if builder.beam is None:
        outcomes = imap_ordered(work_cache.finish, jobs, builder.workers)
    else:
        on_beam.finish_all(builder.beam, jobs, folder)
        outcomes = _finished(work_cache.jobs_of(videos, folder), work_cache.finished_names(folder))
        # A builder with an `_generate_examples` of its own looks at the outcomes in this process.
        if not builder.beam.local and type(builder)._generate_examples is VideoBuilder._generate_examples:
            return _beam_splits(outcomes, coverage, folder, source or builder.name, rates)
    builder.outcomes = outcomes
    outcomes = _shown(outcomes, builder.name, len(videos))
    return _FilledSplits(builder, rates.seen(_read(outcomes)), coverage, source or builder.name)


def _shown(outcomes, name, total):
    """Yields the outcomes behind a bar, whose clock goes on while the first ones are made."""
    with tqdm(total=total, desc=name, unit="video", disable=bar_hidden()) as bar, moving(bar):
        for outcome in outcomes:
            yield outcome
            bar.update()


class _FrameRates:
    """Keeps the median frame rate of the videos that gave examples in the metadata, as `frame_rate`, frames/s."""

    # Of a set that Beam's workers write, so many videos are looked at, spread over it.
    SAMPLE = 200

    def __init__(self, metadata):
        self.metadata, self.rates = metadata, []
        metadata["frame_rate"] = None

    def seen(self, outcomes):
        """Yields the outcomes as they come."""
        for video, outcome in outcomes:
            if not isinstance(outcome, WorkerCrashed) and outcome[0] == "scored":
                self._add([example for _, example in outcome[1]])
            yield video, outcome

    def of_sample(self, folder, names):
        """Looks at some of the finished videos."""
        for name in names[:: max(1, len(names) // self.SAMPLE)]:
            self._add([example for _, example in work_cache.read(folder, name, work_cache.SCORED)[1]])

    def _add(self, examples):
        frames = np.concatenate([np.ravel(example["frame_indices"]) for example in examples])
        times = np.concatenate([np.ravel(example["timestamps_s"]) for example in examples]).astype(np.float64)
        first, last = frames.argmin(), frames.argmax()
        if times[last] > times[first]:
            self.rates.append((frames[last] - frames[first]) / (times[last] - times[first]))
            self.metadata["frame_rate"] = round(float(np.median(self.rates)), 2)


def _finished(jobs, names):
    """Yields (job, (name, kind) or WorkerCrashed) of videos that Beam's workers finished."""
    for job in jobs:
        kind = names.get(job.name)
        if kind is None:
            yield job, WorkerCrashed("the Beam worker left no result.")
        elif kind == work_cache.DIED:
            yield job, WorkerCrashed(work_cache.read(job.folder, job.name, kind)[1])
        else:
            yield job, (job.name, kind)


def _read(outcomes):
    """Yields (Video, what `make_examples` returned or WorkerCrashed)."""
    for job, outcome in outcomes:
        yield job.video, outcome if isinstance(outcome, WorkerCrashed) else work_cache.read(job.folder, *outcome)


def _beam_splits(outcomes, coverage, folder, source, rates):
    """{split: Beam transform} of the splits that have examples; counts the videos that have none."""
    names = {}
    for job, outcome in outcomes:
        if not isinstance(outcome, WorkerCrashed) and outcome[1] == work_cache.SCORED:
            names.setdefault(job.video.split, []).append(job.name)
            coverage[job.video.split]["scored"] += 1
        else:
            list(examples_of(_read([(job, outcome)]), coverage[job.video.split]))
    if not names:
        raise _none_left(coverage, source)
    rates.of_sample(folder, [name for video_names in names.values() for name in video_names])
    return {split: on_beam.examples_of(video_names, folder, split) for split, video_names in names.items()}


class _FilledSplits(dict):
    """{split: examples} that has only splits with an example: TFDS fails at an empty one, and one bad video must not
    cost a small set its build. Outcomes come split by split, and TFDS takes the items one after the other."""

    def __init__(self, builder, outcomes, coverage, source):
        super().__init__(dict.fromkeys(coverage))
        self.builder, self.outcomes, self.coverage, self.source = builder, outcomes, coverage, source

    def items(self):
        reached = False
        for split, group in itertools.groupby(self.outcomes, key=lambda outcome: outcome[0].split):
            examples = iter(self.builder._generate_examples(group, self.coverage[split]))
            first = next(examples, None)
            if first is not None:
                reached = True
                yield split, itertools.chain([first], examples)
        if not reached:
            raise _none_left(self.coverage, self.source)


def _none_left(coverage, source):
    """The error when no video can be used."""
    lost = _lost(coverage)
    shown = "; ".join(f"{e['video']}: {e['reason']}" for _, e in lost[:5])
    more = f"; and {len(lost) - 5} more" if len(lost) > 5 else ""
    return InputError(
        source, f"none of {len(lost)} videos could be used ({shown}{more}).", "Choose videos that show faces."
    )


def examples_of(outcomes: Iterable, counted: dict) -> Iterator:
    """Yields (key, example) of the videos of a split, and counts those that have none.

    Args:
      outcomes: iterator of (Video, what `make_examples` returned or WorkerCrashed).
      counted: the split's part of the coverage.
    """
    for video, outcome in outcomes:
        status, examples_or_reason = ("unreadable", str(outcome)) if isinstance(outcome, WorkerCrashed) else outcome
        if status == "scored":
            counted["scored"] += 1
            yield from examples_or_reason
            continue
        facts = {name: getattr(video, name) for name in ("data_set", "method", "video", "source", "label")}
        counted[status].append(facts | video.subgroups | {"reason": examples_or_reason})


def _lost(coverage):
    return [(why, entry) for counted in coverage.values() for why in REASONS for entry in counted[why]]


def lost_lines(coverage: dict, most: int = 20) -> list:
    """Lines of text that name the videos without examples, so many at most; none when all have some."""
    lost, total = _lost(coverage), sum(counted["videos"] for counted in coverage.values())
    if not lost:
        return []
    lines = [f"{len(lost)} of {total} videos gave no examples:"]
    lines += [f"  {e['video']}: {why.replace('_', ' ')}: {e['reason']}" for why, e in lost[:most]]
    return lines + ([f"  and {len(lost) - most} more, see metadata.json"] if len(lost) > most else [])
