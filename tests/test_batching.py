"""Requests of the same kind share a call of the network, those of judging processes too; each scores as alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support import asking, served

from tfdeepfake.errors import InputError
from tfdeepfake.plain_answers import plain_process
from tfdeepfake.serving import batching
from tfdeepfake.serving.batching import Batcher
from tfdeepfake.serving.servable import ServingError
from tfdeepfake.serving.shared_model import answers
from tfdeepfake.workers import OwnProcess, WorkerCrashed

ROWS = served.ROWS


class Gate:
    """A servable that notes the size of each call and waits until it is told to go on."""

    def __init__(self, servable):
        self._servable, self.sizes, self.go, self.began = servable, [], threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self._servable, name)

    def predict(self, version, signature, inputs, output_filter=()):
        self.sizes.append(len(next(iter(inputs.values()))))
        self.began.set()
        assert self.go.wait(30)
        return self._servable.predict(version, signature, inputs, output_filter)


def at_once(gate, batcher, calls):
    """Answers of the calls in order, errors among them: the first begins alone, the others come while it runs."""

    def call(number):
        if number:
            gate.began.wait(30)
        try:
            return calls[number]()
        except ServingError as error:
            return error.code

    with ThreadPoolExecutor(len(calls)) as pool:
        answers = [pool.submit(call, number) for number in range(len(calls))]
        for _ in range(3000):
            if batcher.num_present == len(calls):
                break
            time.sleep(0.01)
        gate.go.set()
        return [answer.result() for answer in answers]


def test_requests_of_the_same_kind_share_a_call_and_score_as_alone(frame):
    gate = Gate(frame[0])
    batcher = Batcher(gate, 8, 0, num_batch_threads=1)
    expected = frame[1].predict(ROWS, verbose=0)[:, 0]

    def score(first, last, signature="", version=10):
        return lambda: batcher.predict(version, signature, {"frames": ROWS[first:last]})

    calls = [score(0, 1), score(0, 3), score(1, 2), score(1, 3), score(0, 2, "embed"), score(0, 2, version=2)]
    answers = at_once(gate, batcher, [*calls, score(2, 3)])
    scored = [slice(0, 1), slice(0, 3), slice(1, 2), slice(1, 3), slice(0, 2), slice(2, 3)]
    for answer, rows in zip(answers[:4] + answers[5:], scored, strict=True):
        np.testing.assert_allclose(answer["logit"], expected[rows], atol=1e-6, rtol=0)
    alone = frame[0].predict(10, "embed", {"frames": ROWS[:2]})
    np.testing.assert_allclose(answers[4]["embedding"], alone["embedding"], atol=1e-6, rtol=0)
    # Seven examples of version 10's scores in one call; the other signature and the other version each by themselves.
    assert gate.sizes[0] == 1 and sorted(gate.sizes[1:]) == [2, 2, 7]
    assert (batcher.num_calls, batcher.num_requests) == (4, 7)


def test_an_error_of_one_request_is_not_its_neighbours(frame):
    import tensorflow as tf

    gate = Gate(frame[0])
    batcher = Batcher(gate, 8, 0, num_batch_threads=1)
    good = [tf.io.encode_jpeg(image, quality=95).numpy() for image in ROWS]
    expected = [frame[0].predict(10, "serve_jpeg", {"frames_bytes": np.array([file], object)}) for file in good]
    files = [good[0], good[1], b"no image", good[2]]

    def score(file):
        return lambda: batcher.predict(10, "serve_jpeg", {"frames_bytes": np.array([file], object)})

    calls = [score(file) for file in files]
    answers = at_once(gate, batcher, calls)
    assert answers[2] == "INVALID_ARGUMENT" and gate.sizes[:2] == [1, 3]
    for answer, alone in zip((answers[0], answers[1], answers[3]), expected, strict=True):
        np.testing.assert_allclose(answer["logit"], alone["logit"], atol=1e-6, rtol=0)
    with pytest.raises(ServingError, match="frames needs uint8"):  # seen before it is put among others
        batcher.predict(10, "", {"frames": ROWS[:, :2]})


def test_calls_are_no_larger_than_allowed_and_wait_for_nobody_when_alone(frame):
    gate = Gate(frame[0])
    batcher = Batcher(gate, 2, 60_000_000, num_batch_threads=1)
    gate.go.set()
    with batcher.coming():  # a minute's wait would be seen
        assert len(batcher.predict(10, "", {"frames": ROWS})["logit"]) == 3
        assert len(batcher.predict(10, "", {"frames": ROWS[:1]})["logit"]) == 1
    gate.go.clear()
    gate.began.clear()
    gate.sizes.clear()
    at_once(gate, batcher, 6 * [lambda: batcher.predict(10, "", {"frames": ROWS[:1]})])
    assert sum(gate.sizes) == 6 and max(gate.sizes) == 2


def test_a_call_waits_for_a_request_that_is_being_read(frame):
    batcher = Batcher(frame[0], 8, 60_000_000, num_batch_threads=1)
    first_is_there = threading.Event()

    def read_slowly():
        with batcher.coming():
            first_is_there.wait(30)
            time.sleep(0.05)
            batcher.predict(10, "", {"frames": ROWS[:1]})

    def ask():
        with batcher.coming():
            first_is_there.set()
            batcher.predict(10, "", {"frames": ROWS[1:]})

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(read_slowly)
        while not batcher.num_coming:
            time.sleep(0.001)
        pool.submit(ask).result()
        slow.result()
    assert (batcher.num_calls, batcher.num_requests) == (1, 2)


def test_processes_that_judge_share_the_network_of_the_server(frame):
    batcher = Batcher(frame[0], 8, 0)
    process = plain_process(answers=answers(batcher))
    logits, has_keras = process(asking.score_shared, (str(frame[2] / "net"), ROWS.tolist()))
    assert not has_keras, "it would take a second network's memory"
    np.testing.assert_allclose(logits, frame[1].predict(ROWS, verbose=0), atol=1e-6, rtol=0)
    with pytest.raises(InputError, match="net: frames needs uint8 .B, 16, 24, 3., got uint8 .3, 15, 24, 3.."):
        process(asking.score_shared, (str(frame[2] / "net"), ROWS[:, 1:].tolist()))
    for question in (3, {"frames": ("object", (1,), b"x")}, {"frames": ("uint8", (-1, 2), b"xx")}, {}):
        assert isinstance(answers(batcher)(question), str)
    process.close()


def test_a_process_asks_its_parent_as_long_as_it_has_time():
    process = OwnProcess(answers=lambda question: f"{question}!")
    assert process(asking.ask_twice, "said") == ["said!", "again!"]
    process._answers = None  # nobody is there to be asked
    assert isinstance(process(asking.ask_twice, "said"), WorkerCrashed)


class Slow:
    """Stands for the network: each call waits until it may end."""

    def __init__(self):
        self.sizes, self.began, self.go = [], threading.Semaphore(0), threading.Event()

    def check(self, *request):
        pass

    def predict(self, version, signature, inputs, output_filter=()):
        self.sizes.append(len(inputs["frames"]))
        self.began.release()
        assert self.go.wait(30)
        return {"logit": inputs["frames"]}


def test_a_call_gathers_while_another_runs_and_begins_when_it_is_full():
    network = Slow()
    batcher = Batcher(network, 2, 0, num_batch_threads=2)

    def ask(number):
        return batcher.predict(1, "", {"frames": np.array([number])})["logit"].tolist()

    with ThreadPoolExecutor(4) as pool:
        network.go.set()
        assert pool.submit(ask, 0).result() == [0]
        network.go.clear()
        first = pool.submit(ask, 1)
        assert network.began.acquire(timeout=30) and network.began.acquire(timeout=30)
        batcher._last_call_s = 600 / batching.GATHERING_FRAC  # it would wait for ten minutes
        second = pool.submit(ask, 2)
        while batcher.num_present < 2:
            assert not second.done()
        third = pool.submit(ask, 3)
        assert network.began.acquire(timeout=30)
        network.go.set()
        assert [first.result(), second.result(), third.result()] == [[1], [2], [3]]
    assert network.sizes == [1, 1, 2]


def test_a_call_that_gathers_begins_when_the_other_one_has_ended():
    network = Slow()
    batcher = Batcher(network, 8, 0, num_batch_threads=2)
    batcher._last_call_s = 600 / batching.GATHERING_FRAC
    with ThreadPoolExecutor(2) as pool:
        calls = []
        for number in range(2):
            calls.append(pool.submit(batcher.predict, 1, "", {"frames": np.array([number])}))
            if not number:
                assert network.began.acquire(timeout=30)
        network.go.set()
        assert [call.result(timeout=30)["logit"].tolist() for call in calls] == [[0], [1]]
    assert network.sizes == [1, 1]
