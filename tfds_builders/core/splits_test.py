"""Which source goes into which split."""

import itertools
import random

from tfdeepfake.vocabulary import SPLITS
from tfds_builders.core.splits import assign_splits


def test_splits_are_80_10_10_and_stable():
    sources = {f"person{n}": {n % 2} for n in range(1000)}
    splits = assign_splits(sources)
    counts = [list(splits.values()).count(s) for s in SPLITS]
    assert counts == [800, 100, 100]
    shuffled = dict(random.Random(1).sample(sorted(sources.items()), 1000))
    assert assign_splits(shuffled) == splits


def test_small_sets_have_every_split():
    for real, fake, both in itertools.product(range(8), range(8), range(4)):
        sources = {f"r{n}": {0} for n in range(real)} | {f"f{n}": {1} for n in range(fake)}
        sources |= {f"b{n}": {0, 1} for n in range(both)}
        splits = assign_splits(sources)
        assert set(splits) == set(sources)
        assert len(set(splits.values())) == min(3, len(sources))
        if both == 0 and min(real, fake) >= 3:  # both classes in each
            assert all({next(iter(sources[n])) for n in splits if splits[n] == s} == {0, 1} for s in SPLITS)


def test_given_splits_stay():
    sources = {f"s{n}": {n % 2} for n in range(10)}
    given = {f"s{n}": "test" for n in range(8)}
    splits = assign_splits(sources, given)
    assert given.items() <= splits.items() and set(splits.values()) == set(SPLITS)
