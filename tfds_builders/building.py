"""What the builders share: videos in, TFDS split generators and metadata out."""

import itertools

import tensorflow_datasets as tfds

from tfdeepfake.files import InputError
from tfds_builders.features import Video, feature_dict, make_examples
from tfds_builders.splits import SPLITS
from tfds_builders.workers import Died, ordered

REASONS = ("no_face", "unreadable", "too_short")


def dataset_info(builder, **facts):
    """DatasetInfo with the recipe in its metadata; coverage is added while examples are made."""
    config = builder.builder_config
    facts |= {"recipe": config.recipe.to_dict(), "options": config.options, "coverage": {}}
    facts |= {name: getattr(config, name) for name in ("frames_real", "frames_fake")}
    return builder.dataset_info_from_configs(
        features=feature_dict(config.recipe), metadata=tfds.core.MetadataDict(facts)
    )


def make_video(config, **facts):
    """A `Video` with the recipe that the config has for its label."""
    return Video(recipe=config.recipe_of(facts["label"]), **facts)


def split_generators(builder, videos, source=""):
    """What `_split_generators` of a builder returns.

    Fills the builder's `info.metadata["coverage"]`: {split: {"videos": N, "scored": n, "no_face": [...],
    "unreadable": [...], "too_short": [...]}}; each video without examples is a dict of data_set, method, video, source,
    label and reason.

    Args:
      builder: its `workers` is the number of processes, see `workers.ordered`; its `results` becomes the generator of
        all results, which ends the processes when it is closed.
      videos: list of `Video`.
      source: what to name in the error when no video can be used.
    Returns:
      {split: iterator of (key, example)}.
    Raises (when its items are taken):
      InputError: no video gave an example.
    """
    from tqdm import tqdm

    videos = sorted(videos, key=lambda v: SPLITS.index(v.split))
    coverage = {}
    for video in videos:
        coverage.setdefault(video.split, {"videos": 0, "scored": 0} | {reason: [] for reason in REASONS})
        coverage[video.split]["videos"] += 1
    builder.info.metadata["coverage"] = coverage
    builder.results = results = ordered(make_examples, videos, builder.workers)
    results = tqdm(results, desc=builder.name, total=len(videos), unit="video", disable=None)
    return _FilledSplits(builder, results, coverage, source or builder.name)


class _FilledSplits(dict):
    """{split: examples} that has only splits with an example: TFDS fails at an empty one, and one bad video must not
    cost a small set its build. Results come split by split, and TFDS takes the items one after the other."""

    def __init__(self, builder, results, coverage, source):
        super().__init__(dict.fromkeys(coverage))
        self.builder, self.results, self.coverage, self.source = builder, results, coverage, source

    def items(self):
        reached = False
        for split, group in itertools.groupby(self.results, key=lambda result: result[0].split):
            examples = iter(self.builder._generate_examples(group, self.coverage[split]))
            first = next(examples, None)
            if first is not None:
                reached = True
                yield split, itertools.chain([first], examples)
        if not reached:
            lost = _lost(self.coverage)
            shown = "; ".join(f"{e['video']}: {e['reason']}" for _, e in lost[:5])
            more = f"; and {len(lost) - 5} more" if len(lost) > 5 else ""
            raise InputError(
                self.source,
                f"none of {len(lost)} videos could be used ({shown}{more}).",
                "Choose videos that show faces.",
            )


def examples_of(results, counted):
    """Yields (key, example) of the videos of a split, and counts those that have none.

    Args:
      results: iterator of (Video, result of `make_examples` or Died).
      counted: the split's part of the coverage.
    """
    for video, result in results:
        status, found = ("unreadable", str(result)) if isinstance(result, Died) else result
        if status == "scored":
            counted["scored"] += 1
            yield from found
            continue
        facts = {name: getattr(video, name) for name in ("data_set", "method", "video", "source", "label")}
        counted[status].append(facts | {"reason": found})


def _lost(coverage):
    return [(why, entry) for counted in coverage.values() for why in REASONS for entry in counted[why]]


def lost_lines(coverage, most=20):
    """Lines of text that name the videos without examples, so many at most; none when all have some."""
    lost, total = _lost(coverage), sum(counted["videos"] for counted in coverage.values())
    if not lost:
        return []
    lines = [f"{len(lost)} of {total} videos gave no examples:"]
    lines += [f"  {e['video']}: {why.replace('_', ' ')}: {e['reason']}" for why, e in lost[:most]]
    return lines + ([f"  and {len(lost) - most} more, see metadata.json"] if len(lost) > most else [])
