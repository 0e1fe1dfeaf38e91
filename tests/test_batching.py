"""A call gathers requests while another one runs; the rest of the batcher is tested in test_serving_api.py."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfdeepfake.serving import batching


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
    batcher = batching.Batcher(network, 2, 0, num_batch_threads=2)

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
    batcher = batching.Batcher(network, 8, 0, num_batch_threads=2)
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
