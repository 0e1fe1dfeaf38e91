"""Which source goes into which split: never one in two, each split with both classes where that is possible."""

import hashlib
from collections.abc import Iterable, Mapping

from tfdeepfake.vocabulary import SPLITS

FRACTION = {"validation": 0.1, "test": 0.1}


def assign_splits(sources: Mapping[str, Iterable[str]], given: dict | None = None) -> dict:
    """Puts sources into splits, 80 / 10 / 10.

    Sources that have only real videos, only fakes, or both are assigned one group after the other, in the order of
    a hash of their names: the same sources always give the same splits, and a small set has both classes in each.

    Args:
      sources: {source: set of labels of its videos}.
      given: {source: split} of those that have one already.
    Returns:
      {source: split} of all. With three sources or more no split is empty, unless `given` leaves too few.
    """
    given = dict(given or {})
    splits = dict(given)
    groups = {}
    for source, labels in sources.items():
        if source not in given:
            groups.setdefault(tuple(sorted(labels)), []).append(source)
    for _, names in sorted(groups.items()):
        names.sort(key=_hash)
        # One each is enough for a small group; of two, the second is for the test.
        tests = max(round(len(names) * FRACTION["test"]), int(len(names) > 1))
        validations = max(round(len(names) * FRACTION["validation"]), int(len(names) > 2))
        for place, name in enumerate(names):
            splits[name] = "test" if place < tests else "validation" if place < tests + validations else "train"
    for split in SPLITS:
        if split not in splits.values():
            _fill(split, splits, given)
    return splits


def _hash(name):
    return hashlib.sha256(name.encode()).digest()


def _fill(split, splits, given):
    """Moves one source into an empty split, from the largest one that keeps some; from train only if no other can."""
    held = {s: sorted((n for n, at in splits.items() if at == s and n not in given), key=_hash) for s in SPLITS}
    counts = {s: list(splits.values()).count(s) for s in SPLITS}
    donors = [s for s in SPLITS if counts[s] > 1 and held[s]]
    if donors:
        splits[held[max(donors, key=lambda s: (counts[s], s != "train"))][0]] = split
