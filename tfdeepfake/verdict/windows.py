"""The most suspicious stretch of a video: what a mean over all of it hides when only a part was faked."""

import numpy as np

from tfdeepfake.scoring.rules import peak_window


def peak(timeline: list[dict]) -> dict:
    """The window of successive samples of one face with the highest mean, see `scoring.rules.peak_window`.

    Args:
      timeline: points of the face in order of time (docs/predictions.md).
    Returns:
      {"probability": 0..1, "from_s", "to_s": start of the window's first sample and end of its last, "num_samples"}. A
      timeline shorter than a window is one.
    """
    starts = np.array([point["time_s"] for point in timeline])
    values = np.array([point["probability"] for point in timeline], np.float64)
    mean, first, last = peak_window(starts, values, "clip" if "boxes" in timeline[0] else "frame")
    return {
        "probability": mean,
        "from_s": timeline[first]["time_s"],
        "to_s": timeline[last - 1]["end_s"],
        "num_samples": last - first,
    }
