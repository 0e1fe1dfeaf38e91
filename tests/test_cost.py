"""The cost of a verdict, said before it is paid, on a terminal alone."""

import io

import numpy as np
from support.verdicts import brightness_network, example, no_detector, pretend, recipe
from tqdm import tqdm

from tfdeepfake.published.sources import SOURCES
from tfdeepfake.verdict import cost, inference
from tfdeepfake.verdict.judging import judge


def test_what_is_still_to_score():
    assert cost.cost_text(32, "face", 15.112, 9.6) == "32 faces to score, 15.1 GMACs each, about 10 s"
    assert cost.cost_text(1, "clip", 0.06, 0.2) == "1 clip to score, 0.06 GMACs, less than a second"
    assert cost.cost_text(8, "face", None, None) == "8 faces to score"


def test_the_time_is_that_of_the_batches_on_this_machine():
    bar = tqdm(total=2, file=io.StringIO(), disable=False)
    tell = cost.on_bar(bar, "face", 15.112)
    tell(0, 32, None)
    assert bar.postfix == "32 faces to score, 15.1 GMACs each"
    tell(8, 32, 10.0)
    assert bar.postfix == "24 faces to score, 15.1 GMACs each, about 30 s"
    # The first batch had the network compiled: from the second on it is left out.
    tell(16, 32, 2.0)
    assert bar.postfix == "16 faces to score, 15.1 GMACs each, about 4 s"
    tell(32, 32, 4.0)
    assert bar.postfix == ""
    tell(0, 64, None)
    assert bar.postfix.endswith("about 16 s"), "of the next file it is known before its first batch"
    hidden = tqdm(total=2, file=io.StringIO(), disable=True)
    cost.on_bar(hidden, "face", 15.1)(0, 32, None)
    assert not getattr(hidden, "postfix", None)


def test_a_verdict_tells_of_its_batches(monkeypatch):
    pretend(monkeypatch, [example(0.4, frame=k) for k in range(16)])
    told = []
    judge("clip.mp4", brightness_network(), recipe(), no_detector, progress=lambda *now: told.append(now))
    assert [(done, total) for done, total, _ in told] == [(0, 16), (16, 16)]
    assert told[0][2] is None and told[1][2] > 0
    told.clear()
    frames = np.zeros((8, 8, 3), np.uint8)
    inference.score(brightness_network(), [(frames, None)] * 7, 3, progress=lambda *now: told.append(now[:2]))
    assert told == [(0, 7), (3, 7), (6, 7), (7, 7)]
    # One that takes its inputs one by one tells of each: a batch of a large network takes half a minute.
    network, told[:] = brightness_network(), []
    network.one_by_one = True
    inference.score(network, [(frames, None)] * 3, 32, progress=lambda *now: told.append(now[0]))
    assert told == [0, 1, 2, 3]


def test_published_detectors_state_their_cost():
    assert all(known.gmacs for known in SOURCES.values() if known.is_detector)
    assert SOURCES["dfdc_winner"].gmacs == 7 * SOURCES["dfdc_winner_b7_111_36"].gmacs
