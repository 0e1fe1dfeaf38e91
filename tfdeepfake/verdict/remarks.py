"""What must stand beside a verdict's figure, in its printed line and on the page: what contradicts it."""

from tfdeepfake.vocabulary import FAKE, REAL


def remarks(verdict: dict, threshold: float | None = None) -> str:
    """Phrases for the end of a verdict's line, each after a comma; "" for none."""
    phrases = [other_rule(verdict, threshold)]
    return "".join(f", {phrase}" for phrase in phrases if phrase)


def other_rule(verdict: dict, threshold: float | None) -> str:
    """The figure that did not decide, when it would have turned the label: a peak above a REAL, a mean below a FAKE."""
    peak, mean = verdict["peak"], verdict["mean"]
    if peak is None or threshold is None:
        return ""
    if verdict["label"] == REAL and peak["probability"] >= threshold:
        return f"but {peak_text(peak)}"
    if verdict["video_rule"] == "peak":
        below = f", but mean {mean:.2f}" if verdict["label"] == FAKE and mean < threshold else ""
        return peak_text(peak) + below
    return ""


def peak_text(peak: dict) -> str:
    """Such as "peak 0.97 at 3.2-4.8 s"."""
    return f"peak {peak['probability']:.2f} at {peak['from_s']:.1f}-{peak['to_s']:.1f} s"
