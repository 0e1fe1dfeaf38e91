"""Is a map right? A plausible image proves nothing, so maps are scored, each score beside what chance gives.

    energy_in      the part of a map inside the region that was manipulated, against a map that is even
    curves         how the logit falls while what the map names first is taken away, and rises while it is put into a
                   blurred image (arXiv:1806.07421), against random orders
    randomised     whether a network of the same layers with shuffled weights has the same map (arXiv:1810.03292): then
                   the map shows the image, and not what the network learned

A map that passes all of them is still of one network, which may be right for a reason that a map cannot show.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfdeepfake.explain.seen import lines

if TYPE_CHECKING:
    import keras

STEPS = 10
# Weights beyond so many are drawn anew with the same mean and deviation: to shuffle them takes long.
SHUFFLE_UP_TO = 1_000_000


class Beside(NamedTuple):
    """A score beside chance.

    Args:
      value: of the map; None where it is undefined.
      chance: mean of the same score without looking.
      interval: (low, high), 95 % of the chance values, or of the value where that is what varies; None of a single one.
      reason: why the value is undefined.
    """

    value: float | None
    chance: float | None
    interval: tuple[float, float] | None = None
    reason: str = ""


def energy_in(values: np.ndarray, region: np.ndarray) -> Beside:
    """The part of a map's sum that lies in a region.

    Args:
      values: float32 [T, H, W], 0 or more.
      region: bool or uint8 [T, H, W], true or 128 and more where the frames were manipulated.
    Returns:
      Beside; chance is the part of the area that the region has, which an even map would give.
    Raises:
      ValueError: map and region are of different sizes.
    """
    values, region = np.asarray(values, np.float64), np.asarray(region)
    if values.shape != region.shape:
        raise ValueError(f"a map of {values.shape} needs a region of that size, got {region.shape}.")
    region = region if region.dtype == bool else region >= 128
    if not region.any():
        return Beside(None, None, reason="the region is empty")
    if not values.sum() > 0:
        return Beside(None, float(region.mean()), reason="the map is empty: nothing speaks for it")
    return Beside(float(values[region].sum() / values.sum()), float(region.mean()))


def middle(shape: tuple, width: float = 0.25) -> np.ndarray:
    """A map that knows only that faces stand in the middle: a bell of that deviation, as a part of the sides.

    Args:
      shape: (T, H, W).
    Returns:
      float32 [T, H, W].
    """
    down, right = (np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) / width) ** 2) for n in shape[1:])
    return np.broadcast_to((down[:, None] * right).astype(np.float32), shape)


def random_map(rng: np.random.Generator, shape: tuple, cells: int = 7) -> np.ndarray:
    """A smooth map without meaning: noise on cells x cells places, and two in time, enlarged to [T, H, W]."""
    times = min(2, shape[0])
    noise = rng.uniform(0, 1, (times, cells, cells))
    matrices = [lines(count, out) for count, out in zip(noise.shape, shape, strict=True)]
    return np.einsum("at,bh,cw,thw->abc", *matrices, noise, optimize=True).astype(np.float32)


def ranks(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Order of places from the highest, 0..1; equal ones in random order. Same shape as the map."""
    order = np.lexsort((rng.permutation(values.size), -values.reshape(-1)))
    place = np.empty(values.size, np.float32)
    place[order] = np.arange(values.size, dtype=np.float32) / values.size
    return place.reshape(values.shape)


