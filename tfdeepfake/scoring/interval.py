"""How far a video's probability depends on which of its samples were looked at."""

import functools
from collections.abc import Sequence

import numpy as np

from tfdeepfake.scoring.rules import of_sums, terms

RESAMPLES = 1000
# Faces that are summed up together hold no more numbers than this.
_AT_ONCE = 1 << 24


def interval(
    tables: list[dict[int, float]],
    video_rule: str = "mean",
    faces_rule: str = "max",
    temperature: float = 1.0,
    seed: int = 0,
) -> tuple[float, float] | None:
    """95 % bootstrap interval of the video's probability over its samples.

    A sample is drawn with all its faces, because compression and light are shared. It covers the choice of
    frames only, not what the network never learned.

    Args:
      tables: per deciding face a dict {first frame of the sample: logit, or list of those of the networks that vote}.
      video_rule, faces_rule, temperature: see `scoring.rules`; not "peak".
      seed: of the bootstrap.
    Returns:
      (low, high), or None when there are fewer than two samples.
    """
    samples = sorted({sample for table in tables for sample in table})
    if len(samples) < 2:
        return None
    # [faces, samples, networks]; what was not seen adds nothing.
    seen = np.array([[sample in table for sample in samples] for table in tables])
    logits = np.array([_logits(table, samples) for table in tables])
    votes, sums = _sums_up(logits, seen, video_rule, temperature, seed, together=faces_rule == "all")
    # A face that is in none of the drawn samples says nothing in that draw.
    values = np.where(sums[..., 0] > 0, votes, -np.inf).max(axis=1)
    low, high = np.percentile(values[np.isfinite(values)], (2.5, 97.5))
    return float(low), float(high)


def face_intervals(
    logits: Sequence[np.ndarray], video_rule: str = "mean", temperature: float = 1.0, seed: int = 0
) -> list[tuple[float, float] | None]:
    """`interval` of many videos of one face each, those of as many samples at once.

    Args:
      logits: of each video float [N] or, of M networks that vote, [N, M], in the order of its samples.
      video_rule, temperature, seed: as of `interval`.
    """
    spreads, by_count = [None] * len(logits), {}
    for number, one in enumerate(logits):
        by_count.setdefault(len(one), []).append(number)
    by_count.pop(1, None)
    for count, numbers in by_count.items():
        size = max(1, _AT_ONCE // (RESAMPLES * 6))
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            stacked = np.stack([np.reshape(logits[number], (count, -1)) for number in some])
            votes, _ = _sums_up(stacked, np.ones(stacked.shape[:2]), video_rule, temperature, seed)
            low, high = np.percentile(votes, (2.5, 97.5), axis=0)
            for number, *ends in zip(some, low.tolist(), high.tolist(), strict=True):
                spreads[number] = tuple(ends)
    return spreads


def _sums_up(logits, seen, video_rule, temperature, seed, together=False):
    """Of each draw, probabilities [draws, faces] and what they are of, [draws, faces, terms].

    Args:
      logits: [faces, samples, networks]; seen: [faces, samples], 0 where a sample does not show the face.
      together: whether the faces are taken as one.
    """
    draws, votes = _draws(logits.shape[1], seed), []
    for member in np.moveaxis(logits, -1, 0):
        added = terms(member.ravel(), video_rule, temperature).reshape(*member.shape, -1) * seen[..., None]
        # One product of matrices for all faces.
        flat = np.moveaxis(added, 1, 0).reshape(len(draws[0]), -1)
        sums = (draws @ flat).reshape(len(draws), len(member), -1)
        sums = sums.sum(axis=1, keepdims=True) if together else sums
        votes.append(of_sums(sums, video_rule))
    return np.mean(votes, axis=0), sums


def _logits(table, samples):
    """Logits [samples][networks] of a face; zeros for samples that do not show it."""
    unseen = np.zeros_like(np.ravel(next(iter(table.values()))))
    return [np.ravel(table.get(sample, unseen)) for sample in samples]


@functools.lru_cache(maxsize=32)
def _draws(count, seed):
    """How often each of `count` samples is drawn, float64 [RESAMPLES, count]."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
