"""Which manipulation a face looks like, of networks that tell methods apart; the verdict does not depend on it."""

import numpy as np

from tfdeepfake.scoring.classes import class_probabilities, methods_of
from tfdeepfake.vocabulary import REAL


def add_class_logits(points: list[dict], outputs: np.ndarray, classes: list[str] | None) -> None:
    """Puts each sample's raw logits {class: logit} into its point as `class_logits`, of a network of K classes.

    Args:
      points: of N samples.
      outputs: float32 [N, K], of the network; not those of networks that vote.
      classes: of the recipe; None of one logit.
    """
    if classes and outputs.shape[1] == len(classes) > 1:
        for point, logits in zip(points, outputs.tolist(), strict=True):
            point["class_logits"] = dict(zip(classes, logits, strict=True))


def probabilities(timelines: list[list[dict]], temperature: float = 1.0) -> dict[str, float] | None:
    """Probabilities of the classes over the samples of one or several faces: their mean, whatever the video's rule.

    Args:
      timelines: points of each face (docs/predictions.md).
      temperature: of the recipe.
    Returns:
      {"real": 0..1, method: 0..1}, summing to 1; None of a network that does not tell methods apart.
    """
    points = [point.get("class_logits") for timeline in timelines for point in timeline]
    if not points or points[0] is None or not methods_of(list(points[0])):
        return None
    logits = np.array([list(point.values()) for point in points])
    return dict(zip(points[0], class_probabilities(logits, temperature).mean(axis=0).tolist(), strict=True))


def ranked(classes: dict[str, float] | None) -> list[tuple[str, float]]:
    """(method, probability) of `probabilities`, the most probable one first, without `real`; [] for None."""
    fakes = list((classes or {}).items())[1:]
    return sorted(fakes, key=lambda pair: -pair[1])


def phrase(verdict: dict) -> str:
    """Such as "most like swap (0.81)", of a verdict dict; "" of a REAL and where methods are not told apart."""
    methods = ranked(verdict.get("classes"))
    if not methods or verdict["label"] == REAL:
        return ""
    return "most like {} ({:.2f})".format(*methods[0])
