"""From logits of samples to the probability of a face and of a video: the one way of `predict` and `evaluate`.

Of a face's samples (`video_rule`):
  mean        the mean of their probabilities sigmoid(logit / temperature)
  mean_logit  the probability of their mean logit
  confident   the rule of the DFDC's winner: where more than 11 and more than 2 in 5 samples are above 0.8, the mean of
              those; else, where more than 9 in 10 are below 0.2, the mean of those; else the mean of all
  peak        the highest mean of a window of successive samples, see `peak_window`

Of a video's faces (`faces_rule`):
  max  the highest of the faces: one faked face makes a faked video
  all  the samples of all faces together, as if they were one face's (P0 III-B; the DFDC's winner)

Several networks that vote each have their own probability of a face; their mean is the face's.
"""

import numpy as np

from tfdeepfake.vocabulary import FACES_RULES, VIDEO_RULES

# A window takes the samples of so many seconds, and of single frames, whose scores shake, at least so many: a clip is
# a stretch of video by itself.
WINDOW_S = 1.5
LEAST = {"frame": 3, "clip": 1}


def check_rules(video_rule: str, faces_rule: str = "max") -> None:
    """Raises ValueError unless both are known."""
    if video_rule not in VIDEO_RULES:
        raise ValueError(f"video_rule needs one of {VIDEO_RULES}, got {video_rule!r}.")
    if faces_rule not in FACES_RULES:
        raise ValueError(f"faces_rule needs one of {FACES_RULES}, got {faces_rule!r}.")


def probability(logit: np.ndarray | float, temperature: float = 1.0) -> np.ndarray:
    """sigmoid(logit / temperature) in float64, without overflow; any shape."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logit, np.float64) / temperature))


def vote(logits: np.ndarray) -> np.ndarray:
    """Logits [..., M] of M networks -> logits float64 [...] of the mean of their probabilities."""
    logits = np.asarray(logits, np.float64)
    if logits.shape[-1] == 1:
        return logits[..., 0]
    with np.errstate(invalid="ignore"):  # of logits that are not finite no score is made
        fake, real = (np.logaddexp.reduce(-np.logaddexp(0.0, sign * logits), axis=-1) for sign in (-1, 1))
        return fake - real


def peak_window(starts_s: np.ndarray, values: np.ndarray, unit: str = "frame") -> tuple[float, int, int]:
    """The most suspicious stretch of a face: the window of successive samples with the highest mean.

    Args:
      starts_s: float64 [N], in order. The next sample of a face that was away for a while counts as successive; where
        times are not known (NaN), windows are of the least number of samples.
      values: float64 [N], probabilities.
      unit: "frame" or "clip": what a sample is.
    Returns:
      (mean of the window, its first sample, the one behind its last). Fewer samples than a window takes are one.
    """
    least = LEAST[unit]
    if not np.isfinite(starts_s).all():
        starts_s = 2 * WINDOW_S * np.arange(len(values))
    first = np.arange(max(1, len(values) - least + 1))
    # Times are rounded to a tenth of a millisecond.
    last = np.searchsorted(starts_s, starts_s[first] + WINDOW_S + 1e-3, side="right")
    last = np.minimum(np.maximum(last, first + least), len(values))
    # A window at the end that holds less than another is part of it, and no window of its own.
    whole = np.concatenate([[True], last[1:] > last[:-1]])
    first, last = first[whole], last[whole]
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means = (sums[last] - sums[first]) / (last - first)
    best = int(means.argmax())
    return float(np.clip(means[best], 0, 1)), int(first[best]), int(last[best])


def terms(logits: np.ndarray, video_rule: str, temperature: float = 1.0) -> np.ndarray:
    """What the rule adds up over samples, float64 [N, S] of logits [N]; the first term is 1, the others the rule's."""
    p = probability(logits, temperature)
    columns = [np.ones(len(p)), np.asarray(logits, np.float64) / temperature if video_rule == "mean_logit" else p]
    if video_rule == "confident":
        fake, real = p > 0.8, p < 0.2
        columns += [fake, p * fake, real, p * real]
    return np.stack(columns, axis=1)


def of_sums(sums: np.ndarray, video_rule: str) -> np.ndarray:
    """Probabilities [...] of sums [..., S] of `terms`; the value for no samples means nothing."""
    count = sums[..., 0]
    mean = sums[..., 1] / np.maximum(count, 1)
    if video_rule == "mean_logit":
        return probability(mean)
    if video_rule == "confident":
        fake, real = sums[..., 2], sums[..., 4]
        of_fake, of_real = sums[..., 3] / np.maximum(fake, 1), sums[..., 5] / np.maximum(real, 1)
        mean = np.where(real > 0.9 * count, of_real, mean)
        mean = np.where((fake > 11) & (fake > count / 2.5), of_fake, mean)
    # The mean of numbers up to 1 can come out one rounding step above 1.
    return np.minimum(mean, 1.0)


def sum_up(
    logits: np.ndarray,
    group: np.ndarray | None = None,
    video_rule: str = "mean",
    temperature: float = 1.0,
    times_s: np.ndarray | None = None,
    unit: str = "frame",
) -> np.ndarray:
    """Probabilities of groups of samples: of faces, or of videos whose faces are taken together.

    Args:
      logits: [N], or [N, M] of M networks that vote.
      group: int [N], the group of each sample, from 0 without a gap; one group when None.
      video_rule: see the head of this file.
      temperature: divides the logits.
      times_s: float [N], starts of the samples, for "peak".
      unit: "frame" or "clip", for "peak".
    Returns:
      float64 [G].
    Raises:
      ValueError: an unknown rule, or a temperature that is not above 0.
    """
    check_rules(video_rule)
    if not temperature > 0:
        raise ValueError(f"temperature needs to be above 0, got {temperature}.")
    logits = np.asarray(logits)
    if not len(logits):
        return np.zeros(0)
    group = np.zeros(len(logits), np.int64) if group is None else np.asarray(group)
    num_groups = int(group.max()) + 1
    members = logits.reshape(len(logits), -1).T
    if video_rule == "peak":
        values = np.mean([probability(member, temperature) for member in members], axis=0)
        times_s = np.full(len(values), np.nan) if times_s is None else np.asarray(times_s, np.float64)
        order = np.lexsort((times_s, group))
        cuts = np.flatnonzero(np.diff(group[order])) + 1
        return np.array([peak_window(times_s[rows], values[rows], unit)[0] for rows in np.split(order, cuts)])
    votes = []
    for member in members:
        columns = terms(member, video_rule, temperature).T
        sums = [np.bincount(group, weights=column, minlength=num_groups) for column in columns]
        votes.append(of_sums(np.stack(sums, axis=1), video_rule))
    return np.mean(votes, axis=0)
