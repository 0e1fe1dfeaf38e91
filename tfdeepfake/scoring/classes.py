"""Networks of K classes, the first of which is `real`: their logits to the one logit of FAKE, and to methods."""

import numpy as np

from tfdeepfake.errors import InputError

REAL_CLASS = "real"
# The softmax pair of P1 3.4: two outputs that say no more than one logit.
PAIR = [REAL_CLASS, "fake"]


def log_odds(logits: np.ndarray) -> np.ndarray:
    """The logit of FAKE: log of the odds of all fake classes together against `real`.

    Args:
      logits: [..., K], `real` first; [..., 1] is the logit of FAKE itself.
    Returns:
      float32 [...]; sigmoid of it is 1 - softmax(logits)[..., 0].
    """
    logits = np.asarray(logits)
    if logits.shape[-1] == 1:
        return logits[..., 0].astype(np.float32)
    values = logits.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # of logits that are not finite no score is made
        return (np.logaddexp.reduce(values[..., 1:], axis=-1) - values[..., 0]).astype(np.float32)


def class_probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of the classes that agree with the calibrated probability of FAKE.

    The temperature was fitted to FAKE against REAL: it divides `log_odds`, and the probability of FAKE is shared among
    the fake classes by their softmax. At a temperature of 1 this is softmax(logits).

    Args:
      logits: [..., K], K > 1, `real` first.
      temperature: of the recipe.
    Returns:
      float64 [..., K], each row summing to 1.
    """
    values = np.asarray(logits, np.float64)
    fakes = values[..., 1:]
    together = np.logaddexp.reduce(fakes, axis=-1, keepdims=True)
    odds = (together - values[..., :1]) / temperature
    fake, real = np.exp(-np.logaddexp(0.0, -odds)), np.exp(-np.logaddexp(0.0, odds))
    return np.concatenate([real, fake * np.exp(fakes - together)], axis=-1)


def class_numbers(labels: np.ndarray, methods: np.ndarray, classes: list[str]) -> np.ndarray:
    """The true class of each item.

    Args:
      labels: int [N], 1 = FAKE, 0 = REAL, -1 = unknown.
      methods: object [N] of str.
      classes: names of the K classes, `real` first.
    Returns:
      int64 [N], 0..K-1; -1 where the label is unknown or the fake's method is none of the classes.
    """
    if list(classes) == PAIR:
        return np.asarray(labels).astype(np.int64)
    numbers = {name: number for number, name in enumerate(classes) if number}
    fakes = np.fromiter((numbers.get(method, -1) for method in methods), np.int64, len(methods))
    return np.where(np.asarray(labels) == 0, 0, np.where(np.asarray(labels) == 1, fakes, -1))


def methods_of(classes: list[str] | None) -> list[str] | None:
    """Names of the fake classes where they are methods; None for one logit and for P1's pair."""
    return list(classes[1:]) if classes and list(classes) != PAIR else None


def check_detector(network: str, num_outputs: int, classes: list[str] | None) -> list[str] | None:
    """What the outputs of a detector are.

    Args:
      network: its name, for errors.
      num_outputs: K.
      classes: of its recipe.
    Returns:
      None for one logit of FAKE, else the names of the classes, `real` first.
    Raises:
      InputError: more outputs than one, and the recipe does not say that the first of them is `real`, or names another
        number of them.
    """
    if classes is not None and len(classes) != num_outputs:
        raise InputError(
            network,
            f"gives {num_outputs} outputs, the recipe names {list(classes)}.",
            "The folder's recipe.json and its weights do not belong together: copy both from one training run.",
        )
    if num_outputs == 1:
        return None
    if not classes or classes[0] != REAL_CLASS:
        named = f"of which the first is {classes[0]!r}" if classes else "which its recipe does not name"
        raise InputError(
            network,
            f"gives {num_outputs} classes, {named}; a detector needs one logit of FAKE, or classes that begin with "
            f"{REAL_CLASS!r}.",
            "Train it on faces: tfdeepfake train, with --target method for the classes of manipulations.",
        )
    return list(classes)
