"""The most suspicious stretch of a video: what a mean over all of it hides when only a part was faked."""

import numpy as np

# A window takes the samples of so many seconds, and of single frames, whose scores shake, at least so many: a clip is
# a stretch of video by itself.
WINDOW_S = 1.5
LEAST_FRAMES = 3


def peak(timeline: list[dict]) -> dict:
    """The window of successive samples of one face with the highest mean.

    Args:
      timeline: points of the face in order of time (docs/predictions.md). The next sample of a face that was away for a
        while counts as successive.
    Returns:
      {"probability": 0..1, "from_s", "to_s": start of the window's first sample and end of its last, "num_samples"}. A
      timeline shorter than a window is one.
    """
    least = 1 if "boxes" in timeline[0] else LEAST_FRAMES
    starts = np.array([point["time_s"] for point in timeline])
    values = np.array([point["probability"] for point in timeline], np.float64)
    first = np.arange(max(1, len(timeline) - least + 1))
    # Times are rounded to a tenth of a millisecond.
    last = np.searchsorted(starts, starts[first] + WINDOW_S + 1e-3, side="right")
    last = np.minimum(np.maximum(last, first + least), len(timeline))
    # A window at the end that holds less than another is part of it, and no window of its own.
    whole = np.concatenate([[True], last[1:] > last[:-1]])
    first, last = first[whole], last[whole]
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means = (sums[last] - sums[first]) / (last - first)
    best = int(means.argmax())
    return {
        "probability": float(np.clip(means[best], 0, 1)),
        "from_s": timeline[first[best]]["time_s"],
        "to_s": timeline[last[best] - 1]["end_s"],
        "num_samples": int(last[best] - first[best]),
    }