def emptied(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is left of an input when everything is taken away, and what things are put into.

    Args:
      x: frames [T, H, W, 3], or flow [T, H, W, 2].
    Returns:
      Two of the same shape: each frame's mean colour, and frames blurred beyond recognition; of flow, rest, twice.
    """
    if x.shape[-1] != 3:
        return np.zeros_like(x), np.zeros_like(x)
    import cv2

    mean = np.broadcast_to(x.mean(axis=(1, 2), keepdims=True), x.shape).astype(x.dtype)
    return mean, np.stack([cv2.GaussianBlur(frame, (0, 0), max(x.shape[1:3]) / 8) for frame in x])


class Curves(NamedTuple):
    """What a network says while places are taken away or put back in the order of a map.

    Args:
      fractions: float64 [S + 1], of the places, 0..1.
      deletion: float64 [S + 1], logit over temperature, from that of the input; a good map lets it fall early.
      insertion: float64 [S + 1]; it ends there. A good map lets it rise early.
    """

    fractions: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray


def curves(
    score: Callable[[dict], np.ndarray],
    inputs: dict,
    values: np.ndarray,
    input_name: str = "frames",
    steps: int = STEPS,
    seed: int = 0,
    ends: tuple[float, float, float] | None = None,
) -> Curves:
    """Takes an input apart in the order of a map, and puts it together again.

    Args:
      score: function of a batch of inputs that returns logits [B], divided by the temperature.
      inputs: of one example, {"frames": [(T,) H, W, 3], "flow": ...}.
      values: float32 [T, H, W], the map.
      input_name: which of the inputs it lies over; the other one stays.
      steps: S.
      seed: of the order among equal places.
      ends: logits of the input whole, emptied and blurred, which are the same for all maps; computed when not given.
    Returns:
      Curves.
    """
    whole = inputs[input_name]
    original = np.asarray(whole).reshape(-1, *whole.shape[-3:])
    place = ranks(values, np.random.default_rng(seed))[..., None]
    (mean, blurred), fractions = emptied(original), np.linspace(0, 1, steps + 1)
    between = fractions[1:-1]
    rows = [np.where(place < part, mean, original) for part in between]
    rows += [np.where(place < part, original, blurred) for part in between]
    rows += [] if ends else [original, mean, blurred]
    logits = []
    for start in range(0, len(rows), 4):
        part = rows[start : start + 4]
        batch = {name: np.stack([x] * len(part)) for name, x in inputs.items() if name != input_name}
        batch[input_name] = np.stack([row.reshape(whole.shape) for row in part])
        logits.append(np.asarray(score(batch), np.float64).reshape(-1))
    said = np.concatenate(logits)
    whole_said, emptied_said, blurred_said = ends or said[-3:]
    deletion = [whole_said, *said[: steps - 1], emptied_said]
    insertion = [blurred_said, *said[steps - 1 : 2 * (steps - 1)], whole_said]
    return Curves(fractions, np.array(deletion), np.array(insertion))


def area(curve: np.ndarray) -> float:
    """Mean height of a curve over its fractions, by trapezoids."""
    return float((curve[1:] + curve[:-1]).mean() / 2)


def curve_scores(
    score: Callable[[dict], np.ndarray],
    inputs: dict,
    values: np.ndarray,
    input_name: str = "frames",
    num_random: int = 10,
    seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> tuple[dict[str, Beside], Curves]:
    """Areas of both curves beside those of random orders.

    Args:
      score, inputs, values, input_name: see `curves`.
      num_random: maps without meaning (`random_map`) whose areas are chance; the interval is theirs.
      seed: of these.
      step: called behind each of the 1 + `num_random` maps.
    Returns:
      ({"deletion": Beside, "insertion": Beside}, the map's Curves).
    """
    rng = np.random.default_rng(seed)
    own = curves(score, inputs, values, input_name, seed=seed)
    step()
    by_chance, ends = [], (own.deletion[0], own.deletion[-1], own.insertion[0])
    for _ in range(num_random):
        by_chance.append(curves(score, inputs, random_map(rng, values.shape), input_name, ends=ends))
        step()
    scores = {}
    for name in ("deletion", "insertion"):
        areas = [area(getattr(one, name)) for one in by_chance]
        empty = not values.any()
        scores[name] = Beside(
            None if empty else area(getattr(own, name)),
            float(np.mean(areas)),
            middle_95(areas),
            "the map is empty: nothing speaks for it" if empty else "",
        )
    return scores, own


def middle_95(values: list[float]) -> tuple[float, float] | None:
    """Between which values 95 % of them lie; None of fewer than two."""
    if len(values) < 2:
        return None
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


@contextlib.contextmanager
def randomised(model: "keras.Model", seed: int = 0) -> Iterator[None]:
    """Inside, every trainable weight stands somewhere else in its own tensor: nothing is learned any more.

    Means and deviations of each tensor stay, so that the network still computes with figures of the usual size.

    Args:
      model: keras.Model, which has its weights back afterwards.
      seed: of the shuffling.
    """
    rng, kept = np.random.default_rng(seed), [weight.numpy() for weight in model.trainable_weights]
    try:
        for weight, values in zip(model.trainable_weights, kept, strict=True):
            if values.size <= SHUFFLE_UP_TO:
                new = rng.permutation(values.reshape(-1)).reshape(values.shape)
            else:
                new = values.mean() + values.std() * rng.standard_normal(values.shape, np.float32)
            weight.assign(new)
        yield
    finally:
        for weight, values in zip(model.trainable_weights, kept, strict=True):
            weight.assign(values)


def similarity(a: np.ndarray, b: np.ndarray) -> float | None:
    """Rank correlation of two maps of the same shape, -1..1; None where one is the same everywhere."""
    if not (np.ptp(a) > 0 and np.ptp(b) > 0):
        return None
    from scipy.stats import rankdata

    # Every other line tells as much: maps are smooth.
    x, y = (rankdata(one[:, ::2, ::2].reshape(-1)) for one in (a, b))
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / size) if size > 0 else None


def likeness_to_randomised(
    model: "keras.Model",
    maps: Callable[[], np.ndarray],
    values: np.ndarray,
    num_networks: int = 5,
    seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> Beside:
    """How much a map is like those of the network without what it learned.

    Args:
      model: keras.Model.
      maps: function that returns the map of the same input, float32 [T, H, W], with the weights of the moment.
      values: the map of the network as it is.
      num_networks: randomised networks.
      seed: of them.
      step: called behind each of them.
    Returns:
      Beside: the mean rank correlation with their maps, and the 95 % interval over them; chance is that of theirs among
      each other. 1 would say that learning changes nothing.
    """
    others = []
    for number in range(num_networks):
        with randomised(model, seed + number):
            others.append(maps())
        step()
    with_own = [r for other in others if (r := similarity(values, other)) is not None]
    among = [r for i, a in enumerate(others) for b in others[:i] if (r := similarity(a, b)) is not None]
    chance = float(np.mean(among)) if among else None
    if not with_own:
        reason = "the map is empty" if not values.any() else "the maps of all randomised networks are empty"
        return Beside(None, chance, reason=reason)
    return Beside(float(np.mean(with_own)), chance, middle_95(with_own))
